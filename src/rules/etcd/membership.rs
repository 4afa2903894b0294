//! Who the members of the cluster are and which of them run, as far as the given hosts and etcd itself say. Shared by the
//! rules on quorum.

use std::collections::BTreeMap;

use crate::engine::verdict::Draft;
use crate::facts::component::{Component, ComponentName, Layer, split_items};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{Url, in_words, is_running, owners, resolve, starting_layers, unit_behind};

/// Whether a member takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    Up,
    Down,
    /// Its host was not given, or its processes could not be read.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Member {
    /// The member's name, else its host's.
    pub name: String,
    /// The given host that it belongs to.
    pub host: Option<String>,
    pub state: MemberState,
    /// How the state is known: `no etcd process`, `did not answer in 3 s`.
    pub reason: String,
    /// Where the member is named.
    pub named_at: Option<(String, Sourced<String>)>,
}

#[derive(Debug, Clone, Default)]
pub struct Membership {
    pub members: Vec<Member>,
    /// Whether the list is the whole one: etcd gave it, or every list that was read is the same. A kubeadm cluster's
    /// manifests each name only the members of the time when the host joined.
    pub complete: bool,
}

impl Membership {
    pub fn total(&self) -> usize {
        self.members.len()
    }

    pub fn quorum(&self) -> usize {
        self.total() / 2 + 1
    }

    /// Members that may be up: all that are not known to be down.
    pub fn at_most_up(&self) -> usize {
        self.members.iter().filter(|member| member.state != MemberState::Down).count()
    }

    pub fn names(&self, state: MemberState) -> Vec<String> {
        self.members.iter().filter(|member| member.state == state).map(|member| member.name.clone()).collect()
    }

    /// What is to be said while some members' state is not known.
    pub fn unseen(&self) -> Option<Unknown> {
        let unknown = self.names(MemberState::Unknown);
        let why = format!(
            "members named: {}, seen running: {}, not looked at: {}",
            self.total(),
            self.names(MemberState::Up).len(),
            in_words(&unknown)
        );
        (!unknown.is_empty())
            .then(|| Unknown::new("etcd quorum", why).with_remedy("give the evidence of their hosts too"))
    }

    /// The draft with one piece of evidence for each member in this state.
    pub fn with_evidence(&self, mut draft: Draft, state: MemberState) -> Draft {
        for member in self.members.iter().filter(|member| member.state == state) {
            let label = format!("{}: {}", member.name, member.reason);
            draft = draft.evidence(match &member.named_at {
                Some((named_on, item)) => Evidence::new(EvidenceKind::Cluster, named_on, item.origin.clone(), label),
                None => {
                    let host = member.host.as_ref().unwrap_or(&member.name);
                    let origin = Origin::answer(format!("the processes of {host}"));
                    Evidence::new(EvidenceKind::Cluster, host, origin, label)
                }
            });
        }
        draft
    }

    pub fn hosts(&self, state: MemberState) -> Vec<String> {
        self.members.iter().filter(|member| member.state == state).filter_map(|member| member.host.clone()).collect()
    }
}

/// What is known of the cluster's members; none when no host has to do with etcd.
pub fn membership(cluster: &Cluster) -> Option<Membership> {
    asked(cluster).or_else(|| configured(cluster))
}

/// From etcd's own member list, with the answers of each member's endpoints.
fn asked(cluster: &Cluster) -> Option<Membership> {
    let answers: Vec<(&Host, &crate::facts::probe::EtcdAnswer)> =
        cluster.hosts.iter().flat_map(|host| host.probes.etcd.iter().map(move |answer| (host, answer))).collect();
    let (_, list) = answers.iter().find_map(|(host, answer)| Some((host, answer.members.as_ref().ok()?)))?;
    let members = list
        .iter()
        .filter(|member| !member.is_learner)
        .map(|member| {
            let of_member = |endpoint: &str| {
                let endpoint = Url::parse(endpoint);
                member.client_urls.iter().any(|url| Url::parse(url) == endpoint)
            };
            let answer = answers.iter().find(|(_, answer)| {
                of_member(&answer.endpoint) || answer.status.as_ref().is_ok_and(|status| status.member_id == member.id)
            });
            let name = if member.name.is_empty() { member.id.clone() } else { member.name.clone() };
            let host = cluster.hosts.iter().find(|host| host.name == name);
            let runs = host.map(|host| is_running(host, ComponentName::Etcd));
            let (state, reason) = match answer {
                // A member without a leader answers unhealthy: it runs, and that is what quorum counts.
                Some((_, answer)) if answer.status.is_ok() || matches!(answer.healthy, Ok(true)) => {
                    (MemberState::Up, "answers".to_owned())
                }
                Some((_, answer)) => match &answer.healthy {
                    Ok(true) => (MemberState::Up, "answers".to_owned()),
                    Ok(false) => (MemberState::Up, "answers that it is unhealthy".to_owned()),
                    Err(unknown) => (MemberState::Down, unknown.why.clone()),
                },
                None if member.name.is_empty() => (MemberState::Down, "was added and has never started".to_owned()),
                None if runs == Some(Some(true)) => (MemberState::Up, "an etcd process runs".to_owned()),
                None if runs == Some(Some(false)) => (MemberState::Down, "no etcd process".to_owned()),
                None => (MemberState::Unknown, "no endpoint of it was asked".to_owned()),
            };
            Member { name, host: host.map(|host| host.name.clone()), state, reason, named_at: None }
        })
        .collect();
    Some(Membership { members, complete: true })
}

/// From configuration: initial-cluster, the endpoints that apiservers dial, and hosts whose apiserver dials a member of its
/// own.
fn configured(cluster: &Cluster) -> Option<Membership> {
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    let mut lists: Vec<Vec<String>> = Vec::new();
    let mut joined_later = false;
    for host in &cluster.hosts {
        let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| takes_part(host, etcd)) else { continue };
        joined_later |= etcd.flag("initial-cluster-state").is_some_and(|state| state.value == "existing");
        let mut list = Vec::new();
        for item in etcd.flag_in_file("initial-cluster").map(split_items).unwrap_or_default() {
            let Some((name, url)) = item.value.split_once('=') else { continue };
            list.push(format!("{name}={url}"));
            let owner = Url::parse(url).and_then(|url| host_of(cluster, host, &url));
            let key = owner.map_or_else(|| name.to_owned(), |owner| owner.name.clone());
            members.entry(key).or_insert_with(|| member(name, owner, Some((host.name.clone(), item.clone()))));
        }
        list.sort();
        if !list.is_empty() {
            lists.push(list);
        }
        // A host whose list calls it by an address that it does not have is in the list by its name.
        let name = etcd.flag("name").map_or(host.name.clone(), |name| name.value.clone());
        let listed = members.iter().find(|(_, known)| known.host.is_none() && known.name == name);
        if let Some(key) = listed.map(|(key, _)| key.clone()) {
            members.remove(&key);
        }
        let named_at = etcd.flag_in_file("name").map(|name| (host.name.clone(), name.clone()));
        members.entry(host.name.clone()).or_insert_with(|| member(&name, Some(host), named_at));
    }
    let agreed = !joined_later && !lists.is_empty() && lists.windows(2).all(|pair| pair[0] == pair[1]);
    // kubeadm's first master lists itself alone, however many joined after it.
    let whole = agreed && lists.iter().any(|list| list.len() > 1);
    let mut found_more = false;
    for host in cluster.hosts.iter().filter(|_| !whole) {
        let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { continue };
        for item in apiserver.flag_in_file("etcd-servers").map(split_items).unwrap_or_default() {
            let Some(url) = Url::parse(&item.value) else { continue };
            // A stacked master dials only the member beside it: that member belongs to the cluster, running or not.
            let owner = if url.is_loopback() { Some(host) } else { host_of(cluster, host, &url) };
            let key = owner.map_or_else(|| url.host.clone(), |owner| owner.name.clone());
            let named = !url.is_loopback() && members.values().any(|member| names_url(member, &url));
            if members.contains_key(&key) || named {
                continue;
            }
            // Underline the file that the next start reads, not the process.
            let item = apiserver
                .flag_in_file("etcd-servers")
                .map(split_items)
                .and_then(|items| items.into_iter().find(|known| known.value == item.value))
                .unwrap_or(item);
            // A gateway or proxy answers at the address of a host that is no member.
            if owner
                .and_then(|owner| Some((owner, owner.component(ComponentName::Etcd)?)))
                .is_some_and(|(owner, etcd)| !takes_part(owner, etcd) && etcd.pid.is_some())
            {
                continue;
            }
            found_more = true;
            members.insert(key.clone(), member(&key, owner, Some((host.name.clone(), item.clone()))));
        }
    }
    if members.is_empty() {
        return None;
    }
    Some(Membership { members: members.into_values().collect(), complete: agreed && !found_more })
}

/// Whether the host's etcd is a member: not a proxy (`--proxy` before 3.5) or gateway, and not a unit that was left behind
/// disabled.
fn takes_part(host: &Host, etcd: &Component) -> bool {
    let proxies = etcd.flag("proxy").is_some_and(|proxy| matches!(proxy.value.as_str(), "on" | "readonly"));
    let starts = |layer: &&Layer| unit_behind(host, layer).is_none_or(|unit| unit.enabled != Some(false));
    let forwards = |layer: &Layer| {
        layer.arguments.first().is_some_and(|word| matches!(word.value.as_str(), "gateway" | "grpc-proxy"))
    };
    let layers = starting_layers(host, etcd);
    let is_set_up = layers.iter().any(|layer| starts(layer) && !forwards(layer));
    // Where nothing is enabled at all, systemd's links were not given or somebody starts it by hand.
    let by_hand = || layers.iter().any(|layer| layer.flags.contains_key("initial-cluster"));
    let runs = etcd.pid.is_some() && !etcd.layers.first().is_some_and(forwards);
    !proxies && (runs || is_set_up || by_hand())
}

/// Whether the member was named by a URL with the same host.
fn names_url(member: &Member, url: &Url) -> bool {
    member.named_at.as_ref().is_some_and(|(_, item)| {
        let text = item.value.split_once('=').map_or(item.value.as_str(), |(_, url)| url);
        // Each host means itself by its loopback.
        !url.is_loopback() && Url::parse(text).is_some_and(|known| known.host == url.host)
    })
}

/// The given host that a URL leads to, as `from` sees it.
fn host_of<'a>(cluster: &'a Cluster, from: &Host, url: &Url) -> Option<&'a Host> {
    resolve(from, &url.host)
        .into_iter()
        .find_map(|address| owners(cluster, address).next())
        .or_else(|| cluster.hosts.iter().find(|host| host.name == url.host))
}

fn member(name: &str, host: Option<&Host>, named_at: Option<(String, Sourced<String>)>) -> Member {
    let (state, reason) = match host.map(|host| is_running(host, ComponentName::Etcd)) {
        Some(Some(true)) => (MemberState::Up, "an etcd process runs".to_owned()),
        Some(Some(false)) => (MemberState::Down, "no etcd process".to_owned()),
        Some(None) => (MemberState::Unknown, "its processes could not be read".to_owned()),
        None => (MemberState::Unknown, "its host was not given".to_owned()),
    };
    Member { name: name.to_owned(), host: host.map(|host| host.name.clone()), state, reason, named_at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::probe::{EtcdAnswer, EtcdMember, EtcdStatus};

    fn asked_member(id: &str, name: &str, is_learner: bool) -> EtcdMember {
        let (peer_urls, client_urls) = (vec![format!("http://{name}:2380")], vec![format!("http://{name}:2379")]);
        EtcdMember { id: id.to_owned(), name: name.to_owned(), peer_urls, client_urls, is_learner }
    }

    /// An endpoint that answers with the list, or one that does not answer.
    fn answer(name: &str, id: &str, members: Option<Vec<EtcdMember>>) -> EtcdAnswer {
        let silent = || Unknown::new(name, "did not answer in 3 s");
        let status = EtcdStatus {
            member_id: id.to_owned(),
            cluster_id: "c".to_owned(),
            leader: "1".to_owned(),
            version: "3.5.9".to_owned(),
            db_size: 1,
            raft_index: 1,
            errors: Vec::new(),
        };
        EtcdAnswer {
            endpoint: format!("http://{name}:2379"),
            healthy: if members.is_some() { Ok(true) } else { Err(silent()) },
            status: if members.is_some() { Ok(status) } else { Err(silent()) },
            members: members.ok_or_else(silent),
            metrics: None,
            clock_offset_ms: None,
        }
    }

    #[test]
    fn etcd_itself_says_who_votes() {
        let list = |extra: Option<EtcdMember>| {
            let mut members = vec![asked_member("1", "a", false), asked_member("2", "b", false)];
            members.extend([asked_member("3", "c", false)]);
            members.extend(extra);
            members
        };
        let never_started = EtcdMember { name: String::new(), ..asked_member("4", "d", false) };
        for (why, extra, answering, total, quorum, at_most_up) in [
            ("three that answer", None, &["a", "b", "c"][..], 3, 2, 3),
            ("a learner has no vote", Some(asked_member("4", "d", true)), &["a", "b", "c"], 3, 2, 3),
            ("one that does not answer", None, &["a", "b"], 3, 2, 2),
            ("added and never started", Some(never_started), &["a", "b"], 4, 3, 2),
        ] {
            let mut host = Host::empty("a");
            for (name, id) in [("a", "1"), ("b", "2"), ("c", "3")] {
                let members = answering.contains(&name).then(|| list(extra.clone()));
                host.probes.etcd.push(answer(name, id, members));
            }
            let cluster = Cluster { hosts: vec![host], at: jiff::Timestamp::UNIX_EPOCH };
            let found = membership(&cluster).unwrap();
            assert_eq!((found.total(), found.quorum(), found.at_most_up()), (total, quorum, at_most_up), "{why}");
            assert!(found.complete);
        }
    }
}
