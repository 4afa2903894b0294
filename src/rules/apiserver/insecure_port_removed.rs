//! apiserver-insecure-port-removed: a component dials kube-apiserver's port without TLS, which is off.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName, LayerKind, split_items};
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{Url, configured_layers, file_of, in_words, resolve, unit_to_restart};
use crate::rules::unit::removed_flags::place;
use crate::rules::{Context, Detector, Judge, Refined, edit};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-insecure-port-removed", judge: Judge::Host(judge), refine: Some(refine) };

/// kube-apiserver's flags of that port.
const FLAGS: [&str; 2] = ["insecure-port", "insecure-bind-address"];

const CLIENTS: [(ComponentName, &str); 4] = [
    (ComponentName::KubeControllerManager, "master"),
    (ComponentName::KubeScheduler, "master"),
    (ComponentName::KubeProxy, "master"),
    (ComponentName::Kubelet, "api-servers"),
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (name, flag) in CLIENTS {
        let Some(client) = host.component(name) else { continue };
        let items = client.flag_in_file(flag).map(split_items).unwrap_or_default();
        let instead = instead(host, client, flag).filter(|_| items.len() == 1);
        for item in items {
            judge_url(context.cluster, host, name.name(), &item, instead.as_deref(), verdict);
        }
    }
    for kubeconfig in &host.kubernetes.kubeconfigs {
        for server in kubeconfig.clusters.iter().filter_map(|cluster| cluster.server.as_ref()) {
            judge_url(context.cluster, host, &kubeconfig.path, server, None, verdict);
        }
    }
}

fn judge_url(
    cluster: &Cluster,
    host: &Host,
    client: &str,
    item: &Sourced<String>,
    instead: Option<&[(&'static str, String)]>,
    verdict: &mut Verdict,
) {
    let Some(url) = Url::parse(&item.value) else { return };
    // Without a scheme it is http.
    if url.scheme == "https" {
        return verdict.pass();
    }
    let Some(server) = serving(cluster, host, &url) else {
        return verdict.unknown(Unknown::new(item.value.as_str(), "no given host serves it"));
    };
    let Some(apiserver) = server.component(ComponentName::KubeApiserver) else {
        // A proxy of the host's own, or nothing; other rules ask which.
        return verdict.unknown(Unknown::new(item.value.as_str(), format!("{} has no kube-apiserver", server.name)));
    };
    let port = url.port.unwrap_or(80);
    if listens(server, port) {
        return verdict.pass();
    }
    let Some((is_off, why)) = is_off(apiserver, port) else {
        return verdict.unknown(Unknown::new("kube-apiserver's release", "nothing says it"));
    };
    if !is_off {
        return verdict.pass();
    }
    let secure = apiserver.flag("secure-port").map_or("6443", |port| port.value.as_str());
    let mut draft = Draft::new()
        .subject(format!("{client} {}", item.value))
        .value("client", client)
        .value("url", &item.value)
        .value("server", &server.name)
        .value("new_url", format!("https://{}:{secure}", url.host))
        .value("why", &why)
        .maybe_value("file", file_of(item))
        .at(&host.name, &item.origin, "nothing answers without TLS any more");
    for (name, value) in instead.unwrap_or_default() {
        draft = draft.value(name, value);
    }
    if let Some(off) = apiserver.flag_in_file("insecure-port") {
        draft = draft.at(&server.name, &off.origin, "switched off here");
    }
    verdict.fail(draft);
}

/// The given host that the URL leads to.
fn serving<'a>(cluster: &'a Cluster, from: &'a Host, url: &Url) -> Option<&'a Host> {
    let addresses = resolve(from, &url.host);
    if url.is_loopback() || addresses.iter().any(IpAddr::is_loopback) {
        return Some(from);
    }
    let owns = |host: &&Host| {
        host.network.as_ref().is_ok_and(|network| addresses.iter().any(|address| network.owns(*address)))
    };
    cluster.hosts.iter().find(owns).or_else(|| cluster.hosts.iter().find(|host| host.name == url.host))
}

fn listens(host: &Host, port: u16) -> bool {
    host.network.as_ref().is_ok_and(|network| {
        network.listeners.as_ref().is_ok_and(|all| all.iter().any(|listener| listener.port == port))
    })
}

/// Whether the port is known to be off, and why; none when the release that decides is not known.
fn is_off(apiserver: &Component, port: u16) -> Option<(bool, String)> {
    let given = apiserver.flag("insecure-port").or_else(|| apiserver.flag("port")).map(|port| port.value.trim());
    if given == Some("0") {
        return Some((true, "--insecure-port=0".to_owned()));
    }
    match (apiserver.is_at_least(1, 20)?, &apiserver.version) {
        (true, Some(version)) => Some((true, format!("kube-apiserver {} has none", version.value))),
        _ => Some((given.is_some_and(|given| given != port.to_string()), "another --insecure-port".to_owned())),
    }
}

/// What takes the client's flag out, where the client has a kubeconfig beside it: the values for the fix.
fn instead(host: &Host, client: &Component, flag: &str) -> Option<Vec<(&'static str, String)>> {
    client.flag("kubeconfig")?;
    take_out(host, client, &[flag])
}

/// Where kube-apiserver's own flags stand, when it says that it has no such port.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    // Of a known release apiserver-flag-removed says it.
    let is_told = |apiserver: &Component, flag: &str| {
        apiserver.is_at_least(1, 24) == Some(true)
            && configured_layers(apiserver).iter().any(|layer| layer.flags.contains_key(flag))
    };
    if let (Some(flag), Some(apiserver)) = (hit.captures.get("flag"), host.component(ComponentName::KubeApiserver))
        && is_told(apiserver, flag)
    {
        return Refined::Drop;
    }
    let is_own = hit.captures.contains_key("flag") || hit.captures.contains_key("port");
    let apiserver = host.component(ComponentName::KubeApiserver).filter(|_| is_own);
    Refined::Keep(apiserver.and_then(|apiserver| take_out(host, apiserver, &FLAGS)).unwrap_or_default())
}

/// The command that takes flags out of the one file where they are given, with what has to be started anew.
fn take_out(host: &Host, component: &Component, flags: &[&str]) -> Option<Vec<(&'static str, String)>> {
    for layer in configured_layers(component) {
        let given = |flag: &&str| {
            let spelt =
                layer.spelt.iter().find(|spelt| spelt.value.trim_start_matches('-').replace('_', "-") == **flag)?;
            let found: BTreeMap<&str, String> =
                place(component.name, layer, spelt, layer.flags.get(*flag)?.last()?).into_iter().collect();
            let (file, line) = (spelt.origin.path()?, found.get("line")?);
            let expression = match (found.get("pattern"), found.contains_key("manifest")) {
                (_, true) => format!("{line}d"),
                (Some(pattern), _) => format!("{line}s#{pattern}##"),
                (None, false) => return None,
            };
            Some((file, spelt.value.as_str(), expression))
        };
        let found: Vec<_> = flags.iter().filter_map(given).collect();
        let Some((file, _, _)) = found.first().filter(|(file, ..)| found.iter().all(|(other, ..)| other == file))
        else {
            continue;
        };
        let expressions: Vec<String> = found.iter().map(|(_, _, expression)| format!("-e '{expression}'")).collect();
        let names: Vec<String> = found.iter().map(|(_, flag, _)| (*flag).to_owned()).collect();
        let backup = if layer.kind == LayerKind::Manifest { "" } else { ".bak" };
        let mut values = vec![
            ("edit", format!("sed -i{backup} -E {} {}", expressions.join(" "), edit::quoted(file))),
            ("file", (*file).to_owned()),
            ("flags", in_words(&names)),
            ("client", component.name.name().to_owned()),
        ];
        values.extend(unit_to_restart(host, component, layer).map(|unit| ("unit", unit.to_owned())));
        return Some(values);
    }
    None
}
