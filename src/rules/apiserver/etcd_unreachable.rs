//! apiserver-etcd-unreachable: none of the etcd endpoints that this host's kube-apiserver is given answers. One that does
//! not, of several, is etcd-endpoint-unreachable: the apiserver goes on with the others.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::log::{LogHit, QUIET};
use crate::facts::topology::{Edge, Service, edges};
use crate::rules::reach::{self, Reach};
use crate::rules::{Context, Detector, Judge, Refined, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-etcd-unreachable", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !host.probes.taken {
        return;
    }
    let edges = edges(context.cluster);
    let of_apiserver = |edge: &&Edge| is_apiservers(edge, host);
    let mut failed = Vec::new();
    let mut unknown = None;
    let mut answers = false;
    for edge in edges.iter().filter(of_apiserver) {
        let Some(url) = edge.parsed() else { continue };
        match reach::reach(host, &url) {
            Some(Reach::Fails(reason)) => failed.push((edge, url, reason)),
            Some(Reach::Answers) => answers = true,
            Some(Reach::Unknown(why)) => unknown = Some(why),
            None => {}
        }
    }
    match (failed.first(), unknown) {
        _ if answers => verdict.pass(),
        (_, Some(unknown)) => verdict.unknown(unknown),
        (Some((edge, url, reason)), None) => match not_running::just_booted(host) {
            Some(unknown) => verdict.unknown(unknown),
            None => {
                let mut draft = reach::draft(host, edge, url, reason).subject(ComponentName::KubeApiserver.name());
                for (edge, _, reason) in failed.iter().skip(1) {
                    draft = draft.at(&host.name, &edge.url.origin, format!("{}: {reason}", edge.url.value));
                }
                verdict.fail(draft);
            }
        },
        (None, None) => {}
    }
}

fn is_apiservers(edge: &Edge, host: &Host) -> bool {
    edge.client_host == host.name
        && edge.service == Service::EtcdClient
        && edge.client == ComponentName::KubeApiserver.name()
}

/// What it complained of is over when etcd answers now and it has been silent since.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let answers = |edge: &Edge| edge.parsed().and_then(|url| reach::reach(host, &url)) == Some(Reach::Answers);
    let is_quiet = hit.quiet_seconds(&host.logs).is_some_and(|quiet| quiet > QUIET);
    match is_quiet && edges(context.cluster).iter().any(|edge| is_apiservers(edge, host) && answers(edge)) {
        true => Refined::Drop,
        false => Refined::Keep(Vec::new()),
    }
}
