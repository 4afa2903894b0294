//! etcd-advertise-loopback: a member of several tells others to reach it at loopback, or at no address at all.

use super::settings::{UrlItem, is_proxy, located, members, others, urls};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Unknown;
use crate::report::Severity;
use crate::rules::support::{Url, in_url, main_address};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-advertise-loopback", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    if is_proxy(etcd) {
        return;
    }
    let total = members(etcd).len();
    let named_by_others = others(context.cluster, host).any(|(_, other)| {
        let name = etcd.flag("name").map(|name| name.value.as_str());
        let members = members(other);
        members.len() > 1 && name.is_some_and(|name| members.contains_key(name))
    });
    if total <= 1 && !named_by_others {
        if total == 0
            && let Some(unread) = etcd.unread.first()
        {
            verdict.unknown(Unknown::new("etcd's members", unread.to_string()));
        }
        return;
    }
    let advertised = urls(etcd, "initial-advertise-peer-urls");
    judge_urls(host, etcd, "initial-advertise-peer-urls", &advertised, verdict);
    judge_urls(host, etcd, "advertise-client-urls", &urls(etcd, "advertise-client-urls"), verdict);
    let own = etcd.flag_or_default("name");
    let own_entries: Vec<UrlItem> = urls(etcd, "initial-cluster")
        .into_iter()
        .filter(|item| own.as_ref().is_some_and(|own| item.named.as_ref() == Some(&own.value)))
        .collect();
    // etcd wants both to say the same: one mistake, and one edit mends it in both.
    let is_said = own_entries.iter().all(|entry| advertised.iter().any(|item| item.url == entry.url));
    if !is_said || !advertised.iter().all(|item| leads_nowhere(&item.url)) {
        judge_urls(host, etcd, "initial-cluster", &own_entries, verdict);
    }
}

fn leads_nowhere(url: &Url) -> bool {
    url.is_loopback() || url.address().is_some_and(|address| address.is_unspecified())
}

/// One address that others can reach is enough.
fn judge_urls(host: &Host, etcd: &Component, flag: &str, urls: &[UrlItem], verdict: &mut Verdict) {
    let Some(first) = urls.first() else { return };
    if !urls.iter().all(|url| leads_nowhere(&url.url)) {
        return verdict.pass();
    }
    let draft = Draft::new().subject(flag).value("url", &first.text).value("address", &first.url.host);
    let mut draft = located(draft, etcd, flag, &first.item).at(
        &host.name,
        &first.item.origin,
        "others reach themselves there, not this member",
    );
    if flag == "advertise-client-urls" {
        // Only clients that ask the members for their URLs are misled.
        draft = draft.message("clients").severity(Severity::Warning);
    } else if etcd.pid.is_some() {
        draft = draft.severity(Severity::Warning);
    }
    if let Some(own) = host.network.as_ref().ok().and_then(main_address) {
        let port = first.url.port.map(|port| format!(":{port}")).unwrap_or_default();
        draft = draft.value("new_url", format!("{}://{}{port}", first.url.scheme, in_url(own)));
    }
    verdict.fail(draft);
}
