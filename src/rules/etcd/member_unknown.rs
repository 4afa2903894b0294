//! etcd-member-unknown: kube-apiserver is told to dial an address beside the members that is no member's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::settings::urls;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName};
use crate::facts::{Cluster, Host};
use crate::origin::{Sourced, Unknown};
use crate::report::Confidence;
use crate::rules::support::{Url, file_of, in_words, owners, resolve};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-member-unknown", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let items: Vec<(Sourced<String>, Url)> = apiserver
        .flag_in_file("etcd-servers")
        .map(crate::facts::component::split_items)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| Some((item.clone(), Url::parse(&item.value)?)))
        .collect();
    // A stacked master dials its own member and nobody else.
    if items.iter().all(|(_, url)| url.is_loopback()) {
        return;
    }
    let known = members(context.cluster);
    if known.is_empty() {
        let why = "no host with etcd's member list was given";
        return verdict
            .unknown(Unknown::new("etcd's members", why).with_remedy("give the evidence of etcd's hosts too"));
    }
    let addresses_of = |url: &Url| -> BTreeSet<IpAddr> { resolve(host, &url.host).into_iter().collect() };
    let is_member = |url: &Url| {
        known.contains(&url.host) || addresses_of(url).iter().any(|address| known.contains(&address.to_string()))
    };
    let own = host.component(ComponentName::Etcd).is_some_and(starts);
    let hits = items.iter().filter(|(_, url)| is_member(url) || (own && url.is_loopback())).count();
    for (item, url) in &items {
        if url.is_loopback() || is_member(url) {
            verdict.pass();
            continue;
        }
        let addresses = addresses_of(url);
        if addresses.is_empty() || hits == 0 {
            // A name that the files do not resolve, or a proxy in front of all members.
            verdict.unknown(Unknown::new(format!("whose address {} is", url.host), "no given host has it"));
            continue;
        }
        let runs_etcd = addresses
            .iter()
            .flat_map(|address| owners(context.cluster, *address))
            .any(|owner| owner.component(ComponentName::Etcd).is_some_and(starts));
        if runs_etcd {
            verdict.pass();
            continue;
        }
        let names: Vec<String> = known.iter().cloned().collect();
        verdict.fail(
            Draft::new()
                .subject(&url.host)
                .value("address", &url.host)
                .value("url", &item.value)
                .value("members", in_words(&names))
                .maybe_value("file", file_of(item))
                .confidence(Confidence::Medium)
                .at(&host.name, &item.origin, "no member of etcd has this address")
                .note(format!("etcd's member lists name {}", in_words(&names))),
        );
    }
}

fn starts(etcd: &Component) -> bool {
    etcd.pid.is_some() || !etcd.layers.is_empty()
}

/// Every host that some member list names, as written and as the listing host resolves it.
fn members(cluster: &Cluster) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for host in &cluster.hosts {
        let Some(etcd) = host.component(ComponentName::Etcd) else { continue };
        let list = urls(etcd, "initial-cluster");
        for item in list.into_iter().chain(urls(etcd, "advertise-client-urls")) {
            if item.url.is_loopback() {
                continue;
            }
            known.extend(resolve(host, &item.url.host).iter().map(ToString::to_string));
            known.insert(item.url.host);
        }
    }
    known
}
