//! kubelet-runtime-unreachable: the kubelet's endpoint is one that nothing serves.

use super::runtime::chosen;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::versions::line;
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{at_least, file_of, is_running};
use crate::rules::{Context, Detector, Judge, edit, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-runtime-unreachable", judge: Judge::Host(judge), refine: None };

/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 3;

/// What works today and does not after an upgrade to the release that is asked about: docker without an endpoint is
/// reached through dockershim, which 1.24 lost; from 1.26 on the kubelet speaks version 1 of the runtime interface alone,
/// which containerd has since 1.6.
fn judge_upgrade(host: &Host, kubelet: &Component, verdict: &mut Verdict) {
    let Some(asked) = &kubelet.version else { return };
    let mut installed = kubelet.clone();
    installed.version.clone_from(&kubelet.installed);
    let today = chosen(host, &installed);
    let by_dockershim = today.is_some_and(|today| today.runtime == ComponentName::Dockerd && today.endpoint.is_none());
    if by_dockershim && kubelet.is_at_least(1, 24) == Some(true) {
        let named = ["container-runtime", "network-plugin", "docker-endpoint", "cni-bin-dir"];
        let flag = named.iter().find_map(|flag| kubelet.flag_in_file(flag));
        let place = flag.or(kubelet.installed.as_ref()).unwrap_or(asked);
        verdict.fail(
            Draft::new()
                .message("upgrade_dockershim")
                .value("runtime", "dockerd")
                .value("version", &asked.value)
                .maybe_value("file", file_of(place))
                .at(&host.name, &place.origin, "docker is reached through dockershim, which is gone since 1.24"),
        );
    }
    let Some(Ok(answer)) = &host.probes.cri else { return };
    let Some(containerd) = answer.runtime.strip_prefix("containerd ") else { return };
    if kubelet.is_at_least(1, 26) == Some(true) && line(containerd).is_some_and(|line| line < (1, 6)) {
        verdict.fail(
            Draft::new()
                .message("upgrade_containerd")
                .value("runtime", "containerd")
                .value("containerd", containerd)
                .value("version", &asked.value)
                .at(&host.name, &Origin::answer(answer.socket.as_str()), "1.6 is the oldest with version 1 of the CRI"),
        );
    }
}

/// The socket that kubeadm's configuration names, which is all that a repository shows of a runtime.
fn judge_kubeadm_socket(asked: &str, host: &Host, verdict: &mut Verdict) {
    for document in &host.kubernetes.kubeadm_configuration {
        let Some(socket) = document.get("nodeRegistration.criSocket") else { continue };
        if at_least(asked, 1, 24) && socket.value.contains("dockershim") {
            verdict.fail(
                Draft::new()
                    .subject(&socket.value)
                    .message("upgrade_dockershim")
                    .value("runtime", "dockerd")
                    .value("version", asked)
                    .maybe_value("file", file_of(socket))
                    .at(&host.name, &socket.origin, "nothing serves it since 1.24"),
            );
        } else {
            verdict.pass();
        }
    }
}

/// What came of asking the socket that the kubelet is set to; false when that leaves the question open.
fn judge_answer(host: &Host, kubelet: &Component, verdict: &mut Verdict) -> bool {
    let Some(endpoint) = kubelet.flag_in_file("container-runtime-endpoint") else { return false };
    let socket = endpoint.value.trim().trim_start_matches("unix://").trim_start_matches("unix:");
    let why = match &host.probes.cri {
        Some(Ok(answer)) if answer.socket == socket => {
            verdict.pass();
            return true;
        }
        Some(Err(unknown)) if unknown.what == socket => &unknown.why,
        _ => return false,
    };
    // A socket without a process behind it is told by the process; here it is what nothing explains so far.
    let is_gone = why.contains("no such socket") || why.contains("connection refused");
    let runs = chosen(host, kubelet).and_then(|chosen| is_running(host, chosen.runtime));
    // kubeadm asks it before there is a kubelet.
    let is_asked = kubelet.pid.is_some() || host.kubernetes.kubeadm_plan().is_some();
    if !is_gone || !is_asked || socket.contains("dockershim") {
        return false;
    }
    if let Some((runtime, other)) = other_runtime(host, socket) {
        verdict.fail(draft_of_other(host, endpoint, why, runtime, other));
        return true;
    }
    if runs == Some(false) {
        return false;
    }
    if let Some(unknown) = not_running::just_booted(host) {
        verdict.unknown(unknown);
        return true;
    }
    let origin = Origin::answer(socket);
    verdict.fail(
        Draft::new()
            .subject(socket)
            .message("no_answer")
            .value("socket", &endpoint.value)
            .value("reason", why)
            .maybe_value("file", file_of(endpoint))
            .at(&host.name, &endpoint.origin, "the kubelet is set to this socket")
            .evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, why.clone())),
    );
    true
}

/// A runtime that runs, with its usual socket, where kubeadm is told to use another socket.
fn other_runtime(host: &Host, socket: &str) -> Option<(ComponentName, &'static str)> {
    host.kubernetes.kubeadm_plan()?;
    let usual = [
        (ComponentName::Containerd, "/run/containerd/containerd.sock"),
        (ComponentName::Crio, "/run/crio/crio.sock"),
        (ComponentName::CriDockerd, "/run/cri-dockerd.sock"),
    ];
    usual.into_iter().find(|(runtime, path)| {
        !socket.trim_start_matches("/var").ends_with(path) && is_running(host, *runtime) == Some(true)
    })
}

fn draft_of_other(
    host: &Host,
    endpoint: &Sourced<String>,
    why: &str,
    runtime: ComponentName,
    other: &'static str,
) -> Draft {
    let new = format!("unix://{other}");
    let pair = (endpoint.value.as_str(), new.as_str());
    let edited = edit::edit(host, &endpoint.origin, pair, pair);
    Draft::new()
        .subject(&endpoint.value)
        .message("other_socket")
        .value("socket", &endpoint.value)
        .value("runtime", runtime.name())
        .value("other", &new)
        .value("reason", why)
        .maybe_value("file", file_of(endpoint))
        .maybe_value("edit", edited.and_then(|edited| edit::command(&[edited])))
        .at(&host.name, &endpoint.origin, format!("{why}; {} runs, at {other}", runtime.name()))
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if let Some(asked) = context.kubernetes_version {
        judge_kubeadm_socket(asked, host, verdict);
    }
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    if context.kubernetes_version.is_some() {
        judge_upgrade(host, kubelet, verdict);
    }
    if judge_answer(host, kubelet, verdict) {
        return;
    }
    let Some(chosen) = chosen(host, kubelet) else { return };
    let Some(endpoint) = chosen.endpoint else { return };
    let draft = |message: &str| {
        Draft::new()
            .message(message)
            .value("socket", &endpoint.value)
            .value("runtime", chosen.runtime.name())
            .maybe_value("version", kubelet.version.as_ref().map(|version| &version.value))
            .maybe_value("file", file_of(endpoint))
    };
    let underlined = kubelet.flag_in_file("container-runtime-endpoint").unwrap_or(endpoint);
    if chosen.runtime == ComponentName::Dockerd {
        // Only dockershim served it, which the kubelet lost in 1.24.
        match kubelet.is_at_least(1, 24) {
            Some(true) => {
                verdict.fail(draft("dockershim").at(&host.name, &underlined.origin, "nothing serves it since 1.24"));
            }
            Some(false) => verdict.pass(),
            None => verdict.unknown(Unknown::new("the kubelet's release", "nothing says it")),
        }
        return;
    }
    // A node that has not joined has no use for a runtime yet, unless it is about to.
    if kubelet.pid.is_none() && host.kubernetes.kubeadm_plan().is_none() {
        return;
    }
    match is_running(host, chosen.runtime) {
        Some(true) => {
            let pid = host.component(chosen.runtime).and_then(|runtime| runtime.pid);
            match pid.and_then(|pid| not_running::stopped(host, pid)) {
                Some(process) => {
                    verdict.fail(not_running::stopped_draft(host, chosen.runtime.name(), process));
                }
                None => verdict.pass(),
            }
        }
        Some(false) if host.system.processes.as_ref().is_ok_and(|processes| processes.len() < FEWEST) => {}
        Some(false) => {
            let name = chosen.runtime.name();
            let label = format!("{name} serves it, and no process of it is there");
            verdict.fail(draft("not_running").at(&host.name, &underlined.origin, label));
        }
        None => verdict.known(&host.system.processes).map_or((), |_| ()),
    }
}
