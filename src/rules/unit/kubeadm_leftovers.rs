//! kubeadm-leftovers: files of an earlier set-up that `kubeadm init` or `kubeadm join` stops at.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::kubernetes::Kubernetes;
use crate::origin::Origin;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "kubeadm-leftovers", judge: Judge::Host(judge), refine: None };

const MANIFESTS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(plan) = host.kubernetes.kubeadm_plan() else { return };
    let mut wanted: Vec<String> = Vec::new();
    if plan.is_join() {
        wanted.extend(["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/bootstrap-kubelet.conf"].map(str::to_owned));
        // A master is given the authority of the cluster beforehand.
        if !plan.is_master() {
            wanted.push("/etc/kubernetes/pki/ca.crt".to_owned());
        }
    }
    if plan.is_master() {
        wanted.extend(MANIFESTS.iter().map(|name| format!("/etc/kubernetes/manifests/{name}.yaml")));
    }
    for unread in host.kubernetes.unread_manifests.iter().filter(|_| plan.is_master()) {
        verdict.unknown(unread.clone());
    }
    let there: Vec<String> = wanted.into_iter().filter(|path| is_there(&host.kubernetes, path)).collect();
    if there.is_empty() {
        return verdict.pass();
    }
    let running = host.components.iter().filter(|component| component.name.is_kubernetes() && component.pid.is_some());
    let running: Vec<String> = running.map(|component| component.name.name().to_owned()).collect();
    let mut draft = Draft::new().message(if plan.is_join() { "join" } else { "init" }).value("files", in_words(&there));
    for path in &there {
        draft = draft.at(&host.name, &Origin::file(path.as_str(), None), "of an earlier set-up");
    }
    if !running.is_empty() {
        draft = draft.note(format!("{} run here: the host may be a node in use", in_words(&running)));
    }
    verdict.fail(draft);
}

/// Whether a file is there, valid or not.
fn is_there(kubernetes: &Kubernetes, path: &str) -> bool {
    let is_it = |origin: &Origin| origin.path() == Some(path);
    kubernetes.readable_pods().iter().any(|pod| pod.path == path)
        || kubernetes.invalid_manifests.iter().any(|(origin, _)| is_it(origin))
        || kubernetes.kubeconfigs.iter().any(|kubeconfig| kubeconfig.path == path)
        || kubernetes.unread_kubeconfigs.iter().any(|unknown| unknown.what == path)
        || kubernetes.invalid_files.iter().any(|(origin, _)| is_it(origin))
        || kubernetes.certificates.contains_key(path)
}
