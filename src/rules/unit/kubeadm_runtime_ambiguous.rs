//! kubeadm-runtime-ambiguous: a host that has not joined yet has the sockets of several runtimes, and no configuration
//! names one.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::path::PathKind;
use crate::origin::Origin;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubeadm-runtime-ambiguous", judge: Judge::Host(judge), refine: None };

/// What kubeadm looks for.
const SOCKETS: [&str; 3] = ["/run/containerd/containerd.sock", "/run/cri-dockerd.sock", "/run/crio/crio.sock"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    // Afterwards kubeadm reads the socket from the node's annotation.
    let has_joined = host.kubernetes.kubeconfigs.iter().any(|config| config.path == "/etc/kubernetes/kubelet.conf");
    let has_kubeadm = matches!(host.executables.get("kubeadm"), Some(Ok(Some(_))))
        || !host.kubernetes.kubeadm_configuration.is_empty();
    if has_joined || !has_kubeadm {
        return;
    }
    let of_socket = |path: &&str| matches!(host.paths.get(*path), Some(Ok(Some(PathKind::Socket))));
    let found: Vec<&str> = SOCKETS.into_iter().filter(of_socket).collect();
    let named =
        host.kubernetes.kubeadm_configuration.iter().find_map(|document| document.get("nodeRegistration.criSocket"));
    if named.is_some_and(|socket| !socket.value.is_empty()) {
        return verdict.pass();
    }
    if found.len() < 2 {
        match SOCKETS.iter().find_map(|path| host.paths.get(*path)?.as_ref().err()) {
            Some(unknown) => verdict.unknown(unknown.clone()),
            None if found.is_empty() => {}
            None => verdict.pass(),
        }
        return;
    }
    let sockets: Vec<String> = found.iter().map(|path| (*path).to_owned()).collect();
    // cri-dockerd is installed on purpose; containerd comes along with docker.
    let wanted = if found.contains(&"/run/cri-dockerd.sock") {
        "/run/cri-dockerd.sock"
    } else {
        "/run/containerd/containerd.sock"
    };
    let mut draft = Draft::new()
        .message("sockets")
        .value("sockets", in_words(&sockets))
        .value("socket", format!("unix://{wanted}"));
    for path in found {
        draft = draft.at(&host.name, &Origin::file(path, None), "a runtime's socket");
    }
    verdict.fail(draft);
}
