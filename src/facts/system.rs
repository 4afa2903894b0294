//! Kernel, cgroups, mounts, processes, resources: what /proc and /sys say of a host.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::origin::{Fact, Origin, Sourced};

#[derive(Debug, Clone, Serialize)]
pub struct System {
    /// `ID`, `VERSION_ID`, `PRETTY_NAME`, ... of os-release.
    pub os_release: Fact<BTreeMap<String, String>>,
    /// `5.10.0-28-amd64`.
    pub kernel_release: Fact<Sourced<String>>,
    pub kernel_config: Fact<KernelConfig>,
    /// The kernel's command line.
    pub kernel_arguments: Fact<Vec<String>>,
    pub modules: Fact<Modules>,
    pub mounts: Fact<Vec<Mount>>,
    pub cgroups: Fact<Cgroups>,
    pub swaps: Fact<Vec<Swap>>,
    pub memory: Fact<Memory>,
    /// Logical CPUs.
    pub cpus: Fact<u32>,
    pub processes: Fact<Vec<Process>>,
    pub machine_id: Fact<String>,
    pub product_uuid: Fact<String>,
    /// Seconds since the machine booted, from /proc/uptime.
    pub uptime_seconds: Fact<u64>,
    /// None without SELinux.
    pub selinux: Fact<Option<Selinux>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Selinux {
    pub enforcing: bool,
    /// /sys/fs/selinux/enforce, or /etc/selinux/config, which says what it is from the next boot on.
    pub origin: Origin,
    /// Whether the policy has the module `container` (of the package container-selinux).
    pub container_policy: Fact<bool>,
}

/// `CONFIG_X=y` by name without the prefix; absent means not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelConfig {
    pub path: String,
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Modules {
    /// From /proc/modules.
    pub loaded: Vec<String>,
    /// Directories of /sys/module: loaded, or built in with parameters.
    pub present: Vec<String>,
    /// From modules.builtin of the running kernel, when it could be read.
    pub builtin: Option<Vec<String>>,
    /// What modprobe could load for the running kernel, from its modules.dep, when it could be read.
    pub loadable: Option<Vec<String>>,
    /// Kernels of /lib/modules while the running one's directory is not among them: it was updated without a reboot, or
    /// this is a container. Empty when the directory is there or is not known.
    pub other_kernels: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    pub source: String,
    pub target: String,
    pub fs_type: String,
    pub options: Vec<String>,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupMode {
    /// Nothing mounted.
    None,
    V1,
    V2,
    /// v1 controllers beside a cgroup2 mount that holds no controllers or only some.
    Hybrid,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cgroups {
    pub mode: CgroupMode,
    /// The rows of /proc/cgroups.
    pub controllers: Vec<CgroupController>,
    /// v1: controller to mount point.
    pub mounted_v1: BTreeMap<String, String>,
    /// Where cgroup2 is mounted, and the controllers in its root's cgroup.controllers when that could be read.
    pub unified: Option<Unified>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgroupController {
    pub name: String,
    /// 0: attached to no v1 hierarchy.
    pub hierarchy: u32,
    pub enabled: bool,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unified {
    pub target: String,
    pub controllers: Fact<Vec<String>>,
    pub subtree_control: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swap {
    pub device: String,
    pub kib: u64,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub total_kib: u64,
    pub available_kib: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    pub pid: u32,
    /// The kernel's name for it, at most 15 characters.
    pub comm: String,
    /// What /proc/PID/exe points to; none for kernel threads and without permission.
    pub exe: Option<String>,
    pub argv: Vec<String>,
    pub cwd: Option<String>,
    /// Only variables that configure a component (`ETCD_*`, `*_proxy`, `PATH`, `DOCKER_*`, `KUBE*`); never others.
    pub environment: BTreeMap<String, String>,
    /// Inode of its network namespace, when readable.
    pub network_namespace: Option<u64>,
    /// Stopped by a signal (`T` or `t` in /proc/PID/stat): it holds its sockets and does nothing.
    pub stopped: bool,
    /// Clock ticks after boot.
    pub started_ticks: Option<u64>,
}
