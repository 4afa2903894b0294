//! cidr-overlap: the ranges of pods and services, docker's bridge and the hosts' own network have addresses in common.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{ComponentName, split_items};
use crate::facts::network::Network;
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced};
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{is_container_interface, main_address};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "cidr-overlap", judge: Judge::Cluster(judge), refine: None };

/// A range and what is given addresses out of it.
#[derive(Clone)]
struct Range<'a> {
    host: &'a Host,
    what: &'static str,
    net: IpNet,
    origin: Origin,
    /// Whether something of Kubernetes gives nodes their part of it; else the pod network has its own way (a cloud's plug-in
    /// takes the hosts' own network on purpose).
    allocated: bool,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let cluster = context.cluster;
    let pods = pods(cluster);
    let services = services(cluster);
    for pod in &pods {
        for service in &services {
            if !overlap(&pod.net, &service.net) {
                verdict.pass();
                continue;
            }
            // The controller-manager keeps services' addresses out of what it gives to nodes, when they are a part of it.
            let kept_out = pod.allocated && pod.net != service.net && pod.net.contains(&service.net);
            let draft = pair(pod, service).message("two");
            verdict.fail(if kept_out { draft.severity(Severity::Warning) } else { draft });
        }
    }
    for range in pods.iter().filter(|pod| pod.allocated).chain(&services) {
        judge_hosts(cluster, range, verdict);
    }
    judge_docker(cluster, &pods, &services, verdict);
    judge_nodes(cluster, &services, verdict);
}

/// The subnets that the CNI configuration of each node gives pods addresses out of: against the services, and each other.
fn judge_nodes(cluster: &Cluster, services: &[Range<'_>], verdict: &mut Verdict) {
    let mut seen: Vec<Range<'_>> = Vec::new();
    for host in &cluster.hosts {
        // A directory with several files keeps what former plug-ins left; the runtime takes the first.
        let Some(config) = host.runtimes.cni.iter().flatten().next() else { continue };
        // What flannel, Calico and others write is a cluster's whole range on each node; a bridge's is the node's own.
        if !config.plugins.iter().any(|plugin| matches!(plugin.as_str(), "bridge" | "ptp" | "macvlan")) {
            continue;
        }
        for net in &config.subnets {
            let range = Range {
                host,
                what: "the node's pods",
                net: net.trunc(),
                origin: config.origin.clone(),
                allocated: false,
            };
            if config.plugins.iter().any(|plugin| matches!(plugin.as_str(), "bridge" | "ptp")) {
                judge_beside_host(&range, verdict);
            }
            for other in
                services.iter().chain(&seen).filter(|other| other.what == "services" || !std::ptr::eq(other.host, host))
            {
                match overlap(&other.net, &range.net) {
                    true => verdict.fail(pair(&range, other).message("two")),
                    false => verdict.pass(),
                }
            }
            seen.push(range);
        }
    }
}

/// A bridge of its own has no addresses of the network that its host is in: what pods send there stays on the bridge.
fn judge_beside_host(range: &Range<'_>, verdict: &mut Verdict) {
    let host = range.host;
    let Ok(network) = &host.network else { return };
    let Some((what, address, origin)) = inside(network, &range.net) else { return verdict.pass() };
    // Where the host itself is on a bridge its pods may be put there on purpose.
    let own = main_address(network).and_then(|address| network.interface_of(address));
    if own.is_some_and(|own| own.name.starts_with("br")) {
        return;
    }
    verdict.fail(
        Draft::new()
            .subject(format!("{} {}", range.what, range.net))
            .message("host")
            .value("what", range.what)
            .value("network", range.net)
            .value("holds", format!("{what} {address} of {}", host.name))
            .hosts([host.name.clone()])
            .at(&host.name, &range.origin, format!("the range of {}", range.what))
            .at(&host.name, &origin, format!("{what} {address} is in it")),
    );
}

/// Whether some host has an address, or its way out, within a range that is not the hosts'.
fn judge_hosts(cluster: &Cluster, range: &Range<'_>, verdict: &mut Verdict) {
    for host in &cluster.hosts {
        let Some(network) = verdict.known(&host.network) else { continue };
        let Some((what, address, origin)) = inside(network, &range.net) else {
            verdict.pass();
            continue;
        };
        let mut hosts = vec![host.name.clone(), range.host.name.clone()];
        hosts.dedup();
        verdict.fail(
            Draft::new()
                .subject(format!("{} {}", range.what, range.net))
                .message("host")
                .value("what", range.what)
                .value("network", range.net)
                .value("holds", format!("{what} {address} of {}", host.name))
                .hosts(hosts)
                .at(&range.host.name, &range.origin, format!("the range of {}", range.what))
                .evidence(Evidence::new(
                    EvidenceKind::Cluster,
                    &host.name,
                    origin,
                    format!("{what} {address} is in it"),
                )),
        );
    }
}

/// The host's own address or its gateway, when it is in the range.
fn inside(network: &Network, range: &IpNet) -> Option<(&'static str, IpAddr, Origin)> {
    if let Some(address) = main_address(network).filter(|address| range.contains(address)) {
        // Without a network of its own the host shows only what containers have.
        let of_host = network.interface_of(address).is_some_and(|found| !is_pods(&found.name));
        if of_host {
            return Some(("the address", address, network.origin.clone()));
        }
    }
    let routes = network.routes_v4.iter().chain(&network.routes_v6).flatten();
    let default = routes.filter(|route| route.is_default() && !is_pods(&route.interface));
    default
        .filter_map(|route| Some((route.gateway.filter(|gateway| range.contains(gateway))?, route)))
        .map(|(gateway, route)| ("the gateway", gateway, route.origin.clone()))
        .next()
}

/// Interfaces that pod networks and virtual machines' bridges make, or that have no name.
fn is_pods(name: &str) -> bool {
    const OTHERS: [&str; 12] =
        ["antrea", "ovn", "genev", "virbr", "lxdbr", "podman", "wg", "tun", "azv", "nerdctl", "eni", "wireguard"];
    name.is_empty() || name == "lo" || is_container_interface(name) || OTHERS.iter().any(|o| name.starts_with(o))
}

/// docker's own bridge against the hosts' addresses and the services. That it lies within the pods' range is how flannel
/// without CNI works.
fn judge_docker(cluster: &Cluster, pods: &[Range<'_>], services: &[Range<'_>], verdict: &mut Verdict) {
    for host in &cluster.hosts {
        if host.component(ComponentName::Dockerd).is_none() {
            continue;
        }
        let Some(network) = verdict.known(&host.network) else { continue };
        let Some(bridge) = network.interfaces.iter().find(|interface| interface.name == "docker0") else { continue };
        for net in bridge.addresses.iter().map(IpNet::trunc).filter(|net| net.prefix_len() < 32) {
            let range = Range { host, what: "docker0", net, origin: network.origin.clone(), allocated: false };
            for other in &cluster.hosts {
                let Ok(its) = &other.network else { continue };
                match inside(its, &net) {
                    Some((what, address, origin)) if other.name != host.name || what == "the gateway" => verdict.fail(
                        Draft::new()
                            .subject(format!("docker0 of {}", host.name))
                            .message("docker")
                            .value("network", net)
                            .value("on", &host.name)
                            .value("docker", "true")
                            .value("holds", format!("{what} {address} of {}", other.name))
                            .hosts([host.name.clone(), other.name.clone()])
                            .at(&host.name, &range.origin, "docker0 has this network")
                            .at(&other.name, &origin, format!("{what} {address} is in it")),
                    ),
                    _ => verdict.pass(),
                }
            }
            // A bridge with pods on it is theirs, and compared as such.
            let is_pods = pods.iter().any(|pod| pod.net.contains(&net));
            for service in services.iter().filter(|service| !is_pods && overlap(&service.net, &net)) {
                let draft = pair(&range, service).message("two").value("docker", "true").value("on", &host.name);
                verdict.fail(draft.severity(Severity::Warning));
            }
        }
    }
}

fn pair(one: &Range<'_>, other: &Range<'_>) -> Draft {
    let evidence = |range: &Range<'_>| {
        let label = format!("{} on {}", range.what, range.host.name);
        Evidence::new(EvidenceKind::File, &range.host.name, range.origin.clone(), label)
    };
    Draft::new()
        .subject(format!("{} {} {}", one.what, one.net, other.net))
        .value("what", one.what)
        .value("network", one.net)
        .value("other_what", other.what)
        .value("other_network", other.net)
        .hosts([one.host.name.clone(), other.host.name.clone()])
        .evidence(evidence(one))
        .evidence(evidence(other))
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Each range of pods once, with the first place that gives it.
fn pods(cluster: &Cluster) -> Vec<Range<'_>> {
    let mut found = Vec::new();
    for host in &cluster.hosts {
        if let Some(controller) = host.component(ComponentName::KubeControllerManager)
            && let Some(value) = controller.flag_in_file("cluster-cidr")
        {
            add(&mut found, host, "pods", value, controller.flag_bool("allocate-node-cidrs") == Some(true));
        }
        for document in &host.kubernetes.kubeadm_configuration {
            if let Some(value) = document.get("networking.podSubnet") {
                add(&mut found, host, "pods", value, true);
            }
        }
        if let Ok(Some(subnet)) = &host.runtimes.flannel_subnet
            && let Some(value) = subnet.get("FLANNEL_NETWORK")
        {
            add(&mut found, host, "pods", value, true);
        }
    }
    once(found)
}

fn services(cluster: &Cluster) -> Vec<Range<'_>> {
    let mut found = Vec::new();
    for host in &cluster.hosts {
        for name in [ComponentName::KubeApiserver, ComponentName::KubeControllerManager] {
            let value = host.component(name).and_then(|component| component.flag_in_file("service-cluster-ip-range"));
            if let Some(value) = value {
                add(&mut found, host, "services", value, true);
            }
        }
        for document in &host.kubernetes.kubeadm_configuration {
            if let Some(value) = document.get("networking.serviceSubnet") {
                add(&mut found, host, "services", value, true);
            }
        }
    }
    once(found)
}

fn add<'a>(found: &mut Vec<Range<'a>>, host: &'a Host, what: &'static str, value: &Sourced<String>, allocated: bool) {
    for item in split_items(value) {
        // A range of everything or of a single address is another fault.
        let net = item.value.parse::<IpNet>().ok().filter(|net| net.prefix_len() > 0);
        if let Some(net) = net {
            found.push(Range { host, what, net: net.trunc(), origin: item.origin, allocated });
        }
    }
}

fn once(found: Vec<Range<'_>>) -> Vec<Range<'_>> {
    let mut seen = BTreeSet::new();
    let (certain, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|range| range.allocated);
    certain.into_iter().chain(others).filter(|range| seen.insert(range.net)).collect()
}
