//! apiserver-audit-log-unwritable: the audit policy is not within the static pod, or the log lies where the process may not
//! write.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::kubernetes::{Container, StaticPod};
use crate::facts::system::Mount;
use crate::origin::Sourced;
use crate::report::Severity;
use crate::rules::edit::quoted;
use crate::rules::support::{file_of, starting_layers, unit_behind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-audit-log-unwritable", judge: Judge::Host(judge), refine: None };

/// Directories that packages make and that belong to root on every distribution.
const ROOTS: [&str; 8] = ["/", "/var", "/var/lib", "/var/log", "/etc", "/etc/kubernetes", "/srv", "/opt"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let mut given = false;
    for layer in starting_layers(host, apiserver) {
        for flag in ["audit-policy-file", "audit-log-path"] {
            let Some(value) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
            // Standard output, and what depends on the working directory.
            if !value.value.starts_with('/') {
                continue;
            }
            given = true;
            match layer.kind {
                LayerKind::Manifest => judge_pod(host, layer, flag, value, verdict),
                _ if flag == "audit-log-path" => judge_process(host, layer, value, verdict),
                _ => verdict.pass(),
            }
        }
    }
    if !given && let Some(unread) = unread(apiserver) {
        verdict.unknown(unread);
    }
}

fn unread(apiserver: &Component) -> Option<crate::origin::Unknown> {
    apiserver.unread.first().cloned()
}

/// In a static pod there is only what is mounted.
fn judge_pod(host: &Host, layer: &Layer, flag: &str, value: &Sourced<String>, verdict: &mut Verdict) {
    let Some((pod, container)) = container_of(host, layer) else { return verdict.pass() };
    let path = value.value.as_str();
    if container.mounts.keys().any(|mounted| is_below(path, mounted)) {
        return verdict.pass();
    }
    let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
    let draft = Draft::new()
        .subject(path)
        .value("flag", flag)
        .value("file", quoted(path))
        .value("directory", quoted(directory))
        .value("manifest", quoted(&pod.path))
        .at(&host.name, &value.origin, "no volume of the pod is mounted there");
    verdict.fail(if flag == "audit-policy-file" {
        draft.message("policy_not_mounted").severity(Severity::Error)
    } else {
        draft.message("log_not_mounted").severity(Severity::Info)
    });
}

/// The container that a manifest's layer was read from.
fn container_of<'a>(host: &'a Host, layer: &Layer) -> Option<(&'a StaticPod, &'a Container)> {
    let pods = host.kubernetes.static_pods.as_ref().ok()?;
    let pod = pods.iter().find(|pod| Some(pod.path.as_str()) == layer.origin.path())?;
    let of_image = |container: &&Container| container.image.as_ref() == layer.image.as_ref();
    Some((pod, pod.containers.iter().find(of_image)?))
}

fn judge_process(host: &Host, layer: &Layer, value: &Sourced<String>, verdict: &mut Verdict) {
    let path = value.value.as_str();
    let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
    let directory = if directory.is_empty() { "/" } else { directory };
    let draft = || {
        Draft::new()
            .subject(path)
            .value("flag", "audit-log-path")
            .value("file", quoted(path))
            .value("directory", quoted(directory))
            .maybe_value("config", file_of(value))
    };
    let user = unit_behind(host, layer).and_then(|unit| unit.settings.get("Service.User")?.last());
    if let Some(user) = user.filter(|user| !matches!(user.value.as_str(), "" | "root" | "0"))
        && ROOTS.contains(&directory)
    {
        return verdict.fail(
            draft()
                .message("user")
                .value("user", &user.value)
                .at(&host.name, &value.origin, format!("{directory} belongs to root"))
                .at(&host.name, &user.origin, "kube-apiserver runs as this user"),
        );
    }
    let Some(mounts) = verdict.known(&host.system.mounts) else { return };
    let on = mounts.iter().filter(|mount| is_below(path, &mount.target)).max_by_key(|mount| mount.target.len());
    match on.filter(|mount| is_read_only(mount)) {
        Some(mount) => verdict.fail(
            draft()
                .message("read_only")
                .value("mount", quoted(&mount.target))
                .at(&host.name, &value.origin, format!("on {}", mount.target))
                .at(&host.name, &mount.origin, "mounted read-only"),
        ),
        None => verdict.pass(),
    }
}

fn is_read_only(mount: &Mount) -> bool {
    mount.options.iter().any(|option| option == "ro")
}

fn is_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}
