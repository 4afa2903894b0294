//! static-pod-duplicated: two files of the manifest directory are the same pod, or run the same control plane component.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, LayerKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "static-pod-duplicated", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Ok(pods) = &host.kubernetes.static_pods else {
        verdict.known(&host.kubernetes.static_pods);
        return;
    };
    let mut reported = Vec::new();
    for (index, pod) in pods.iter().enumerate() {
        let Some(name) = &pod.name else { continue };
        let namespace = pod.namespace.as_deref().unwrap_or("default");
        let first = pods.iter().take(index).find(|other| {
            other.name.as_ref().is_some_and(|other| other.value == name.value)
                && other.namespace.as_deref().unwrap_or("default") == namespace
        });
        let Some((first, first_name)) = first.and_then(|first| Some((first, first.name.as_ref()?))) else {
            verdict.pass();
            continue;
        };
        reported.extend([first.path.as_str(), pod.path.as_str()]);
        let (kept, copy) = kept_and_copy(&first.path, &pod.path, &name.value);
        verdict.fail(
            Draft::new()
                .subject(format!("{namespace}/{}", name.value))
                .value("pod", format!("{namespace}/{}", name.value))
                .value("kept", kept)
                .value("copy", copy)
                .message("files")
                .at(&host.name, &name.origin, "the same pod")
                .at(&host.name, &first_name.origin, "as this one"),
        );
    }
    for component in &host.components {
        judge_component(host, component, &mut reported, verdict);
    }
}

/// The same component under two pods' names: both start, and one of them finds its port taken.
fn judge_component(host: &Host, component: &Component, reported: &mut Vec<&str>, verdict: &mut Verdict) {
    let manifests: Vec<_> = component.layers.iter().filter(|layer| layer.kind == LayerKind::Manifest).collect();
    let Some((first, others)) = manifests.split_first() else { return };
    for other in others {
        let (Some(path), Some(first_path)) = (other.origin.path(), first.origin.path()) else { continue };
        // Two containers of one pod, and two etcds on ports of their own, are meant.
        let port = |flag: &str| {
            (first.flags.get(flag).and_then(|all| value(all)), other.flags.get(flag).and_then(|all| value(all)))
        };
        let apart = ["listen-client-urls", "secure-port"].into_iter().map(port).any(|(a, b)| a != b);
        if path == first_path || apart || reported.contains(&path) {
            continue;
        }
        let name = component.name.name();
        let (kept, copy) = kept_and_copy(first_path, path, name);
        verdict.fail(
            Draft::new()
                .subject(name)
                .value("component", name)
                .value("kept", kept)
                .value("copy", copy)
                .message("component")
                .at(&host.name, &other.origin, format!("runs {name} too"))
                .at(&host.name, &first.origin, format!("runs {name}")),
        );
    }
}

fn value(values: &[crate::origin::Sourced<String>]) -> Option<&str> {
    values.last().map(|value| value.value.as_str())
}

/// Which of two files is the copy: the one that is not called as the pod is.
fn kept_and_copy<'a>(a: &'a str, b: &'a str, name: &str) -> (&'a str, &'a str) {
    let is_named = |path: &str| path.rsplit('/').next().is_some_and(|file| file == format!("{name}.yaml"));
    if is_named(b) && !is_named(a) { (b, a) } else { (a, b) }
}
