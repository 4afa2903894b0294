//! etcd-address-not-local: a listen URL whose address no interface owns.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind, split_items};
use crate::facts::log::LogHit;
use crate::facts::network::Network;
use crate::origin::Sourced;
use crate::rules::edit;
use crate::rules::support::{
    Url, addresses_in_words, binds_nonlocal, file_of, in_url, main_address, main_address_like, owners, starting_layers,
    unit_to_restart,
};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-address-not-local", judge: Judge::Host(judge), refine: Some(refine) };

const LISTEN_FLAGS: [&str; 3] = ["listen-peer-urls", "listen-client-urls", "listen-metrics-urls"];

/// A flag of one layer that has such an address.
struct Use<'a> {
    flag: &'static str,
    layer: &'a Layer,
    /// The whole value, with the URL that is at fault.
    value: &'a Sourced<String>,
    item: Sourced<String>,
    url: Url,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    // One address in several flags is one fault.
    let mut foreign: BTreeMap<IpAddr, Vec<Use<'_>>> = BTreeMap::new();
    let mut given = false;
    for layer in starting_layers(host, etcd) {
        for flag in LISTEN_FLAGS {
            let Some(value) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
            given = true;
            for item in split_items(value) {
                // A host name is another condition's business (etcd-listen-url-hostname).
                let Some(url) = Url::parse(&item.value) else { continue };
                let Some(address) = url.address() else { continue };
                if address.is_unspecified() {
                    verdict.pass();
                    continue;
                }
                let Some(network) = verdict.known(&host.network) else { continue };
                if network.owns(address) || binds_nonlocal(host, address) {
                    verdict.pass();
                    continue;
                }
                foreign.entry(address).or_default().push(Use { flag, layer, value, item, url });
            }
        }
    }
    // Where a flag may stand in a file that could not be read, its default is no answer.
    if !given && let Some(unread) = etcd.unread.first() {
        verdict.unknown(unread.clone());
    }
    for (address, uses) in &foreign {
        if let Ok(network) = &host.network {
            verdict.fail(draft(context, host, etcd, network, *address, uses));
        }
    }
}

fn draft(
    context: &Context<'_>,
    host: &Host,
    etcd: &Component,
    network: &Network,
    address: IpAddr,
    uses: &[Use<'_>],
) -> Draft {
    let own = own_address(etcd, network, address);
    let owner = owners(context.cluster, address).next();
    let label = match owner {
        Some(owner) => format!("no interface has it; {} does", owner.name),
        None => "no interface has it".to_owned(),
    };
    let mut draft = Draft::new()
        .subject(address.to_string())
        .value("address", address)
        .maybe_value("own_address", own)
        .note(addresses_in_words(&host.name, network));
    for used in uses {
        draft = draft.at(&host.name, &narrowed(&used.item, &used.url.host), label.as_str());
    }
    if let Some(first) = uses.first() {
        draft = draft
            .value("flag", first.flag)
            .value("old_url", &first.item.value)
            .maybe_value("port", first.url.port)
            .maybe_value("file", file_of(&first.item))
            .maybe_value("unit", unit_to_restart(host, etcd, first.layer))
            .value("restart", unit_to_restart(host, etcd, first.layer).unwrap_or("etcd"));
        if first.layer.kind == LayerKind::Manifest {
            draft = draft.maybe_value("manifest", first.layer.origin.path());
        }
    }
    let Some(own) = own else { return draft };
    let texts = (address.to_string(), own.to_string());
    let edits: Option<Vec<edit::Edit>> = uses
        .iter()
        .map(|used| {
            let new = mended(&used.value.value, address, own);
            edit::edit(host, &used.value.origin, (&used.value.value, &new), (&texts.0, &texts.1))
        })
        .collect();
    // Half of the flags mended is none.
    let Some(edits) = edits else { return draft };
    if let Some(shared) = edits.iter().find(|edit| edit.shared) {
        draft = draft
            .value("variable_in", &shared.file)
            .note(format!("the address is a variable's: what else uses it of {} changes with it", shared.file));
    }
    draft.maybe_value("edit", edit::command(&edits))
}

/// The list with the host's own address in the place of the other, and nothing twice.
fn mended(value: &str, address: IpAddr, own: IpAddr) -> String {
    let mut urls: Vec<String> = Vec::new();
    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let url = match Url::parse(text) {
            Some(url) if url.address() == Some(address) => {
                let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
                let new = format!("{}://{}{port}", url.scheme, in_url(own));
                // What takes these connections already needs no second listener, which could not even bind.
                if value.split(',').any(|other| covers(other.trim(), &new)) {
                    continue;
                }
                new
            }
            _ => text.to_owned(),
        };
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls.join(",")
}

/// Whether a listen URL takes the other's connections already: all addresses on the same port.
fn covers(url: &str, other: &str) -> bool {
    let (Some(url), Some(other)) = (Url::parse(url), Url::parse(other)) else { return false };
    url.port == other.port && url.address().is_some_and(|address| address.is_unspecified())
}

/// An address of the host to listen on instead, of the same family where there is one: what etcd advertises comes first.
fn own_address(etcd: &Component, network: &Network, instead_of: IpAddr) -> Option<IpAddr> {
    let used: Vec<IpAddr> =
        ["initial-advertise-peer-urls", "advertise-client-urls", "listen-client-urls", "listen-peer-urls"]
            .into_iter()
            .flat_map(|flag| etcd.flag_items(flag))
            .filter_map(|item| Url::parse(&item.value)?.address())
            .filter(|address| !address.is_loopback() && !address.is_unspecified() && network.owns(*address))
            .collect();
    let of_family = |address: &&IpAddr| address.is_ipv4() == instead_of.is_ipv4();
    used.iter()
        .find(of_family)
        .copied()
        .or_else(|| main_address_like(network, instead_of))
        .or_else(|| used.first().copied())
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
        .and_then(|etcd| own_address(etcd, network, address))
        .or_else(|| main_address(network));
    values.extend(own.map(|own| ("own_address", own.to_string())));
    Refined::Keep(values)
}
