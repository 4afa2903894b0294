//! lb-is-single: several masters behind one load balancer that nothing stands in for.

use super::frontends::{before_apiservers, dialled_as_apiserver, masters, virtual_addresses};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::ComponentName;
use crate::facts::load_balancer::Keepalived;
use crate::facts::{Cluster, Host};
use crate::origin::Unknown;
use crate::report::Severity;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "lb-is-single", judge: Judge::Cluster(judge), refine: None };

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let cluster = context.cluster;
    let masters = masters(cluster);
    if masters.len() < 2 {
        return;
    }
    let names: Vec<String> = masters.iter().map(|master| master.host.name.clone()).collect();
    for host in &cluster.hosts {
        let balanced = before_apiservers(cluster, host);
        let Some(first) = balanced.first() else { continue };
        let ports: Vec<u16> = balanced.iter().flat_map(|balanced| balanced.ports()).collect();
        let keepalived = match &host.load_balancers.keepalived {
            Ok(keepalived) => keepalived.as_ref().filter(|keepalived| !keepalived.instances.is_empty()),
            Err(unknown) => {
                verdict.unknown(unknown.clone());
                continue;
            }
        };
        let draft = |balancer: &str| {
            Draft::new()
                .subject(host.name.clone())
                .hosts([host.name.clone()])
                .value("on", &host.name)
                .value("balancer", balancer)
                .value("masters", in_words(&names))
                .note(format!("masters: {}", in_words(&names)))
        };
        if let Some(keepalived) = keepalived {
            match partner(cluster, host, keepalived) {
                Partner::Given => verdict.pass(),
                Partner::NotGiven(why) => {
                    verdict.unknown(Unknown::new(format!("who stands in for {}", host.name), why))
                }
                Partner::None(peer) => {
                    let Some(instance) = keepalived.instances.first() else { continue };
                    let addresses: Vec<String> = virtual_addresses(host).iter().map(ToString::to_string).collect();
                    verdict.fail(
                        draft("keepalived")
                            .message("peer_without")
                            .value("address", in_words(&addresses))
                            .value("peer", &peer)
                            .value("file", &keepalived.path)
                            .at(
                                &host.name,
                                &instance.origin,
                                format!("{peer} has no keepalived that would take it over"),
                            ),
                    );
                }
            }
            continue;
        }
        // A proxy on each node before the masters, and one that a name or a virtual address of others leads to, is not alone.
        let also = cluster.hosts.iter().filter(|other| !before_apiservers(cluster, other).is_empty()).count();
        let runs_master = host.component(ComponentName::KubeApiserver).is_some();
        if also > 1 || runs_master || !dialled_from_elsewhere(cluster, host, &ports) {
            verdict.pass();
            continue;
        }
        let Some(listen) = first.listen.first() else { continue };
        // Whether that matters is the operator's to decide: it may be a machine that is moved when it dies.
        verdict.fail(draft(first.balancer).severity(Severity::Info).value("file", first.path).at(
            &host.name,
            &listen.origin,
            "every node dials it here",
        ));
    }
}

fn dialled_from_elsewhere(cluster: &Cluster, host: &Host, ports: &[u16]) -> bool {
    dialled_as_apiserver(cluster, host, ports)
        && cluster.hosts.iter().any(|other| other.name != host.name && !other.kubernetes.kubeconfigs.is_empty())
}

enum Partner {
    Given,
    NotGiven(&'static str),
    /// The peer that the configuration names, without a keepalived of its own.
    None(String),
}

/// Whether another host may take over the virtual addresses of this one.
fn partner(cluster: &Cluster, host: &Host, keepalived: &Keepalived) -> Partner {
    let own = virtual_addresses(host);
    let shares = |other: &Host| virtual_addresses(other).iter().any(|address| own.contains(address));
    let others = cluster.hosts.iter().filter(|other| other.name != host.name);
    if others.clone().any(shares) {
        return Partner::Given;
    }
    let peers: Vec<std::net::IpAddr> = keepalived
        .instances
        .iter()
        .flat_map(|instance| &instance.unicast_peers)
        .filter_map(|peer| peer.value.parse().ok())
        .collect();
    if peers.is_empty() {
        return Partner::NotGiven(
            "no other given host has its virtual address, and it may have a partner by multicast",
        );
    }
    let owner = |peer: &std::net::IpAddr| {
        others.clone().find(|other| other.network.as_ref().is_ok_and(|network| network.interface_of(*peer).is_some()))
    };
    let found: Vec<Option<&Host>> = peers.iter().map(owner).collect();
    if found.iter().any(Option::is_none) {
        return Partner::NotGiven("the peer that its configuration names was not given");
    }
    let has_none = |peer: &&Host| matches!(peer.load_balancers.keepalived, Ok(None));
    if let Some(peer) = found.iter().flatten().next()
        && found.iter().flatten().all(has_none)
    {
        return Partner::None(peer.name.clone());
    }
    Partner::NotGiven("the configuration of keepalived on its peer is not known or of other addresses")
}
