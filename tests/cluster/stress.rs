//! Under stress: services that hang, disks that are full, no root, little memory. The check ends within its deadline plus a
//! second and says what it could not judge.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::build::Built;
use crate::command::say;
use crate::host::Host;
use crate::place::Place;
use crate::preflight::Lab;

/// `--timeout` of every check here, in seconds.
const TIMEOUT: f64 = 3.0;
/// What the check may take beyond it.
const GRACE: f64 = 1.0;

/// One kind of stress.
struct Stress {
    name: &'static str,
    summary: &'static str,
    /// `m1`, a running master, or `p1`, a bare host.
    host: &'static str,
    put_on: &'static str,
    /// What the check is run by; `CHECK` stands for it.
    run: &'static str,
    take_off: &'static str,
    /// Texts of which each has to be said as not judged, or as why.
    unjudged: &'static [&'static str],
    /// A rule that has to be found all the same.
    found: Option<&'static str>,
}

const PLAIN: &str = "CHECK";

const ALL: &[Stress] = &[
    Stress {
        name: "nothing",
        summary: "nothing is wrong: for comparison",
        host: "m1",
        put_on: "true",
        run: PLAIN,
        take_off: "true",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "apiserver-paused",
        summary: "the apiserver takes connections and never answers (SIGSTOP)",
        host: "m1",
        put_on: "pkill -STOP -x kube-apiserver",
        run: PLAIN,
        take_off: "pkill -CONT -x kube-apiserver",
        unjudged: &["did not answer"],
        found: None,
    },
    Stress {
        name: "etcd-paused",
        summary: "etcd takes connections and never answers (SIGSTOP)",
        host: "m1",
        put_on: "pkill -STOP -x etcd",
        run: PLAIN,
        take_off: "pkill -CONT -x etcd",
        unjudged: &["did not answer"],
        found: None,
    },
    Stress {
        name: "etcd-slow",
        summary: "etcd answers after two seconds and more (SIGSTOP and SIGCONT by turns)",
        host: "m1",
        put_on: "systemd-run -q --collect --unit=slow bash -c 'while :; do pkill -STOP -x etcd; sleep 2.2; pkill -CONT -x etcd; sleep 0.1; done'",
        run: PLAIN,
        take_off: "systemctl stop slow; pkill -CONT -x etcd",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "kubelet-paused",
        summary: "the kubelet is paused (SIGSTOP)",
        host: "m1",
        put_on: "pkill -STOP -x kubelet",
        run: PLAIN,
        take_off: "pkill -CONT -x kubelet",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "containerd-paused",
        summary: "the runtime's socket takes connections and never answers (SIGSTOP)",
        host: "m1",
        put_on: "pkill -STOP -x containerd",
        run: PLAIN,
        take_off: "pkill -CONT -x containerd",
        unjudged: &["containerd.sock", "did not answer"],
        found: None,
    },
    Stress {
        name: "all-paused",
        summary: "apiserver, etcd, kubelet and runtime at once",
        host: "m1",
        put_on: "for p in kube-apiserver etcd kubelet containerd; do pkill -STOP -x $p; done",
        run: PLAIN,
        take_off: "for p in containerd etcd kube-apiserver kubelet; do pkill -CONT -x $p; done",
        unjudged: &["did not answer"],
        found: None,
    },
    Stress {
        name: "resolver-silent",
        summary: "the name server does not answer, and the endpoint's name is not in /etc/hosts",
        host: "m1",
        put_on: "cp /etc/hosts /etc/resolv.conf /run/; sed -i 's/m1.lab.internal//' /etc/hosts; \
                 systemd-run -q --collect --unit=deaf socat UDP-RECV:53,bind=127.0.0.7 /dev/null; echo nameserver 127.0.0.7 > /etc/resolv.conf; sleep 0.5",
        run: PLAIN,
        take_off: "systemctl stop deaf; cat /run/hosts > /etc/hosts; cat /run/resolv.conf > /etc/resolv.conf",
        unjudged: &["m1.lab.internal"],
        found: None,
    },
    Stress {
        name: "disk-full",
        summary: "/tmp and /var/tmp are full, and so is where the check is started",
        host: "m1",
        put_on: "true",
        run: "unshare --mount bash -c 'for d in /tmp /var/tmp /root; do mount -t tmpfs -o size=64k tmpfs $d; dd if=/dev/zero of=$d/x bs=4k 2>/dev/null; done; cd /root; CHECK'",
        take_off: "true",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "disk-full-var",
        summary: "all of /var is a full disk on a bare host",
        host: "p1",
        put_on: "true",
        run: "unshare --mount bash -c 'for d in /var /tmp; do mount -t tmpfs -o size=64k tmpfs $d; dd if=/dev/zero of=$d/x bs=4k 2>/dev/null; done; CHECK'",
        take_off: "true",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "nobody",
        summary: "not root",
        host: "m1",
        put_on: "true",
        run: "setpriv --reuid 65534 --regid 65534 --clear-groups CHECK",
        take_off: "true",
        unjudged: &["permission denied", "run as root"],
        found: None,
    },
    Stress {
        name: "memory-256-mib",
        summary: "256 MiB of memory, and a log of 80 MB to read",
        host: "m1",
        put_on: "yes \"$(date '+%b %e %H:%M:%S') m1 kubelet[612]: I1121 10:00:00.000001     612 status.go:11] nothing to see here, line after line\" | head -c 80000000 > /var/log/syslog",
        run: "systemd-run -q --pipe --wait --collect -p MemoryMax=256M -p MemoryAccounting=yes CHECK",
        take_off: "rm -f /var/log/syslog",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "address-space-256-mib",
        summary: "256 MiB of data segment (RLIMIT_DATA)",
        host: "m1",
        put_on: "true",
        run: "prlimit --data=268435456 CHECK",
        take_off: "true",
        unjudged: &[],
        found: None,
    },
    Stress {
        name: "mount-silent",
        summary: "a file system of a dead server over the certificates and below the pods' logs (FUSE that never answers)",
        host: "m1",
        put_on: "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229; mkdir -p /var/log/pods/hung
            for d in /etc/kubernetes/pki /var/log/pods/hung; do
              systemd-run -q --collect bash -c \"exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 dead:/ $d; sleep 60\"
            done; sleep 1; [ $(grep -c '^dead:/ ' /proc/self/mounts) = 2 ]",
        run: PLAIN,
        take_off: "umount -f /etc/kubernetes/pki; umount -f /var/log/pods/hung; rmdir /var/log/pods/hung",
        unjudged: &["the file system at /etc/kubernetes/pki does not answer"],
        found: None,
    },
];

#[derive(Debug, Deserialize)]
struct Report {
    findings: Vec<serde_json::Value>,
    #[serde(flatten)]
    rest: serde_json::Value,
}

/// Every stress that is named, or all.
pub fn run(place: &Place, built: &Built, names: &[String]) -> Result<bool> {
    let all: Vec<&Stress> =
        ALL.iter().filter(|stress| names.is_empty() || names.iter().any(|name| name == stress.name)).collect();
    ensure!(!all.is_empty(), "no such stress: {}", names.join(" "));
    let lab = Lab::up(place, built)?;
    lab.wait()?;
    // Of a host that has just booted nothing is expected to answer.
    std::thread::sleep(Duration::from_secs(60));
    let mut good = true;
    let mut lines = Vec::new();
    for stress in all {
        let host = if stress.host == "m1" { lab.master() } else { &lab.bare };
        let outcome = under(host, stress);
        let undone = host.script(stress.take_off, Duration::from_secs(30));
        let line = match &outcome {
            Ok(seconds) => format!("ok   {}: {} ({seconds:.1} s)", stress.name, stress.summary),
            Err(why) => format!("BAD  {}: {}: {why:#}", stress.name, stress.summary),
        };
        say(&line);
        lines.push(line);
        good &= outcome.is_ok();
        undone.with_context(|| stress.name)?;
        std::thread::sleep(Duration::from_secs(2));
    }
    lab.power_off();
    Ok(good)
}

/// Puts the stress on and runs the check; gives its seconds.
fn under(host: &Host, stress: &Stress) -> Result<f64> {
    host.ok(stress.put_on).context("it could not be put on")?;
    let check = format!("k8sdoctor check --no-config --format json --timeout {TIMEOUT}");
    // Its own clock, not that of nsenter and the shell around it. The report goes to memory: the disk may be full.
    let script = format!(
        "began=$(date +%s.%N); {} > /dev/shm/report 2> /dev/shm/said; code=$?; ended=$(date +%s.%N)
         echo \"$code $began $ended\"; cat /dev/shm/said >&2",
        stress.run.replace("CHECK", &check)
    );
    let done = host.script(&script, Duration::from_secs(60))?;
    let mut words = done.out.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<f64>().ok());
    let (Some(code), Some(began), Some(ended)) = (number(), number(), number()) else {
        anyhow::bail!("no times: {}", done.tail());
    };
    let seconds = ended - began;
    ensure!([0.0, 1.0, 3.0].contains(&code), "exit code {code}: {}", done.tail());
    ensure!(seconds <= TIMEOUT + GRACE, "{seconds:.1} s with --timeout {TIMEOUT}");
    let text = host.ok("cat /dev/shm/report")?;
    let report: Report = serde_json::from_str(&text).context("the report")?;
    let rest = report.rest.to_string();
    for said in stress.unjudged {
        let in_findings = report.findings.iter().any(|finding| finding.to_string().contains(said));
        ensure!(rest.contains(said) || in_findings, "it does not say: {said}");
    }
    if let Some(rule) = stress.found {
        ensure!(report.findings.iter().any(|finding| finding["rule"] == rule), "{rule} is not found");
    }
    Ok(seconds)
}
