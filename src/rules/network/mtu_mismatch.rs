//! network-mtu-mismatch between hosts: a packet of one node's tunnel does not fit into the interface of another. What one
//! host's own interfaces say is the card's condition.

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::network::{Interface, Network};
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::main_address;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "network-mtu-mismatch", judge: Judge::Cluster(judge), refine: None };

/// Tunnels and the bytes that they put before a packet (IPv4).
const TUNNELS: [(&str, u32); 3] = [("flannel.1", 50), ("vxlan.calico", 50), ("tunl0", 20)];

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let nodes: Vec<(&Host, &Network)> = context
        .cluster
        .hosts
        .iter()
        .filter(|host| host.component(ComponentName::Kubelet).is_some())
        .filter_map(|host| Some((host, verdict.known(&host.network)?)))
        .collect();
    for (host, network) in &nodes {
        judge_bridge(host, network, verdict);
    }
    judge_networks(&nodes, verdict);
    for (host, network) in &nodes {
        for (name, overhead) in TUNNELS {
            let Some(tunnel) = in_use(network, name) else { continue };
            let Some(mtu) = tunnel.mtu else { continue };
            for (other, its) in nodes.iter().filter(|(other, _)| other.name != host.name) {
                // One that takes no part in the tunnel gets none of its packets.
                if in_use(its, name).is_none() {
                    continue;
                }
                let below = main_address(its).and_then(|address| its.interface_of(address));
                let Some((below, carries)) = below.and_then(|below| Some((below, below.mtu?))) else { continue };
                // The other way round, and what one host says of itself, is the condition's business.
                if mtu.saturating_add(overhead) <= carries {
                    verdict.pass();
                    continue;
                }
                verdict.fail(draft((host, tunnel, mtu), overhead, (other, below, carries)));
            }
        }
    }
}

/// The bridge of the pods, or the CNI configuration that will make it, sends packets larger than the interface by which the
/// node reaches the others carries, and no tunnel in between takes them apart.
fn judge_bridge(host: &Host, network: &Network, verdict: &mut Verdict) {
    let Some(main) = main_address(network).and_then(|address| network.interface_of(address)) else { return };
    let Some(carries) = main.mtu.filter(|_| !is_bridge(&main.name)) else { return };
    let config = host.runtimes.cni.iter().flatten().next();
    let configured = config.and_then(|config| {
        let mtu = config.mtu.as_ref()?;
        Some((mtu.value, mtu.origin.clone(), config.path.as_str()))
    });
    let bridge = network.interfaces.iter().find(|interface| is_bridge(&interface.name));
    let found = bridge.and_then(|bridge| {
        let path = format!("/sys/class/net/{}/mtu", bridge.name);
        Some((bridge.mtu?, Origin::file(path, None), bridge.name.as_str()))
    });
    let Some((mtu, origin, name)) = [configured, found].into_iter().flatten().max_by_key(|(mtu, ..)| *mtu) else {
        return;
    };
    if mtu <= carries {
        return verdict.pass();
    }
    verdict.fail(
        Draft::new()
            .subject(name)
            .message("bridge")
            .value("interface", name)
            .value("mtu", mtu)
            .value("below", &main.name)
            .value("carries", carries)
            .value("on", &host.name)
            .maybe_value("file", name.starts_with('/').then_some(name))
            .hosts([host.name.clone()])
            .at(&host.name, &origin, format!("{mtu}, and {} carries {carries}", main.name)),
    );
}

/// Nodes of one network whose interfaces there carry less than those of the others: what these send them is lost.
fn judge_networks(nodes: &[(&Host, &Network)], verdict: &mut Verdict) {
    let mains: Vec<(&Host, &Interface, u32, IpNet)> = nodes
        .iter()
        .filter_map(|(host, network)| {
            let address = main_address(network)?;
            let interface = network.interface_of(address).filter(|interface| !is_bridge(&interface.name))?;
            let net = interface.addresses.iter().find(|net| net.addr() == address)?.trunc();
            (net.prefix_len() < 32).then_some((*host, interface, interface.mtu?, net))
        })
        .collect();
    for (host, interface, mtu, net) in &mains {
        let others: Vec<_> = mains.iter().filter(|(other, _, _, its)| its == net && other.name != host.name).collect();
        // Two of one size and a smaller one: the smaller is the odd one. Of two nodes it is not known which.
        let larger = others.iter().filter(|(_, _, its, _)| its > mtu).count();
        if others.len() < 2 || larger < others.len() {
            continue;
        }
        let Some((other, below, carries, _)) = others.first() else { continue };
        let evidence = |host: &Host, interface: &Interface, mtu: u32| {
            let origin = Origin::file(format!("/sys/class/net/{}/mtu", interface.name), None);
            Evidence::new(EvidenceKind::Cluster, &host.name, origin, format!("{mtu} on {}", host.name))
        };
        verdict.fail(
            Draft::new()
                .subject(format!("{} of {}", interface.name, host.name))
                .message("odd")
                .value("interface", &interface.name)
                .value("mtu", mtu)
                .value("on", &host.name)
                .value("network", net)
                .value("other_mtu", carries)
                .hosts([host.name.clone()])
                .evidence(evidence(host, interface, *mtu))
                .evidence(evidence(other, below, *carries)),
        );
    }
}

/// The bridges that the pods of a node are on.
fn is_bridge(name: &str) -> bool {
    matches!(name, "cni0" | "cbr0")
}

fn in_use<'a>(network: &'a Network, name: &str) -> Option<&'a Interface> {
    // /proc/net does not say whose a tunnel's single address is; that routes lead into it does as well.
    let is_routed = network.routes_v4.iter().flatten().any(|route| route.interface == name);
    network.interfaces.iter().find(|interface| {
        interface.name == name && interface.up != Some(false) && (is_routed || !interface.addresses.is_empty())
    })
}

fn draft(
    (host, tunnel, mtu): (&Host, &Interface, u32),
    overhead: u32,
    (other, below, carries): (&Host, &Interface, u32),
) -> Draft {
    let evidence = |host: &Host, interface: &Interface, label: String| {
        let origin = Origin::file(format!("/sys/class/net/{}/mtu", interface.name), None);
        Evidence::new(EvidenceKind::Cluster, &host.name, origin, label)
    };
    Draft::new()
        .subject(format!("{} of {}", tunnel.name, host.name))
        .message("between")
        .value("interface", &tunnel.name)
        .value("mtu", mtu)
        .value("overhead", overhead)
        .value("on", &host.name)
        .value("other_on", &other.name)
        .value("other_interface", &below.name)
        .value("other_mtu", carries)
        .value("right_mtu", carries.saturating_sub(overhead))
        .hosts([host.name.clone(), other.name.clone()])
        .evidence(evidence(host, tunnel, format!("{mtu}, and {overhead} bytes before each packet")))
        .evidence(evidence(other, below, format!("{} of {} takes {carries}", below.name, other.name)))
}
