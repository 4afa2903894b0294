//! What several detectors need: a host's addresses in words, what would run on it, versions.

use std::net::IpAddr;

use crate::facts::Host;
pub use crate::facts::address::{Url, in_url, owners, resolve};
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::network::Network;
use crate::origin::{Place, Sourced};

/// `m2 has 10.77.0.12 (host0), 10.244.2.1 (cni0), 127.0.0.1 and ::1 (lo)`.
pub fn addresses_in_words(host: &str, network: &Network) -> String {
    let mut groups: Vec<String> = network
        .interfaces
        .iter()
        .filter(|interface| !interface.addresses.is_empty())
        .map(|interface| {
            let addresses: Vec<String> = interface.addresses.iter().map(|net| net.addr().to_string()).collect();
            format!("{} ({})", in_words(&addresses), interface.name)
        })
        .collect();
    const SHOWN: usize = 8;
    let more = groups.len().saturating_sub(SHOWN);
    groups.truncate(SHOWN);
    if more > 0 {
        groups.push(format!("{more} more"));
    }
    format!("{host} has {}", if groups.is_empty() { "no address".to_owned() } else { groups.join(", ") })
}

/// `a`, `a and b`, `a, b and c`.
pub fn in_words(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The address by which others most likely reach the host: on the default route's interface, else the first that is
/// neither loopback nor link-local; interfaces that containers make come last.
pub fn main_address(network: &Network) -> Option<IpAddr> {
    let default_interface = network
        .routes_v4
        .iter()
        .chain(network.routes_v6.iter())
        .flatten()
        .find(|route| route.is_default())
        .map(|route| route.interface.as_str());
    let global = |address: IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let mut candidates: Vec<(bool, bool, bool, IpAddr)> = network
        .addresses()
        .filter(|(_, net)| global(net.addr()))
        .map(|(name, net)| {
            (Some(name) != default_interface, is_container_interface(name), net.addr().is_ipv6(), net.addr())
        })
        .collect();
    candidates.sort_by_key(|&(other, container, v6, _)| (other, container, v6));
    candidates.first().map(|&(_, _, _, address)| address)
}

/// Interfaces that runtimes and pod networks create.
pub fn is_container_interface(name: &str) -> bool {
    [
        "docker",
        "cni",
        "flannel",
        "cali",
        "veth",
        "vxlan",
        "tunl",
        "kube-",
        "br-",
        "cbr",
        "weave",
        "cilium",
        "lxc",
        "dummy",
        "nodelocaldns",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// The layers that the next start will read: every one but the running process; the process when there is nothing else.
pub fn configured_layers(component: &Component) -> Vec<&Layer> {
    let files: Vec<&Layer> = component.layers.iter().filter(|layer| layer.kind != LayerKind::Process).collect();
    if files.is_empty() { component.layers.iter().collect() } else { files }
}

/// What has to be restarted after a file of this layer was edited: the unit; nothing for a static pod, which the kubelet
/// restarts by itself.
pub fn unit_of(layer: &Layer) -> Option<&str> {
    if layer.kind != LayerKind::Unit {
        return None;
    }
    layer.origin.path().and_then(|path| path.rsplit('/').next())
}

/// The file to edit for a value: where its text stands.
pub fn file_of<T>(value: &Sourced<T>) -> Option<&str> {
    match &value.origin.place {
        Place::File { path, .. } => Some(path),
        _ => None,
    }
}

/// Whether the component's process runs; unknown when the host's processes are.
pub fn is_running(host: &Host, name: ComponentName) -> Option<bool> {
    match &host.system.processes {
        Ok(_) => Some(host.component(name).is_some_and(|component| component.pid.is_some())),
        Err(_) => None,
    }
}

/// Whether the host runs, or is set up to run, a kubelet or a container runtime: what cgroups matter for. A program that
/// is merely installed does not count.
pub fn runs_containers(host: &Host) -> bool {
    use ComponentName::{Containerd, Crio, Dockerd, Kubelet};
    [Kubelet, Dockerd, Containerd, Crio].into_iter().any(|name| {
        host.component(name).is_some_and(|component| {
            component.pid.is_some()
                || component.layers.iter().any(|layer| match unit_of(layer) {
                    Some(unit) => host.unit(unit).is_none_or(|unit| unit.enabled != Some(false) && !unit.masked),
                    None => true,
                })
        })
    })
}

/// Whether the host is, or is set up to become, a node of a cluster.
pub fn is_node(host: &Host) -> bool {
    host.component(ComponentName::Kubelet).is_some()
}

/// `1.9`, `v1.34.4`, `3.5.0-0` as numbers for comparing.
pub fn version_numbers(version: &str) -> Vec<u32> {
    version.trim_start_matches('v').split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// Whether a version is at least `major.minor`.
pub fn at_least(version: &str, major: u32, minor: u32) -> bool {
    let numbers = version_numbers(version);
    (numbers.first().copied().unwrap_or(0), numbers.get(1).copied().unwrap_or(0)) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions() {
        assert!(at_least("v1.24.17", 1, 20));
        assert!(at_least("3.5.0-0", 3, 5));
        assert!(!at_least("1.9.0", 1, 20));
        assert!(!at_least("", 1, 0));
    }
}
