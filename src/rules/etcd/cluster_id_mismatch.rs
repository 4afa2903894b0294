//! etcd-cluster-id-mismatch: members that name each other, and say that they belong to different clusters.

use std::collections::BTreeMap;

use super::etcdctl::etcdctl;
use super::settings::{members, urls};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::address::Url;
use crate::facts::component::ComponentName;
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{in_words, owners};
use crate::rules::{Context, Detector, Judge, Refined, reach};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-cluster-id-mismatch", judge: Judge::Cluster(judge), refine: Some(refine) };

/// The capture of the message by which a member tells its own cluster.
const OWN: &str = "own_cluster";

/// A member and the cluster that it says it belongs to.
struct Said<'a> {
    host: &'a Host,
    cluster: String,
    evidence: Evidence,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    for host in &context.cluster.hosts {
        judge_endpoints(host, verdict);
    }
    judge_members(context, verdict);
}

/// The endpoints that one apiserver is given: it takes each of them for the same cluster.
fn judge_endpoints(host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let mut said: Vec<(&str, &str, Sourced<String>)> = Vec::new();
    for item in apiserver.flag_items("etcd-servers") {
        let Some(url) = Url::parse(&item.value) else { continue };
        let endpoint = format!("{}://{}", url.scheme, reach::target(&url));
        let answer = host.probes.etcd.iter().find(|answer| answer.endpoint == endpoint);
        if let Some((endpoint, Ok(status))) = answer.map(|answer| (&answer.endpoint, &answer.status)) {
            said.push((endpoint, &status.cluster_id, item));
        }
    }
    let count = |cluster: &str| said.iter().filter(|(_, other, _)| *other == cluster).count();
    // Of as many on either side the first is taken for the cluster; the title names both.
    let most = said.iter().map(|(_, cluster, _)| count(cluster)).max().unwrap_or_default();
    let Some((right, right_cluster, _)) = said.iter().find(|(_, cluster, _)| count(cluster) == most) else { return };
    for (endpoint, cluster, item) in said.iter().filter(|_| said.len() > 1) {
        if cluster == right_cluster {
            verdict.pass();
            continue;
        }
        let evidence = |endpoint: &str, cluster: &str| {
            let origin = Origin::answer(format!("the status of {endpoint}"));
            Evidence::new(EvidenceKind::Probe, &host.name, origin, format!("cluster {cluster}"))
        };
        verdict.fail(
            Draft::new()
                .subject(*endpoint)
                .message("endpoints")
                .value("client_host", &host.name)
                .value("endpoint", endpoint)
                .value("local", cluster)
                .value("other_endpoint", right)
                .value("remote", right_cluster)
                .value("etcdctl", etcdctl(host, right))
                .hosts([host.name.clone()])
                .evidence(evidence(endpoint, cluster))
                .evidence(evidence(right, right_cluster))
                .at(&host.name, &item.origin, "kube-apiserver takes them for one"),
        );
    }
}

fn judge_members(context: &Context<'_>, verdict: &mut Verdict) {
    let hosts: Vec<&Host> =
        context.cluster.hosts.iter().filter(|host| host.component(ComponentName::Etcd).is_some()).collect();
    let mut groups: Vec<Vec<&Host>> = Vec::new();
    for host in hosts {
        match groups.iter_mut().find(|group| group.iter().any(|other| name_each_other(context.cluster, host, other))) {
            Some(group) => group.push(host),
            None => groups.push(vec![host]),
        }
    }
    for group in groups.iter().filter(|group| group.len() > 1) {
        let said: Vec<Said<'_>> = group.iter().filter_map(|host| said(host)).collect();
        if said.len() < 2 {
            let names: Vec<String> = group.iter().map(|host| host.name.clone()).collect();
            let why = "neither a log of its start nor an answer tells each member's";
            verdict.unknown(Unknown::new(format!("the cluster IDs of etcd on {}", in_words(&names)), why));
            continue;
        }
        judge_group(&said, verdict);
    }
}

fn judge_group(said: &[Said<'_>], verdict: &mut Verdict) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in said {
        *counts.entry(&one.cluster).or_default() += 1;
    }
    // Of as many on either side the first host's is taken for the cluster; the title names both.
    let most = counts.values().copied().max().unwrap_or_default();
    let Some(right) = said.iter().find(|one| counts.get(one.cluster.as_str()) == Some(&most)) else { return };
    for one in said {
        if one.cluster == right.cluster {
            verdict.pass();
            continue;
        }
        verdict.fail(
            Draft::new()
                .subject(one.host.name.clone())
                .message("members")
                .value("on", &one.host.name)
                .value("local", &one.cluster)
                .value("other_on", &right.host.name)
                .value("remote", &right.cluster)
                .hosts([one.host.name.clone(), right.host.name.clone()])
                .evidence(one.evidence.clone())
                .evidence(right.evidence.clone()),
        );
    }
}

/// Whether one's list of members has a URL of the other, or both have one in common.
fn name_each_other(cluster: &Cluster, one: &Host, other: &Host) -> bool {
    let etcd =
        |host: &Host| host.component(ComponentName::Etcd).map(|etcd| (members(etcd), urls(etcd, "initial-cluster")));
    let (Some((ours, our_urls)), Some((theirs, their_urls))) = (etcd(one), etcd(other)) else { return false };
    let shared = ours.iter().any(|(name, urls)| theirs.get(name).is_some_and(|known| known == urls));
    let leads_to = |urls: &[super::settings::UrlItem], to: &Host| {
        urls.iter()
            .filter_map(|url| url.url.address())
            .any(|address| owners(cluster, address).any(|owner| owner.name == to.name))
    };
    shared || leads_to(&our_urls, other) || leads_to(&their_urls, one)
}

/// What the member answered, else what it wrote when it last started.
fn said(host: &Host) -> Option<Said<'_>> {
    if let [answer] = host.probes.etcd.as_slice()
        && let Ok(status) = &answer.status
    {
        let origin = Origin::answer(format!("the status of {}", answer.endpoint));
        let label = format!("cluster {}", status.cluster_id);
        let evidence = Evidence::new(EvidenceKind::Probe, &host.name, origin, label);
        return Some(Said { host, cluster: status.cluster_id.clone(), evidence });
    }
    let hits = host.logs.hits.iter().filter(|hit| hit.rule == DETECTOR.id && hit.captures.contains_key(OWN));
    let last = hits.max_by(|a, b| a.last.cmp(&b.last))?;
    let line = last.lines.last()?;
    let origin = Origin::file(line.path.as_str(), None);
    let evidence = Evidence::new(EvidenceKind::Log, &host.name, origin, line.text.clone());
    Some(Said { host, cluster: last.captures.get(OWN)?.clone(), evidence })
}

/// That a member tells its own cluster is no fault by itself.
fn refine(_: &Context<'_>, _: &Host, hit: &LogHit) -> Refined {
    if hit.captures.contains_key(OWN) { Refined::Drop } else { Refined::Keep(Vec::new()) }
}
