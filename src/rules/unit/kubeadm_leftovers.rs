//! kubeadm-leftovers: files of an earlier set-up that `kubeadm init` or `kubeadm join` stops at.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::kubeadm::KubeadmPlan;
use crate::facts::kubernetes::Kubernetes;
use crate::origin::Origin;
use crate::report::Confidence;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector = Detector { id: "kubeadm-leftovers", judge: Judge::Host(judge), refine: None };

/// What mke2fs puts into the root of a file system.
const LOST_AND_FOUND: &str = "lost+found";

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
    judge_etcd_directory(host, &plan, verdict);
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

/// kubeadm refuses a directory for etcd that is not empty, whatever lies in it; an earlier member's data are
/// etcd-member-already-bootstrapped.
fn judge_etcd_directory(host: &Host, plan: &KubeadmPlan<'_>, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| etcd.is_planned()) else { return };
    let Some(directory) = etcd.flag("data-dir") else { return };
    let Some(holds) = host.etcd_data.get(&directory.value).and_then(|holds| verdict.known(holds)) else { return };
    let entries = host.etcd_data_beside.get(&directory.value).filter(|_| !holds);
    let Some((entries, first)) = entries.and_then(|entries| Some((entries, entries.first()?))) else { return };
    let is_mount = entries.iter().all(|entry| entry == LOST_AND_FOUND);
    let label = if is_mount { "of a file system that is mounted here" } else { "is in the way" };
    let draft = Draft::new()
        .subject(&directory.value)
        .message(if plan.is_join() { "join_not_empty" } else { "init_not_empty" })
        .value("directory", edit::quoted(&directory.value))
        .value("entries", in_words(entries))
        .maybe_value("mounted", is_mount.then_some("true"))
        .at(&host.name, &Origin::file(format!("{}/{first}", directory.value), None), label)
        .at(&host.name, &directory.origin, format!("kubeadm is to start a new member in {}", directory.value));
    // Where the cluster has an etcd of its own elsewhere, kubeadm does not look there.
    verdict.fail(if plan.is_join() { draft.confidence(Confidence::Medium) } else { draft });
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
