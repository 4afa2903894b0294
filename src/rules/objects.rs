//! What an apiserver told of the cluster's objects, shared by the rules that judge them. Of several given hosts whose
//! apiservers were asked the first one tells, since all of them show the same objects.

use jiff::{SignedDuration, Timestamp};

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::probe::{ApiserverAnswer, ClusterAnswer, NodeAnswer};
use crate::facts::{Cluster, Host};
use crate::origin::{Fact, Origin};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::Context;
use crate::rules::support::owners;

/// Answers of one host's apiserver.
pub struct Told<'a> {
    pub answer: &'a ApiserverAnswer,
    pub cluster: &'a ClusterAnswer,
    /// The apiserver's time, else the time that is judged as of.
    pub at: Timestamp,
}

impl Told<'_> {
    /// Evidence that stands at a path of the apiserver.
    pub fn evidence(&self, host: &Host, path: &str, said: impl Into<String>) -> Evidence {
        let origin = Origin::answer(format!("{}{path}", self.answer.endpoint));
        Evidence::new(EvidenceKind::Probe, &host.name, origin, said)
    }

    /// How long ago that was; nothing that lies ahead.
    pub fn age(&self, since: Timestamp) -> SignedDuration {
        self.at.duration_since(since).max(SignedDuration::ZERO)
    }
}

/// Objects of one kind as the first given host's apiserver tells them; none where this host is not the one that tells. What
/// could not be had is noted as unknown.
pub fn told<'a, T>(
    context: &Context<'a>,
    host: &'a Host,
    verdict: &mut Verdict,
    objects: impl Fn(&'a ClusterAnswer) -> &'a Fact<Vec<T>>,
) -> Option<(Told<'a>, &'a [T])> {
    let answers = |host: &'a Host| host.probes.apiservers.iter().filter_map(|one| Some((one, one.cluster.as_ref()?)));
    let tells = |host: &'a Host| answers(host).any(|(_, cluster)| objects(cluster).is_ok());
    let first = context.cluster.hosts.iter().find(|host| tells(host));
    match first {
        Some(first) if first.name != host.name => None,
        Some(_) => answers(host).find_map(|(answer, cluster)| {
            let told = Told { answer, cluster, at: cluster.at.unwrap_or(context.cluster.at) };
            Some((told, objects(cluster).as_ref().ok()?.as_slice()))
        }),
        None => {
            let refused = answers(host).find_map(|(_, cluster)| objects(cluster).as_ref().err());
            verdict.unknowns.extend(refused.cloned());
            None
        }
    }
}

/// The given host that is a node: of its name, or with its address.
pub fn host_of<'a>(cluster: &'a Cluster, node: &NodeAnswer) -> Option<&'a Host> {
    let by_name = cluster.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(&node.name));
    by_name.or_else(|| {
        let addresses = node.addresses.iter().filter(|(kind, _)| kind == "InternalIP");
        addresses.filter_map(|(_, address)| address.parse().ok()).find_map(|address| owners(cluster, address).next())
    })
}

/// Says of which given host it is, when one is.
pub fn on_host(draft: Draft, host: Option<&Host>) -> Draft {
    match host {
        Some(host) => draft.value("host", &host.name).hosts([host.name.as_str()]),
        None => draft,
    }
}

/// `40 s`, `12 min`, `3 h`, `5 days`.
pub fn in_words(age: SignedDuration) -> String {
    match age.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
