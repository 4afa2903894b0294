//! apiserver-loopback-only: kube-apiserver answers on 127.0.0.1 alone, and others have to reach it.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::load_balancer::Frontend;
use crate::facts::network::Listener;
use crate::facts::topology::secure_port;
use crate::origin::Sourced;
use crate::rules::edit;
use crate::rules::support::{Url, file_of, in_url, main_address, resolve, starting_layers, unit_to_restart};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-loopback-only", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let mut judged = false;
    for layer in starting_layers(host, apiserver) {
        let secure = loopback_flag(layer, "bind-address");
        let Some(setting) = secure.or_else(|| insecure(context, host, apiserver, layer)) else { continue };
        judged = true;
        if setting.flag == "bind-address" && (dialled_only_locally(context, host) || has_local_proxy(host, apiserver)) {
            verdict.pass();
        } else {
            verdict.fail(configured(context, host, apiserver, layer, &setting));
        }
    }
    if judged {
        return;
    }
    match sockets(host) {
        // What runs says otherwise than what the next start reads.
        Some(true) if !dialled_only_locally(context, host) && !has_local_proxy(host, apiserver) => {
            verdict.fail(listening(context, host, apiserver));
        }
        Some(_) => verdict.pass(),
        None => match apiserver.unread.first() {
            Some(unread) if apiserver.flag("bind-address").is_none() => verdict.unknown(unread.clone()),
            _ => verdict.pass(),
        },
    }
}

/// A flag with a loopback address.
struct Setting {
    flag: &'static str,
    value: Sourced<String>,
    /// Who dials the port from elsewhere: host, and where it says so.
    dialled_by: Option<(String, Sourced<String>)>,
}

fn loopback_flag(layer: &Layer, flag: &'static str) -> Option<Setting> {
    let value = layer.flags.get(flag)?.last()?;
    let address: IpAddr = value.value.parse().ok()?;
    address.is_loopback().then(|| Setting { flag, value: value.clone(), dialled_by: None })
}

/// Before 1.20 the insecure port is bound to 127.0.0.1 unless told otherwise; that matters when another host dials it.
fn insecure(context: &Context<'_>, host: &Host, apiserver: &Component, layer: &Layer) -> Option<Setting> {
    let port = apiserver.flag("insecure-port").or_else(|| apiserver.flag("port"));
    if port.is_some_and(|port| port.value == "0") {
        return None;
    }
    let port = port.map_or(Some(8080), |port| port.value.parse().ok());
    let dialled_by = Some(dialled_by_http(context, host).or_else(|| balanced_by(context, host, port?))?);
    for flag in ["insecure-bind-address", "address"] {
        if layer.flags.contains_key(flag) {
            return loopback_flag(layer, flag).map(|setting| Setting { dialled_by, ..setting });
        }
    }
    let value = apiserver.flag_or_default("insecure-bind-address").filter(|value| value.value == "127.0.0.1")?;
    Some(Setting { flag: "insecure-bind-address", value, dialled_by })
}

fn configured(
    context: &Context<'_>,
    host: &Host,
    apiserver: &Component,
    layer: &Layer,
    Setting { flag, value, dialled_by }: &Setting,
) -> Draft {
    // All addresses of the same family.
    let all = if value.value.contains(':') { "::" } else { "0.0.0.0" };
    let mut draft = draft(context, host, apiserver)
        .subject(*flag)
        .value("flag", flag)
        .value("old_address", &value.value)
        .value("new_address", all)
        .at(&host.name, &value.origin, "only processes of this host can connect")
        .maybe_value("file", file_of(value))
        .maybe_value("unit", unit_to_restart(host, apiserver, layer));
    if layer.kind == LayerKind::Manifest {
        draft = draft.maybe_value("manifest", layer.origin.path());
    }
    if *flag != "bind-address" {
        draft = draft.message("insecure");
        if let Some((client, dialled)) = dialled_by {
            draft = draft.at(client, &dialled.origin, format!("{client} dials it")).value("client", client);
        }
        return draft;
    }
    if let Some(found) = edit::edit(host, &value.origin, (&value.value, all), (&value.value, all)) {
        draft = draft.maybe_value("edit", edit::command(std::slice::from_ref(&found)));
    }
    draft
}

/// The process' sockets are the evidence, with its own flag when it has one.
fn listening(context: &Context<'_>, host: &Host, apiserver: &Component) -> Draft {
    let mut draft = draft(context, host, apiserver).message("listens").subject("bind-address");
    for listener in own_listeners(host) {
        draft = draft.at(
            &host.name,
            &listener.origin,
            format!("kube-apiserver listens on {}:{}", in_url(listener.address), listener.port),
        );
    }
    let of_process = apiserver.layers.iter().filter(|layer| layer.kind == LayerKind::Process);
    for value in of_process.filter_map(|layer| layer.flags.get("bind-address")?.last()) {
        draft = draft
            .at(&host.name, &value.origin, "what runs was started with it; files say otherwise")
            .value("restart", "true");
    }
    draft
}

/// Which other host is configured to dial this one's insecure port, and where.
fn dialled_by_http(context: &Context<'_>, host: &Host) -> Option<(String, Sourced<String>)> {
    context.cluster.hosts.iter().filter(|client| client.name != host.name).find_map(|client| {
        let dialled = client
            .components
            .iter()
            .flat_map(|component| ["master", "api-servers"].into_iter().flat_map(|flag| component.flag_items(flag)));
        let dialled = dialled.into_iter().find(|item| {
            Url::parse(&item.value).is_some_and(|url| url.scheme != "https" && leads_to(client, &url, host))
        });
        dialled.map(|item| (client.name.clone(), item))
    })
}

/// Which other host's proxy hands connections to this port of the host, and where it says so.
fn balanced_by(context: &Context<'_>, host: &Host, port: u16) -> Option<(String, Sourced<String>)> {
    context.cluster.hosts.iter().filter(|proxy| proxy.name != host.name).find_map(|proxy| {
        let balancers = [&proxy.load_balancers.haproxy, &proxy.load_balancers.nginx];
        let frontends = balancers.into_iter().filter_map(|found| found.as_ref().ok()?.as_ref());
        let mut backends = frontends.flat_map(|found| &found.frontends).flat_map(|frontend| &frontend.backends);
        let found = backends.find(|backend| {
            let url = Url::parse(&backend.address.value).filter(|url| url.port == Some(port));
            !backend.disabled && url.is_some_and(|url| leads_to(proxy, &url, host))
        })?;
        Some((proxy.name.clone(), found.address.clone()))
    })
}

fn leads_to(client: &Host, url: &Url, host: &Host) -> bool {
    let Ok(network) = &host.network else { return url.host == host.name };
    url.host == host.name
        || resolve(client, &url.host).into_iter().any(|address| !address.is_loopback() && network.owns(address))
}

/// Whether the apiserver's listening sockets are all on loopback; none when they could not be read or it has none.
fn sockets(host: &Host) -> Option<bool> {
    let own = own_listeners(host);
    (!own.is_empty()).then(|| own.iter().all(|listener| listener.address.is_loopback()))
}

fn own_listeners(host: &Host) -> Vec<&Listener> {
    let listeners = host.network.iter().flat_map(|network| &network.listeners).flatten();
    // The kernel cuts names at 15 characters.
    let is_own = |listener: &&Listener| {
        listener.process.as_ref().is_some_and(|process| process.name.starts_with("kube-apiserver"))
    };
    listeners.filter(is_own).collect()
}

/// Whether every kubeconfig and flag that was given leads to this host's loopback: a host of its own, that nobody else
/// needs to reach. Without any such evidence others are taken to need it.
fn dialled_only_locally(context: &Context<'_>, host: &Host) -> bool {
    let mut servers = Vec::new();
    for client in &context.cluster.hosts {
        for kubeconfig in &client.kubernetes.kubeconfigs {
            servers.extend(kubeconfig.clusters.iter().filter_map(|cluster| cluster.server.as_ref()));
        }
    }
    let advertised = host
        .component(ComponentName::KubeApiserver)
        .and_then(|apiserver| apiserver.flag("advertise-address"))
        .and_then(|value| value.value.parse::<IpAddr>().ok());
    context.cluster.hosts.len() == 1
        && !servers.is_empty()
        && servers.iter().all(|server| Url::parse(&server.value).is_some_and(|url| url.is_loopback()))
        && advertised.is_none_or(|address| address.is_loopback())
}

/// Whether a proxy of this host takes connections from outside and hands them to the loopback port.
fn has_local_proxy(host: &Host, apiserver: &Component) -> bool {
    let port = secure_port(apiserver);
    let balancers = &host.load_balancers;
    [&balancers.haproxy, &balancers.nginx].into_iter().filter_map(|proxy| proxy.as_ref().ok()?.as_ref()).any(|proxy| {
        let faces_outside = |frontend: &&Frontend| {
            frontend.listen.iter().any(|listen| Url::parse(&listen.value).is_none_or(|url| !url.is_loopback()))
        };
        proxy.frontends.iter().filter(faces_outside).flat_map(|frontend| &frontend.backends).any(|backend| {
            Url::parse(&backend.address.value).is_some_and(|url| url.is_loopback() && url.port == Some(port))
        })
    })
}

fn draft(context: &Context<'_>, host: &Host, apiserver: &Component) -> Draft {
    let version = context
        .kubernetes_version
        .map(str::to_owned)
        .or_else(|| apiserver.version.as_ref().map(|version| version.value.clone()));
    let mut draft = Draft::new().maybe_value("version", version);
    if let Ok(network) = &host.network {
        let own = main_address(network);
        draft = draft
            .maybe_value("own_address", own)
            .maybe_value("own_host", own.map(in_url))
            .value("port", secure_port(apiserver));
    }
    if sockets(host) == Some(true) {
        for listener in own_listeners(host) {
            let pid = listener.process.as_ref().map_or(0, |process| process.pid);
            let address = in_url(listener.address);
            draft = draft.note(format!(
                "kube-apiserver (process {pid}) listens on {address}:{} and on no other address",
                listener.port
            ));
        }
    }
    draft
}
