//! flannel-etcd-unreachable: none of the etcd endpoints that flannel is given answers on this host.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::topology::{Edge, edges};
use crate::rules::reach;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "flannel-etcd-unreachable", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(flanneld) = host.component(ComponentName::Flanneld).filter(|_| host.probes.taken) else { return };
    if flanneld.flag_bool("kube-subnet-mgr") == Some(true) {
        return;
    }
    let edges = edges(context.cluster);
    let is_flannels = |edge: &&Edge| edge.client_host == host.name && edge.client == ComponentName::Flanneld.name();
    let file = |flag: &str| flanneld.flag(flag).map(|value| value.value.clone());
    reach::judge_any(host, edges.iter().filter(is_flannels), verdict, |draft, edge, url, reason| {
        draft
            .subject(ComponentName::Flanneld.name())
            .value("endpoint", &edge.url.value)
            .value("reason", format!("{}: {reason}", reach::target(url)))
            .maybe_value("ca", file("etcd-cafile"))
            .maybe_value("certificate", file("etcd-certfile"))
            .maybe_value("key", file("etcd-keyfile"))
    });
}
