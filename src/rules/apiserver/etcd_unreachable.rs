//! apiserver-etcd-unreachable: none of the etcd endpoints that this host's kube-apiserver is given answers. One that does
//! not, of several, is etcd-endpoint-unreachable: the apiserver goes on with the others.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::log::{LogHit, QUIET};
use crate::facts::topology::{Edge, Service, edges};
use crate::rules::reach::{self, Reach};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-etcd-unreachable", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !host.probes.taken {
        return;
    }
    let edges = edges(context.cluster);
    let of_apiserver = |edge: &&Edge| is_apiservers(edge, host);
    reach::judge_any(host, edges.iter().filter(of_apiserver), verdict, |draft, _, _, _| {
        draft.subject(ComponentName::KubeApiserver.name())
    });
}

fn is_apiservers(edge: &Edge, host: &Host) -> bool {
    edge.client_host == host.name
        && edge.service == Service::EtcdClient
        && edge.client == ComponentName::KubeApiserver.name()
}

/// What it complained of is over when etcd answers now and it has been silent since. A refused connection was an etcd that
/// was being started again, when that was all within a minute.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let answers = |edge: &Edge| edge.parsed().and_then(|url| reach::reach(host, &url)) == Some(Reach::Answers);
    let is_quiet = hit.quiet_seconds(&host.logs).is_some_and(|quiet| quiet > QUIET);
    let is_refused = hit.captures.get("reason").is_some_and(|reason| reason == "connection refused");
    let was_brief = is_refused && hit.last_series_seconds().is_some_and(|seconds| seconds < QUIET);
    match (is_quiet || was_brief)
        && edges(context.cluster).iter().any(|edge| is_apiservers(edge, host) && answers(edge))
    {
        true => Refined::Drop,
        false => Refined::Keep(Vec::new()),
    }
}
