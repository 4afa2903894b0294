//! What several detectors need: a host's addresses in words, what would run on it, versions.

use std::net::IpAddr;

use crate::facts::Host;
pub use crate::facts::address::{Url, in_url, owners, resolve};
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::network::Network;
use crate::origin::{Place, Sourced, Unknown};

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

/// [`main_address`] of the same family as another address.
pub fn main_address_like(network: &Network, other: IpAddr) -> Option<IpAddr> {
    let mut of_family = network.clone();
    for interface in &mut of_family.interfaces {
        interface.addresses.retain(|net| net.addr().is_ipv4() == other.is_ipv4());
    }
    main_address(&of_family)
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

/// The layers that start the component on this host: [`configured_layers`] without what others stand before. etcd with a
/// configuration file reads nothing else; a unit that is disabled and a script that nothing runs were left behind where an
/// enabled unit or a manifest starts it; a container in a network of its own is not on the host's addresses.
pub fn starting_layers<'a>(host: &Host, component: &'a Component) -> Vec<&'a Layer> {
    let mut layers = configured_layers(component);
    layers.retain(|layer| in_host_network(host, component, layer));
    if component.name == ComponentName::Etcd && layers.iter().any(|layer| layer.kind == LayerKind::ConfigFile) {
        layers.retain(|layer| layer.kind == LayerKind::ConfigFile);
        return layers;
    }
    let is_certain = |layer: &&Layer| match layer.kind {
        LayerKind::Manifest => true,
        LayerKind::Unit => unit_behind(host, layer).is_none_or(|unit| unit.enabled == Some(true)),
        LayerKind::Script | LayerKind::ConfigFile | LayerKind::Process | LayerKind::Planned => false,
    };
    if layers.iter().any(is_certain) {
        layers.retain(|layer| is_certain(layer) || layer.kind == LayerKind::ConfigFile);
    }
    layers
}

/// Whether what a layer starts is on the host's own addresses, and not in a network namespace of its own.
fn in_host_network(host: &Host, component: &Component, layer: &Layer) -> bool {
    match layer.kind {
        LayerKind::Manifest => {
            let pods = host.kubernetes.static_pods.iter().flatten();
            pods.filter(|pod| Some(pod.path.as_str()) == layer.origin.path()).all(|pod| pod.host_network)
        }
        LayerKind::Process => {
            let Ok(processes) = &host.system.processes else { return true };
            let namespace = |pid: u32| processes.iter().find(|process| process.pid == pid)?.network_namespace;
            match (namespace(1), component.pid.and_then(namespace)) {
                (Some(host), Some(own)) => host == own,
                _ => true,
            }
        }
        _ => true,
    }
}

/// The unit that a layer was read from.
pub fn unit_behind<'a>(host: &'a Host, layer: &Layer) -> Option<&'a crate::facts::unit::Unit> {
    if layer.kind != LayerKind::Unit {
        return None;
    }
    let path = layer.origin.path()?;
    let mut of_path = host.units.iter().filter(|unit| unit.path == path);
    // Instances of one template share its path: the one that is enabled.
    let first = of_path.next()?;
    Some(if first.enabled == Some(true) {
        first
    } else {
        of_path.find(|unit| unit.enabled == Some(true)).unwrap_or(first)
    })
}

/// The unit to restart after a file of this layer was edited: its own, the one that runs the script, or the one whose
/// configuration file it is. None for a static pod, which the kubelet restarts by itself, and when no unit starts it.
pub fn unit_to_restart<'a>(host: &'a Host, component: &Component, layer: &Layer) -> Option<&'a str> {
    let unit = match layer.kind {
        LayerKind::Unit => unit_behind(host, layer),
        LayerKind::Script => {
            let script = layer.origin.path()?;
            let runs = |unit: &&crate::facts::unit::Unit| {
                unit.exec_start.iter().flat_map(|command| &command.words).any(|word| word.value == script)
            };
            host.units.iter().find(runs)
        }
        LayerKind::ConfigFile => component.layers.iter().find_map(|layer| unit_behind(host, layer)),
        LayerKind::Manifest | LayerKind::Process | LayerKind::Planned => None,
    };
    unit.map(|unit| unit.name.as_str())
}

/// Whether the kernel lets a process bind an address that no interface has; load balancers are set up so for an address
/// that may come.
pub fn binds_nonlocal(host: &Host, address: IpAddr) -> bool {
    let key = if address.is_ipv4() { "net.ipv4.ip_nonlocal_bind" } else { "net.ipv6.ip_nonlocal_bind" };
    matches!(host.sysctls.get(key), Some(Ok(value)) if value == "1")
}

/// Whether some host of the cluster is set up to carry an address that moves between hosts: keepalived's, kube-vip's.
pub fn is_virtual(cluster: &crate::facts::Cluster, address: IpAddr) -> bool {
    let is_it = |text: &str| text.split('/').next().is_some_and(|text| text.trim().parse() == Ok(address));
    cluster.hosts.iter().any(|host| {
        let keepalived = host.load_balancers.keepalived.iter().flatten();
        let of_keepalived = keepalived
            .flat_map(|keepalived| &keepalived.instances)
            .flat_map(|instance| &instance.virtual_addresses)
            .any(|known| is_it(&known.value));
        let of_kube_vip =
            host.kubernetes.static_pods.iter().flatten().flat_map(|pod| &pod.containers).any(|container| {
                container.image.as_ref().is_some_and(|image| image.value.contains("kube-vip"))
                    && ["address", "vip_address"]
                        .iter()
                        .any(|name| container.environment.get(*name).is_some_and(|value| is_it(&value.value)))
            });
        of_keepalived || of_kube_vip
    })
}

/// Units of components that could not be read, while nothing else configures the component.
pub fn unread_units(host: &Host) -> impl Iterator<Item = &Unknown> {
    host.hidden_components.values().filter(|unknown| unknown.what.contains("/systemd/"))
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
