//! etcd-scheme-mismatch: one side says http, the other https, for the same port of the same member.

use std::net::IpAddr;

use super::settings::{UrlItem, is_proxy, located, urls};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName, split_items};
use crate::facts::{Cluster, Host};
use crate::origin::Sourced;
use crate::report::{Evidence, Severity};
use crate::rules::support::{Url, file_of, in_words, resolve};
use crate::rules::{Context, Detector, Judge, reach};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-scheme-mismatch", judge: Judge::Host(judge), refine: None };

/// What a member says of itself, and the sockets that it speaks of.
const OF_ITSELF: [(&str, &str); 3] = [
    ("advertise-client-urls", "listen-client-urls"),
    ("initial-advertise-peer-urls", "listen-peer-urls"),
    ("initial-cluster", "listen-peer-urls"),
];
/// A listening flag and the flag without which etcd cannot speak TLS there.
const CERTIFICATES: [(&str, &str, &str); 2] =
    [("listen-client-urls", "cert-file", "auto-tls"), ("listen-peer-urls", "peer-cert-file", "peer-auto-tls")];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| !is_proxy(etcd)) {
        for (dialled, listened) in OF_ITSELF {
            for item in urls(etcd, dialled) {
                judge_dialled(context.cluster, host, etcd, (dialled, &item), listened, verdict);
            }
        }
        judge_certificates(host, etcd, verdict);
        if verdict.passes == 0
            && verdict.drafts.is_empty()
            && let Some(unread) = etcd.unread.first()
        {
            verdict.unknown(unread.clone());
        }
    }
    for (name, flag) in [(ComponentName::KubeApiserver, "etcd-servers"), (ComponentName::Flanneld, "etcd-endpoints")] {
        let Some(client) = host.component(name) else { continue };
        let Some(value) = client.flag_in_file(flag) else { continue };
        judge_client(context.cluster, host, (client, flag, &split_items(value)), verdict);
        judge_answers(host, (client, flag, &split_items(value)), verdict);
    }
    judge_peers(host, verdict);
}

/// What the endpoints that a client dials answered, whoever they are.
fn judge_answers(host: &Host, (client, flag, items): (&Component, &str, &[Sourced<String>]), verdict: &mut Verdict) {
    let mut wrong: Vec<(&Sourced<String>, &'static str, Evidence)> = Vec::new();
    for item in items {
        if let Some((scheme, evidence)) = Url::parse(&item.value).and_then(|url| reach::other_scheme(host, &url)) {
            wrong.push((item, scheme, evidence));
        }
    }
    let Some((first, scheme, _)) = wrong.first() else { return };
    let turned = |item: &Sourced<String>, scheme: &str| {
        item.value.split_once("://").map(|(_, rest)| format!("{scheme}://{rest}")).unwrap_or_default()
    };
    let dialled: Vec<String> = wrong.iter().map(|(item, ..)| item.value.clone()).collect();
    let edits: Vec<String> =
        wrong.iter().map(|(item, scheme, _)| format!("-e 's#{}#{}#'", item.value, turned(item, scheme))).collect();
    let mut draft = Draft::new()
        .subject(flag)
        .message("answers")
        .value("client", client.name.name())
        .value("url", &first.value)
        .value("urls", in_words(&dialled))
        .value("scheme", scheme)
        .value("flag", flag)
        .value("listen_url", turned(first, scheme))
        .value("new_url", turned(first, scheme))
        .value("server", Url::parse(&first.value).map(|url| url.host).unwrap_or_default())
        .value("edits", edits.join(" "))
        .maybe_value("file", file_of(first));
    for (item, scheme, evidence) in wrong {
        draft = draft.at(&host.name, &item.origin, format!("{scheme} is spoken there")).evidence(evidence);
    }
    verdict.fail(draft);
}

/// What the peers answered that etcd is told of; what this member says of itself is judged by its own flags.
fn judge_peers(host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| !is_proxy(etcd)) else { return };
    let own_name = etcd.flag_or_default("name").map(|name| name.value);
    for item in urls(etcd, "initial-cluster").into_iter().filter(|item| item.named != own_name) {
        let Some((scheme, evidence)) = reach::other_scheme(host, &item.url) else { continue };
        let new_url = item.text.split_once("://").map(|(_, rest)| format!("{scheme}://{rest}")).unwrap_or_default();
        let mut draft = Draft::new()
            .subject(format!("{}: {new_url}", item.url.host))
            .message("peer_answers")
            .value("url", &item.text)
            .value("listen_url", &new_url)
            .value("new_url", &new_url)
            .value("server", &item.url.host)
            .value("scheme", scheme)
            .at(&host.name, &item.item.origin, format!("{scheme} is spoken there"))
            .evidence(evidence);
        draft = located(draft, etcd, "initial-cluster", &item.item);
        // The list is read by a member without data only.
        if etcd.pid.is_some() {
            draft = draft.severity(Severity::Warning);
        }
        verdict.fail(draft);
    }
}

/// The host that a URL leads to and its etcd: this one for loopback, else the owner of the address.
fn member_at<'a>(cluster: &'a Cluster, from: &'a Host, url: &Url) -> Option<(&'a Host, &'a Component)> {
    let addresses = resolve(from, &url.host);
    let owns = |host: &&Host| {
        host.network
            .as_ref()
            .is_ok_and(|network| addresses.iter().any(|address| !address.is_loopback() && network.owns(*address)))
    };
    let host = match url.is_loopback() || addresses.iter().any(IpAddr::is_loopback) && url.host != from.name {
        true => from,
        false => cluster.hosts.iter().find(owns).or_else(|| cluster.hosts.iter().find(|host| host.name == url.host))?,
    };
    Some((host, host.component(ComponentName::Etcd)?))
}

/// The listening URL of another scheme on the port that is dialled, when none has the scheme.
fn contrary(etcd: &Component, flag: &str, url: &Url) -> Option<UrlItem> {
    let listening: Vec<UrlItem> =
        urls(etcd, flag).into_iter().filter(|item| item.url.port_or_default() == url.port_or_default()).collect();
    if listening.iter().any(|item| item.url.scheme == url.scheme) {
        return None;
    }
    listening.into_iter().next()
}

fn judge_dialled(
    cluster: &Cluster,
    host: &Host,
    etcd: &Component,
    (flag, item): (&str, &UrlItem),
    listened: &str,
    verdict: &mut Verdict,
) {
    let own_name = etcd.flag_or_default("name").map(|name| name.value);
    let is_own = flag != "initial-cluster" || item.named == own_name;
    let member = if is_own { Some((host, etcd)) } else { member_at(cluster, host, &item.url) };
    let Some((server, its_etcd)) = member else { return };
    // A member that contradicts itself is told of itself, and nobody who dials it as it says.
    let its_own = urls(its_etcd, "initial-advertise-peer-urls");
    if !is_own && its_own.iter().any(|item| contrary(its_etcd, listened, &item.url).is_some()) {
        return;
    }
    let Some(other) = contrary(its_etcd, listened, &item.url) else { return verdict.pass() };
    let mut draft = draft(host, (flag, &item.text, &item.item), server, (listened, &other));
    draft = located(draft, etcd, flag, &item.item);
    // The list and the first peer URLs are read by a member without data only.
    if flag != "advertise-client-urls" && etcd.pid.is_some() {
        draft = draft.severity(Severity::Warning);
    }
    verdict.fail(draft);
}

/// The members that a client dials by the wrong scheme are one fault: they stand in one flag.
fn judge_client(
    cluster: &Cluster,
    host: &Host,
    (client, flag, items): (&Component, &str, &[Sourced<String>]),
    verdict: &mut Verdict,
) {
    let mut wrong: Vec<(&Sourced<String>, &Host, UrlItem)> = Vec::new();
    for item in items {
        let Some(url) = Url::parse(&item.value).filter(|url| matches!(url.scheme.as_str(), "http" | "https")) else {
            continue;
        };
        let Some((server, etcd)) = member_at(cluster, host, &url) else { continue };
        if urls(etcd, "listen-client-urls").is_empty() {
            continue;
        }
        match contrary(etcd, "listen-client-urls", &url) {
            Some(other) => wrong.push((item, server, other)),
            None => verdict.pass(),
        }
    }
    let Some((first, server, other)) = wrong.first() else { return };
    // Members of hosts that were not given may have answered: the client's list is mended as a whole.
    let spoken = |item: &Sourced<String>| -> Option<String> {
        let configured = wrong.iter().find(|(wrong, ..)| wrong.value == item.value);
        configured.map(|(_, _, other)| other.url.scheme.clone()).or_else(|| {
            let (scheme, _) = reach::other_scheme(host, &Url::parse(&item.value)?)?;
            Some(scheme.to_owned())
        })
    };
    let (mut dialled, mut edits) = (Vec::new(), Vec::new());
    for item in items {
        if let (Some(scheme), Some((_, rest))) = (spoken(item), item.value.split_once("://")) {
            dialled.push(item.value.clone());
            edits.push(format!("-e 's#{}#{scheme}://{rest}#'", item.value));
        }
    }
    let mut draft = draft(host, (flag, &first.value, first), server, ("listen-client-urls", other))
        .subject(flag)
        .value("client", client.name.name())
        .value("urls", in_words(&dialled))
        .value("edits", edits.join(" "))
        .maybe_value("file", file_of(first));
    for (item, server, other) in wrong.iter().skip(1) {
        draft = evidence(draft, host, item, server, other);
    }
    verdict.fail(draft.message(if dialled.len() > 1 { "client_several" } else { "client" }));
}

fn evidence(draft: Draft, host: &Host, item: &Sourced<String>, server: &Host, other: &UrlItem) -> Draft {
    let scheme = other.url.scheme.as_str();
    draft.at(&host.name, &item.origin, format!("{} listens with {scheme} there", server.name)).at(
        &server.name,
        &other.item.origin,
        format!("{scheme} on this port"),
    )
}

fn draft(
    host: &Host,
    (flag, text, item): (&str, &str, &Sourced<String>),
    server: &Host,
    (listened, other): (&str, &UrlItem),
) -> Draft {
    let scheme = other.url.scheme.as_str();
    let new_url = text.split_once("://").map(|(_, rest)| format!("{scheme}://{rest}"));
    let draft = Draft::new()
        .subject(format!("{}: {}", server.name, other.text))
        .value("url", text)
        .value("listen_flag", listened)
        .value("listen_url", &other.text)
        .value("server", &server.name)
        .value("scheme", scheme)
        .value("flag", flag)
        .maybe_value("new_url", new_url);
    evidence(draft, host, item, server, other)
}

/// https without a certificate: etcd exits. http with one: etcd ignores the certificate and says so.
fn judge_certificates(host: &Host, etcd: &Component, verdict: &mut Verdict) {
    for (flag, certificate, automatic) in CERTIFICATES {
        let given = etcd.flag(certificate).is_some_and(|path| !path.value.is_empty());
        for item in urls(etcd, flag).into_iter().filter(|item| item.url.scheme == "https") {
            if given || etcd.flag_bool(automatic) == Some(true) {
                verdict.pass();
            } else if etcd.pid.is_some() {
                // It would not run: its certificate is given in a way that is not known here.
            } else if let Some(unread) = etcd.unread.first() {
                verdict.unknown(unread.clone());
            } else {
                let draft = Draft::new()
                    .subject(format!("{flag}={}", item.text))
                    .value("url", &item.text)
                    .value("certificate_flag", certificate)
                    .message("no_certificate")
                    .at(&host.name, &item.item.origin, format!("needs --{certificate}, which nothing gives"));
                verdict.fail(located(draft, etcd, flag, &item.item));
            }
        }
    }
}
