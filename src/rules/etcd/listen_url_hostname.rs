//! etcd-listen-url-hostname: a listen URL with a name, or with nothing, where etcd takes an address only.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, split_items};
use crate::origin::Sourced;
use crate::rules::support::{Url, configured_layers, file_of, in_url, main_address, resolve, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-listen-url-hostname", judge: Judge::Host(judge), refine: None };

const LISTEN_FLAGS: [&str; 4] =
    ["listen-peer-urls", "listen-client-urls", "listen-metrics-urls", "listen-client-http-urls"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    for layer in configured_layers(etcd) {
        for flag in LISTEN_FLAGS {
            let Some(value) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
            for item in split_items(value) {
                judge_url(host, etcd, layer, flag, &item, verdict);
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

fn judge_url(host: &Host, etcd: &Component, layer: &Layer, flag: &str, item: &Sourced<String>, verdict: &mut Verdict) {
    let Some((scheme, rest)) = item.value.split_once("://") else { return };
    if !matches!(scheme, "http" | "https") {
        return;
    }
    let name = Url::parse(&item.value).map(|url| url.host);
    let is_empty = rest.starts_with(':') || rest.is_empty();
    let is_name = name.as_ref().is_some_and(|name| name.parse::<std::net::IpAddr>().is_err() && name != "localhost");
    // etcd before 3.2 looked names up; one that runs with this very value is such a one.
    let runs_with_it = etcd.pid.is_some() && etcd.flag(flag).is_some_and(|value| value.value.contains(&item.value));
    if !(is_empty || is_name) || runs_with_it || etcd.is_at_least(3, 2) == Some(false) {
        return verdict.pass();
    }
    let port = rest.rsplit_once(':').and_then(|(_, port)| port.trim_end_matches('/').parse::<u16>().ok());
    let known = name.as_ref().map(|name| resolve(host, name)).unwrap_or_default();
    let own = known
        .into_iter()
        .find(|address| host.network.as_ref().is_ok_and(|network| network.owns(*address)))
        .or_else(|| host.network.as_ref().ok().and_then(main_address));
    let mut draft = Draft::new()
        .subject(item.value.as_str())
        .value("flag", flag)
        .value("old_url", &item.value)
        .maybe_value("name", name.as_ref().filter(|_| is_name))
        .maybe_value("file", file_of(item))
        .maybe_value("unit", unit_of(layer))
        .at(&host.name, &item.origin, if is_empty { "no address before the port" } else { "a name, not an address" });
    if let Some(own) = own {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        draft = draft.value("new_url", format!("{scheme}://{}{port}", in_url(own)));
    }
    verdict.fail(if is_empty { draft.message("empty") } else { draft });
}
