//! apiserver-probe-refused: the kubelet probes kube-apiserver in a way that it refuses, and so kills a healthy one.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind, split_items};
use crate::facts::kubernetes::{Container, ContainerProbe};
use crate::facts::topology::secure_port;
use crate::origin::{Sourced, Unknown};
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-probe-refused", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let Ok(pods) = &host.kubernetes.static_pods else { return };
    for layer in apiserver.layers.iter().filter(|layer| layer.kind == LayerKind::Manifest) {
        let containers = pods
            .iter()
            .filter(|pod| Some(pod.path.as_str()) == layer.origin.path())
            .flat_map(|pod| &pod.containers)
            .filter(|container| container.image.as_ref() == layer.image.as_ref());
        for container in containers {
            judge_container(host, apiserver, layer, container, verdict);
        }
    }
}

fn judge_container(host: &Host, apiserver: &Component, layer: &Layer, container: &Container, verdict: &mut Verdict) {
    let flag = |name: &str| layer.flags.get(name).and_then(|values| values.last());
    let no_anonymous = flag("anonymous-auth").filter(|value| is_false(&value.value));
    let mode = flag("authorization-mode").filter(|mode| {
        let modes = split_items(mode);
        // Node answers for kubelets alone; every other one but AlwaysDeny may let the health paths through.
        !modes.is_empty() && modes.iter().all(|mode| matches!(mode.value.as_str(), "Node" | "AlwaysDeny"))
    });
    let plain_port = apiserver.flag_or_default("insecure-port");
    let plain_port = plain_port.as_ref().and_then(|port| port.value.parse::<u16>().ok());
    let no_plain_port = plain_port == Some(0) || apiserver.is_at_least(1, 24) == Some(true);
    for probe in container.probes.iter().filter(|probe| matches!(probe.scheme.as_str(), "HTTP" | "HTTPS")) {
        // A port's name says nothing of its number here.
        let Ok(port) = probe.port.parse::<u16>() else {
            answers(host, layer, probe, no_anonymous, mode, verdict);
            continue;
        };
        if port == secure_port(apiserver) {
            if probe.scheme == "HTTP" {
                verdict.fail(
                    draft(layer, probe, &format!("port {port} speaks TLS, and it is asked in plain HTTP"))
                        .message("scheme")
                        .value("port", port)
                        .maybe_value("edit", asking_by_tls(host, probe, None))
                        .at(&host.name, &probe.origin, format!("port {port} speaks TLS")),
                );
            } else {
                answers(host, layer, probe, no_anonymous, mode, verdict);
            }
        } else if plain_port == Some(port) && port != 0 {
            verdict.pass();
        } else if no_plain_port {
            let serves = secure_port(apiserver);
            verdict.fail(
                draft(layer, probe, &format!("nothing serves port {port}"))
                    .message("port")
                    .value("port", port)
                    .value("secure_port", serves)
                    .maybe_value("edit", asking_by_tls(host, probe, Some(serves)))
                    .at(&host.name, &probe.origin, format!("kube-apiserver serves {serves} and no other")),
            );
        } else {
            let why = "the default of --insecure-port depends on its version";
            verdict.unknown(Unknown::new(format!("whether kube-apiserver serves port {port}"), why));
        }
    }
}

/// The command that lets a probe ask with HTTPS, and another port when one is given.
fn asking_by_tls(host: &Host, probe: &ContainerProbe, port: Option<u16>) -> Option<String> {
    let mut edits = Vec::new();
    if let Some(port) = port {
        let texts = (probe.port.as_str(), &*port.to_string());
        edits.push(edit::edit(host, &probe.origin, texts, texts)?);
    }
    let mut added = None;
    match &probe.scheme_at {
        _ if probe.scheme == "HTTPS" => {}
        Some(written) => {
            let texts = (probe.scheme.as_str(), "HTTPS");
            edits.push(edit::edit(host, written, texts, texts)?);
        }
        None => added = Some(edit::entry_after(host, &probe.origin, "scheme: HTTPS")?),
    }
    let commands: Vec<String> = edit::command(&edits).into_iter().chain(added).collect();
    (!commands.is_empty()).then(|| commands.join(" && "))
}

/// A probe brings no credentials: whether the TLS port answers it.
fn answers(
    host: &Host,
    layer: &Layer,
    probe: &ContainerProbe,
    no_anonymous: Option<&Sourced<String>>,
    mode: Option<&Sourced<String>>,
    verdict: &mut Verdict,
) {
    let refusal = no_anonymous
        .map(|value| (value, "401", "--anonymous-auth=false refuses who brings no credentials"))
        .or_else(|| mode.map(|mode| (mode, "403", "no authorizer lets anybody but kubelets in")));
    let Some((value, code, why)) = refusal else { return verdict.pass() };
    let mut draft = draft(layer, probe, why).value("code", code).at(&host.name, &value.origin, why).at(
        &host.name,
        &probe.origin,
        "asks without credentials",
    );
    if code == "401" {
        let new = "true";
        let edited = edit::edit(host, &value.origin, (&value.value, new), (&value.value, new));
        draft = draft.maybe_value("edit", edited.and_then(|edited| edit::command(&[edited])));
    } else {
        draft = draft.value("modes", &value.value);
    }
    verdict.fail(draft);
}

fn draft(layer: &Layer, probe: &ContainerProbe, reason: &str) -> Draft {
    Draft::new()
        .subject(probe.kind.clone())
        .value("probe", &probe.kind)
        .value("path", &probe.path)
        .value("reason", reason)
        .maybe_value("manifest", layer.origin.path().map(edit::quoted))
}

fn is_false(value: &str) -> bool {
    matches!(value, "0" | "f" | "F" | "false" | "FALSE" | "False")
}
