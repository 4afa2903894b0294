//! kubelet-apiserver-unreachable: what the kubelet's kubeconfig names does not answer.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::topology::{Edge, KUBEADM, Service, edges};
use crate::rules::reach::{self, Reach};
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-apiserver-unreachable", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet).filter(|_| host.probes.taken) else { return };
    let edges = edges(context.cluster);
    for edge in edges.iter().filter(|edge| edge.client_host == host.name && is_kubelets(edge, kubelet)) {
        let Some(url) = edge.parsed() else { continue };
        match reach::reach(host, &url) {
            Some(Reach::Fails(reason)) => match not_running::just_booted(host) {
                Some(unknown) => verdict.unknown(unknown),
                None if edge.client == KUBEADM => verdict.fail(
                    reach::draft(host, edge, &url, &reason).message("join").maybe_value("join", edge.url.origin.path()),
                ),
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
    if edge.client == KUBEADM {
        return true;
    }
    match kubelet.flag("kubeconfig") {
        Some(kubeconfig) if edge.client == kubeconfig.value => true,
        None if edge.client == "/etc/kubernetes/kubelet.conf" => true,
        _ => edge.client == ComponentName::Kubelet.name(),
    }
}
