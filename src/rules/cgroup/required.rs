//! Which controllers a kubelet and a container runtime need, by cgroup version.

use crate::facts::system::{CgroupMode, Cgroups};

/// kubelet's container manager refuses to start without these; dockerd without devices. Required since the kubelet
/// enforces node allocatable; `pids` since it limits process counts (1.14).
const V1: [&str; 7] = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"];

/// devices and freezer are part of cgroup v2 itself.
const V2: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// The controllers that have to be there.
pub fn required(cgroups: &Cgroups) -> &'static [&'static str] {
    match cgroups.mode {
        CgroupMode::V2 => &V2,
        CgroupMode::None | CgroupMode::V1 | CgroupMode::Hybrid => &V1,
    }
}

/// How a controller stands on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Usable,
    /// The kernel has it, switched on, and nothing mounts it (v1) or delegates it (v2).
    NotMounted,
    /// The kernel has it switched off at boot.
    Disabled,
    /// The kernel was built without it.
    NotCompiled,
    /// What would tell could not be read.
    Unknown,
}

pub fn standing(cgroups: &Cgroups, controller: &str) -> Standing {
    let in_unified = cgroups
        .unified
        .as_ref()
        .and_then(|unified| unified.controllers.as_ref().ok())
        .is_some_and(|controllers| controllers.iter().any(|known| known == controller));
    if in_unified || cgroups.mounted_v1.contains_key(controller) {
        return Standing::Usable;
    }
    if cgroups.mode == CgroupMode::V2
        && let Some(unified) = &cgroups.unified
        && unified.controllers.is_err()
    {
        return Standing::Unknown;
    }
    match cgroups.controllers.iter().find(|row| row.name == controller) {
        Some(row) if !row.enabled => Standing::Disabled,
        Some(_) => Standing::NotMounted,
        // Newer kernels leave controllers that exist only in v2 out of /proc/cgroups.
        None if cgroups.mode == CgroupMode::V2 => Standing::NotMounted,
        None => Standing::NotCompiled,
    }
}
