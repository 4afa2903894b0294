//! The clusters: which hosts there are and how they become a cluster.

pub mod binaries;
mod etcd;
mod external;
pub mod kubeadm;
mod pki;
mod stacked;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::build::{self, Built};
use crate::command::{eventually, output, say};
use crate::host::{BRIDGE, Host, Parts, Plan};
use crate::place::{Place, Running, raise_limits};

/// The machine's own address on the bridge: gateway and name server of the hosts.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// kubeadm with an etcd member on each master, haproxy on a host of its own.
    Stacked,
    /// kubeadm with etcd under systemd, haproxy on each master and a virtual address.
    External,
    /// Binaries as units with EnvironmentFiles, external etcd, docker, flannel, nginx on the worker.
    Binaries,
}

/// A true thing of every cluster on this machine, which is no false alarm.
#[derive(Debug, Clone, Copy)]
pub struct True {
    pub rule: &'static str,
    pub why: &'static str,
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::Stacked, Shape::External, Shape::Binaries];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Stacked => "stacked",
            Shape::External => "external",
            Shape::Binaries => "binaries",
        }
    }

    pub fn of(name: &str) -> Option<Shape> {
        Shape::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// The Kubernetes release.
    fn version(self) -> &'static str {
        match self {
            Shape::Stacked | Shape::External => "1.34.4",
            // The oldest whose module holds all that was generated for it.
            Shape::Binaries => "1.24.17",
        }
    }

    /// Builds what is missing for it.
    pub fn build(self, place: &Place) -> Result<Built> {
        match self {
            Shape::Stacked | Shape::External => build::kubeadm(place, self.version()),
            Shape::Binaries => build::binaries(place, self.version()),
        }
    }

    /// What would have to be built first.
    pub fn unbuilt(self, place: &Place) -> Option<String> {
        build::unbuilt(place, self.version()).map(|folder| format!("{} (`build` makes it)", folder.display()))
    }

    fn plans(self) -> Vec<Plan> {
        match self {
            Shape::Stacked => stacked::plans(),
            Shape::External => external::plans(),
            Shape::Binaries => binaries::plans(),
        }
    }

    /// Findings that are right for this cluster as it is built here.
    pub fn true_of_it(self) -> &'static [True] {
        match self {
            Shape::Stacked => stacked::TRUE_OF_IT,
            Shape::External => external::TRUE_OF_IT,
            Shape::Binaries => binaries::TRUE_OF_IT,
        }
    }
}

/// A cluster, whoever keeps it.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub shape: Shape,
    pub hosts: Vec<Host>,
    pub place: Place,
}

impl Cluster {
    /// Boots the hosts, says so to `booted`, and makes a cluster of them. For the keeper alone: what it starts ends with this process.
    pub fn up(shape: Shape, built: &Built, place: &Place, booted: impl FnOnce(&Cluster)) -> Result<Cluster> {
        raise_limits()?;
        let run = place.run();
        std::fs::create_dir_all(run.join("tools"))?;
        network()?;
        let pki = run.join("pki");
        match shape {
            Shape::Stacked => {}
            Shape::External => etcd::certificates(&pki, &external::members())?,
            Shape::Binaries => binaries::certificates(&pki)?,
        }
        let mut cluster = Cluster { shape, hosts: Vec::new(), place: place.clone() };
        cluster.install_doctor()?;
        let (tools, plans) = (run.join("tools"), shape.plans());
        for plan in &plans {
            let parts = Parts {
                root: &built.root,
                store: built.store.as_deref().filter(|_| plan.name != "lb"),
                images: &built.images,
                tools: &tools,
                run: &run,
            };
            let host = Host::boot(plan, &parts, |root| match shape {
                Shape::Stacked => stacked::prepare(plan, root, built),
                Shape::External => external::prepare(plan, root, built, &pki),
                Shape::Binaries => binaries::prepare(plan, root, built, &pki),
            })
            .with_context(|| plan.name.to_owned())?;
            cluster.hosts.push(host);
            cluster.record(false)?;
        }
        for host in &cluster.hosts {
            host.wait(&run, Duration::from_secs(120))?;
        }
        say("hosts are up");
        booted(&cluster);
        match shape {
            Shape::Stacked => stacked::up(&cluster, built)?,
            Shape::External => external::up(&cluster, built)?,
            Shape::Binaries => binaries::up(&cluster)?,
        }
        cluster.wait_ready(Duration::from_secs(300))?;
        say("cluster is ready");
        cluster.record(true)?;
        Ok(cluster)
    }

    fn record(&self, ready: bool) -> Result<()> {
        self.place.record(&Running {
            keeper: std::process::id(),
            shape: self.shape.name().to_owned(),
            ready,
            hosts: self.hosts.iter().map(|host| (host.name.clone(), host.nspawn)).collect(),
        })
    }

    /// The cluster that another invocation keeps.
    pub fn running(place: &Place) -> Option<Cluster> {
        let running = place.running().filter(|running| running.ready)?;
        let hosts = running.hosts.into_iter().map(|(name, nspawn)| Host { name, nspawn }).collect();
        Some(Cluster { shape: Shape::of(&running.shape)?, hosts, place: place.clone() })
    }

    /// Gives the hosts the program as it was built last, without its debug information.
    pub fn install_doctor(&self) -> Result<()> {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_k8sdoctor"));
        let tools = self.place.run().join("tools");
        let (new, installed) = (tools.join("k8sdoctor.new"), tools.join("k8sdoctor"));
        let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/tools");
        for entry in std::fs::read_dir(&scripts)? {
            let entry = entry?;
            std::fs::copy(entry.path(), tools.join(entry.file_name()))?;
        }
        let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
        if modified(&installed) >= modified(&program) {
            return Ok(());
        }
        std::fs::copy(&program, &new).with_context(|| program.display().to_string())?;
        // Without it the copy is a few hundred megabytes.
        let _ = output(std::process::Command::new("strip").arg(&new), Duration::from_secs(60));
        std::fs::rename(new, installed).context("k8sdoctor can't be given to the hosts")
    }

    pub fn host(&self, name: &str) -> Result<&Host> {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.with_context(|| format!("no host {name} in the shape {}", self.shape.name()))
    }

    /// The hosts that have an administrator's kubeconfig.
    pub fn masters(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.name.starts_with('m'))
    }

    /// Runs kubectl on the first master that answers.
    pub fn kubectl(&self, arguments: &str) -> Result<String> {
        let mut last = None;
        for master in self.masters() {
            let script = format!("kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=8s {arguments}");
            match master.ok_within(&script, Duration::from_secs(20)) {
                Ok(said) => return Ok(said),
                Err(why) => last = Some(why),
            }
        }
        Err(last.context("no master")?)
    }

    /// Waits until every node is ready and every container of every pod, twice in a row.
    pub fn wait_ready(&self, limit: Duration) -> Result<()> {
        let mut times = 0;
        eventually("a healthy cluster", limit, || {
            match self.ready() {
                Ok(()) => times += 1,
                Err(why) => {
                    times = 0;
                    return Err(why);
                }
            }
            ensure!(times >= 2, "ready only once");
            Ok(())
        })
    }

    fn ready(&self) -> Result<()> {
        let list: serde_json::Value = serde_json::from_str(&self.kubectl("get nodes,pods -A -o json")?)?;
        let items = list["items"].as_array().context("no items")?;
        let mut nodes = 0;
        for item in items {
            let name = item["metadata"]["name"].as_str().unwrap_or_default();
            let is_true = |kind: &str| {
                let conditions = item["status"]["conditions"].as_array();
                conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
            };
            if item["metadata"]["deletionTimestamp"].is_string() {
                bail!("{name} is being deleted");
            }
            if item["kind"] == "Node" {
                nodes += 1;
                ensure!(is_true("Ready"), "node {name} is not ready");
            } else {
                ensure!(is_true("Ready"), "pod {name} is not ready");
            }
        }
        let expected = self.hosts.iter().filter(|host| host.name != "lb").count();
        ensure!(nodes == expected, "{nodes} nodes of {expected}");
        // A mirror pod's state is what its kubelet said last: ask the apiservers themselves.
        for master in self.masters() {
            let ask = "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=5s \
                       --server=https://$(hostname -I | tr ' ' '\\n' | grep '^10[.]77[.]0[.]1' | head -1):6443 get --raw /readyz";
            let answer = master.script(ask, Duration::from_secs(15))?;
            ensure!(answer.success, "the apiserver on {}: {}", master.name, answer.tail());
        }
        Ok(())
    }

    pub fn power_off(&self) {
        self.hosts.iter().for_each(Host::power_off);
    }
}

/// The bridge and the name server, in this process' network namespace.
pub fn network() -> Result<()> {
    let script = format!(
        "ip link set lo up
         ip link add {BRIDGE} type bridge
         ip address add {GATEWAY}/24 dev {BRIDGE}
         ip link set {BRIDGE} up"
    );
    crate::command::sh(&script, Duration::from_secs(20))?;
    crate::dns::serve(GATEWAY)
}
