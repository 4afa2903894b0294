//! apiserver-etcd-unreachable: none of the etcd endpoints that this host's kube-apiserver is given answers. One that does
//! not, of several, is etcd-endpoint-unreachable: the apiserver goes on with the others.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::ComponentName;
use crate::facts::log::{LogHit, QUIET};
use crate::facts::probe::EtcdAnswer;
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

/// Seconds within which kube-apiserver says again that etcd does not answer, as long as it is so.
const AGAIN: i64 = 10;

/// What it complained of is over when etcd answers now and it has been silent since. Where etcd is healthy, a few seconds of
/// silence are enough, and none where it was brief: etcd was being started.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let edges = edges(context.cluster);
    let urls: Vec<Url> = edges.iter().filter(|edge| is_apiservers(edge, host)).filter_map(Edge::parsed).collect();
    let is_quiet_for = |limit: i64| hit.quiet_seconds(&host.logs).is_some_and(|quiet| quiet > limit);
    let answers = || urls.iter().any(|url| reach::reach(host, url) == Some(Reach::Answers));
    if is_quiet_for(QUIET) && answers() {
        return Refined::Drop;
    }
    let targets: Vec<String> = urls.iter().map(reach::target).collect();
    let is_target =
        |endpoint: &str| endpoint.rsplit("://").next().is_some_and(|own| targets.iter().any(|it| it == own));
    let is_healthy = |answer: &EtcdAnswer| is_target(&answer.endpoint) && matches!(answer.healthy, Ok(true));
    let was_brief = hit.last_series_seconds().is_some_and(|seconds| seconds < QUIET);
    match host.probes.etcd.iter().any(is_healthy) && (was_brief || is_quiet_for(AGAIN)) {
        true => Refined::Drop,
        false => Refined::Keep(Vec::new()),
    }
}
