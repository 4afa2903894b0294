//! network-mtu-mismatch between hosts: a packet of one node's tunnel does not fit into the interface of another. What one
//! host's own interfaces say is the card's condition.

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
        judge_plugin(host, network, verdict);
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

/// What the CNI configuration gives pods against what the host's own interface carries. No plug-in adds less than nothing.
fn judge_plugin(host: &Host, network: &Network, verdict: &mut Verdict) {
    let Ok(configs) = &host.runtimes.cni else { return };
    let below = main_address(network).and_then(|address| network.interface_of(address));
    let Some((below, carries)) = below.and_then(|below| Some((below, below.mtu?))) else { return };
    // The runtime takes the first by name.
    let Some(mtu) = configs.iter().find(|config| config.problem.is_none()).and_then(|config| config.mtu.as_ref())
    else {
        return;
    };
    if mtu.value <= carries {
        return verdict.pass();
    }
    verdict.fail(
        Draft::new()
            .subject(format!("CNI of {}", host.name))
            .message("plugin")
            .value("on", &host.name)
            .value("mtu", mtu.value)
            .value("below", &below.name)
            .value("carries", carries)
            .maybe_value("file", mtu.origin.path())
            .hosts([host.name.as_str()])
            .at(&host.name, &mtu.origin, format!("{} of {} carries {carries}", below.name, host.name)),
    );
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
