//! etcd-address-not-local: a listen URL whose address no interface owns.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind, split_items};
use crate::facts::log::LogHit;
use crate::facts::network::Network;
use crate::origin::Sourced;
use crate::rules::edit;
use crate::rules::support::{
    Url, addresses_in_words, binds_nonlocal, file_of, in_url, main_address, owners, starting_layers, unit_to_restart,
};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-address-not-local", judge: Judge::Host(judge), refine: Some(refine) };

const LISTEN_FLAGS: [&str; 3] = ["listen-peer-urls", "listen-client-urls", "listen-metrics-urls"];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    let mut given = false;
    for layer in starting_layers(host, etcd) {
        for flag in LISTEN_FLAGS {
            let Some(value) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
            given = true;
            let items = split_items(value);
            for item in &items {
                judge_url(context, host, etcd, layer, flag, item, &items, verdict);
            }
        }
    }
    // Where a flag may stand in a file that could not be read, its default is no answer.
    if !given && let Some(unread) = etcd.unread.first() {
        verdict.unknown(unread.clone());
    }
}

#[expect(clippy::too_many_arguments, reason = "all of them are where the URL stands")]
fn judge_url(
    context: &Context<'_>,
    host: &Host,
    etcd: &Component,
    layer: &Layer,
    flag: &str,
    item: &Sourced<String>,
    items: &[Sourced<String>],
    verdict: &mut Verdict,
) {
    // A host name is another condition's business (etcd-listen-url-hostname).
    let Some(url) = Url::parse(&item.value) else { return };
    let Some(address) = url.address() else { return };
    if address.is_unspecified() {
        return verdict.pass();
    }
    let Some(network) = verdict.known(&host.network) else { return };
    if network.owns(address) || binds_nonlocal(host, address) {
        return verdict.pass();
    }
    let own = own_address(etcd, network);
    let owner = owners(context.cluster, address).next();
    let label = match owner {
        Some(owner) => format!("no interface has it; {} does", owner.name),
        None => "no interface has it".to_owned(),
    };
    let mut draft = Draft::new()
        .subject(address.to_string())
        .value("address", address)
        .value("flag", flag)
        .value("old_url", &item.value)
        .maybe_value("own_address", own)
        .maybe_value("port", url.port)
        .maybe_value("file", file_of(item))
        .maybe_value("unit", unit_to_restart(host, etcd, layer))
        .at(&host.name, &narrowed(item, &url.host), label)
        .note(addresses_in_words(&host.name, network));
    if layer.kind == LayerKind::Manifest {
        draft = draft.maybe_value("manifest", layer.origin.path());
    }
    if let Some(own) = own {
        let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
        let new_url = format!("{}://{}{port}", url.scheme, in_url(own));
        draft = with_edit(draft.value("new_url", &new_url), host, item, items, &new_url, (address, own));
    }
    verdict.fail(draft);
}

/// Adds the command that replaces the URL, or takes it out where the list has the host's own already.
fn with_edit(
    draft: Draft,
    host: &Host,
    item: &Sourced<String>,
    items: &[Sourced<String>],
    new_url: &str,
    (address, own): (IpAddr, IpAddr),
) -> Draft {
    let is_there = items.iter().any(|other| other.value == new_url || covers(&other.value, new_url));
    let piece = (address.to_string(), own.to_string());
    let piece = (piece.0.as_str(), piece.1.as_str());
    let found = if is_there {
        // The items share one text; the comma goes with the item.
        let at = items.iter().position(|other| other.origin == item.origin && other.value == item.value).unwrap_or(0);
        let neighbour = if at > 0 { items.get(at - 1) } else { items.get(1) };
        neighbour.and_then(|neighbour| {
            let both = if at > 0 {
                format!("{},{}", neighbour.value, item.value)
            } else {
                format!("{},{}", item.value, neighbour.value)
            };
            let mut origin = if at > 0 { neighbour.origin.clone() } else { item.origin.clone() };
            if let crate::origin::Place::File { span: Some(span), .. } = &mut origin.place {
                span.end = span.end.max(span.start + both.len());
            }
            edit::edit(host, &origin, (&both, &neighbour.value), ("", ""))
        })
    } else {
        edit::edit(host, &item.origin, (&item.value, new_url), piece)
    };
    let Some(found) = found else { return draft };
    let draft =
        draft.value("edited_file", &found.file).maybe_value("edit", edit::command(std::slice::from_ref(&found)));
    if found.shared {
        return draft.note(format!("what else uses this variable of {} changes with it", found.file));
    }
    draft
}

/// Whether a listen URL takes the other's connections already: all addresses on the same port.
fn covers(url: &str, other: &str) -> bool {
    let (Some(url), Some(other)) = (Url::parse(url), Url::parse(other)) else { return false };
    url.port == other.port && url.address().is_some_and(|address| address.is_unspecified())
}

/// An address of the host to listen on instead: one that etcd advertises comes first.
fn own_address(etcd: &Component, network: &Network) -> Option<IpAddr> {
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
    // Without brackets, as configuration's evidence of the same address has it.
    let mut values = vec![("address", address.to_string())];
    let Ok(network) = &host.network else { return Refined::Keep(values) };
    if network.owns(address) {
        return Refined::Drop;
    }
    let own = host
        .component(ComponentName::Etcd)
        .and_then(|etcd| own_address(etcd, network))
        .or_else(|| main_address(network));
    values.extend(own.map(|own| ("own_address", own.to_string())));
    Refined::Keep(values)
}
