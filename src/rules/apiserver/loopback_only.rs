//! apiserver-loopback-only: kube-apiserver answers on 127.0.0.1 alone, and others have to reach it.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::origin::Sourced;
use crate::rules::support::{Url, configured_layers, file_of, main_address, resolve, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-loopback-only", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let secure = loopback_flag(apiserver, "bind-address");
    let Some((flag, value, layer)) = secure.or_else(|| insecure(context, host, apiserver)) else {
        match sockets(host) {
            Some(true) => verdict.fail(draft(context, host, apiserver).message("listens")),
            Some(false) | None => verdict.pass(),
        }
        return;
    };
    if dialled_only_locally(context, host) || has_local_proxy(host, apiserver) {
        return verdict.pass();
    }
    let mut draft = draft(context, host, apiserver)
        .value("flag", flag)
        .value("old_address", &value.value)
        .at(&host.name, &value.origin, "only processes of this host can connect")
        .maybe_value("file", file_of(value));
    if let Some(layer) = layer {
        draft = draft.maybe_value("unit", unit_of(layer));
        if layer.kind == LayerKind::Manifest {
            draft = draft.value("manifest", file_of(value).unwrap_or_default());
        }
    }
    if flag != "bind-address" {
        draft = draft.message("insecure");
    }
    verdict.fail(draft);
}

type Setting<'a> = (&'static str, &'a Sourced<String>, Option<&'a crate::facts::component::Layer>);

/// The flag with a loopback address, in the layer that the next start reads.
fn loopback_flag<'a>(apiserver: &'a Component, flag: &'static str) -> Option<Setting<'a>> {
    configured_layers(apiserver).into_iter().find_map(|layer| {
        let value = layer.flags.get(flag)?.last()?;
        let address: IpAddr = value.value.parse().ok()?;
        address.is_loopback().then_some((flag, value, Some(layer)))
    })
}

/// Before 1.20 the insecure port is bound to 127.0.0.1 unless told otherwise; that matters when another host dials it.
fn insecure<'a>(context: &Context<'_>, host: &Host, apiserver: &'a Component) -> Option<Setting<'a>> {
    let port = apiserver.flag("insecure-port").or_else(|| apiserver.flag("port"));
    if port.is_some_and(|port| port.value == "0") || !dialled_by_http(context, host) {
        return None;
    }
    loopback_flag(apiserver, "insecure-bind-address").or_else(|| loopback_flag(apiserver, "address"))
}

/// Whether some other host is configured to dial this one's insecure port.
fn dialled_by_http(context: &Context<'_>, host: &Host) -> bool {
    context.cluster.hosts.iter().filter(|client| client.name != host.name).any(|client| {
        client.components.iter().any(|component| {
            ["master", "api-servers"].iter().flat_map(|flag| component.flag_items(flag)).any(|item| {
                Url::parse(&item.value).is_some_and(|url| url.scheme != "https" && leads_to(client, &url, host))
            })
        })
    })
}

fn leads_to(client: &Host, url: &Url, host: &Host) -> bool {
    let Ok(network) = &host.network else { return url.host == host.name };
    url.host == host.name
        || resolve(client, &url.host).into_iter().any(|address| !address.is_loopback() && network.owns(address))
}

/// Whether the apiserver's listening sockets are all on loopback; none when they could not be read or it has none.
fn sockets(host: &Host) -> Option<bool> {
    let listeners = host.network.as_ref().ok()?.listeners.as_ref().ok()?;
    let own: Vec<_> = listeners
        .iter()
        .filter(|listener| listener.process.as_ref().is_some_and(|process| process.name.starts_with("kube-apiserver")))
        .collect();
    (!own.is_empty()).then(|| own.iter().all(|listener| listener.address.is_loopback()))
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
    let port = apiserver.flag("secure-port").map_or("6443", |port| port.value.as_str()).to_owned();
    let balancers = &host.load_balancers;
    [&balancers.haproxy, &balancers.nginx].into_iter().filter_map(|proxy| proxy.as_ref().ok()?.as_ref()).any(|proxy| {
        proxy.frontends.iter().flat_map(|frontend| &frontend.backends).any(|backend| {
            Url::parse(&backend.address.value)
                .is_some_and(|url| url.is_loopback() && url.port.is_some_and(|known| known.to_string() == port))
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
        draft = draft.maybe_value("own_address", main_address(network));
        if let Ok(listeners) = &network.listeners {
            for listener in listeners.iter().filter(|listener| {
                listener.process.as_ref().is_some_and(|process| process.name.starts_with("kube-apiserver"))
                    && listener.address.is_loopback()
            }) {
                let pid = listener.process.as_ref().map_or(0, |process| process.pid);
                draft = draft.note(format!(
                    "kube-apiserver (process {pid}) listens on {}:{} and on no other address",
                    listener.address, listener.port
                ));
            }
        }
    }
    draft
}
