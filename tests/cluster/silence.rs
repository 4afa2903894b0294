//! No false alarm on a healthy cluster: while it boots and its nodes join, as it runs, and while it is restarted host by host.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::say;
use crate::doctor::{self, Finding, Since};
use crate::host::Host;
use crate::results::Stage;
use crate::shape::{Cluster, Shape, True, binaries, kubeadm};

/// What is so while masters join one after the other.
pub const JOINING: &[True] = &[
    True { rule: "lb-backend-missing", why: "the load balancer names masters that have not joined yet" },
    True { rule: "etcd-quorum-fragile", why: "two members, until the third has joined" },
    True { rule: "flannel-network-config-missing", why: "it is written once etcd is healthy" },
    True {
        rule: "pause-image-missing",
        why: "images are loaded once the runtime runs, and no registry can be reached",
    },
];

/// What is so for the seconds in which something is away because it is started again.
pub const RESTARTING: &[True] = &[
    True { rule: "etcd-not-running", why: "etcd is being started again" },
    True { rule: "etcd-endpoint-unreachable", why: "etcd is being started again" },
    True { rule: "etcd-quorum-fragile", why: "a member is being started again" },
    True { rule: "apiserver-not-running", why: "kube-apiserver is being started again" },
    True { rule: "kubelet-apiserver-unreachable", why: "kube-apiserver is being started again" },
    True { rule: "lb-backend-missing", why: "kube-apiserver is being started again" },
    True { rule: "lb-not-running", why: "haproxy is being started again" },
    True { rule: "kubelet-not-running", why: "the kubelet is being started again" },
    True { rule: "apiserver-kubelet-unreachable", why: "the kubelet is being started again" },
    True { rule: "node-not-ready", why: "the kubelet is being started again" },
    True { rule: "controllers-not-running", why: "a controller is being started again" },
    True { rule: "docker-not-running", why: "docker is being started again" },
    True { rule: "kubelet-runtime-unreachable", why: "the runtime is being started again" },
];

/// Checks that go on in the background, host after host.
pub struct Watch {
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    thread: std::thread::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Heard {
    checks: usize,
    /// Rule and line.
    findings: BTreeSet<(String, String)>,
}

impl Watch {
    /// Checks a cluster's hosts, also before they are a cluster, until it is stopped.
    pub fn start(cluster: &Cluster) -> Watch {
        let (stop, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Heard::default())));
        let thread = {
            let (stop, heard, cluster) = (Arc::clone(&stop), Arc::clone(&heard), cluster.clone());
            std::thread::spawn(move || {
                for host in cluster.hosts.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    listen(&cluster, host, &heard);
                }
            })
        };
        Watch { stop, heard, thread }
    }

    /// Ends it and tells what it heard.
    pub fn end(self, cluster: &Cluster, stage: &str, right: &[True]) -> Stage {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        stage_of(cluster, stage, heard, right)
    }
}

fn stage_of(cluster: &Cluster, stage: &str, heard: Heard, right: &[True]) -> Stage {
    let is_right = |rule: &str| right.iter().any(|right| right.rule == rule);
    let (right, heard_of): (BTreeSet<_>, BTreeSet<_>) =
        heard.findings.into_iter().partition(|(rule, _)| is_right(rule));
    let stage = Stage {
        shape: cluster.shape.name().to_owned(),
        stage: stage.to_owned(),
        checks: heard.checks,
        heard: heard_of.into_iter().map(|(_, line)| line).collect(),
        right: right.into_iter().map(|(_, line)| line).collect(),
    };
    say(&format!("silence, {}: {} checks, heard {}", stage.stage, stage.checks, stage.heard.len()));
    stage.heard.iter().for_each(|line| say(&format!("  {line}")));
    stage.right.iter().for_each(|line| say(&format!("  (right) {line}")));
    stage
}

fn listen(cluster: &Cluster, host: &Host, heard: &Mutex<Heard>) {
    let report = doctor::live(host, Since::EVER);
    let mut heard = heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    heard.checks += 1;
    match report {
        Ok(report) => {
            let line = |finding: &Finding| format!("{}: {}", host.name, finding.line());
            for finding in report.roots(cluster) {
                if heard.findings.insert((finding.rule.clone(), line(finding))) {
                    finding.explain(&host.name, &report.at);
                }
            }
        }
        // The host may still be booting.
        Err(why) if host.init().is_err() => drop(why),
        Err(why) => {
            heard.findings.insert((String::new(), format!("{}: no report: {why:#}", host.name)));
        }
    }
}

/// The cluster runs, and is restarted host by host: kubelet, runtime, and with the runtime's shims the static pods.
pub fn stages(cluster: &Cluster, running: Duration) -> Result<Vec<Stage>> {
    let mut stages = Vec::new();

    let heard = Mutex::new(Heard::default());
    let start = Instant::now();
    while start.elapsed() < running {
        cluster.hosts.iter().for_each(|host| listen(cluster, host, &heard));
        std::thread::sleep(Duration::from_secs(5));
    }
    let heard = heard.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    stages.push(stage_of(cluster, &format!("running for {} s", running.as_secs()), heard, &[]));
    stages.push(bundles(cluster, "bundles of all hosts")?);

    let watch = Watch::start(cluster);
    let restarted = cluster.hosts.iter().try_for_each(|host| restart(cluster, host));
    stages.push(watch.end(cluster, "rolling restart", RESTARTING));
    restarted?;
    stages.push(bundles(cluster, "bundles after the restart")?);

    let worker = cluster.host("w1")?;
    let command = match cluster.shape {
        Shape::Stacked | Shape::External => kubeadm::join_again(cluster, worker)?,
        Shape::Binaries => binaries::join_again(cluster, worker)?,
    };
    let watch = Watch::start(cluster);
    let joined =
        worker.ok_within(&command, Duration::from_secs(300)).and_then(|_| cluster.wait_ready(Duration::from_secs(300)));
    stages.push(watch.end(cluster, "a worker joins", &[]));
    joined?;
    stages.push(bundles(cluster, "bundles after it has joined")?);
    Ok(stages)
}

/// A check of all hosts' bundles together.
fn bundles(cluster: &Cluster, stage: &str) -> Result<Stage> {
    let report = doctor::by_bundles(cluster, Since::EVER)?;
    report.roots(cluster).for_each(|finding| finding.explain("bundles", &report.at));
    let findings = report.roots(cluster).map(|finding| (finding.rule.clone(), finding.line())).collect();
    Ok(stage_of(cluster, stage, Heard { checks: 1, findings }, &[]))
}

fn restart(cluster: &Cluster, host: &Host) -> Result<()> {
    say(&format!("restarting what runs on {}", host.name));
    let units = "for unit in haproxy keepalived nginx etcd flanneld containerd docker cri-docker kube-apiserver \
          kube-controller-manager kube-scheduler kubelet kube-proxy; do
          systemctl is-active -q $unit && systemctl restart $unit; done
        true";
    // One after the other, as an upgrade does: a kubelet that starts while its own apiserver is away gives up for minutes.
    let pods = "for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
          crictl ps -q --name \"^$name\\$\" 2>/dev/null | xargs -r crictl stop -t 20 >/dev/null 2>&1
        done
        true";
    for script in [units, pods] {
        host.script(script, Duration::from_secs(300))?;
        std::thread::sleep(Duration::from_secs(10));
        cluster.wait_ready(Duration::from_secs(300)).with_context(|| format!("after the restart of {}", host.name))?;
    }
    Ok(())
}
