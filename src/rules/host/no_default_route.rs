//! host-no-default-route: kube-apiserver picks the address it advertises by the default route, and there is none.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::network::{Interface, Network};
use crate::origin::{Origin, Unknown};
use crate::report::Severity;
use crate::rules::edit;
use crate::rules::support::{
    addresses_in_words, is_container_interface, main_address, starting_layers, unit_to_restart,
};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "host-no-default-route", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if let Some(draft) = cut_off(host) {
        return verdict.fail(draft);
    }
    let apiserver = host.component(ComponentName::KubeApiserver);
    let kubeadm_names_an_address = host.kubernetes.kubeadm_configuration.iter().any(|document| {
        ["localAPIEndpoint.advertiseAddress", "controlPlane.localAPIEndpoint.advertiseAddress", "api.advertiseAddress"]
            .iter()
            .any(|path| {
                document.get(path).is_some_and(|address| address.value != "0.0.0.0" && !address.value.is_empty())
            })
    });
    if apiserver.is_none() && (!context.is_preflight() || kubeadm_names_an_address) {
        return;
    }
    if apiserver.is_some_and(|apiserver| is_given_an_address(host, apiserver)) {
        return verdict.pass();
    }
    if let Some(unread) = apiserver.and_then(|apiserver| apiserver.unread.first()) {
        return verdict.unknown(unread.clone());
    }
    let Some(network) = verdict.known(&host.network) else { return };
    let (v4, v6) = (&network.routes_v4, &network.routes_v6);
    if v4.iter().chain(v6).flatten().any(|route| route.is_default()) {
        return verdict.pass();
    }
    // IPv6 switched off leaves no ipv6_route file, which is no reason to know less of IPv4.
    if let Err(unknown) = v4 {
        return verdict.unknown(Unknown::new("default route", unknown.why.clone()));
    }
    verdict.fail(draft(host, apiserver, network));
}

/// A node, or a load balancer, all of whose ways out are gone with an interface that is down.
fn cut_off(host: &Host) -> Option<Draft> {
    let network = host.network.as_ref().ok()?;
    let is_of_cluster = host.components.iter().any(|component| component.pid.is_some())
        || host.component(ComponentName::Kubelet).is_some();
    let has_way_out = network.routes_v4.as_ref().ok()?.iter().chain(network.routes_v6.iter().flatten()).any(|route| {
        route.usable
            && route.interface != "lo"
            && !is_container_interface(&route.interface)
            && !is_of_link_alone(route.destination.addr())
    });
    let is_own = |interface: &&Interface| interface.name != "lo" && !is_container_interface(&interface.name);
    let mut down = network.interfaces.iter().filter(is_own).filter(|one| one.up == Some(false) && !one.name.is_empty());
    let (interface, None) = (down.next()?, down.next()) else { return None };
    let is_up = |one: &Interface| one.up == Some(true) && !one.addresses.iter().all(|net| is_of_link_alone(net.addr()));
    if !is_of_cluster || has_way_out || network.interfaces.iter().filter(is_own).any(is_up) {
        return None;
    }
    let origin = Origin::file(format!("/sys/class/net/{}/flags", interface.name), None);
    Some(
        Draft::new()
            .message("interface_down")
            .value("down", &interface.name)
            .at(&host.name, &origin, "not up (IFF_UP is not set)")
            .note(addresses_in_words(&host.name, network)),
    )
}

fn is_of_link_alone(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_loopback() || address.is_multicast(),
    }
}

/// An address given by flag needs no route to be found: kube-apiserver looks for one only when neither is given (a
/// loopback or unspecified bind address counts as not given). What the next start reads counts: a process that found a
/// route once needs none any more.
fn is_given_an_address(host: &Host, apiserver: &Component) -> bool {
    let specific = |layer: &Layer, flag: &str| {
        let value = layer.flags.get(flag).and_then(|values| values.last());
        value
            .and_then(|value| value.value.parse::<IpAddr>().ok())
            .is_some_and(|address| !address.is_unspecified() && !address.is_loopback())
    };
    let layers = starting_layers(host, apiserver);
    !layers.is_empty()
        && layers.into_iter().all(|layer| specific(layer, "advertise-address") || specific(layer, "bind-address"))
}

fn draft(host: &Host, apiserver: Option<&Component>, network: &Network) -> Draft {
    // Beside the table that the addresses were read from: /proc/net, or /proc/1/net of an archive.
    let directory = network.origin.path().and_then(|path| path.rsplit_once('/')).map_or("/proc/net", |(path, _)| path);
    let mut draft = Draft::new()
        .at(&host.name, &Origin::file(format!("{directory}/route"), None), "no default route (destination 00000000)")
        .note(addresses_in_words(&host.name, network));
    let rejecting = network.routes_v4.iter().flatten().find(|route| route.destination.prefix_len() == 0);
    if let Some(route) = rejecting {
        draft = draft.at(&host.name, &route.origin, "this default route leads nowhere");
    }
    if let Some(address) = main_address(network) {
        let interface =
            network.interface_of(address).filter(|interface| !interface.name.is_empty()).map(|known| &known.name);
        draft = draft
            .value("address", address)
            .maybe_value("interface", interface)
            .maybe_value("gateway", gateway(network, address));
    }
    if let Some(apiserver) = apiserver {
        for layer in starting_layers(host, apiserver) {
            draft = draft
                .at(
                    &host.name,
                    &layer.origin,
                    "neither --advertise-address nor a specific --bind-address is given here",
                )
                .maybe_value("unit", unit_to_restart(host, apiserver, layer));
            if layer.kind == LayerKind::Manifest {
                draft = draft.maybe_value("manifest", layer.origin.path());
            }
            if let Some(address) = main_address(network) {
                draft = draft.maybe_value("edit", edit_to_advertise(host, layer, address));
            }
        }
    } else {
        draft = draft.severity(Severity::Warning);
    }
    draft
}

/// The command that gives kube-apiserver the address: in the place of one that counts as none, else as a flag before the
/// first.
fn edit_to_advertise(host: &Host, layer: &Layer, address: IpAddr) -> Option<String> {
    let new = address.to_string();
    if let Some(value) = layer.flags.get("advertise-address").and_then(|values| values.last()) {
        let pair = (value.value.as_str(), new.as_str());
        return edit::command(&[edit::edit(host, &value.origin, pair, pair)?]);
    }
    // What stands in a variable may be other components' as well.
    let first = layer.spelt.iter().find(|flag| flag.origin.via.is_none())?;
    let flag = format!("--advertise-address={address}");
    if layer.kind == LayerKind::Manifest {
        return edit::item_before(host, &first.origin, &flag);
    }
    edit::command(&[edit::edit(host, &first.origin, (&first.value, &format!("{flag} {}", first.value)), ("", ""))?])
}

/// A router of the address' own network that another route goes through: most likely it leads elsewhere too.
fn gateway(network: &Network, address: IpAddr) -> Option<IpAddr> {
    let net = network.addresses().find(|(_, net)| net.addr() == address)?.1;
    let routes = network.routes_v4.iter().chain(&network.routes_v6).flatten();
    routes.filter_map(|route| route.gateway).find(|gateway| net.contains(gateway) && *gateway != address)
}
