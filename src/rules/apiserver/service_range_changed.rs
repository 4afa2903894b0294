//! service-range-changed: services have addresses outside of the range that apiservers give addresses of now.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{ComponentName, split_items};
use crate::facts::{Cluster, Host};
use crate::origin::{Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::objects::told;
use crate::rules::support::{file_of, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "service-range-changed", judge: Judge::Host(judge), refine: None };

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

fn flags(cluster: &Cluster) -> Vec<(&Host, &Sourced<String>)> {
    let of = |host| Some((host, Host::component(host, ComponentName::KubeApiserver)?.flag_in_file(FLAG)?));
    cluster.hosts.iter().filter_map(of).collect()
}
