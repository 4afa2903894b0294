//! flannel-etcd-unreachable: none of the etcd endpoints that flannel is given answers on this host.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::topology::{Edge, edges};
use crate::rules::reach::{self, Reach};
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "flannel-etcd-unreachable", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(flanneld) = host.component(ComponentName::Flanneld).filter(|_| host.probes.taken) else { return };
    if flanneld.flag_bool("kube-subnet-mgr") == Some(true) {
        return;
    }
    let edges = edges(context.cluster);
    let is_flannels = |edge: &&Edge| edge.client_host == host.name && edge.client == ComponentName::Flanneld.name();
    let mut failed = Vec::new();
    let mut unknown = None;
    let mut answers = false;
    for edge in edges.iter().filter(is_flannels) {
        let Some(url) = edge.parsed() else { continue };
        match reach::reach(host, &url) {
            Some(Reach::Fails(reason)) => failed.push((edge, url, reason)),
            Some(Reach::Answers) => answers = true,
            Some(Reach::Unknown(why)) => unknown = Some(why),
            None => {}
        }
    }
    match (failed.first(), unknown) {
        // It goes on with one of them.
        _ if answers => verdict.pass(),
        (_, Some(unknown)) => verdict.unknown(unknown),
        (Some((edge, url, reason)), None) => match not_running::just_booted(host) {
            Some(unknown) => verdict.unknown(unknown),
            None => {
                let file = |flag: &str| flanneld.flag(flag).map(|value| value.value.clone());
                let mut draft = reach::draft(host, edge, url, reason)
                    .subject(ComponentName::Flanneld.name())
                    .value("endpoint", &edge.url.value)
                    .value("reason", format!("{}: {reason}", reach::target(url)))
                    .maybe_value("ca", file("etcd-cafile"))
                    .maybe_value("certificate", file("etcd-certfile"))
                    .maybe_value("key", file("etcd-keyfile"));
                for (edge, _, reason) in failed.iter().skip(1) {
                    draft = draft.at(&host.name, &edge.url.origin, format!("{}: {reason}", edge.url.value));
                }
                verdict.fail(draft);
            }
        },
        (None, None) => {}
    }
}
