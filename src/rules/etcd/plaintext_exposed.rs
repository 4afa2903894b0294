//! etcd-plaintext-exposed: whoever reaches the host reads and writes the whole cluster's data.

use super::settings::{located, urls};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-plaintext-exposed", judge: Judge::Host(judge), refine: None };

/// The listening flag and the flags each of which makes etcd verify certificates there.
const SIDES: [(&str, &str, [&str; 3]); 2] = [
    ("listen-client-urls", "clients", ["client-cert-auth", "trusted-ca-file", "ca-file"]),
    ("listen-peer-urls", "peers", ["peer-client-cert-auth", "peer-trusted-ca-file", "peer-ca-file"]),
];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    judge_answers(host, verdict);
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    for (flag, side, verifying) in SIDES {
        for item in urls(etcd, flag) {
            if item.url.is_loopback() || !matches!(item.url.scheme.as_str(), "http" | "https") {
                verdict.pass();
                continue;
            }
            let draft = Draft::new()
                .subject(format!("{flag}={}", item.text))
                .value("url", &item.text)
                .value("side", side)
                .value("address", &item.url.host);
            let draft = located(draft, etcd, flag, &item.item);
            if item.url.scheme == "http" {
                verdict.fail(draft.at(&host.name, &item.item.origin, "without TLS, and not only for this host"));
            } else if verifies(etcd, &verifying) {
                verdict.pass();
            } else if let Some(unread) = etcd.unread.first() {
                verdict.unknown(unread.clone());
            } else {
                let label = format!("asks its {side} for no certificate");
                verdict.fail(draft.message("unverified").at(&host.name, &item.item.origin, label));
            }
        }
    }
    if verdict.passes == 0
        && verdict.drafts.is_empty()
        && let Some(unread) = etcd.unread.first()
    {
        verdict.unknown(unread.clone());
    }
}

/// Who gave its list of members to a request without TLS, over an address that is not only this host's.
fn judge_answers(host: &Host, verdict: &mut Verdict) {
    for answer in host.probes.etcd.iter().filter(|answer| answer.members.is_ok()) {
        let Some(url) = Url::parse(&answer.endpoint).filter(|url| url.scheme == "http" && !url.is_loopback()) else {
            continue;
        };
        // The same fault as that of the member's own flag, where that is given.
        let own = host.component(ComponentName::Etcd).map(|etcd| urls(etcd, "listen-client-urls")).unwrap_or_default();
        let own = own.into_iter().find(|item| {
            let port = item.url.port_or_default() == url.port_or_default();
            let address =
                item.url.address().is_some_and(|address| address.is_unspecified()) || item.url.host == url.host;
            let is_here =
                url.address().is_some_and(|address| host.network.as_ref().is_ok_and(|network| network.owns(address)));
            port && address && is_here && !item.url.is_loopback()
        });
        let subject = own.map_or_else(|| answer.endpoint.clone(), |item| format!("listen-client-urls={}", item.text));
        verdict.fail(
            Draft::new()
                .subject(subject)
                .message("answers")
                .value("url", &answer.endpoint)
                .value("side", "clients")
                .value("address", &url.host)
                .evidence(Evidence::new(
                    EvidenceKind::Probe,
                    &host.name,
                    Origin::answer(format!("the members of {}", answer.endpoint)),
                    "told without TLS, to nobody in particular",
                )),
        );
    }
}

fn verifies(etcd: &Component, flags: &[&str; 3]) -> bool {
    let [auth, files @ ..] = flags;
    etcd.flag_bool(auth) == Some(true)
        || files.iter().any(|file| etcd.flag(file).is_some_and(|path| !path.value.is_empty()))
}
