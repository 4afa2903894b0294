//! service-range-changed: services have addresses outside of the range that apiservers give addresses of now.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{ComponentName, split_items};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::objects::told;
use crate::rules::support::{Url, file_of, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "service-range-changed", judge: Judge::Both(judge, judge_files), refine: None };

const FLAG: &str = "service-cluster-ip-range";
/// Services that are named.
const NAMED: usize = 5;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some((told, services)) = told(context, host, verdict, |cluster| &cluster.services) else { return };
    let flags = flags(context.cluster);
    // Since 1.33 objects add to what the flag says.
    let objects = told.cluster.service_ranges.iter().flatten().filter_map(|range| range.parse::<IpNet>().ok());
    let items = flags.iter().flat_map(|(_, value)| split_items(value));
    let ranges: Vec<IpNet> = items.filter_map(|item| item.value.parse().ok()).chain(objects).collect();
    if ranges.is_empty() {
        let why = "no apiserver's --service-cluster-ip-range is known";
        return verdict.unknown(Unknown::new("the range of services", why));
    }
    let outside = |address: &&IpAddr| {
        let of_family = |net: &&IpNet| net.addr().is_ipv4() == address.is_ipv4();
        ranges.iter().any(|net| of_family(&net)) && !ranges.iter().any(|net| net.contains(*address))
    };
    let found: Vec<(&str, IpAddr)> = services
        .iter()
        .filter_map(|service| Some((service.name.as_str(), *service.addresses.iter().find(outside)?)))
        .collect();
    let Some((_, first)) = found.first() else { return verdict.pass() };
    let named: Vec<String> = found.iter().take(NAMED).map(|(name, address)| format!("{name} ({address})")).collect();
    let range = ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let said = format!("{} outside of {range}", in_words(&named));
    let mut draft = Draft::new()
        .message("live")
        .value("address", first)
        .value("count", found.len())
        .value("services", in_words(&named))
        .value("range", &range)
        .evidence(told.evidence(host, "/api/v1/services", said));
    for (owner, value) in flags {
        let label = "the range that services get addresses of now";
        draft = draft.maybe_value("file", file_of(value)).evidence(Evidence::new(
            EvidenceKind::Cluster,
            &owner.name,
            value.origin.clone(),
            label,
        ));
    }
    verdict.fail(draft);
}

/// An address of a service that a file was made with.
struct Remembered<'a> {
    host: &'a str,
    address: IpAddr,
    origin: Origin,
    what: &'static str,
    /// The first of its range: the service `kubernetes`.
    is_first: bool,
}

/// Without an answer of the cluster: what was made for the former range still names its addresses. One file alone may have
/// been mistaken; the kubelets' cluster DNS and the apiserver's own address tell of one range together.
fn judge_files(context: &Context<'_>, verdict: &mut Verdict) {
    let cluster = context.cluster;
    if cluster.hosts.iter().any(|host| host.probes.taken) {
        return;
    }
    let flags = flags(cluster);
    let items = flags.iter().flat_map(|(_, value)| split_items(value));
    let ranges: Vec<IpNet> = items.filter_map(|item| item.value.parse::<IpNet>().ok()).map(|net| net.trunc()).collect();
    // Masters that differ are another rule's matter: one of them is right.
    let first = flags.first().map(|(_, value)| value.value.as_str());
    if ranges.is_empty() || flags.iter().any(|(_, value)| Some(value.value.as_str()) != first) {
        return;
    }
    let outside = |address: &IpAddr| {
        let mut of_family = ranges.iter().filter(|net| net.addr().is_ipv4() == address.is_ipv4()).peekable();
        of_family.peek().is_some() && !of_family.any(|net| net.contains(address))
    };
    let all: Vec<Remembered<'_>> = cluster.hosts.iter().flat_map(remembered).collect();
    if all.is_empty() {
        return;
    }
    let found: Vec<&Remembered<'_>> = all.iter().filter(|one| outside(&one.address)).collect();
    let near = |dns: &Remembered<'_>| found.iter().find(|first| first.is_first && is_near(first.address, dns.address));
    let Some((dns, kubernetes)) = found.iter().filter(|one| !one.is_first).find_map(|dns| Some((*dns, *near(dns)?)))
    else {
        let Some(one) = found.first() else { return verdict.pass() };
        let range = first.unwrap_or_default();
        let why =
            format!("{} {} on {}, outside of {range}, and no other file says so", one.what, one.address, one.host);
        return verdict.unknown(Unknown::new("whether the range of services was changed", why));
    };
    let mut draft = Draft::new()
        .message("files")
        .value("address", kubernetes.address)
        .value("dns", dns.address)
        .value("range", first.unwrap_or_default())
        .hosts(flags.iter().map(|(host, _)| host.name.clone()));
    for (owner, value) in &flags {
        draft = draft.maybe_value("file", file_of(value)).evidence(Evidence::new(
            EvidenceKind::Cluster,
            &owner.name,
            value.origin.clone(),
            "the range that services get addresses of now",
        ));
    }
    for one in [kubernetes, dns] {
        draft = draft.at(one.host, &one.origin, format!("{} {}", one.what, one.address));
    }
    verdict.fail(draft);
}

/// Addresses that may be of services: what pods dial for the apiserver, and cluster DNS.
fn remembered(host: &Host) -> Vec<Remembered<'_>> {
    let mut found = Vec::new();
    let mut add = |address: IpAddr, origin: &Origin, what, is_first| {
        let of_host = host.network.as_ref().is_ok_and(|network| network.owns(address));
        if !of_host && !address.is_loopback() {
            found.push(Remembered { host: &host.name, address, origin: origin.clone(), what, is_first });
        }
    };
    let kubelet = host.component(ComponentName::Kubelet);
    for server in
        kubelet.and_then(|kubelet| kubelet.flag_in_file("cluster-dns")).iter().flat_map(|dns| split_items(dns))
    {
        if let Ok(address) = server.value.parse() {
            add(address, &server.origin, "pods ask for names at", false);
        }
    }
    let certificate = host.component(ComponentName::KubeApiserver).and_then(|one| one.flag("tls-cert-file"));
    if let Some(Ok(file)) = certificate.and_then(|path| host.kubernetes.certificates.get(&path.value)) {
        for address in file.certificates.first().iter().flat_map(|leaf| &leaf.addresses) {
            add(*address, &file.origin, "the apiserver's certificate is for", true);
        }
    }
    for server in
        host.kubernetes.cni_kubeconfigs.iter().filter_map(|kubeconfig| kubeconfig.current_cluster()?.server.as_ref())
    {
        let url = Url::parse(&server.value).filter(|url| url.port_or_default() == 443);
        if let Some(address) = url.and_then(|url| url.address()) {
            add(address, &server.origin, "the network plug-in dials", true);
        }
    }
    found
}

/// Whether two addresses may be the first and the tenth, or so, of one range.
fn is_near(first: IpAddr, other: IpAddr) -> bool {
    const APART: u128 = 1 << 16;
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    first.is_ipv4() == other.is_ipv4() && number(other).checked_sub(number(first)).is_some_and(|apart| apart < APART)
}

fn flags(cluster: &Cluster) -> Vec<(&Host, &Sourced<String>)> {
    let of = |host| Some((host, Host::component(host, ComponentName::KubeApiserver)?.flag_in_file(FLAG)?));
    cluster.hosts.iter().filter_map(of).collect()
}
