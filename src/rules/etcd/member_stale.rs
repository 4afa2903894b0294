//! etcd-member-stale: etcd lists a member whose host is no node of the cluster any more, or has no such member.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::address::Url;
use crate::facts::component::ComponentName;
use crate::facts::probe::{ConnectOutcome, EtcdMember, NodeAnswer};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::owners;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-member-stale", judge: Judge::Cluster(judge), refine: None };

/// Milliseconds; to wait less is this program's hurry, not the other side's silence.
const LEAST_PATIENCE: u64 = 1000;

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let cluster = context.cluster;
    let told = cluster.hosts.iter().find_map(|host| {
        let answer = host.probes.etcd.iter().find(|answer| answer.members.is_ok())?;
        Some((host, answer, answer.members.as_ref().ok()?))
    });
    let Some((host, answer, members)) = told else { return };
    let nodes = nodes(cluster);
    // Where etcd has hosts of its own, none of them is a node.
    let stacked = members.iter().any(|member| {
        let addresses = addresses(member);
        nodes.is_some_and(|nodes| is_node(nodes, &addresses))
    });
    for member in members {
        let addresses = addresses(member);
        let silence = silence(cluster, member, &addresses);
        let (Some(first), Some(silence)) = (addresses.first(), silence) else {
            verdict.pass();
            continue;
        };
        let rebuilt = addresses.iter().flat_map(|address| owners(cluster, *address)).find(|owner| has_no_data(owner));
        let gone = nodes.filter(|nodes| stacked && !is_node(nodes, &addresses));
        let why = match (rebuilt, gone) {
            (Some(owner), _) => format!("{} has this address, and no data of a member", owner.name),
            (None, Some(_)) => "no node of the cluster has this address".to_owned(),
            (None, None) => {
                let what = format!("whether member {} at {first} still exists", called(member));
                let why = format!("it does not answer ({silence}), and nothing says that its host is gone");
                verdict.unknown(Unknown::new(what, why).with_remedy("give the evidence of every master"));
                continue;
            }
        };
        let url = member.peer_urls.first().cloned().unwrap_or_else(|| first.to_string());
        let origin = Origin::answer(format!("the members of {}", answer.endpoint));
        let label = format!("{} ({}) at {url}", called(member), member.id);
        let mut draft = Draft::new()
            .subject(&member.id)
            .value("member", &member.id)
            .value("url", &url)
            .value("node", called(member))
            .hosts([host.name.as_str()])
            .evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, label))
            .note(why.clone());
        if let Some(owner) = rebuilt {
            let origin = Origin::file(owner.etcd_data.keys().next().map_or("/var/lib/etcd", String::as_str), None);
            draft =
                draft.evidence(Evidence::new(EvidenceKind::Cluster, &owner.name, origin, "no member's data is there"));
        }
        verdict.fail(draft.note(format!("it does not answer: {silence}")));
    }
}

fn called(member: &EtcdMember) -> &str {
    if member.name.is_empty() { "without a name" } else { &member.name }
}

fn addresses(member: &EtcdMember) -> Vec<IpAddr> {
    let urls = member.peer_urls.iter().chain(&member.client_urls);
    let found: BTreeSet<IpAddr> = urls.filter_map(|url| Url::parse(url)?.address()).collect();
    found.into_iter().filter(|address| !address.is_loopback()).collect()
}

/// Why nobody answers for the member; none when somebody does or nobody was asked.
fn silence(cluster: &Cluster, member: &EtcdMember, addresses: &[IpAddr]) -> Option<String> {
    let answers = cluster.hosts.iter().flat_map(|host| &host.probes.etcd);
    if answers.filter_map(|answer| answer.status.as_ref().ok()).any(|status| status.member_id == member.id) {
        return None;
    }
    let urls: Vec<Url> = member.client_urls.iter().filter_map(|url| Url::parse(url)).collect();
    if urls.is_empty() && member.name.is_empty() && !member.is_learner && !addresses.is_empty() {
        return Some("it has never started".to_owned());
    }
    let mut why = None;
    for url in urls {
        let target = crate::rules::reach::target(&url);
        let dialled = cluster.hosts.iter().flat_map(|host| host.probes.followed.iter().chain(&host.probes.connects));
        for answer in dialled.filter(|answer| answer.target == target) {
            why = Some(match &answer.outcome {
                ConnectOutcome::Refused => "connection refused".to_owned(),
                ConnectOutcome::Unreachable(why) => why.clone(),
                ConnectOutcome::TimedOut if answer.elapsed_ms >= LEAST_PATIENCE => "no answer".to_owned(),
                _ => return None,
            });
        }
    }
    why
}

/// All nodes, as some apiserver told them.
fn nodes(cluster: &Cluster) -> Option<&Vec<NodeAnswer>> {
    let answers = cluster.hosts.iter().flat_map(|host| &host.probes.apiservers);
    let told = answers.filter_map(|answer| answer.cluster.as_ref()?.nodes.as_ref().ok());
    // A kubelet sees its own node alone.
    told.filter(|nodes| nodes.len() > 1).max_by_key(|nodes| nodes.len())
}

fn is_node(nodes: &[NodeAnswer], addresses: &[IpAddr]) -> bool {
    nodes
        .iter()
        .flat_map(|node| &node.addresses)
        .any(|(_, address)| address.parse::<IpAddr>().is_ok_and(|address| addresses.contains(&address)))
}

/// Whether a given host with the member's address is known to have no member: it was made anew.
fn has_no_data(host: &Host) -> bool {
    let etcd = host.component(ComponentName::Etcd);
    let runs = etcd.is_some_and(|etcd| etcd.pid.is_some());
    !runs && !host.etcd_data.is_empty() && host.etcd_data.values().all(|holds| *holds == Ok(false))
}
