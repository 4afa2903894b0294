//! host-firewall-blocks-ports: the packet filter certainly rejects what other hosts of the cluster send to a component.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::{Component, ComponentName};
use crate::facts::firewall::{Chain, Firewall, Hook, Packet, Rule};
use crate::facts::topology::secure_port;
use crate::rules::support::{main_address, main_address_like};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector {
    id: "host-firewall-blocks-ports",
    judge: Judge::Both(judge, super::firewall_seen_outside::judge),
    refine: Some(super::firewall_seen_outside::refine),
};

/// Other hosts whose addresses are tried.
const OTHERS: usize = 16;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let ports = ports(host);
    if ports.is_empty() || !has_others(context, host) {
        return;
    }
    let Ok(network) = &host.network else { return };
    let firewall = match &host.firewall {
        Ok(firewall) => firewall,
        Err(unknown) => return verdict.unknown(unknown.clone()),
    };
    let Some(own) = main_address(network) else { return };
    let Some(interface) = network.interface_of(own).map(|interface| interface.name.clone()) else { return };
    let others: Vec<(&str, IpAddr)> = context
        .cluster
        .hosts
        .iter()
        .filter(|other| other.name != host.name)
        .filter_map(|other| Some((other.name.as_str(), main_address_like(other.network.as_ref().ok()?, own)?)))
        .take(OTHERS)
        .collect();
    let comes_in: Vec<String> = Some(interface).into_iter().filter(|name| !name.is_empty()).collect();
    for (component, port) in ports {
        let packet = |source: Option<IpAddr>| Packet {
            comes_in: &comes_in,
            goes_out: &[],
            source: source.map(IpNet::from),
            destination: Some(IpNet::from(own)),
            protocol: "tcp",
            port: Some(port),
        };
        // From anywhere at all, else from one of the hosts that are known.
        let blocked = blocks(firewall, &packet(None)).map(|found| (found, None)).or_else(|| {
            others.iter().find_map(|(name, address)| {
                blocks(firewall, &packet(Some(*address))).map(|found| (found, Some((*name, *address))))
            })
        });
        let Some(((chain, rule), from)) = blocked else {
            verdict.pass();
            continue;
        };
        let (origin, label) = match rule {
            Some(rule) if !chain.drops => {
                (&rule.origin, format!("no rule before it accepts port {port}: {}", rule.text))
            }
            _ => (&chain.origin, format!("{} of {} drops port {port}: no rule accepts it", chain.name, chain.table)),
        };
        let has_firewalld = firewall.chains.iter().any(|chain| chain.table == "firewalld");
        let draft = Draft::new()
            .subject(port.to_string())
            .message(if from.is_some() { "from" } else { "anybody" })
            .value("port", port)
            .value("program", component.name.name())
            .value("chain", format!("{} {}", chain.table, chain.name))
            .maybe_value("firewalld", has_firewalld.then_some("true"))
            .at(&host.name, origin, label);
        verdict.fail(match from {
            Some((name, address)) => draft.value("other", name).value("address", address),
            None => draft,
        });
    }
}

/// The base chain that certainly drops the packet, and the last rule that may.
fn blocks<'a>(firewall: &'a Firewall, packet: &Packet<'_>) -> Option<(&'a Chain, Option<&'a Rule>)> {
    firewall.at(Hook::Input).filter(|chain| chain.family != "ip6").find_map(|chain| {
        let (fate, rule) = firewall.fate(chain, packet);
        (fate.dropped && !fate.accepted).then_some((chain, rule))
    })
}

/// Ports that other hosts dial, of components that run here.
fn ports(host: &Host) -> Vec<(&Component, u16)> {
    let running = |name| host.component(name).filter(|component| component.pid.is_some());
    let mut ports = Vec::new();
    if let Some(kubelet) = running(ComponentName::Kubelet) {
        let port = kubelet.flag("port").map_or(Some(10_250), |port| port.value.trim().parse().ok());
        ports.extend(port.filter(|port| *port > 0).map(|port| (kubelet, port)));
    }
    if let Some(apiserver) = running(ComponentName::KubeApiserver) {
        ports.push((apiserver, secure_port(apiserver)));
    }
    if let Some(etcd) = running(ComponentName::Etcd) {
        // Only its peers need to reach it.
        let members = etcd.flag("initial-cluster").map_or(1, |members| members.value.split(',').count());
        let urls = etcd.flag_items("listen-peer-urls");
        let mut urls = urls.iter().filter_map(|url| Url::parse(&url.value)).filter(|url| !url.is_loopback());
        ports.extend(urls.next().filter(|_| members > 1).map(|url| (etcd, url.port.unwrap_or(2380))));
    }
    ports
}

/// Whether the host has a cluster to talk to: a node by itself may well be closed to everybody.
fn has_others(context: &Context<'_>, host: &Host) -> bool {
    let nodes = host.probes.apiservers.iter().filter_map(|answer| answer.cluster.as_ref()?.nodes.as_ref().ok());
    let members = host.component(ComponentName::Etcd).and_then(|etcd| etcd.flag("initial-cluster"));
    context.cluster.hosts.len() > 1
        || nodes.max_by_key(|nodes| nodes.len()).is_some_and(|nodes| nodes.len() > 1)
        || members.is_some_and(|members| members.value.contains(','))
        || host.component(ComponentName::KubeApiserver).is_none()
}
