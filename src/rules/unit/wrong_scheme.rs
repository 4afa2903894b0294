//! wrong-scheme: a client's URL says http for an apiserver's TLS port, or https for its plain one.

use std::collections::BTreeMap;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::topology::{self, Edge, Route, Service, secure_port};
use crate::origin::Unknown;
use crate::report::Evidence;
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge, edit, reach};

pub(super) const DETECTOR: Detector = Detector { id: "wrong-scheme", judge: Judge::Host(judge), refine: None };

const USUAL_PLAIN_PORT: u16 = 8080;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let mut by_url: BTreeMap<String, Vec<(Edge, Wrong)>> = BTreeMap::new();
    for edge in topology::edges(context.cluster) {
        // That of etcd's URLs is etcd-scheme-mismatch.
        if edge.client_host != host.name || edge.service != Service::Apiserver {
            continue;
        }
        let Some(url) = edge.parsed().filter(|url| !url.scheme.is_empty()) else { continue };
        if let Some((right, evidence)) = reach::other_scheme(host, &url) {
            let wrong = Wrong { right, port: url.port_or_default(), server: url.host, answer: Some(evidence) };
            by_url.entry(edge.url.value.clone()).or_default().push((edge, wrong));
            continue;
        }
        // Behind a proxy it is the proxy that speaks.
        if edge.route != Route::Direct {
            continue;
        }
        let server = edge.servers.first().and_then(|name| context.cluster.hosts.iter().find(|host| host.name == *name));
        let Some((server, apiserver)) =
            server.and_then(|server| Some((server, server.component(ComponentName::KubeApiserver)?)))
        else {
            continue;
        };
        let port = url.port_or_default();
        let right = if port == secure_port(apiserver) {
            "https"
        } else if plain_port(apiserver) == Some(port) {
            "http"
        } else {
            if port == USUAL_PLAIN_PORT && apiserver.version.is_none() && apiserver.flag("insecure-port").is_none() {
                let what = format!("whether kube-apiserver on {} serves port {port}", server.name);
                verdict.unknown(Unknown::new(what, "the default of --insecure-port depends on its version"));
            }
            continue;
        };
        if url.scheme == right {
            verdict.pass();
            continue;
        }
        let wrong = Wrong { right, port, server: server.name.clone(), answer: None };
        by_url.entry(edge.url.value.clone()).or_default().push((edge, wrong));
    }
    for (text, edges) in &by_url {
        verdict.fail(draft(host, text, edges));
    }
}

struct Wrong {
    right: &'static str,
    port: u16,
    server: String,
    answer: Option<Evidence>,
}

fn plain_port(apiserver: &Component) -> Option<u16> {
    let port = apiserver.flag_or_default("insecure-port").or_else(|| apiserver.flag("port").cloned())?;
    port.value.parse().ok().filter(|port| *port > 0)
}

fn draft(host: &Host, text: &str, edges: &[(Edge, Wrong)]) -> Draft {
    let mut draft = Draft::new().subject(text).value("url", text);
    let Some((_, wrong)) = edges.first() else { return draft };
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let new = format!("{}://{rest}", wrong.right);
    let spoken = if wrong.right == "https" { "TLS" } else { "plain HTTP" };
    draft = draft
        .message("url")
        .value("server", &wrong.server)
        .value("port", wrong.port)
        .value("spoken", spoken)
        .value("right_url", &new);
    let label = format!("port {} of {} speaks {spoken}", wrong.port, wrong.server);
    for (edge, _) in edges {
        draft = draft.at(&host.name, &edge.url.origin, label.as_str());
    }
    if let Some(evidence) = edges.iter().find_map(|(_, wrong)| wrong.answer.clone()) {
        draft = draft.evidence(evidence);
    }
    let edits: Option<Vec<edit::Edit>> =
        edges.iter().map(|(edge, _)| edit::edit(host, &edge.url.origin, (text, &new), ("", ""))).collect();
    draft
        .maybe_value("file", edges.first().and_then(|(edge, _)| file_of(&edge.url)))
        .maybe_value("edit", edits.as_deref().and_then(edit::command))
}
