//! apiserver-insecure-exposed: the port that asks for no credentials is bound to an address that others reach.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Origin;
use crate::report::{Confidence, Evidence, EvidenceKind};
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-insecure-exposed", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    // Without effect since 1.20.
    if apiserver.is_at_least(1, 20) == Some(true) {
        return verdict.pass();
    }
    let given =
        |names: [&str; 2]| names.into_iter().find_map(|name| Some((name.to_owned(), apiserver.flag_in_file(name)?)));
    let port = given(["insecure-port", "port"]).map_or("8080", |(_, port)| port.value.trim());
    let Some((flag, value)) = given(["insecure-bind-address", "address"]) else {
        // 127.0.0.1 unless told otherwise.
        return match apiserver.unread.first() {
            Some(unread) => verdict.unknown(unread.clone()),
            None => verdict.pass(),
        };
    };
    let loopback = value.value.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback || port == "0" || is_bound(host, apiserver, port) == Some(false) {
        return verdict.pass();
    }
    let sure = apiserver.version.is_some() || is_bound(host, apiserver, port) == Some(true);
    let mut draft = Draft::new();
    for answer in host.probes.apiservers.iter().filter(|answer| answer.version.is_ok()) {
        let url = Url::parse(&answer.endpoint).filter(|url| url.scheme == "http" && !url.is_loopback());
        if url.is_some_and(|url| url.port_or_default().to_string() == port) {
            let origin = Origin::answer(format!("{}/version", answer.endpoint));
            draft = draft.evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, "told without credentials"));
        }
    }
    verdict.fail(
        draft
            .subject(port)
            .value("address", &value.value)
            .value("port", port)
            .value("flag", flag)
            .maybe_value("file", file_of(value))
            .confidence(if sure { Confidence::High } else { Confidence::Medium })
            .at(&host.name, &value.origin, "whoever reaches this address is cluster administrator"),
    );
}

/// Whether a running apiserver listens on the port beyond loopback; none when its sockets are not known.
fn is_bound(host: &Host, apiserver: &Component, port: &str) -> Option<bool> {
    apiserver.pid?;
    let listeners = host.network.as_ref().ok()?.listeners.as_ref().ok()?;
    let mut own = listeners
        .iter()
        .filter(|listener| {
            listener.process.as_ref().is_some_and(|process| {
                process.name.starts_with("kube-apiserver")
                    || process.name.starts_with("hyperkube")
                    || process.name == "apiserver"
            })
        })
        .peekable();
    own.peek()?;
    Some(own.any(|listener| listener.port.to_string() == port && !listener.address.is_loopback()))
}
