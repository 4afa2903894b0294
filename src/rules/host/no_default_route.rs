//! host-no-default-route: kube-apiserver picks the address it advertises by the default route, and there is none.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::network::Network;
use crate::origin::{Origin, Unknown};
use crate::report::Severity;
use crate::rules::support::{addresses_in_words, is_container_interface, main_address, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "host-no-default-route", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let apiserver = host.component(ComponentName::KubeApiserver);
    let kubeadm_names_an_address = host.kubernetes.kubeadm_configuration.iter().any(|document| {
        ["localAPIEndpoint.advertiseAddress", "controlPlane.localAPIEndpoint.advertiseAddress", "api.advertiseAddress"]
            .iter()
            .any(|path| {
                document.get(path).is_some_and(|address| address.value != "0.0.0.0" && !address.value.is_empty())
            })
    });
    if apiserver.is_none() && (!context.preflight || kubeadm_names_an_address) {
        return;
    }
    if apiserver.is_some_and(chooses_no_address) {
        return verdict.pass();
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

/// An address given by flag needs no route to be found: kube-apiserver looks for one only when neither is given (a
/// loopback or unspecified bind address counts as not given).
fn chooses_no_address(apiserver: &Component) -> bool {
    let specific = |flag: &str| {
        apiserver
            .flag(flag)
            .and_then(|value| value.value.parse::<IpAddr>().ok())
            .is_some_and(|address| !address.is_unspecified() && !address.is_loopback())
    };
    specific("advertise-address") || specific("bind-address")
}

fn draft(host: &Host, apiserver: Option<&Component>, network: &Network) -> Draft {
    let mut draft = Draft::new()
        .at(&host.name, &Origin::file("/proc/net/route", None), "no default route (destination 00000000)")
        .note(addresses_in_words(&host.name, network));
    if let Some(address) = main_address(network) {
        let interface = network
            .interfaces
            .iter()
            .find(|interface| interface.addresses.iter().any(|net| net.addr() == address))
            .filter(|interface| !is_container_interface(&interface.name));
        draft = draft
            .value("address", address)
            .maybe_value("interface", interface.map(|interface| &interface.name))
            .maybe_value("gateway", gateway(host, network, address));
    }
    if let Some(apiserver) = apiserver
        && let Some(layer) = apiserver.layers.first()
    {
        draft = draft
            .at(&host.name, &layer.origin, "neither --advertise-address nor a specific --bind-address is given here")
            .maybe_value("manifest", layer.origin.path())
            .maybe_value("unit", unit_of(layer));
    }
    if apiserver.is_none() {
        draft = draft.severity(Severity::Warning);
    }
    draft
}

/// A likely gateway: one that another route goes through, or the name server in the same network.
fn gateway(host: &Host, network: &Network, address: IpAddr) -> Option<IpAddr> {
    let net = network.addresses().find(|(_, net)| net.addr() == address)?.1;
    let inside = |candidate: &IpAddr| net.contains(candidate) && *candidate != address;
    let nameservers = host.names.resolv_conf.iter().flat_map(|conf| conf.nameservers.iter().map(|server| server.value));
    nameservers.into_iter().find(inside)
}
