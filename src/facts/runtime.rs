//! Container runtimes as configured.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use crate::origin::{Fact, Origin, Sourced};

#[derive(Debug, Clone, Serialize)]
pub struct Runtimes {
    /// /etc/docker/daemon.json; scalars by their path (`exec-opts.0`). None when there is no such file.
    pub docker_daemon: Fact<Option<BTreeMap<String, Sourced<String>>>>,
    /// Docker's images by repository and tag, from its own list (`image/DRIVER/repositories.json` below its data
    /// directory). None when docker has no such directory.
    pub docker_images: Fact<Option<Vec<String>>>,
    pub containerd: Fact<Option<ContainerdConfig>>,
    pub crio: Fact<Option<BTreeMap<String, Sourced<String>>>>,
    pub cni: Fact<Vec<CniConfig>>,
    /// /run/flannel/subnet.env.
    pub flannel_subnet: Fact<Option<BTreeMap<String, Sourced<String>>>>,
    /// What a runtime would refuse in its own configuration (docker's, containerd's, CRI-O's), and where.
    pub invalid: Vec<(Origin, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerdConfig {
    pub path: String,
    pub version: u32,
    pub disabled_plugins: Vec<Sourced<String>>,
    /// `sandbox_image` (versions 1 and 2) or `pinned_images.sandbox` (3).
    pub sandbox_image: Option<Sourced<String>>,
    pub systemd_cgroup: Option<Sourced<bool>>,
    /// Scalars by their dotted path, keys that hold dots in quotes.
    pub values: BTreeMap<String, Sourced<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CniConfig {
    pub path: String,
    pub name: Option<String>,
    /// `type` of each plug-in.
    pub plugins: Vec<String>,
    /// The first `mtu` that is given and not 0, which means the default route's.
    pub mtu: Option<Sourced<u32>>,
    /// Subnets that host-local IPAM gives addresses out of.
    pub subnets: Vec<IpNet>,
    pub origin: Origin,
    /// Why it is none, when it is not valid.
    pub problem: Option<String>,
}
