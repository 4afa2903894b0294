//! pause-image-missing: the sandbox image that kubelet or runtime is set to is not in the runtime's store.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::log::LogHit;
use crate::facts::probe::Probes;
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Confidence, Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "pause-image-missing", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let mut any = false;
    if let Some(cri) = &host.probes.cri {
        any = true;
        if let Some(cri) = verdict.known(cri) {
            let image = configured_for_cri(host)
                .map(|image| (image.value.clone(), Some(image.origin.clone())))
                .or_else(|| cri.sandbox_image.clone().map(|image| (image, None)));
            if let (Some((image, origin)), Some(images)) = (image, verdict.known(&cri.images)) {
                let runtime = cri.runtime.split(' ').next().unwrap_or("containerd").to_owned();
                compare(host, &image, origin, images, &runtime, &cri.socket, verdict);
            }
        }
    }
    if uses_docker(host)
        && let Some(docker) = &host.probes.docker
    {
        any = true;
        if let Some(docker) = verdict.known(docker)
            && let Some(images) = verdict.known(&docker.images)
            && let Some(image) = configured_for_docker(host)
        {
            compare(host, &image.value, Some(image.origin), images, "docker", "the docker API", verdict);
        }
    } else if uses_docker(host)
        && host.component(ComponentName::Dockerd).is_some()
        && let Ok(Some(images)) = &host.runtimes.docker_images
        && let Some(image) = configured_for_docker(host)
    {
        any = true;
        compare(host, &image.value, Some(image.origin), images, "docker", "docker's own list of its images", verdict);
    }
    if !any && host.component(ComponentName::Kubelet).is_some() {
        verdict.unknown(match host.probes.taken {
            true => Unknown::new("images of the container runtime", "no runtime was found to ask")
                .with_remedy("start the container runtime"),
            false => Probes::not_taken("images of the container runtime"),
        });
    }
}

fn compare(
    host: &Host,
    image: &str,
    origin: Option<Origin>,
    images: &[String],
    runtime: &str,
    asked: &str,
    verdict: &mut Verdict,
) {
    let wanted = normalized(image);
    if images.iter().any(|known| normalized(known) == wanted) {
        return verdict.pass();
    }
    let mut draft = Draft::new()
        .subject(wanted)
        .message("not_in_store")
        .value("image", image)
        .value("runtime", runtime)
        // The next pod would have it pulled: that this fails is what a log has to say.
        .confidence(Confidence::Low)
        .severity(crate::report::Severity::Warning);
    for (name, value) in parts(image) {
        draft = draft.value(name, value);
    }
    if let Some(origin) = &origin {
        draft = draft
            .at(&host.name, origin, "not among the images that the runtime has")
            .maybe_value("file", origin.path());
    }
    let same_name: Vec<String> = images
        .iter()
        .filter(|known| normalized(known).contains("/pause") || known.contains("pause"))
        .cloned()
        .collect();
    let label = format!("{} images, none of them {image}", images.len());
    draft = draft.evidence(Evidence::new(EvidenceKind::Probe, &host.name, Origin::answer(asked.to_owned()), label));
    if !same_name.is_empty() {
        draft = draft.note(format!("there is {}", same_name.join(", "))).value("present", &same_name[0]);
        // The one that the kubelet names, and protects from being removed, is there: the runtime should start it.
        let of_kubelet = host
            .component(ComponentName::Kubelet)
            .and_then(|kubelet| kubelet.flag_in_file("pod-infra-container-image"));
        let is_there =
            |named: &&Sourced<String>| same_name.iter().any(|known| normalized(known) == normalized(&named.value));
        draft = draft.maybe_value("wanted", of_kubelet.filter(is_there).map(|named| &named.value));
    }
    verdict.fail(draft);
}

/// What containerd, CRI-O or cri-dockerd start sandboxes from.
fn configured_for_cri(host: &Host) -> Option<Sourced<String>> {
    if let Ok(Some(containerd)) = &host.runtimes.containerd
        && let Some(image) = &containerd.sandbox_image
    {
        return Some(image.clone());
    }
    let crio = host.runtimes.crio.as_ref().ok()?.as_ref();
    crio.and_then(|crio| crio.get("crio.image.pause_image").cloned())
        .or_else(|| host.component(ComponentName::CriDockerd)?.flag("pod-infra-container-image").cloned())
}

/// dockershim takes the image from the kubelet's flag, or a default of the kubelet's release.
fn configured_for_docker(host: &Host) -> Option<Sourced<String>> {
    host.component(ComponentName::Kubelet)?.flag("pod-infra-container-image").cloned()
}

/// Whether the kubelet itself drives docker: before 1.24, without a runtime endpoint.
fn uses_docker(host: &Host) -> bool {
    host.component(ComponentName::Kubelet).is_some_and(|kubelet| {
        kubelet.flag("container-runtime").is_none_or(|runtime| runtime.value == "docker")
            && kubelet.flag("container-runtime-endpoint").is_none_or(|endpoint| endpoint.value.contains("dockershim"))
    })
}

/// A reference as registries know it: default registry, `library/` and tag filled in.
pub(super) fn normalized(image: &str) -> String {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (name, "latest"),
    };
    let first = name.split('/').next().unwrap_or_default();
    let name = if !name.contains('/') {
        format!("docker.io/library/{name}")
    } else if !first.contains(['.', ':']) && first != "localhost" {
        format!("docker.io/{name}")
    } else {
        name.to_owned()
    };
    match digest {
        Some(digest) => format!("{name}@{digest}"),
        None => format!("{name}:{tag}"),
    }
}

/// Adds whose store it is and where the image is configured. Nothing is dropped: the patterns name the sandbox image, or an
/// image that is called after it.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let runtime = runtime_of(host, hit);
    let mut values: Vec<(&'static str, String)> =
        runtime.map(|name| ("runtime", name.to_owned())).into_iter().collect();
    let Some(image) = hit.captures.get("image") else { return Refined::Keep(values) };
    values.extend(parts(image));
    let configured = if runtime == Some("docker") { configured_for_docker(host) } else { configured_for_cri(host) };
    if let Some(configured) = configured.filter(|configured| normalized(&configured.value) == normalized(image)) {
        values.extend(configured.origin.path().map(|path| ("file", path.to_owned())));
    }
    Refined::Keep(values)
}

/// Whose store the image is missing from: who says so, else what the kubelet is set up for.
fn runtime_of(host: &Host, hit: &LogHit) -> Option<&'static str> {
    match hit.component.as_deref() {
        Some("dockerd") => Some("docker"),
        Some("containerd") => Some("containerd"),
        _ if host.component(ComponentName::Kubelet).is_none() => None,
        _ if uses_docker(host) && host.component(ComponentName::Dockerd).is_some() => Some("docker"),
        _ if host.component(ComponentName::Crio).is_none() && host.component(ComponentName::Containerd).is_some() => {
            Some("containerd")
        }
        _ => None,
    }
}

/// The image's own name and tag, as a mirror has them below another registry: `pause-amd64`, `3.0`.
fn parts(image: &str) -> Vec<(&'static str, String)> {
    if image.contains('@') {
        return Vec::new();
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    let (name, tag) = last.split_once(':').unwrap_or((last, "latest"));
    vec![("image_name", name.to_owned()), ("tag", tag.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn references_compare_as_registries_know_them() {
        let table = [
            ("pause:3.1", "docker.io/library/pause:3.1"),
            ("google/pause", "docker.io/google/pause:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/pause", "localhost:5000/pause:latest"),
            ("k8s.gcr.io/pause@sha256:ab", "k8s.gcr.io/pause@sha256:ab"),
        ];
        for (image, expected) in table {
            assert_eq!(normalized(image), expected);
        }
    }
}
