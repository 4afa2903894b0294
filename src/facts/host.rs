//! A host as a whole, and hosts together.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::collect::TextFile;
use crate::facts::component::{Component, ComponentName};
use crate::facts::expected::Expected;
use crate::facts::filesystem::FilesystemUse;
use crate::facts::firewall::{Firewall, Firewalld};
use crate::facts::kubernetes::Kubernetes;
use crate::facts::load_balancer::LoadBalancers;
use crate::facts::log::Logs;
use crate::facts::network::{Names, Network};
use crate::facts::path::PathKind;
use crate::facts::probe::{KernelClock, Probes};
use crate::facts::runtime::Runtimes;
use crate::facts::system::System;
use crate::facts::unit::{Script, Unit};
use crate::origin::{Fact, Unknown};
use crate::report::Problem;
use crate::source::SourceKind;

#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// /etc/hostname, else the source's name.
    pub name: String,
    pub source: String,
    pub kind: SourceKind,
    /// This host itself, or a recording of one that was: what it lacks was not there.
    pub of_live_host: bool,
    /// The source says that it lacks some of what it was to hold: nothing that is not found says anything.
    pub incomplete: bool,
    /// What the operator says of it.
    pub expected: Expected,
    pub network: Fact<Network>,
    pub names: Names,
    pub system: System,
    /// /proc/sys by dotted key: `net.ipv4.ip_forward`. Only those that rules ask for; a key that the kernel is known not
    /// to have (`net.bridge.*` without br_netfilter) is left out.
    pub sysctls: BTreeMap<String, Fact<String>>,
    /// Programs that rules ask for, by name: the path found in PATH, or none.
    pub executables: BTreeMap<String, Fact<Option<String>>>,
    /// What stands at paths that the configuration names (host paths of static pods, directories of logs, programs of
    /// units, CNI plug-ins) and at the runtimes' sockets; None for nothing. A path that the source may merely not hold is
    /// unknown.
    pub paths: BTreeMap<String, Fact<Option<PathKind>>>,
    pub units: Vec<Unit>,
    pub scripts: Vec<Script>,
    pub components: Vec<Component>,
    /// Components that nothing read configures, while a file that by its name may configure them could not be read.
    pub hidden_components: BTreeMap<ComponentName, Unknown>,
    /// etcd's data directories by path, as its configuration names them: whether there is a member's data in it.
    pub etcd_data: BTreeMap<String, Fact<bool>>,
    /// What else lies in those directories that are there: names, the first few.
    pub etcd_data_beside: BTreeMap<String, Vec<String>>,
    pub kubernetes: Kubernetes,
    pub runtimes: Runtimes,
    pub load_balancers: LoadBalancers,
    pub logs: Logs,
    pub probes: Probes,
    /// How full file systems are.
    pub filesystems: Fact<Vec<FilesystemUse>>,
    #[serde(skip)]
    pub firewall: Fact<Firewall>,
    /// None where it does not run, or of a tree: is not started at boot.
    #[serde(skip)]
    pub firewalld: Fact<Option<Firewalld>>,
    pub clock: Fact<KernelClock>,
    /// What could not be read or parsed while the facts were taken.
    pub problems: Vec<Problem>,
    /// The texts that origins point into, by path.
    #[serde(skip)]
    pub texts: BTreeMap<String, Arc<TextFile>>,
}

impl Host {
    pub fn component(&self, name: ComponentName) -> Option<&Component> {
        self.components.iter().find(|component| component.name == name)
    }

    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name)
    }
}

#[cfg(test)]
impl Host {
    /// A host of which nothing is known, for tests that fill in what they need.
    pub fn empty(name: &str) -> Host {
        fn unknown<T>(what: &str) -> Fact<T> {
            Err(Unknown::new(what, "not part of this test"))
        }

        Host {
            name: name.to_owned(),
            source: name.to_owned(),
            kind: SourceKind::Tree,
            of_live_host: false,
            incomplete: false,
            expected: Expected::default(),
            network: unknown("network"),
            names: Names {
                own: unknown("/etc/hostname"),
                hosts: unknown("/etc/hosts"),
                resolv_conf: unknown("/etc/resolv.conf"),
                nsswitch_hosts: unknown("/etc/nsswitch.conf"),
                systemd_resolved: unknown("/run/systemd/resolve/resolv.conf"),
            },
            system: System {
                os_release: unknown("os-release"),
                kernel_release: unknown("kernel release"),
                kernel_config: unknown("kernel configuration"),
                kernel_arguments: unknown("kernel arguments"),
                modules: unknown("modules"),
                mounts: unknown("mounts"),
                cgroups: unknown("cgroups"),
                swaps: unknown("swaps"),
                memory: unknown("memory"),
                cpus: unknown("cpus"),
                processes: unknown("processes"),
                machine_id: unknown("machine id"),
                product_uuid: unknown("product uuid"),
                uptime_seconds: unknown("uptime"),
                selinux: unknown("SELinux"),
            },
            sysctls: BTreeMap::new(),
            executables: BTreeMap::new(),
            paths: BTreeMap::new(),
            units: Vec::new(),
            scripts: Vec::new(),
            components: Vec::new(),
            hidden_components: BTreeMap::new(),
            etcd_data: BTreeMap::new(),
            etcd_data_beside: BTreeMap::new(),
            kubernetes: Kubernetes {
                static_pods: unknown("static pods"),
                some_static_pods: Vec::new(),
                unread_manifests: Vec::new(),
                invalid_manifests: Vec::new(),
                kubeconfigs: Vec::new(),
                unread_kubeconfigs: Vec::new(),
                cni_kubeconfigs: Vec::new(),
                unread_cni_kubeconfigs: Vec::new(),
                kubelet_configuration: unknown("kubelet configuration"),
                kubeadm_configuration: Vec::new(),
                kubeadm_given: None,
                kubeadm_doubts: Vec::new(),
                invalid_files: Vec::new(),
                certificates: BTreeMap::new(),
                absent_files: Vec::new(),
            },
            runtimes: Runtimes {
                docker_daemon: unknown("daemon.json"),
                docker_images: unknown("docker's images"),
                containerd: unknown("containerd configuration"),
                crio: unknown("CRI-O configuration"),
                cni: unknown("CNI configuration"),
                flannel_subnet: unknown("subnet.env"),
                invalid: Vec::new(),
            },
            load_balancers: LoadBalancers {
                haproxy: unknown("haproxy.cfg"),
                nginx: unknown("nginx.conf"),
                keepalived: unknown("keepalived.conf"),
            },
            logs: Logs::default(),
            probes: Probes::default(),
            filesystems: unknown("file systems"),
            firewall: unknown("packet filter"),
            firewalld: unknown("firewalld"),
            clock: unknown("the kernel's clock"),
            problems: Vec::new(),
            texts: BTreeMap::new(),
        }
    }
}

/// The hosts that were given together.
#[derive(Debug, Clone, Serialize)]
pub struct Cluster {
    pub hosts: Vec<Host>,
    /// The time that dates are judged against.
    pub at: Timestamp,
}
