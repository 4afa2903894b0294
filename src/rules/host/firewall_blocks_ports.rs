//! host-firewall-blocks-ports: the packet filter certainly rejects what other hosts of the cluster send to a component.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::firewall::{Chain, Firewall, Hook, Packet, Rule};
use crate::facts::topology::secure_port;
use crate::origin::{Origin, Unknown};
use crate::rules::support::{in_words, main_address, main_address_like};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector {
    id: "host-firewall-blocks-ports",
    judge: Judge::Both(judge, super::firewall_seen_outside::judge),
    refine: Some(super::firewall_seen_outside::refine),
};

/// Other hosts whose addresses are tried.
const OTHERS: usize = 16;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let dialled = ports(host);
    if dialled.is_empty() || !has_others(context, host) {
        return;
    }
    let Ok(network) = &host.network else { return };
    let (firewalls, unknown) = firewalls(host);
    let Some(own) = main_address(network) else { return };
    let Some(interface) = network.interface_of(own).map(|interface| interface.name.as_str()) else { return };
    let others: Vec<(&str, IpAddr)> = context
        .cluster
        .hosts
        .iter()
        .filter(|other| other.name != host.name)
        .filter_map(|other| Some((other.name.as_str(), main_address_like(other.network.as_ref().ok()?, own)?)))
        .take(OTHERS)
        .collect();
    let comes_in: Vec<String> = Some(interface.to_owned()).into_iter().filter(|name| !name.is_empty()).collect();
    let zone = host.firewalld.as_ref().ok().and_then(Option::as_ref).map(|firewalld| firewalld.zone_of(interface));
    let mut closed = Vec::new();
    let mut is_open = false;
    for (component, port) in dialled {
        let packet = |source: Option<IpAddr>| Packet {
            comes_in: &comes_in,
            goes_out: &[],
            source: source.map(IpNet::from),
            destination: Some(IpNet::from(own)),
            protocol: "tcp",
            port: Some(port),
        };
        // From anywhere at all, else from one of the hosts that are known.
        let blocked = firewalls.iter().find_map(|firewall| {
            let anybody = blocks(firewall, &packet(None)).map(|found| (found, None));
            let (found, from) = anybody.or_else(|| {
                others.iter().find_map(|(name, address)| {
                    blocks(firewall, &packet(Some(*address))).map(|found| (found, Some((*name, *address))))
                })
            })?;
            Some(Closed { component, port, firewall, chain: found.0, rule: found.1, from })
        });
        match blocked {
            Some(found) => closed.push(found),
            None => is_open = true,
        }
    }
    match unknown {
        Some(unknown) if is_open => verdict.unknown(unknown.clone()),
        None if is_open => verdict.pass(),
        _ => {}
    }
    let is_to_be = |found: &Closed<'_>| found.component.pid.is_none() && found.from.is_none();
    let (planned, running): (Vec<_>, Vec<_>) = closed.into_iter().partition(is_to_be);
    running.iter().for_each(|found| verdict.fail(found.draft(host, zone)));
    if let Some(draft) = together(host, &planned, zone) {
        verdict.fail(draft);
    }
}

/// The tables to be judged: those of the kernel, and what firewalld's files say where those do not show it. And why the
/// kernel's are not known, if so.
fn firewalls(host: &Host) -> (Vec<&Firewall>, Option<&Unknown>) {
    let firewalld = host.firewalld.as_ref().ok().and_then(Option::as_ref).map(|firewalld| &firewalld.rules);
    match &host.firewall {
        Ok(firewall) if firewall.is_firewalld() => (vec![firewall], None),
        // That firewalld runs and its files cannot be read leaves the question open.
        Ok(firewall) => {
            let unknown = host.firewalld.as_ref().err().filter(|_| !firewall.at_boot);
            (Some(firewall).into_iter().chain(firewalld).collect(), unknown)
        }
        // Of a tree what is set up at boot stands for what was not taken, as other services' rules do.
        Err(unknown) => {
            let stands = firewalld.is_some() && !host.of_live_host;
            let unknown = host.firewalld.as_ref().err().unwrap_or(unknown);
            (firewalld.into_iter().collect(), Some(unknown).filter(|_| !stands))
        }
    }
}

/// A port that is not let in.
struct Closed<'a> {
    component: &'a Component,
    port: u16,
    firewall: &'a Firewall,
    chain: &'a Chain,
    rule: Option<&'a Rule>,
    /// None for everybody.
    from: Option<(&'a str, IpAddr)>,
}

impl Closed<'_> {
    fn at(&self) -> (&Origin, String) {
        let Closed { port, chain, rule, .. } = self;
        match rule {
            Some(rule) if !chain.drops => {
                (&rule.origin, format!("no rule before it accepts port {port}: {}", rule.text))
            }
            _ => (&chain.origin, format!("{} of {} drops port {port}: no rule accepts it", chain.name, chain.table)),
        }
    }

    /// `filter INPUT`, `firewalld's zone public`.
    fn place(&self, zone: Option<&str>) -> String {
        match zone.filter(|_| self.firewall.at_boot && self.firewall.is_firewalld()) {
            Some(zone) => format!("firewalld's zone {zone}"),
            None => format!("{} {}", self.chain.table, self.chain.name),
        }
    }

    fn draft(&self, host: &Host, zone: Option<&str>) -> Draft {
        let (origin, label) = self.at();
        let has_firewalld = self.firewall.is_firewalld();
        let draft = Draft::new()
            .subject(self.port.to_string())
            .message(if self.from.is_some() { "from" } else { "anybody" })
            .value("port", self.port)
            .value("program", self.component.name.name())
            .value("chain", self.place(zone))
            .maybe_value("firewalld", has_firewalld.then_some("true"))
            .maybe_value("closed_zone", zone.filter(|_| has_firewalld))
            .value("add", format!("--add-port={}/tcp", self.port))
            .at(&host.name, origin, label);
        match self.from {
            Some((name, address)) => draft.value("other", name).value("address", address),
            None => draft,
        }
    }
}

/// Ports of what is about to be set up, as one finding: one command opens them all.
fn together(host: &Host, closed: &[Closed<'_>], zone: Option<&str>) -> Option<Draft> {
    let first = closed.first()?;
    if closed.len() == 1 {
        return Some(first.draft(host, zone));
    }
    let named: Vec<String> =
        closed.iter().map(|found| format!("{} ({})", found.port, found.component.name.name())).collect();
    let add: Vec<String> = closed.iter().map(|found| format!("--add-port={}/tcp", found.port)).collect();
    let ports: Vec<String> = closed.iter().map(|found| found.port.to_string()).collect();
    let (origin, _) = first.at();
    let label = first.rule.map_or_else(|| "no rule accepts them".to_owned(), |rule| rule.text.clone());
    let has_firewalld = first.firewall.is_firewalld();
    Some(
        Draft::new()
            .message("several")
            .value("ports", in_words(&named))
            .value("port", ports.join(","))
            .value("several", "true")
            .value("program", first.component.name.name())
            .value("chain", first.place(zone))
            .maybe_value("firewalld", has_firewalld.then_some("true"))
            .maybe_value("closed_zone", zone.filter(|_| has_firewalld))
            .value("add", add.join(" "))
            .at(&host.name, origin, label),
    )
}

/// The base chain that certainly drops the packet, and the last rule that may.
fn blocks<'a>(firewall: &'a Firewall, packet: &Packet<'_>) -> Option<(&'a Chain, Option<&'a Rule>)> {
    firewall.at(Hook::Input).filter(|chain| chain.family != "ip6").find_map(|chain| {
        let (fate, rule) = firewall.fate(chain, packet);
        (fate.dropped && !fate.accepted).then_some((chain, rule))
    })
}

/// Ports that other hosts dial, of components that run here or are about to be set up.
fn ports(host: &Host) -> Vec<(&Component, u16)> {
    let is_planned = |component: &Component| component.layers.iter().any(|layer| layer.kind == LayerKind::Planned);
    let present =
        |name| host.component(name).filter(|component: &&Component| component.pid.is_some() || is_planned(component));
    let mut ports = Vec::new();
    if let Some(apiserver) = present(ComponentName::KubeApiserver) {
        ports.push((apiserver, secure_port(apiserver)));
    }
    if let Some(kubelet) = present(ComponentName::Kubelet) {
        let port = kubelet.flag("port").map_or(Some(10_250), |port| port.value.trim().parse().ok());
        ports.extend(port.filter(|port| *port > 0).map(|port| (kubelet, port)));
    }
    // Who gives the cluster an endpoint of its own means to have several masters.
    let is_for_several = host.kubernetes.kubeadm_plan().is_some_and(|plan| plan.endpoint().is_some());
    if let Some(etcd) = present(ComponentName::Etcd).filter(|etcd| etcd.is_planned()) {
        ports.extend([2379, 2380].into_iter().filter(|_| is_for_several).map(|port| (etcd, port)));
    } else if let Some(etcd) = present(ComponentName::Etcd) {
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
    // A cluster that is to be is joined by others.
    host.kubernetes.kubeadm_plan().is_some()
        || context.cluster.hosts.len() > 1
        || nodes.max_by_key(|nodes| nodes.len()).is_some_and(|nodes| nodes.len() > 1)
        || members.is_some_and(|members| members.value.contains(','))
        || host.component(ComponentName::KubeApiserver).is_none()
}
