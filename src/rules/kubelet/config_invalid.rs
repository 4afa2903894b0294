//! kubelet-config-invalid: the kubelet's configuration file is one that it refuses.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Unknown;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-config-invalid", judge: Judge::Host(judge), refine: None };

/// Where kubeadm puts the manifests of the control plane.
const USUAL_MANIFESTS: &str = "/etc/kubernetes/manifests";
const USUAL: &str = "/var/lib/kubelet/config.yaml";

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let kubelet = host.component(ComponentName::Kubelet);
    let path = kubelet.and_then(|kubelet| kubelet.flag("config")).map_or(USUAL, |path| path.value.as_str());
    for (origin, reason) in host.kubernetes.invalid_files.iter().filter(|(origin, _)| origin.path() == Some(path)) {
        verdict.fail(Draft::new().subject(path).value("file", path).value("reason", reason).message("file").at(
            &host.name,
            origin,
            reason.clone(),
        ));
    }
    judge_static_pods(host, verdict);
    match &host.kubernetes.kubelet_configuration {
        Ok(Some(_)) if verdict.drafts.is_empty() => verdict.pass(),
        Ok(None) => judge_absent(host, path, verdict),
        Err(unknown) if verdict.drafts.is_empty() && kubelet.is_some() => verdict.unknown(unknown.clone()),
        _ => {}
    }
}

/// A master whose kubelet looks for static pods where there are none.
fn judge_static_pods(host: &Host, verdict: &mut Verdict) {
    let (Ok(Some(configuration)), Ok(pods)) = (&host.kubernetes.kubelet_configuration, &host.kubernetes.static_pods)
    else {
        return;
    };
    let Some(path) = configuration.get("staticPodPath").filter(|path| !path.value.is_empty()) else { return };
    let is_master = ["controller-manager.conf", "scheduler.conf"].into_iter().all(|name| {
        host.kubernetes.kubeconfigs.iter().any(|kubeconfig| kubeconfig.path == format!("/etc/kubernetes/{name}"))
    });
    let by_units = [ComponentName::KubeApiserver, ComponentName::KubeControllerManager]
        .into_iter()
        .any(|name| host.component(name).is_some_and(|component| component.pid.is_some()));
    if path.value.trim_end_matches('/') == USUAL_MANIFESTS || !is_master || !pods.is_empty() || by_units {
        return;
    }
    verdict.fail(
        Draft::new()
            .subject("staticPodPath")
            .message("static_pods")
            .value("directory", &path.value)
            .value("usual", USUAL_MANIFESTS)
            .maybe_value("file", path.origin.path())
            .at(&host.name, &path.origin, "no manifest is there"),
    );
}

/// A flag names the file and there is none. Before kubeadm init or join that is how each packaged kubelet waits, so only a
/// host that has joined, and has the kubelet's kubeconfig, lacks something.
fn judge_absent(host: &Host, path: &str, verdict: &mut Verdict) {
    let flag = host.component(ComponentName::Kubelet).and_then(|kubelet| kubelet.flag("config"));
    let has_joined = host.kubernetes.kubeconfigs.iter().any(|kubeconfig| kubeconfig.path.ends_with("/kubelet.conf"));
    let runs = host.component(ComponentName::Kubelet).is_some_and(|kubelet| kubelet.pid.is_some());
    if runs && has_joined && !host.of_live_host {
        let why = "the kubelet runs, and it would not without it: this source was made without it, or it is gone since";
        return verdict.unknown(Unknown::new(path, why));
    }
    if has_joined && host.is_kubeadm_at_work() {
        let why = "kubeadm is at work on the host, which writes it late";
        return verdict.unknown(Unknown::new(path, why).with_remedy("check again when kubeadm has ended"));
    }
    if let (Some(flag), true) = (flag, has_joined) {
        verdict.fail(
            Draft::new().subject(path).value("file", path).value("reason", "there is no such file").message("file").at(
                &host.name,
                &flag.origin,
                "no such file",
            ),
        );
    }
}
