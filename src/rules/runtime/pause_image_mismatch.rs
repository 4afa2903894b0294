//! pause-image-mismatch: the kubelet and the runtime name different sandbox images.

use super::pause_image_missing::normalized;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::{Origin, Sourced, Unknown};
use crate::rules::kubelet::runtime::chosen;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pause-image-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    let Some(wanted) = kubelet.flag_in_file("pod-infra-container-image") else { return };
    let usual = host.component(ComponentName::Containerd).map(|_| ComponentName::Containerd);
    let runtime = chosen(host, kubelet).map(|chosen| chosen.runtime).or(usual);
    let set = match runtime {
        Some(ComponentName::Containerd) => verdict
            .known(&host.runtimes.containerd)
            .map(|config| config.as_ref().and_then(|config| config.sandbox_image.as_ref())),
        Some(ComponentName::Crio) => verdict
            .known(&host.runtimes.crio)
            .map(|values| values.as_ref().and_then(|values| values.get("crio.image.pause_image"))),
        Some(ComponentName::CriDockerd) => Some(
            host.component(ComponentName::CriDockerd).and_then(|shim| shim.flag_in_file("pod-infra-container-image")),
        ),
        // dockershim starts what the kubelet says.
        _ => return,
    };
    let Some(set) = set else { return };
    // What it started with, where no file says so: its release's own.
    let told = host.probes.cri.as_ref().and_then(|answer| answer.as_ref().ok()).and_then(|answer| {
        let image = answer.sandbox_image.clone()?;
        let is_its = runtime.is_some_and(|runtime| answer.runtime.starts_with(runtime.name()));
        is_its.then(|| Sourced::new(image, Origin::answer(answer.socket.as_str())))
    });
    let (Some(image), Some(runtime)) = (set.or(told.as_ref()), runtime) else {
        verdict.unknown(Unknown::new(
            "the runtime's sandbox image",
            "its configuration does not set it, and its release is not known",
        ));
        return;
    };
    if normalized(&image.value) == normalized(&wanted.value) {
        return verdict.pass();
    }
    let same_registry = registry(&image.value) == registry(&wanted.value);
    verdict.fail(
        Draft::new()
            .subject(&image.value)
            .message(if same_registry { "release" } else { "registry" })
            .value("image", &image.value)
            .value("wanted", &wanted.value)
            .value("runtime", runtime.name())
            .maybe_value("file", image.origin.path())
            .maybe_value("key", key(runtime))
            .at(&host.name, &image.origin, format!("{} starts this", runtime.name()))
            .at(&host.name, &wanted.origin, "the kubelet expects, and protects, this"),
    );
}

fn registry(image: &str) -> String {
    let image = normalized(image);
    image.rsplit_once('/').map_or(String::new(), |(registry, _)| registry.to_owned())
}

/// The setting's name in the runtime's file, for the command that changes it.
fn key(runtime: ComponentName) -> Option<&'static str> {
    match runtime {
        ComponentName::Containerd => Some("sandbox(_image)?"),
        ComponentName::Crio => Some("pause_image"),
        _ => None,
    }
}
