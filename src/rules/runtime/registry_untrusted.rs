//! registry-untrusted: a registry that docker is told to use without TLS while the kubelet's runtime is containerd, which
//! is not told; and an authority's file that containerd is given and that is not there.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::runtime::ContainerdConfig;
use crate::origin::{Origin, Sourced};
use crate::report::Severity;
use crate::rules::kubelet::runtime::chosen;
use crate::rules::support::starting_layers;
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector = Detector { id: "registry-untrusted", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    judge_insecure(host, verdict);
    if let Ok(Some(config)) = &host.runtimes.containerd {
        for (key, path) in config.values.iter().filter(|(key, _)| key.ends_with(".tls.ca_file")) {
            let registry = registry_of(key).unwrap_or("the registry");
            match host.paths.get(&path.value) {
                Some(Ok(Some(_))) => verdict.pass(),
                Some(Ok(None)) => verdict.fail(
                    Draft::new()
                        .subject(registry)
                        .message("authority")
                        .severity(Severity::Error)
                        .value("registry", registry)
                        .value("authority", &path.value)
                        .value("file", &config.path)
                        .at(&host.name, &path.origin, "there is no such file"),
                ),
                Some(Err(unknown)) => verdict.unknown(unknown.clone()),
                None => {}
            }
        }
    }
}

/// `R` of `plugins."io.containerd.grpc.v1.cri".registry.configs."R".tls.ca_file`.
fn registry_of(key: &str) -> Option<&str> {
    let rest = key.split_once(".registry.configs.")?.1;
    Some(rest.strip_suffix(".tls.ca_file")?.trim_matches('"'))
}

fn judge_insecure(host: &Host, verdict: &mut Verdict) {
    let Some(docker) = host.component(ComponentName::Dockerd) else { return };
    let Some(daemon) = verdict.known(&host.runtimes.docker_daemon) else { return };
    let in_file =
        daemon.iter().flatten().filter(|(key, _)| key.starts_with("insecure-registries")).map(|(_, value)| value);
    let layers = starting_layers(host, docker);
    let by_flag = layers.iter().filter_map(|layer| layer.flags.get("insecure-registry")).flatten();
    for registry in in_file.chain(by_flag) {
        judge_registry(host, registry, verdict);
    }
}

fn judge_registry(host: &Host, registry: &Sourced<String>, verdict: &mut Verdict) {
    let name = registry.value.as_str();
    let image = images(host).find(|image| image.value.split('/').next() == Some(name));
    let uses_containerd = host
        .component(ComponentName::Kubelet)
        .and_then(|kubelet| chosen(host, kubelet))
        .is_some_and(|chosen| chosen.runtime == ComponentName::Containerd);
    let containerd = host.runtimes.containerd.as_ref().ok().and_then(Option::as_ref);
    match (image, containerd) {
        (Some(image), Some(config)) if uses_containerd && !is_told(config, name) => verdict.fail(
            Draft::new()
                .subject(name)
                .message("docker_only")
                .severity(Severity::Error)
                .value("registry", name)
                .value("image", &image.value)
                .value("file", &config.path)
                .maybe_value("looked_up", looked_up(host, config))
                .at(&host.name, &image.origin, "the kubelet's runtime is to pull this")
                .at(&host.name, &registry.origin, "docker is told that the registry has no trusted TLS")
                .at(&host.name, &Origin::file(config.path.as_str(), None), "containerd is told nothing of it"),
        ),
        // A range opens docker to everyone who can answer in it.
        _ if name.ends_with("/0") => {
            verdict.fail(Draft::new().subject(name).message("every").value("registry", name).at(
                &host.name,
                &registry.origin,
                "every registry, also the public ones",
            ))
        }
        _ if uses_containerd || is_own(name) => verdict.pass(),
        // Somebody's decision, and one to know of: whoever is between the node and it gives the node its images.
        _ => verdict.fail(
            Draft::new().subject(name).message("unverified").severity(Severity::Info).value("unverified", name).at(
                &host.name,
                &registry.origin,
                "asked by plain HTTP, or by TLS without a look at the certificate",
            ),
        ),
    }
}

/// The command that lets containerd look registries up in /etc/containerd/certs.d. None where what stands in its
/// configuration contradicts that: it takes a directory or `mirrors` and `configs`, not both.
fn looked_up(host: &Host, config: &ContainerdConfig) -> Option<String> {
    let plugin = match config.version {
        2 => "io.containerd.grpc.v1.cri",
        3 => "io.containerd.cri.v1.images",
        _ => return None,
    };
    let of_registry = || config.values.iter().filter(|(key, _)| key.contains(".registry."));
    let empty = of_registry().find(|(key, _)| key.ends_with(".registry.config_path"));
    if of_registry().any(|(key, _)| !key.ends_with(".registry.config_path")) {
        return None;
    }
    if let Some((_, value)) = empty {
        let texts = ("\"\"", "\"/etc/containerd/certs.d\"");
        return edit::command(&[edit::edit(host, &value.origin, texts, texts)?]);
    }
    Some(format!(
        "printf '\\n[plugins.\"{plugin}\".registry]\\n  config_path = \"/etc/containerd/certs.d\"\\n' >> {}",
        edit::quoted(&config.path)
    ))
}

/// The host's own, which docker trusts without being told.
fn is_own(registry: &str) -> bool {
    registry.starts_with("localhost")
        || registry.starts_with("127.")
        || registry.starts_with("[::1]")
        || registry == "::1/128"
}

/// Images that the kubelet's runtime pulls: the sandbox image and those of static pods.
fn images(host: &Host) -> impl Iterator<Item = &Sourced<String>> {
    let kubelet = host.component(ComponentName::Kubelet);
    let pause = kubelet.and_then(|kubelet| kubelet.flag("pod-infra-container-image"));
    let containers = host.kubernetes.static_pods.iter().flatten().flat_map(|pod| &pod.containers);
    pause.into_iter().chain(containers.filter_map(|container| container.image.as_ref()))
}

/// Whether containerd has any setting of its own for the registry, or a directory of them, which is not looked into.
fn is_told(config: &ContainerdConfig, registry: &str) -> bool {
    config.values.iter().any(|(key, value)| {
        key.contains(".registry.") && key.contains(registry)
            || key.ends_with(".registry.config_path") && !value.value.is_empty()
    })
}
