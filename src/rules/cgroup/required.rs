//! Which controllers a kubelet and a container runtime need, by cgroup version.

use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::system::Cgroups;
use crate::rules::Context;
use crate::rules::support::at_least;

/// kubelet's container manager refuses to start without cpu, cpuacct, cpuset and memory, dockerd without devices; kubeadm
/// asks for freezer.
const V1: [&str; 6] = ["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory"];

/// devices and freezer are part of cgroup v2 itself.
const V2: [&str; 3] = ["cpu", "cpuset", "memory"];

/// The controllers that have to be there. `pids` since the kubelet limits process counts, which is on by default from 1.14
/// on; kernels of that time's enterprise distributions had none.
pub fn required(context: &Context<'_>, host: &Host, cgroups: &Cgroups) -> Vec<&'static str> {
    let mut names = if is_v2(cgroups) { V2.to_vec() } else { V1.to_vec() };
    let asked = context.kubernetes_version.map(str::to_owned);
    let kubelet = host.component(ComponentName::Kubelet);
    let version = asked.or_else(|| Some(kubelet?.version.as_ref()?.value.clone()));
    if version.is_some_and(|version| at_least(&version, 1, 14)) || is_v2(cgroups) {
        names.push("pids");
    }
    names
}

/// Whether programs take the host for cgroup v2: what is mounted at /sys/fs/cgroup itself decides, also when a v1 hierarchy
/// of its own is mounted beside it (net_cls of a VPN client).
pub fn is_v2(cgroups: &Cgroups) -> bool {
    cgroups.unified.as_ref().is_some_and(|unified| unified.target == "/sys/fs/cgroup")
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

pub fn standing(host: &Host, cgroups: &Cgroups, controller: &str) -> Standing {
    let v2 = is_v2(cgroups);
    if v2 && let Some(unified) = &cgroups.unified {
        match &unified.controllers {
            Ok(controllers) if controllers.iter().any(|known| known == controller) => return Standing::Usable,
            Ok(_) => {}
            Err(_) => return Standing::Unknown,
        }
    } else if cgroups.mounted_v1.contains_key(controller) {
        // A v1 host's programs look for v1 mounts: a controller that cgroup2 holds beside them is none of theirs.
        return Standing::Usable;
    }
    match cgroups.controllers.iter().find(|row| row.name == controller) {
        Some(row) if !row.enabled => Standing::Disabled,
        Some(_) => Standing::NotMounted,
        None if v2 && disabling_argument(host, &[controller]).is_some() => Standing::Disabled,
        // Newer kernels leave controllers that exist only in v2 out of /proc/cgroups.
        None if v2 => Standing::NotMounted,
        None => Standing::NotCompiled,
    }
}

/// The kernel's argument that switches one of these off: `cgroup_disable=memory`.
pub fn disabling_argument<'a>(host: &'a Host, controllers: &[&str]) -> Option<&'a String> {
    host.system.kernel_arguments.as_ref().ok()?.iter().find(|argument| {
        argument
            .strip_prefix("cgroup_disable=")
            .is_some_and(|list| list.split(',').any(|name| controllers.contains(&name)))
    })
}
