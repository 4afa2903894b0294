//! apiserver-insecure-port-removed: a component dials kube-apiserver's port without TLS, which is off.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName, split_items};
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{Url, configured_layers, file_of, resolve};
use crate::rules::unit::removed_flags;
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-insecure-port-removed", judge: Judge::Host(judge), refine: Some(refine) };

/// A flag that kube-apiserver refuses: where it stands. With a known release apiserver-flag-removed says that.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let Some(flag) = hit.captures.get("flag") else { return Refined::Keep(Vec::new()) };
    let apiserver = host.component(ComponentName::KubeApiserver);
    let is_told = apiserver.is_some_and(|apiserver| {
        let stands = configured_layers(apiserver).iter().any(|layer| layer.flags.contains_key(flag.as_str()));
        stands && apiserver.is_at_least(1, 24) == Some(true)
    });
    if is_told { Refined::Drop } else { removed_flags::refine(context, host, hit) }
}

const CLIENTS: [(ComponentName, &str); 4] = [
    (ComponentName::KubeControllerManager, "master"),
    (ComponentName::KubeScheduler, "master"),
    (ComponentName::KubeProxy, "master"),
    (ComponentName::Kubelet, "api-servers"),
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (name, flag) in CLIENTS {
        let Some(client) = host.component(name) else { continue };
        for item in client.flag_in_file(flag).map(split_items).unwrap_or_default() {
            judge_url(context.cluster, host, name.name(), &item, verdict);
        }
    }
    for kubeconfig in &host.kubernetes.kubeconfigs {
        for server in kubeconfig.clusters.iter().filter_map(|cluster| cluster.server.as_ref()) {
            judge_url(context.cluster, host, &kubeconfig.path, server, verdict);
        }
    }
}

fn judge_url(cluster: &Cluster, host: &Host, client: &str, item: &Sourced<String>, verdict: &mut Verdict) {
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
