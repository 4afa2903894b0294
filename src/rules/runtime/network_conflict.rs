//! docker-network-conflict: the network of docker's bridge is one that the host reaches by another interface.

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::network::Route;
use crate::origin::{Origin, Sourced};
use crate::rules::support::{starting_layers, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "docker-network-conflict", judge: Judge::Host(judge), refine: None };

/// What docker's bridge has when nothing says otherwise and it is free.
const BRIDGE: &str = "docker0";
const DEFAULT_UNIT: &str = "docker.service";

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(docker) = host.component(ComponentName::Dockerd) else { return };
    let layers = starting_layers(host, docker);
    let flag = layers.iter().find_map(|layer| layer.flags.get("bip")?.last());
    let unit = layers.iter().find_map(|layer| unit_of(layer)).unwrap_or(DEFAULT_UNIT);
    let Some(daemon) = verdict.known(&host.runtimes.docker_daemon) else { return };
    let bip = flag.or_else(|| daemon.as_ref()?.get("bip"));
    let configured = bip.and_then(|bip| Some((bip.value.parse::<IpNet>().ok()?, &bip.origin)));
    let Some(network) = verdict.known(&host.network) else { return };
    let bridge = network.interfaces.iter().find(|interface| interface.name == BRIDGE);
    let running = bridge.and_then(|bridge| bridge.addresses.iter().find(|net| net.addr().is_ipv4()));
    let place = Origin::file(format!("/sys/class/net/{BRIDGE}"), None);
    let nets: Vec<(IpNet, &Origin)> =
        configured.into_iter().chain(running.map(|net| (*net, &place)).filter(|_| configured.is_none())).collect();
    if nets.is_empty() {
        return;
    }
    let Some(routes) = verdict.known(&network.routes_v4) else { return };
    for (net, origin) in nets {
        let conflict = routes.iter().find(|route| conflicts(route, net));
        match conflict {
            None => verdict.pass(),
            Some(route) => verdict.fail(draft(host, net, origin, route, bip, unit)),
        }
    }
}

/// A route of another interface within docker's range. One around it loses to docker's own, which most hosts live with.
fn conflicts(route: &Route, net: IpNet) -> bool {
    net.contains(&route.destination) && !is_pod_network(&route.interface)
}

fn is_pod_network(interface: &str) -> bool {
    interface == BRIDGE
        || ["flannel", "cni", "cali", "tunl", "vxlan", "weave", "cilium", "lxc", "veth"]
            .iter()
            .any(|prefix| interface.starts_with(prefix))
}

fn draft(host: &Host, net: IpNet, origin: &Origin, route: &Route, bip: Option<&Sourced<String>>, unit: &str) -> Draft {
    Draft::new()
        .subject(net.trunc().to_string())
        .message("route")
        .value("net", net.trunc())
        .value("destination", route.destination)
        .value("interface", &route.interface)
        .value("unit", unit)
        .maybe_value("file", bip.and_then(|bip| bip.origin.path()))
        .at(&host.name, origin, format!("docker's bridge has {}", net.trunc()))
        .at(&host.name, &route.origin, format!("{} is reached by {}", route.destination, route.interface))
}
