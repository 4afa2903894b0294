//! lb-vip-absent: keepalived's virtual address is on no host, or on two; or a proxy is to bind an address that its host
//! does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::frontends::{addresses_of, before_apiservers, listen_address, unit_of};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::ComponentName;
use crate::facts::load_balancer::VrrpInstance;
use crate::facts::probe::ConnectOutcome;
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{Url, addresses_in_words, in_words, is_running, main_address, owners};
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "lb-vip-absent", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    // An address that several hosts may take is judged once, for all of them together.
    if context.cluster.hosts.first().is_some_and(|first| std::ptr::eq(first, host)) {
        for (address, holders) in configured(context.cluster) {
            judge_virtual(context.cluster, address, &holders, verdict);
        }
        judge_dialled(context.cluster, verdict);
        if let Some(intended) = host.expected.virtual_ip {
            judge_intended(context.cluster, intended, verdict);
        }
    }
    judge_interfaces(host, verdict);
    judge_binds(context.cluster, host, verdict);
}

/// keepalived ends, or keeps silent, where an instance is told an interface that the host does not have.
fn judge_interfaces(host: &Host, verdict: &mut Verdict) {
    let Ok(Some(keepalived)) = &host.load_balancers.keepalived else { return };
    let network = match &host.network {
        Ok(network) => network,
        Err(unknown) if keepalived.instances.iter().any(|instance| instance.interface.is_some()) => {
            return verdict.unknown(unknown.clone());
        }
        Err(_) => return,
    };
    // Where lo is not listed the list is none of interfaces.
    let names: Vec<&str> = network.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    if !names.contains(&"lo") {
        return;
    }
    for instance in &keepalived.instances {
        let Some(interface) = &instance.interface else { continue };
        // `eth0:1` is a label of eth0.
        let plain = interface.value.split(':').next().unwrap_or_default();
        if plain.is_empty() || names.contains(&plain) {
            continue;
        }
        let address = instance.virtual_addresses.first().map_or("its address", |address| address.value.as_str());
        let own = main_address(network).and_then(|address| network.interface_of(address));
        verdict.fail(
            Draft::new()
                .subject(address)
                .message("interface")
                .value("address", address)
                .value("wrong_interface", &interface.value)
                .maybe_value("right_interface", own.map(|own| &own.name).filter(|name| !name.is_empty()))
                .maybe_value("line", interface.origin.span().map(|span| span.line))
                .value("file", &keepalived.path)
                .at(&host.name, &interface.origin, "no such interface")
                .note(addresses_in_words(&host.name, network)),
        );
    }
}

/// The address that nodes dial for an apiserver is on no host, and the keepalived there serve another one of its network.
fn judge_dialled(cluster: &Cluster, verdict: &mut Verdict) {
    let configured = configured(cluster);
    let Some((served, members)) = configured.iter().next() else { return };
    for client in &cluster.hosts {
        let servers = client.kubernetes.kubeconfigs.iter().flat_map(|kubeconfig| &kubeconfig.clusters);
        for server in servers.filter_map(|entry| entry.server.as_ref()) {
            let Some(url) = Url::parse(&server.value).filter(|url| !url.is_loopback()) else { continue };
            let addresses = addresses_of(cluster, client, &url.host);
            let Some(address) = addresses.first().copied() else { continue };
            // Every host that may hold it has to be known, and to have a network of its own in which the address lies.
            let is_near = members.iter().all(|(host, ..)| {
                host.network.as_ref().is_ok_and(|network| {
                    network.addresses().any(|(_, net)| net.prefix_len() < 32 && net.contains(&address))
                })
            });
            if configured.contains_key(&address) || owners(cluster, address).next().is_some() || !is_near {
                continue;
            }
            if !all_given(cluster, members) {
                continue;
            }
            let mut draft = Draft::new()
                .subject(address.to_string())
                .message("not_served")
                .value("address", address)
                .value("endpoint", &url.host)
                .value("served", served)
                .hosts(members.iter().map(|(host, ..)| host.name.clone()).collect::<BTreeSet<_>>().iter())
                .at(&client.name, &server.origin, "dialled here");
            for (host, _, written) in members {
                draft = draft.at(&host.name, &written.origin, format!("{} may take this one", host.name));
            }
            return verdict.fail(draft);
        }
    }
}

type Configured<'a> = (&'a Host, &'a VrrpInstance, &'a Sourced<String>);

/// Each virtual address with the hosts that may take it.
fn configured(cluster: &Cluster) -> BTreeMap<IpAddr, Vec<Configured<'_>>> {
    let mut found: BTreeMap<IpAddr, Vec<Configured<'_>>> = BTreeMap::new();
    for host in &cluster.hosts {
        let Ok(Some(keepalived)) = &host.load_balancers.keepalived else { continue };
        for instance in &keepalived.instances {
            for address in &instance.virtual_addresses {
                if let Ok(parsed) = address.value.parse() {
                    found.entry(parsed).or_default().push((host, instance, address));
                }
            }
        }
    }
    found
}

fn judge_virtual(cluster: &Cluster, address: IpAddr, configured: &[Configured<'_>], verdict: &mut Verdict) {
    let mut holders = BTreeSet::new();
    for (host, _, _) in configured {
        let Some(network) = verdict.known(&host.network) else { return };
        if network.addresses().any(|(_, net)| net.addr() == address) {
            holders.insert(host.name.clone());
        }
    }
    let hosts: BTreeSet<String> = configured.iter().map(|(host, _, _)| host.name.clone()).collect();
    let in_lvs = configured.iter().any(|(host, _, _)| {
        matches!(&host.load_balancers.keepalived, Ok(Some(keepalived)) if keepalived.virtual_servers.iter()
            .any(|server| server.address.value.contains(&address.to_string())))
    });
    let mut draft = Draft::new()
        .subject(address.to_string())
        .value("address", address)
        .value("holders", in_words(&holders.iter().cloned().collect::<Vec<_>>()))
        .value("candidates", in_words(&hosts.iter().cloned().collect::<Vec<_>>()))
        .maybe_value("interface", configured.iter().find_map(|(_, i, _)| Some(&i.interface.as_ref()?.value)))
        .hosts(hosts.iter());
    match holders.len() {
        // A real server of LVS has it on its loopback interface too.
        2.. if !in_lvs => {
            for (host, instance, written) in configured.iter().filter(|(host, ..)| holders.contains(&host.name)) {
                let priority = instance.priority.as_ref().map_or(String::new(), |p| format!(", priority {}", p.value));
                draft = draft.at(&host.name, &written.origin, format!("{} has it{priority}", host.name));
            }
            let routers: BTreeSet<u32> =
                configured.iter().filter_map(|(_, i, _)| Some(i.virtual_router_id.as_ref()?.value)).collect();
            if routers.len() > 1 {
                let routers: Vec<String> = routers.iter().map(u32::to_string).collect();
                draft = draft.message("routers_differ").value("routers", in_words(&routers));
            } else {
                draft = draft.message("on_two");
            }
            verdict.fail(draft)
        }
        1.. => verdict.pass(),
        _ => {
            if let Some(other) = owners(cluster, address).next() {
                let written = &configured[0];
                draft = draft.message("elsewhere").value("owner", &other.name).at(
                    &written.0.name,
                    &written.2.origin,
                    format!("{} has it, and not by keepalived", other.name),
                );
                // On a real server's loopback interface it answers nobody.
                return if in_lvs { verdict.unknown(not_given(address)) } else { verdict.fail(draft) };
            }
            let (is_taken, absent) = dialled(address, configured);
            if is_taken {
                return verdict.pass();
            }
            if absent.is_empty() && !all_given(cluster, configured) {
                return verdict.unknown(not_given(address));
            }
            for (host, _, written) in configured {
                let why = match is_running(host, ComponentName::Keepalived) {
                    Some(false) => "no keepalived runs",
                    _ => "does not have it",
                };
                draft = draft.at(&host.name, &written.origin, format!("{}: {why}", host.name));
            }
            for evidence in absent {
                draft = draft.evidence(evidence);
            }
            match configured.iter().find_map(|(host, ..)| not_running::just_booted(host)) {
                Some(unknown) => verdict.unknown(unknown),
                None => verdict.fail(draft.message("absent")),
            }
        }
    }
}

/// What came of dialling the address from the hosts that may take it: whether somebody has it, and what shows that nobody on
/// their network does.
fn dialled(address: IpAddr, configured: &[Configured<'_>]) -> (bool, Vec<Evidence>) {
    let mut absent = Vec::new();
    for (host, ..) in configured {
        for answer in &host.probes.connects {
            let target = answer.target.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']).parse());
            if target != Some(Ok(address)) {
                continue;
            }
            let nobody = host.probes.unresolved_neighbours.contains(&address);
            match &answer.outcome {
                // A refusal too comes from a host that has it.
                ConnectOutcome::Connected | ConnectOutcome::Refused => return (true, Vec::new()),
                ConnectOutcome::TimedOut | ConnectOutcome::Unreachable(_) if nobody => {
                    let origin = Origin::answer(format!("dialling {}", answer.target));
                    let said = "nobody on the network says that it has this address (ARP)";
                    absent.push(Evidence::new(EvidenceKind::Probe, &host.name, origin, said));
                }
                _ => {}
            }
        }
    }
    absent.truncate(1);
    (false, absent)
}

/// The address that the operator names has to be among those that keepalived serves.
fn judge_intended(cluster: &Cluster, intended: IpAddr, verdict: &mut Verdict) {
    let served = configured(cluster);
    if served.contains_key(&intended) {
        return verdict.pass();
    }
    let Some((address, holders)) = served.first_key_value() else { return };
    let mut draft = Draft::new()
        .subject(intended.to_string())
        .message("intended")
        .value("address", address)
        .value("intended", intended)
        .hosts(holders.iter().map(|(host, ..)| host.name.clone()).collect::<BTreeSet<_>>());
    for (host, _, written) in holders {
        draft = draft.at(&host.name, &written.origin, format!("{intended} is intended"));
    }
    verdict.fail(draft);
}

fn not_given(address: IpAddr) -> Unknown {
    Unknown::new(format!("who has {address}"), "not every host that may take it was given")
}

/// Whether every host that may take the address was given: the unicast peers are, or there are two that speak multicast, or
/// one that is to be its only holder.
fn all_given(cluster: &Cluster, configured: &[Configured<'_>]) -> bool {
    let peers: Vec<IpAddr> = configured
        .iter()
        .flat_map(|(_, instance, _)| &instance.unicast_peers)
        .filter_map(|peer| peer.value.parse().ok())
        .collect();
    if peers.is_empty() {
        return configured.len() > 1;
    }
    peers.iter().all(|peer| owners(cluster, *peer).next().is_some())
}

/// A specific address that a proxy before an apiserver binds has to be the host's, unless the kernel is told otherwise.
fn judge_binds(cluster: &Cluster, host: &Host, verdict: &mut Verdict) {
    for balanced in before_apiservers(cluster, host) {
        if balanced.balancer == "keepalived" {
            continue;
        }
        for listen in &balanced.listen {
            let Some(address) = listen_address(&listen.value) else { continue };
            let Some(network) = verdict.known(&host.network) else { continue };
            if network.owns(address) || balanced.frontend.is_some_and(|frontend| frontend.transparent) {
                verdict.pass();
                continue;
            }
            let key = if address.is_ipv4() { "net.ipv4.ip_nonlocal_bind" } else { "net.ipv6.ip_nonlocal_bind" };
            match host.sysctls.get(key) {
                Some(Ok(value)) if value == "1" => {
                    verdict.pass();
                    continue;
                }
                Some(Err(unknown)) => {
                    verdict.unknown(unknown.clone());
                    continue;
                }
                _ => {}
            }
            let mut draft = Draft::new()
                .subject(format!("{} {address}", balanced.balancer))
                .message("bind")
                .value("address", address)
                .value("listen", &listen.value)
                .value("balancer", balanced.balancer)
                .value("unit", unit_of(host, balanced.component()))
                .value("sysctl", key)
                .maybe_value("file", listen.origin.path())
                .maybe_value("own_address", main_address(network))
                .at(&host.name, &listen.origin, format!("no interface has it, and {key} is not 1"))
                .note(addresses_in_words(&host.name, network));
            if super::frontends::virtual_addresses(host).contains(&address) {
                draft = draft.value("virtual", address);
            }
            verdict.fail(draft);
        }
    }
}
