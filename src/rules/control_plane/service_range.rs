//! controller-service-range-mismatch and kubelet-cluster-dns-outside-service-range: who holds which range for services.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName, split_items};
use crate::facts::{Cluster, Host};
use crate::origin::{Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{file_of, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const MISMATCH: Detector =
    Detector { id: "controller-service-range-mismatch", judge: Judge::Cluster(judge_mismatch), refine: None };

pub(super) const CLUSTER_DNS: Detector =
    Detector { id: "kubelet-cluster-dns-outside-service-range", judge: Judge::Host(judge_dns), refine: None };

const FLAG: &str = "service-cluster-ip-range";

struct Range<'a> {
    host: &'a Host,
    program: &'static str,
    value: &'a Sourced<String>,
    networks: BTreeSet<IpNet>,
}

/// The range that a component is given, in the file that can be edited.
fn range<'a>(host: &'a Host, component: &'a Component) -> Option<Range<'a>> {
    let value = component.flag_in_file(FLAG)?;
    let networks = value.value.split(',').filter_map(|text| text.trim().parse::<IpNet>().ok()).map(|net| net.trunc());
    let networks: BTreeSet<IpNet> = networks.collect();
    (!networks.is_empty()).then(|| Range { host, program: component.name.name(), value, networks })
}

fn ranges(cluster: &Cluster, name: ComponentName) -> Vec<Range<'_>> {
    cluster.hosts.iter().filter_map(|host| range(host, host.component(name)?)).collect()
}

/// Whether they differ in a family that both have; a controller-manager may be told of one family alone.
fn differ(one: &BTreeSet<IpNet>, other: &BTreeSet<IpNet>) -> bool {
    [true, false].into_iter().any(|v4| {
        let of = |networks: &BTreeSet<IpNet>| -> BTreeSet<IpNet> {
            networks.iter().filter(|net| matches!(net, IpNet::V4(_)) == v4).copied().collect()
        };
        let (one, other) = (of(one), of(other));
        !one.is_empty() && !other.is_empty() && one != other
    })
}

fn judge_mismatch(context: &Context<'_>, verdict: &mut Verdict) {
    for host in &context.cluster.hosts {
        for name in [ComponentName::KubeApiserver, ComponentName::KubeControllerManager] {
            let Some(component) = host.component(name).filter(|component| component.flag(FLAG).is_none()) else {
                continue;
            };
            if let Some(unread) = component.unread.first() {
                verdict.unknown(unread.clone());
            }
        }
    }
    let apiservers = ranges(context.cluster, ComponentName::KubeApiserver);
    let Some(first) = apiservers.first() else { return };
    for apiserver in &apiservers[1..] {
        match differ(&apiserver.networks, &first.networks) {
            true => verdict.fail(mismatch("masters", apiserver, first)),
            false => verdict.pass(),
        }
    }
    for controller in ranges(context.cluster, ComponentName::KubeControllerManager) {
        let own = apiservers.iter().find(|apiserver| apiserver.host.name == controller.host.name).unwrap_or(first);
        match differ(&controller.networks, &own.networks) {
            true => verdict.fail(mismatch("default", &controller, own)),
            false => verdict.pass(),
        }
    }
}

fn mismatch(message: &str, one: &Range<'_>, other: &Range<'_>) -> Draft {
    let evidence = |range: &Range<'_>| {
        let label = format!("{} on {}", range.program, range.host.name);
        Evidence::new(EvidenceKind::Cluster, &range.host.name, range.value.origin.clone(), label)
    };
    Draft::new()
        .subject(format!("{} on {}", one.program, one.host.name))
        .message(message)
        .value("program", one.program)
        .value("on", &one.host.name)
        .value("range", &one.value.value)
        .maybe_value("first_address", one.networks.first().and_then(|net| net.hosts().next()))
        .value("other_on", &other.host.name)
        .value("other_range", &other.value.value)
        .maybe_value("file", file_of(one.value))
        .hosts([one.host.name.clone(), other.host.name.clone()])
        .evidence(evidence(one))
        .evidence(evidence(other))
}

fn judge_dns(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    let Some(value) = kubelet.flag_in_file("cluster-dns") else { return };
    let servers = split_items(value);
    if servers.is_empty() {
        return;
    }
    let networks = service_networks(context.cluster);
    if networks.is_empty() {
        let why = "no apiserver's --service-cluster-ip-range and no kubeadm configuration was given";
        return verdict.unknown(Unknown::new("the range for services", why));
    }
    for server in servers {
        let Ok(address) = server.value.parse::<std::net::IpAddr>() else { continue };
        let link_local = match address {
            std::net::IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
            std::net::IpAddr::V6(address) => address.is_unicast_link_local() || address.is_loopback(),
        };
        // A cache on each node (NodeLocal DNSCache), or a DNS server of a host.
        let on_a_host = context
            .cluster
            .hosts
            .iter()
            .filter_map(|host| host.network.as_ref().ok())
            .any(|network| network.interface_of(address).is_some());
        let of_family: Vec<&IpNet> =
            networks.iter().filter(|net| matches!(net, IpNet::V4(_)) == address.is_ipv4()).collect();
        if link_local || on_a_host || of_family.iter().any(|net| net.contains(&address)) {
            verdict.pass();
            continue;
        }
        let ranges: Vec<String> = networks.iter().map(ToString::to_string).collect();
        let tenth = of_family.first().and_then(|net| net.hosts().nth(9));
        verdict.fail(
            Draft::new()
                .subject(address.to_string())
                .value("address", address)
                .value("range", in_words(&ranges))
                .maybe_value("usual", tenth)
                .maybe_value("file", file_of(&server))
                .at(&host.name, &server.origin, format!("not in {}", in_words(&ranges))),
        );
    }
}

/// Every range for services that the given hosts name.
fn service_networks(cluster: &Cluster) -> BTreeSet<IpNet> {
    let mut networks: BTreeSet<IpNet> =
        ranges(cluster, ComponentName::KubeApiserver).into_iter().flat_map(|range| range.networks).collect();
    let documents = cluster.hosts.iter().flat_map(|host| &host.kubernetes.kubeadm_configuration);
    for document in documents {
        let given = document.get("networking.serviceSubnet").map_or("", |value| value.value.as_str());
        networks.extend(given.split(',').filter_map(|text| text.trim().parse::<IpNet>().ok()).map(|net| net.trunc()));
    }
    networks
}
