//! kubelet-not-running: the host has joined a cluster, and no kubelet runs.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "kubelet-not-running", judge: Judge::Host(judge), refine: None };

/// What kubeadm writes when a node joins.
const USUAL_KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    if host.kubernetes.kubeadm_plan().is_some() {
        return judge_installed(host, kubelet, verdict);
    }
    // Before init or join, a kubelet that comes and goes is as it should be.
    if kubelet.pid.is_none() && !has_joined(host, kubelet) {
        return;
    }
    let starter = not_running::starter(host, kubelet).or_else(|| not_running::unit_layer(kubelet));
    match starter.or_else(|| kubelet.layers.first()) {
        Some(starter) => not_running::judge(host, kubelet, starter, verdict),
        None => verdict.pass(),
    }
}

/// Before init or join it has to be there to be started.
fn judge_installed(host: &Host, kubelet: &Component, verdict: &mut Verdict) {
    if kubelet.pid.is_some() || !kubelet.is_planned() {
        return verdict.pass();
    }
    let Some(layer) = kubelet.layers.first() else { return };
    let hidden = host.hidden_components.get(&ComponentName::Kubelet);
    match hidden {
        Some(unknown) => verdict.unknown(unknown.clone()),
        None => verdict.fail(Draft::new().message("no_unit").value("absent", "true").at(
            &host.name,
            &layer.origin,
            "kubeadm is to start it, and no unit of systemd does",
        )),
    }
}

fn has_joined(host: &Host, kubelet: &Component) -> bool {
    let named = kubelet.flag("kubeconfig").map(|path| path.value.as_str());
    kubelet.flag("api-servers").is_some() && not_running::starter(host, kubelet).is_some()
        || host
            .kubernetes
            .kubeconfigs
            .iter()
            .any(|kubeconfig| kubeconfig.path == USUAL_KUBECONFIG || Some(kubeconfig.path.as_str()) == named)
        // One that cannot be read says as much.
        || host.kubernetes.invalid_files.iter().filter_map(|(origin, _)| origin.path()).any(|path| {
            path == USUAL_KUBECONFIG || Some(path) == named
        })
}
