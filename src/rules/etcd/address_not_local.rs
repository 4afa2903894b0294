//! etcd-address-not-local: a listen URL whose address no interface owns.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, split_items};
use crate::facts::log::LogHit;
use crate::facts::network::Network;
use crate::origin::Sourced;
use crate::rules::support::{Url, addresses_in_words, configured_layers, file_of, in_url, main_address, unit_of};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-address-not-local", judge: Judge::Host(judge), refine: Some(refine) };

const LISTEN_FLAGS: [&str; 3] = ["listen-peer-urls", "listen-client-urls", "listen-metrics-urls"];

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
}

fn judge_url(host: &Host, etcd: &Component, layer: &Layer, flag: &str, item: &Sourced<String>, verdict: &mut Verdict) {
    // A host name is another condition's business (etcd-listen-url-hostname).
    let Some(url) = Url::parse(&item.value) else { return };
    let Some(address) = url.address() else { return };
    let Some(network) = verdict.known(&host.network) else { return };
    if network.owns(address) || nonlocal_bind(host, address) {
        return verdict.pass();
    }
    let own = own_address(host, etcd, network);
    let mut draft = Draft::new()
        .subject(address.to_string())
        .value("address", address)
        .value("flag", flag)
        .value("old_url", &item.value)
        .maybe_value("own_address", own)
        .maybe_value("port", url.port)
        .maybe_value("file", file_of(item))
        .maybe_value("unit", unit_of(layer))
        .at(&host.name, &narrowed(item, &url.host), "no interface has it")
        .note(addresses_in_words(&host.name, network));
    if let Some(own) = own {
        let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
        draft = draft.value("new_url", format!("{}://{}{port}", url.scheme, in_url(own)));
    }
    verdict.fail(draft);
}

/// The kernel lets any address be bound when this sysctl says so; load balancers set it for a VIP that may come.
fn nonlocal_bind(host: &Host, address: IpAddr) -> bool {
    let key = if address.is_ipv4() { "net.ipv4.ip_nonlocal_bind" } else { "net.ipv6.ip_nonlocal_bind" };
    matches!(host.sysctls.get(key), Some(Ok(value)) if value == "1")
}

/// An address of the host to listen on instead: one that etcd advertises or its certificate was made for comes first.
fn own_address(_host: &Host, etcd: &Component, network: &Network) -> Option<IpAddr> {
    ["initial-advertise-peer-urls", "advertise-client-urls", "listen-client-urls", "listen-peer-urls"]
        .into_iter()
        .flat_map(|flag| etcd.flag_items(flag))
        .filter_map(|item| Url::parse(&item.value)?.address())
        .find(|address| !address.is_loopback() && !address.is_unspecified() && network.owns(*address))
        .or_else(|| main_address(network))
}

/// The origin narrowed from the whole URL to the address in it.
fn narrowed(item: &Sourced<String>, host: &str) -> crate::origin::Origin {
    let mut origin = item.origin.clone();
    if let crate::origin::Place::File { span: Some(span), .. } = &mut origin.place
        && span.end - span.start == item.value.len()
        && let Some(from) = item.value.find(host)
    {
        *span = span.part(from, from + host.len());
    }
    origin
}

fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let address = hit.captures.get("address").map(|text| text.trim_matches(['[', ']']));
    let Some(address) = address.and_then(|text| text.parse::<IpAddr>().ok()) else { return Refined::Keep(Vec::new()) };
    let Ok(network) = &host.network else { return Refined::Keep(Vec::new()) };
    if network.owns(address) {
        return Refined::Drop;
    }
    let own = host
        .component(ComponentName::Etcd)
        .and_then(|etcd| own_address(host, etcd, network))
        .or_else(|| main_address(network));
    Refined::Keep(own.map(|own| ("own_address", own.to_string())).into_iter().collect())
}
