//! apiserver-address-not-local: kube-apiserver binds an address that the host does not have, or advertises another host's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::log::LogHit;
use crate::facts::network::Network;
use crate::facts::{Cluster, Host};
use crate::origin::{Sourced, Unknown};
use crate::rules::edit;
use crate::rules::support::{
    Url, addresses_in_words, binds_nonlocal, file_of, in_url, is_virtual, main_address, main_address_like, owners,
    starting_layers, unit_to_restart,
};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-address-not-local", judge: Judge::Host(judge), refine: Some(refine) };

/// `address` is the insecure port's address by its first name.
const BIND_FLAGS: [&str; 3] = ["bind-address", "insecure-bind-address", "address"];
const ADVERTISE_FLAG: &str = "advertise-address";

/// A flag with an address that is not the host's.
struct Foreign<'a> {
    flag: &'static str,
    value: &'a Sourced<String>,
    layer: &'a Layer,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    // One address copied from another host stands in several flags: that is one fault.
    let mut foreign: BTreeMap<IpAddr, Vec<Foreign<'_>>> = BTreeMap::new();
    let mut given = false;
    for layer in starting_layers(host, apiserver) {
        for flag in BIND_FLAGS.into_iter().chain([ADVERTISE_FLAG]) {
            let Some(value) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
            let Ok(address) = value.value.parse::<IpAddr>() else { continue };
            given = true;
            if is_insecure(flag) && !serves_insecurely(layer) {
                continue;
            }
            if address.is_unspecified() {
                verdict.pass();
                continue;
            }
            let Some(network) = verdict.known(&host.network) else { continue };
            let may_bind = flag != ADVERTISE_FLAG && binds_nonlocal(host, address);
            let meant = flag == ADVERTISE_FLAG && is_meant(context.cluster, host, address);
            if network.owns(address) || may_bind || meant {
                verdict.pass();
            } else if flag == ADVERTISE_FLAG
                // What kubeadm is about to set up listens on it, etcd too.
                && layer.kind != LayerKind::Planned
                && !is_another_hosts(context.cluster, host, address)
            {
                verdict.unknown(Unknown::new(
                    format!("--advertise-address={address}"),
                    "no host that was given has it: it may be translated on the way, virtual, or another master's",
                ));
            } else {
                foreign.entry(address).or_default().push(Foreign { flag, value, layer });
            }
        }
    }
    if !given && let Some(unread) = apiserver.unread.first() {
        verdict.unknown(unread.clone());
    }
    for (address, flags) in foreign {
        if let Ok(network) = &host.network {
            verdict.fail(draft(context, host, apiserver, network, address, &flags));
        }
    }
}

fn is_insecure(flag: &str) -> bool {
    matches!(flag, "insecure-bind-address" | "address")
}

/// Whether the port without TLS is on, as far as the layer says: 0 switches it off, and then nothing is bound.
fn serves_insecurely(layer: &Layer) -> bool {
    ["insecure-port", "port"]
        .iter()
        .find_map(|flag| layer.flags.get(*flag)?.last())
        .is_none_or(|port| port.value.trim() != "0")
}

/// Whether an address that the host does not have is advertised on purpose: a virtual one, one that clients dial and no
/// given host has, one that the host's certificate was made for without being another host's.
fn is_meant(cluster: &Cluster, host: &Host, address: IpAddr) -> bool {
    if is_virtual(cluster, address) {
        return true;
    }
    if is_another_hosts(cluster, host, address) {
        return false;
    }
    cluster.hosts.iter().flat_map(|client| &client.kubernetes.kubeconfigs).any(|kubeconfig| {
        kubeconfig.clusters.iter().filter_map(|cluster| cluster.server.as_ref()).any(|server| {
            Url::parse(&server.value).and_then(|url| url.address()).is_some_and(|dialled| dialled == address)
        })
    })
}

/// Whether a given host has the address, or etcd's configuration names it as another member's.
fn is_another_hosts(cluster: &Cluster, host: &Host, address: IpAddr) -> bool {
    if owners(cluster, address).any(|owner| owner.name != host.name) {
        return true;
    }
    let Ok(network) = &host.network else { return false };
    let members: Vec<IpAddr> = host
        .components
        .iter()
        .flat_map(|component| match component.name {
            ComponentName::Etcd => component.flag_items("initial-cluster"),
            ComponentName::KubeApiserver => component.flag_items("etcd-servers"),
            _ => Vec::new(),
        })
        .filter_map(|item| {
            let url = item.value.split_once('=').map_or(item.value.as_str(), |(_, url)| url);
            Url::parse(url)?.address()
        })
        .collect();
    // Only where the host's own address is in the list too are the others' addresses of the same kind.
    members.contains(&address) && members.iter().any(|member| !member.is_loopback() && network.owns(*member))
}

fn draft(
    context: &Context<'_>,
    host: &Host,
    apiserver: &Component,
    network: &Network,
    address: IpAddr,
    flags: &[Foreign<'_>],
) -> Draft {
    let owner = owners(context.cluster, address).next();
    let own = own_address(apiserver, network, address);
    let mut draft = Draft::new()
        .subject(address.to_string())
        .value("address", address)
        .maybe_value("own_address", own)
        .maybe_value("own_host", own.map(in_url))
        .maybe_value("owner", owner.map(|owner| &owner.name))
        .value("port", crate::facts::topology::secure_port(apiserver))
        .note(addresses_in_words(&host.name, network));
    let label = match owner {
        Some(owner) => format!("{} has it", owner.name),
        None => "no interface has it".to_owned(),
    };
    let mut edits = Vec::new();
    for foreign in flags {
        draft = draft.at(&host.name, &foreign.value.origin, label.as_str());
        if let Some(own) = own {
            let (old, new) = (address.to_string(), own.to_string());
            let pair = (old.as_str(), new.as_str());
            edits.extend(edit::edit(host, &foreign.value.origin, (&foreign.value.value, &new), pair));
        }
    }
    if let Some(first) = flags.first() {
        draft = draft
            .value("flag", first.flag)
            .maybe_value("file", file_of(first.value))
            .maybe_value("unit", unit_to_restart(host, apiserver, first.layer));
        if first.layer.kind == LayerKind::Manifest {
            draft = draft.maybe_value("manifest", first.layer.origin.path());
        }
    }
    // Half of the flags mended is none.
    if edits.len() == flags.len() {
        draft = draft.maybe_value("edit", edit::command(&edits));
        if let Some(shared) = edits.iter().find(|edit| edit.shared) {
            draft = draft
                .value("variable_in", &shared.file)
                .note(format!("the address is a variable's: what else uses it of {} changes with it", shared.file));
        }
    }
    if flags.iter().all(|foreign| foreign.flag == ADVERTISE_FLAG) {
        let message = if owner.is_some() { "advertises_other" } else { "advertises_unknown" };
        draft = draft.message(message);
    }
    draft
}

/// The address to give instead: what the other flag has, when it is the host's, else the host's main one of that family.
fn own_address(apiserver: &Component, network: &Network, instead_of: IpAddr) -> Option<IpAddr> {
    [ADVERTISE_FLAG, "bind-address"]
        .into_iter()
        .filter_map(|flag| apiserver.flag(flag)?.value.parse::<IpAddr>().ok())
        .filter(|address| address.is_ipv4() == instead_of.is_ipv4())
        .find(|address| !address.is_loopback() && !address.is_unspecified() && network.owns(*address))
        .or_else(|| main_address_like(network, instead_of))
        .or_else(|| main_address(network))
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
    values.extend(main_address(network).map(|own| ("own_address", own.to_string())));
    Refined::Keep(values)
}
