//! The hosts of the preflight tests: a master `m1`, and the bare host `p1` that may become a node.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::kubeadm::Verdict;
use crate::build::Built;
use crate::command::{eventually, say, sh};
use crate::doctor::{self, Finding, Report};
use crate::host::{Host, Parts, Plan};
use crate::place::{Place, Running, raise_limits};
use crate::shape::{Cluster, Shape, kubeadm};

/// What kubeadm is given, by the names of the files in `preflight/`.
pub const CONFIGURATIONS: &[&str] = &["init", "external", "join", "join-master"];

/// What kubeadm says on every host here, whatever is wrong with it.
pub const ALWAYS: &[&str] = &["ERROR SystemVerification", "WARNING SystemVerification"];

/// Findings that are right for every host of this machine, with why.
pub const TRUE_OF_IT: &[(&str, &str)] = &[("host-clock-unsynchronized", "no time server can be reached")];

const MASTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const BARE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 31);

/// What faults of the host change, kept before each and put back after it.
const KEPT: &str = "etc/kubernetes etc/containerd etc/systemd/system etc/sysctl.d etc/modules-load.d etc/hosts etc/hostname \
     etc/resolv.conf etc/nsswitch.conf etc/fstab etc/environment etc/firewalld var/lib/dpkg/status srv";

pub struct Lab {
    pub bare: Host,
    master: Host,
    place: Place,
}

impl Lab {
    pub fn up(place: &Place, built: &Built) -> Result<Lab> {
        raise_limits()?;
        let run = place.run();
        std::fs::create_dir_all(run.join("tools"))?;
        crate::shape::network()?;
        let cluster = Cluster { shape: Shape::Stacked, hosts: Vec::new(), place: place.clone() };
        cluster.install_doctor()?;
        let tools = run.join("tools");
        let mut hosts = Vec::new();
        for (name, address) in [("m1", MASTER), ("p1", BARE)] {
            let plan = Plan { name, address, routes: Vec::new() };
            let parts = Parts {
                root: &built.root,
                store: built.store.as_deref(),
                images: &built.images,
                tools: &tools,
                run: &run,
            };
            hosts.push(Host::boot(&plan, &parts, |root| prepare(root, built))?);
        }
        place.record(&Running {
            keeper: std::process::id(),
            shape: "preflight".to_owned(),
            ready: false,
            hosts: hosts.iter().map(|host| (host.name.clone(), host.nspawn)).collect(),
        })?;
        for host in &hosts {
            host.wait(&run, Duration::from_secs(120))?;
        }
        let [master, bare] = <[Host; 2]>::try_from(hosts).map_err(|_| anyhow::anyhow!("two hosts"))?;
        let lab = Lab { bare, master, place: place.clone() };
        lab.configurations(built)?;
        say("the hosts are up");
        Ok(lab)
    }

    /// A running master.
    pub fn master(&self) -> &Host {
        &self.master
    }

    pub fn power_off(&self) {
        self.bare.power_off();
        self.master.power_off();
    }

    /// Makes a master of `m1`, and the files that `p1` is to become a node with.
    fn configurations(&self, built: &Built) -> Result<()> {
        let configuration = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: {MASTER}
nodeRegistration:
  criSocket: unix:///run/containerd/containerd.sock
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v{}
controlPlaneEndpoint: m1.lab.internal:6443
networking:
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/12
",
            built.version
        );
        let join = kubeadm::init(&self.master, &configuration)?;
        let word = |before: &str| -> Result<String> {
            let mut words = join.worker.split_whitespace().skip_while(|word| *word != before).skip(1);
            Ok(words.next().with_context(|| format!("no {before} in kubeadm's join command"))?.to_owned())
        };
        let init = configuration.replace(&MASTER.to_string(), &BARE.to_string()).replace("m1.lab", "p1.lab");
        self.bare.write("/srv/init.yaml", &init)?;
        let external = format!(
            "{init}etcd:
  external:
    endpoints:
    - https://{MASTER}:2379
    caFile: /srv/etcd/ca.crt
    certFile: /srv/etcd/client.crt
    keyFile: /srv/etcd/client.key
"
        );
        self.bare.write("/srv/external.yaml", &external)?;
        for (from, to) in [
            ("etcd/ca.crt", "ca.crt"),
            ("apiserver-etcd-client.crt", "client.crt"),
            ("apiserver-etcd-client.key", "client.key"),
        ] {
            let text = self.master.ok(&format!("cat /etc/kubernetes/pki/{from}"))?;
            self.bare.write(&format!("/srv/etcd/{to}"), &text)?;
        }
        self.bare.ok("chmod 600 /srv/etcd/client.key")?;
        let join = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: m1.lab.internal:6443
    token: {}
    caCertHashes:
    - {}
nodeRegistration:
  criSocket: unix:///run/containerd/containerd.sock
timeouts:
  discovery: 5s
",
            word("--token")?,
            word("--discovery-token-ca-cert-hash")?
        );
        self.bare.write("/srv/join.yaml", &join)?;
        let master = format!(
            "controlPlane:
  localAPIEndpoint:
    advertiseAddress: {BARE}
  certificateKey: {}
",
            "5a".repeat(32)
        );
        self.bare.write("/srv/join-master.yaml", &format!("{join}{master}"))
    }

    /// Waits until the master's bootstrap signer has signed the token.
    pub fn wait(&self) -> Result<()> {
        eventually("a host can join m1", Duration::from_secs(90), || {
            let verdict = self.kubeadm("join")?;
            anyhow::ensure!(verdict.failure.is_none(), "{:?}", verdict.failure);
            Ok(())
        })
    }

    /// kubeadm's preflight with a configuration.
    pub fn kubeadm(&self, configuration: &str) -> Result<Verdict> {
        let what = if configuration.starts_with("join") { "join" } else { "init" };
        let file = format!("/srv/{configuration}.yaml");
        // The kernel's own configuration is not to be had in a container; what it says besides is looked at.
        let words =
            ["kubeadm", what, "phase", "preflight", "--config", &file, "--ignore-preflight-errors=SystemVerification"];
        Ok(Verdict::of(&self.bare.run(&words, Duration::from_secs(120))?))
    }

    pub fn doctor(&self, configuration: &str) -> Result<Report> {
        doctor::live_with(&self.bare, &["--phase", "preflight", &format!("/srv/{configuration}.yaml")])
    }

    /// Findings that nothing explains and that are no mere information, without those that are right here.
    pub fn roots<'a>(&self, report: &'a Report) -> impl Iterator<Item = &'a Finding> {
        report.findings.iter().filter(|finding| {
            finding.consequence_of.is_none()
                && finding.severity != "info"
                && !TRUE_OF_IT.iter().any(|(rule, _)| *rule == finding.rule)
        })
    }

    /// Keeps what a fault may change.
    pub fn keep(&self) -> Result<()> {
        let to = self.place.run().join("preflight-kept");
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(&to)?;
        let script = format!(
            "cd '{}'; for path in {KEPT}; do [ ! -e $path ] || cp -a --parents $path '{}'; done",
            self.root()?,
            to.display()
        );
        sh(&script, Duration::from_secs(60)).map(|_| ())
    }

    /// Puts it back, and starts again what reads it.
    pub fn put_back(&self) -> Result<()> {
        let from = self.place.run().join("preflight-kept");
        let script = format!(
            "cd '{root}'
             for path in {KEPT}; do
               [ -e \"{from}/$path\" ] || {{ rm -rf \"$path\"; continue; }}
               diff -rq --no-dereference \"{from}/$path\" \"$path\" >/dev/null 2>&1 && continue
               rm -rf \"$path\"; mkdir -p \"$(dirname \"$path\")\"; cp -a \"{from}/$path\" \"$path\"
             done",
            root = self.root()?,
            from = from.display(),
        );
        sh(&script, Duration::from_secs(60))?;
        let after = "rm -rf /var/lib/etcd /etc/kubernetes/manifests/*.yaml
            systemctl daemon-reload
            hostname \"$(cat /etc/hostname)\"
            systemctl is-active -q containerd || systemctl restart containerd
            sysctl -q -p /etc/sysctl.d/k8s.conf || true";
        self.bare.script(after, Duration::from_secs(60))?;
        Ok(())
    }

    fn root(&self) -> Result<String> {
        Ok(self.bare.path("/")?.display().to_string())
    }
}

fn prepare(root: &Path, built: &Built) -> Result<()> {
    kubeadm::prepare(root, built)?;
    std::fs::copy(built.programs.join("cri-dockerd"), root.join("usr/local/bin/cri-dockerd")).context("cri-dockerd")?;
    let names = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{MASTER} m1 m1.lab.internal\n{BARE} p1 p1.lab.internal\n"
    );
    std::fs::write(root.join("etc/hosts"), names)?;
    // As if the packages had brought them.
    use std::io::Write;
    let mut status = std::fs::OpenOptions::new().append(true).open(root.join("var/lib/dpkg/status"))?;
    for name in ["kubeadm", "kubelet"] {
        writeln!(
            status,
            "\nPackage: {name}\nStatus: install ok installed\nMaintainer: Kubernetes\nArchitecture: amd64\nVersion: {}-1.1\nDescription: {name}",
            built.version
        )?;
    }
    Ok(())
}
