//! bootstrap-failed: a node whose kubelet has neither its kubeconfig nor one to ask for a certificate with.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Unknown;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "bootstrap-failed", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    // Without the flag it works alone; without anything that joining leaves behind it is only installed.
    let Some(own) = kubelet.flag_in_file("kubeconfig").filter(|path| path.value.starts_with('/')) else { return };
    let is_set_up = matches!(&host.kubernetes.kubelet_configuration, Ok(Some(_)))
        || host.kubernetes.static_pods.as_ref().is_ok_and(|pods| !pods.is_empty());
    if !is_set_up {
        return;
    }
    let is_there = |path: &str| host.kubernetes.kubeconfigs.iter().any(|config| config.path == path);
    let is_absent = |path: &str| host.kubernetes.absent_files.iter().any(|absent| absent.value == path);
    let bootstrap = ["bootstrap-kubeconfig", "experimental-bootstrap-kubeconfig"]
        .into_iter()
        .find_map(|flag| kubelet.flag_in_file(flag));
    if is_there(&own.value) || bootstrap.is_some_and(|path| is_there(&path.value)) {
        return verdict.pass();
    }
    // One that is there and could not be read is neither.
    if !is_absent(&own.value) || bootstrap.is_some_and(|path| !is_absent(&path.value)) {
        if let Some(unread) = host.kubernetes.unread_kubeconfigs.first() {
            verdict.unknown(unread.clone());
        }
        return;
    }
    // A kubelet ends at once without either: what runs had it, and a source may have been made without secrets.
    if kubelet.pid.is_some() && !host.of_live_host {
        let why = "the kubelet runs, and it would not without it: this source was made without it, or it is gone since";
        return verdict.unknown(Unknown::new(own.value.as_str(), why));
    }
    let mut draft =
        Draft::new().message("files").value("kubeconfig", &own.value).at(&host.name, &own.origin, "is not there");
    if let Some(bootstrap) = bootstrap {
        draft = draft.value("bootstrap", &bootstrap.value).at(&host.name, &bootstrap.origin, "nor is this");
    }
    if kubeadm_can_issue(host) && own.value == KUBEADM_WRITES {
        draft = draft.value("authority", AUTHORITY_KEY);
    }
    verdict.fail(draft);
}

const AUTHORITY_KEY: &str = "/etc/kubernetes/pki/ca.key";
const KUBEADM_WRITES: &str = "/etc/kubernetes/kubelet.conf";

/// Whether the key of the cluster's authority is on this host, as it is on kubeadm's control planes.
fn kubeadm_can_issue(host: &Host) -> bool {
    let file = host.kubernetes.certificates.get(AUTHORITY_KEY);
    file.is_some_and(|file| file.as_ref().is_ok_and(|file| !file.keys.is_empty()))
}
