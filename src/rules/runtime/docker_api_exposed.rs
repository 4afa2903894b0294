//! docker-api-exposed: dockerd listens on the network and asks for no client certificate.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Sourced;
use crate::rules::support::{Url, starting_layers, unit_of};
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector = Detector { id: "docker-api-exposed", judge: Judge::Host(judge), refine: None };

/// Docker's port without TLS, as registered.
const PLAIN_PORT: u16 = 2375;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(docker) = host.component(ComponentName::Dockerd) else { return };
    let daemon = verdict.known(&host.runtimes.docker_daemon).and_then(Option::as_ref);
    let is_on =
        |value: Option<&Sourced<String>>| value.is_some_and(|value| matches!(value.value.as_str(), "" | "true" | "1"));
    let in_file = |key: &str| daemon.and_then(|values| values.get(key));
    let mut seen = BTreeSet::new();
    let mut judge_address = |address: &Sourced<String>, verifies: bool, encrypts: bool, unit: Option<&str>| {
        let Some(rest) = address.value.strip_prefix("tcp://") else { return verdict.pass() };
        // Nothing before the port stands for localhost.
        let is_local =
            rest.is_empty() || rest.starts_with(':') || Url::parse(&address.value).is_some_and(|url| url.is_loopback());
        if verifies || is_local {
            return verdict.pass();
        }
        if !seen.insert(address.value.clone()) {
            return;
        }
        let removal = [" -H ", "-H=", "-H ", "--host=", "--host "].iter().find_map(|flag| {
            let origin = edit_origin(host, address, flag)?;
            edit::command(&[origin])
        });
        let removal = removal.or_else(|| edit::command(&[element_edit(host, address)?]));
        verdict.fail(
            Draft::new()
                // The daemon's own log names it without the scheme.
                .subject(address.value.trim_start_matches("tcp://"))
                .message(if encrypts { "unverified" } else { "plain" })
                .value("address", &address.value)
                .maybe_value("file", address.origin.path())
                .maybe_value("unit", unit)
                .maybe_value("edit", removal)
                .at(
                    &host.name,
                    &address.origin,
                    if encrypts { "TLS, and any client is let in" } else { "neither TLS nor a password" },
                ),
        );
    };
    // The running process and the files say the same mostly; what only one of them says counts too.
    let mut layers = starting_layers(host, docker);
    layers.extend(docker.layers.iter().filter(|layer| layer.kind == crate::facts::component::LayerKind::Process));
    for layer in layers {
        let flag = |name: &str| layer.flags.get(name).and_then(|values| values.last()).or_else(|| in_file(name));
        for address in layer.flags.get("host").into_iter().flatten() {
            judge_address(address, is_on(flag("tlsverify")), is_on(flag("tls")), unit_of(layer));
        }
    }
    let socket_activated = listening(host);
    for address in &socket_activated {
        let verifies = is_on(docker.flag("tlsverify").or_else(|| in_file("tlsverify")));
        judge_address(address, verifies, is_on(docker.flag("tls").or_else(|| in_file("tls"))), Some("docker.socket"));
    }
    for (_, address) in daemon.into_iter().flatten().filter(|(key, _)| key.starts_with("hosts")) {
        let flag = |name: &str| docker.flag(name).or_else(|| in_file(name));
        judge_address(address, is_on(flag("tlsverify")), is_on(flag("tls")), Some("docker.service"));
    }
}

/// Where docker takes connections on its usual port without being told so by a flag: systemd listens for it, as docker.socket
/// says, and hands the socket over.
fn listening(host: &Host) -> Vec<Sourced<String>> {
    let is_told = |port: u16| {
        let docker = host.component(ComponentName::Dockerd);
        let flags = docker.into_iter().flat_map(|docker| &docker.layers).filter_map(|layer| layer.flags.get("host"));
        let daemon = host.runtimes.docker_daemon.iter().flatten().flatten();
        let in_file = daemon.filter(|(key, _)| key.starts_with("hosts")).map(|(_, value)| value);
        flags.flatten().chain(in_file).any(|value| value.value.ends_with(&format!(":{port}")))
    };
    let listeners = host.network.as_ref().ok().and_then(|network| network.listeners.as_ref().ok());
    listeners
        .into_iter()
        .flatten()
        .filter(|listener| listener.port == PLAIN_PORT && !listener.address.is_loopback() && !is_told(PLAIN_PORT))
        // The first of those that hold the socket is named.
        .filter(|listener| {
            let holder = listener.process.as_ref().map(|process| process.name.as_str());
            matches!(holder, Some("dockerd" | "systemd"))
        })
        .map(|listener| {
            let address = format!("tcp://{}:{}", crate::rules::support::in_url(listener.address), listener.port);
            Sourced::new(address, listener.origin.clone())
        })
        .collect()
}

/// The edit that takes a flag with this address away.
fn edit_origin(host: &Host, address: &Sourced<String>, flag: &str) -> Option<edit::Edit> {
    let text = &host.texts.get(address.origin.path()?)?.text;
    let span = address.origin.span()?;
    let before = text.get(span.start.checked_sub(flag.len())?..span.start)?;
    if before != flag {
        return None;
    }
    let mut origin = address.origin.clone();
    if let crate::origin::Place::File { span: Some(span), .. } = &mut origin.place {
        span.column = span.column.saturating_sub(flag.len() as u32);
        span.start -= flag.len();
    }
    let old = format!("{flag}{}", address.value);
    edit::edit(host, &origin, (&old, ""), ("", ""))
}

/// The edit that takes an element of a JSON array away, with the comma between it and the neighbour that its line has.
fn element_edit(host: &Host, address: &Sourced<String>) -> Option<edit::Edit> {
    let text = &host.texts.get(address.origin.path()?)?.text;
    let span = address.origin.span()?;
    let (before, after) = (text.get(..span.start)?, text.get(span.end..)?);
    let lead = [", \"", ",\""].into_iter().find(|lead| before.ends_with(lead));
    let trail = ["\", ", "\","].into_iter().find(|trail| after.starts_with(trail));
    let (lead, trail) = match (lead, trail) {
        (Some(lead), _) if after.starts_with('"') => (lead, "\""),
        (None, Some(trail)) if before.ends_with('"') => ("\"", trail),
        _ => return None,
    };
    let mut origin = address.origin.clone();
    if let crate::origin::Place::File { span: Some(span), .. } = &mut origin.place {
        span.column = span.column.saturating_sub(lead.len() as u32);
        span.start -= lead.len();
        span.end += trail.len();
    }
    edit::edit(host, &origin, (&format!("{lead}{}{trail}", address.value), ""), ("", ""))
}
