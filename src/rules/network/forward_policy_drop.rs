//! forward-policy-drop: the packet filter certainly drops what pods send to other hosts, or what others send to them.

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::firewall::{Backend, Chain, Hook, Packet, Rule};
use crate::facts::network::{Interface, Network};
use crate::rules::support::{is_node, main_address};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "forward-policy-drop", judge: Judge::Host(judge), refine: None };

/// Bridges that pods are on. What calico, cilium and others do with packets of theirs is not said by these rules alone.
const BRIDGES: [&str; 4] = ["cni0", "cbr0", "weave", "kube-bridge"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !is_node(host) {
        return;
    }
    let Ok(network) = &host.network else { return };
    let Some((bridge, pods)) = pods(host, network) else { return };
    let firewall = match &host.firewall {
        // What is set up at boot says nothing of what docker and the network add-on put beside it.
        Ok(firewall) if !firewall.at_boot => firewall,
        Ok(_) => return,
        Err(unknown) => return verdict.unknown(unknown.clone()),
    };
    let inside = [bridge.name.clone()];
    let outside: Vec<String> = ways_out(network);
    let outward = Packet { comes_in: &inside, goes_out: &outside, source: Some(pods), ..Packet::default() };
    let inward = Packet { comes_in: &outside, goes_out: &inside, destination: Some(pods), ..Packet::default() };
    let mut dropped = None;
    for chain in firewall.at(Hook::Forward).filter(|chain| chain.family != "ip6" && is_iptables(chain)) {
        for (packet, way) in [(&outward, "from"), (&inward, "to")] {
            let (fate, rule) = firewall.fate(chain, packet);
            if fate.dropped && !fate.accepted {
                dropped = dropped.or(Some((chain, rule, way)));
            }
        }
    }
    match dropped {
        None => verdict.pass(),
        Some((chain, rule, way)) => verdict.fail(draft(host, chain, rule, way, bridge, pods)),
    }
}

/// The bridge of the pods of this host, and their network there.
fn pods<'a>(host: &Host, network: &'a Network) -> Option<(&'a Interface, IpNet)> {
    let net = |interface: &'a Interface| {
        interface.addresses.iter().find(|net| net.addr().is_ipv4()).map(|net| (interface, net.trunc()))
    };
    let bridge = network.interfaces.iter().filter(|one| BRIDGES.contains(&one.name.as_str())).find_map(net);
    bridge.or_else(|| {
        // Without CNI flannel's network of the host is docker's bridge.
        let subnet = host.runtimes.flannel_subnet.as_ref().ok()?.as_ref()?.get("FLANNEL_NETWORK")?;
        let range: IpNet = subnet.value.parse().ok()?;
        let docker = network.interfaces.iter().find(|one| one.name == "docker0").and_then(net)?;
        range.contains(&docker.1).then_some(docker)
    })
}

/// Interfaces by which packets of pods leave the host: the one of its own address, and tunnels.
fn ways_out(network: &Network) -> Vec<String> {
    let own = main_address(network).and_then(|address| network.interface_of(address)).map(|one| one.name.clone());
    let tunnels = network.interfaces.iter().map(|one| one.name.clone()).filter(|name| name.starts_with("flannel"));
    own.into_iter().chain(tunnels).filter(|name| !name.is_empty()).collect()
}

/// iptables' own chains: what firewalld or nftables' own tables do is another rule's.
fn is_iptables(chain: &Chain) -> bool {
    chain.table == "filter" && chain.name == "FORWARD"
}

fn draft(host: &Host, chain: &Chain, rule: Option<&Rule>, way: &str, bridge: &Interface, pods: IpNet) -> Draft {
    let by_rule = rule.filter(|_| !chain.drops);
    let (origin, label) = match by_rule {
        Some(rule) => (&rule.origin, format!("drops what no rule before it accepts: {}", rule.text)),
        None => (&chain.origin, format!("drops what no rule accepts, packets {way} {pods} ({}) among it", bridge.name)),
    };
    let command = if chain.backend == Backend::Legacy { "iptables-legacy" } else { "iptables" };
    Draft::new()
        .subject("FORWARD")
        .message(if by_rule.is_some() { "rule" } else { "policy" })
        .value("pods", pods)
        .value("bridge", &bridge.name)
        .value("iptables", command)
        .maybe_value("rule", by_rule.map(|rule| &rule.text))
        .at(&host.name, origin, label)
}
