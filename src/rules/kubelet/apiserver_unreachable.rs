//! kubelet-apiserver-unreachable: what the kubelet's kubeconfig names does not answer.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::log::{LogHit, QUIET};
use crate::facts::topology::{Edge, Service, edges};
use crate::rules::reach::{self, Reach};
use crate::rules::{Context, Detector, Judge, Refined, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-apiserver-unreachable", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet).filter(|_| host.probes.taken) else { return };
    let edges = edges(context.cluster);
    for edge in edges.iter().filter(|edge| edge.client_host == host.name && is_kubelets(edge, kubelet)) {
        let Some(url) = edge.parsed() else { continue };
        match reach::reach(host, &url) {
            Some(Reach::Fails(reason)) => match not_running::just_booted(host) {
                Some(unknown) => verdict.unknown(unknown),
                None => verdict.fail(reach::draft(host, edge, &url, &reason)),
            },
            Some(Reach::Answers) => verdict.pass(),
            Some(Reach::Unknown(unknown)) => verdict.unknown(unknown),
            None => {}
        }
    }
}

/// Whether the kubelet itself dials it: by its kubeconfig, or by `--api-servers` of old.
fn is_kubelets(edge: &Edge, kubelet: &Component) -> bool {
    if edge.service != Service::Apiserver {
        return false;
    }
    match kubelet.flag("kubeconfig") {
        Some(kubeconfig) if edge.client == kubeconfig.value => true,
        None if edge.client == "/etc/kubernetes/kubelet.conf" => true,
        _ => edge.client == ComponentName::Kubelet.name(),
    }
}

/// What it complained of is over when the apiserver answers now and it has been silent since. An answer alone proves little
/// where every third attempt fails.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return Refined::Keep(Vec::new()) };
    let answers = |edge: &Edge| edge.parsed().and_then(|url| reach::reach(host, &url)) == Some(Reach::Answers);
    let is_own = |edge: &Edge| edge.client_host == host.name && is_kubelets(edge, kubelet);
    let is_quiet = hit.quiet_seconds(&host.logs).is_some_and(|quiet| quiet > QUIET);
    match is_quiet && edges(context.cluster).iter().any(|edge| is_own(edge) && answers(edge)) {
        true => Refined::Drop,
        false => Refined::Keep(Vec::new()),
    }
}
