//! mounted-file-is-directory: a host path that a container takes for a file is a directory, or will be made one.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::kubernetes::{HostPath, StaticPod};
use crate::facts::path::PathKind;
use crate::origin::Origin;
use crate::report::Severity;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "mounted-file-is-directory", judge: Judge::Host(judge), refine: None };

/// Endings of names that nobody gives to a directory.
const FILE_ENDINGS: [&str; 14] = [
    ".log",
    ".crt",
    ".key",
    ".pem",
    ".cert",
    ".pub",
    ".conf",
    ".yaml",
    ".yml",
    ".json",
    ".csv",
    ".lock",
    ".env",
    ".kubeconfig",
];
/// Files that iptables locks: a directory there stops every rule change.
const LOCKS: [&str; 1] = ["/run/xtables.lock"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let mut seen = BTreeSet::new();
    let Ok(pods) = &host.kubernetes.static_pods else {
        verdict.known(&host.kubernetes.static_pods);
        return;
    };
    for pod in pods {
        for volume in &pod.host_paths {
            judge_volume(host, pod, volume, &mut seen, verdict);
        }
    }
    for path in LOCKS.into_iter().filter(|path| !seen.contains(path)) {
        if host.paths.get(path).is_some_and(|kind| matches!(kind, Ok(Some(PathKind::Directory)))) {
            verdict.fail(Draft::new().subject(path).value("path", path).message("lock").at(
                &host.name,
                &Origin::file(path, None),
                "a directory, where iptables needs a file",
            ));
        }
    }
}

fn judge_volume<'a>(
    host: &Host,
    pod: &StaticPod,
    volume: &'a HostPath,
    seen: &mut BTreeSet<&'a str>,
    verdict: &mut Verdict,
) {
    let path = volume.path.value.as_str();
    let wants_file = match volume.kind.as_str() {
        // A kubeconfig that is gone is another fault: the kubelet refuses the mount aloud, and its log tells until when.
        "File" | "FileOrCreate" => !(path.starts_with("/etc/kubernetes/") && path.ends_with(".conf")),
        "" | "DirectoryOrCreate" => is_file_name(path) && mounted_as_file(pod, &volume.volume),
        _ => false,
    };
    if !wants_file || !seen.insert(path) {
        return;
    }
    let Some(kind) = host.paths.get(path) else { return };
    let draft = |message: &str| {
        Draft::new()
            .subject(path)
            .message(message)
            .value("path", path)
            .value("manifest", &pod.path)
            .value("volume", &volume.volume)
    };
    match kind {
        Ok(Some(PathKind::Directory)) => verdict.fail(
            draft("mounted")
                .at(&host.name, &volume.path.origin, "a directory on the host, mounted as a file")
                .maybe_value("kind", (!volume.kind.is_empty()).then_some(&volume.kind)),
        ),
        // With a type that creates nothing the pod waits, with FileOrCreate a file is made: only these make a directory.
        Ok(None) if matches!(volume.kind.as_str(), "" | "DirectoryOrCreate") && !runs(host, pod) => {
            verdict.fail(draft("will_be").severity(Severity::Warning).at(
                &host.name,
                &volume.path.origin,
                "not there: the runtime will make a directory of it",
            ))
        }
        Ok(_) => verdict.pass(),
        Err(unknown) => verdict.unknown(unknown.clone()),
    }
}

/// Whether a component of the pod's manifest runs: then something is mounted there already.
fn runs(host: &Host, pod: &StaticPod) -> bool {
    host.components.iter().any(|component| {
        component.pid.is_some() && component.layers.iter().any(|layer| layer.origin.path() == Some(pod.path.as_str()))
    })
}

/// Whether every container mounts the volume at a place that is named like a file.
fn mounted_as_file(pod: &StaticPod, volume: &str) -> bool {
    let mounts = pod.containers.iter().flat_map(|container| &container.mounts);
    let mut places = mounts.filter(|(_, name)| *name == volume).map(|(place, _)| place).peekable();
    places.peek().is_some() && places.all(|place| is_file_name(place))
}

fn is_file_name(path: &str) -> bool {
    FILE_ENDINGS.iter().any(|ending| path.ends_with(ending))
}
