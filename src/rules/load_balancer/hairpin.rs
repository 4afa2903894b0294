//! lb-hairpin: a master that dials its own load balancer where that cannot lead back to it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::frontends::{addresses_of, listen_port};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{ComponentName, LayerKind};
use crate::facts::log::LogHit;
use crate::facts::probe::ConnectOutcome;
use crate::facts::topology::{self, Edge, Service, secure_port};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{Url, file_of, in_url, main_address_like, owners};
use crate::rules::{Context, Detector, Judge, Refined};
use crate::rules::{edit, reach};

pub(super) const DETECTOR: Detector = Detector { id: "lb-hairpin", judge: Judge::Host(judge), refine: Some(refine) };

/// What becomes of a real server's own connection to the virtual address.
enum Loop<'a> {
    /// The host itself has the address, so that it never leaves: it is its own only server.
    Local(Option<Server<'a>>),
    /// The director sends it back to where it came from, or to another server that answers past it.
    Lost(Server<'a>),
}

/// An entry of LVS for this host.
#[derive(Clone, Copy)]
struct Server<'a> {
    director: &'a Host,
    address: &'a Sourced<String>,
    forwarding: Option<&'a str>,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let mut by_address: BTreeMap<(IpAddr, u16), Vec<Edge>> = BTreeMap::new();
    for edge in topology::edges(context.cluster) {
        if edge.client_host != host.name || edge.service != Service::Apiserver {
            continue;
        }
        let Some(url) = edge.parsed() else { continue };
        if url.is_loopback() {
            verdict.pass();
            continue;
        }
        let Some(address) = addresses_of(context.cluster, host, &url.host).into_iter().next() else {
            let what = format!("where {} leads", url.host);
            verdict.unknown(Unknown::new(what, "neither an address nor a name that the hosts' files know"));
            continue;
        };
        by_address.entry((address, url.port_or_default())).or_default().push(edge);
    }
    for ((address, port), edges) in &by_address {
        if let Some(judged) = dialled(context.cluster, host, edges) {
            match judged {
                Ok(None) => verdict.pass(),
                Ok(Some(found)) => verdict.fail(found.finish(host, *address, edges, secure_port(apiserver))),
                Err(unknown) => verdict.unknown(unknown),
            }
            continue;
        }
        match hairpin(context.cluster, host, *address, *port) {
            Ok(None) => verdict.pass(),
            Ok(Some(found)) => {
                verdict.fail(draft(host, *address, edges, &found, secure_port(apiserver)));
            }
            Err(unknown) => verdict.unknown(unknown),
        }
    }
}

/// What dialling the load balancer from this master showed.
struct Dialled<'a> {
    target: &'a str,
    message: &'static str,
    said: String,
    elsewhere: Option<&'a str>,
}

impl Dialled<'_> {
    fn finish(&self, host: &Host, address: IpAddr, edges: &[Edge], secure_port: u16) -> Draft {
        let draft = Draft::new().subject(address.to_string()).value("address", address).message(self.message);
        let mut draft = with_edit(draft, host, address, edges, secure_port)
            .value("target", self.target)
            .value("said", &self.said)
            .maybe_value("elsewhere", self.elsewhere);
        for edge in edges {
            draft = draft.at(&host.name, &edge.url.origin, "its own load balancer".to_owned());
        }
        let origin = Origin::answer(format!("dialling {}", self.target));
        draft.evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, self.said.clone()))
    }
}

/// Judges by what was dialled live: a balancer that loses the connections to this very host answers some and not the others,
/// or none here while it answers another given host. None when nothing was dialled, or the host's own apiserver is not up:
/// then silence is another fault's.
fn dialled<'a>(cluster: &'a Cluster, host: &'a Host, edges: &[Edge]) -> Option<Result<Option<Dialled<'a>>, Unknown>> {
    let targets: Vec<String> = edges.iter().filter_map(|edge| Some(reach::target(&edge.parsed()?))).collect();
    let dial = host.probes.repeated.iter().find(|dial| targets.contains(&dial.target))?;
    let apiserver = host.component(ComponentName::KubeApiserver)?;
    if dial.timed_out == 0 {
        // Refusals are its servers' or its own.
        return if dial.connected > 0 { None } else { Some(Ok(None)) };
    }
    let own = reach::own_targets(apiserver, "");
    let is_own = |endpoint: &str| own.iter().any(|target| endpoint.rsplit("://").next() == Some(target));
    if !host.probes.apiservers.iter().any(|answer| is_own(&answer.endpoint) && answer.live == Ok(true)) {
        return None;
    }
    let elsewhere = cluster.hosts.iter().filter(|other| other.name != host.name).find(|other| {
        let connects = other.probes.connects.iter();
        connects.filter(|one| one.target == dial.target).any(|one| one.outcome == ConnectOutcome::Connected)
    });
    let all = dial.connected + dial.timed_out + dial.refused;
    let said = format!("{} of {all} connections to {} were not answered", dial.timed_out, dial.target);
    let found =
        |message, elsewhere| Some(Ok(Some(Dialled { target: &dial.target, message, said: said.clone(), elsewhere })));
    match elsewhere {
        Some(other) => found("elsewhere", Some(other.name.as_str())),
        None if dial.connected > 0 && !has_silent_master(cluster, host) => found("some", None),
        None => {
            let what = format!("whether {} leads back to {}", dial.target, host.name);
            Some(Err(Unknown::new(what, said)
                .with_remedy("dial it from a worker: when it answers there, it cannot lead back")))
        }
    }
}

/// Whether some other master is known not to answer, so that the balancer may send connections to nobody.
fn has_silent_master(cluster: &Cluster, host: &Host) -> bool {
    let nodes = host.probes.apiservers.iter().filter_map(|answer| answer.cluster.as_ref()?.nodes.as_ref().ok());
    let not_ready = nodes.flatten().any(|node| !node.is_ready());
    let told = host.probes.apiservers.iter().any(|answer| answer.cluster.as_ref().is_some_and(|one| one.nodes.is_ok()));
    let silent =
        cluster.hosts.iter().filter(|other| other.name != host.name).any(|other| {
            other.component(ComponentName::KubeApiserver).is_some_and(|apiserver| apiserver.pid.is_none())
        });
    not_ready || !told || silent
}

/// Whether the host's connections to a virtual address cannot come back.
fn hairpin<'a>(cluster: &'a Cluster, host: &Host, address: IpAddr, port: u16) -> Result<Option<Loop<'a>>, Unknown> {
    let network = host.network.as_ref().map_err(Unknown::clone)?;
    let server = servers(cluster, host, address, port).next();
    let has = network.interface_of(address);
    if let Some(server) = server {
        // The director answers itself what its own processes dial.
        if server.director.name == host.name {
            return Ok(None);
        }
        return Ok(Some(if has.is_some() { Loop::Local(Some(server)) } else { Loop::Lost(server) }));
    }
    // /proc does not say that an address is on lo; that several hosts have it does as well.
    let shared = owners(cluster, address).filter(|owner| owner.name != host.name).count() > 0;
    if has.is_some_and(|has| shared || has.name == "lo" || has.name.starts_with("dummy")) {
        // Anycast and kube-vip have the address there too; that it does not answer for it is what makes a real server.
        return match host.sysctls.get("net.ipv4.conf.lo.arp_ignore") {
            Some(Ok(value)) if value == "1" => Ok(Some(Loop::Local(None))),
            Some(Err(unknown)) => Err(unknown.clone()),
            _ => Ok(None),
        };
    }
    let is_known = owners(cluster, address).next().is_some()
        || crate::rules::support::is_virtual(cluster, address)
        || network.owns(address);
    if is_known {
        return Ok(None);
    }
    let why = "no given host has the address, so nothing says what stands there";
    Err(Unknown::new(format!("how {address} sends on what {} dials", host.name), why)
        .with_remedy("dial it from a master and from another host: one that answers only elsewhere cannot lead back"))
}

/// LVS services at this address that have the host for a real server.
fn servers<'a>(cluster: &'a Cluster, host: &Host, address: IpAddr, port: u16) -> impl Iterator<Item = Server<'a>> {
    let own: Vec<IpAddr> =
        host.network.iter().flat_map(|network| network.addresses().map(|(_, net)| net.addr())).collect();
    cluster.hosts.iter().flat_map(move |director| {
        let own = own.clone();
        director
            .load_balancers
            .keepalived
            .iter()
            .flatten()
            .flat_map(|keepalived| &keepalived.virtual_servers)
            .filter(move |service| {
                let url = Url::parse(&service.address.value);
                url.is_some_and(|url| url.address() == Some(address))
                    && listen_port(&service.address.value) == Some(port)
            })
            .flat_map(move |service| {
                let own = own.clone();
                let is_own = move |text: &str| {
                    Url::parse(text).and_then(|url| url.address()).is_some_and(|address| own.contains(&address))
                };
                service.real_servers.iter().filter(move |server| is_own(&server.address.value)).map(move |server| {
                    Server { director, address: &server.address, forwarding: service.forwarding.as_deref() }
                })
            })
    })
}

fn draft(host: &Host, address: IpAddr, edges: &[Edge], found: &Loop<'_>, secure_port: u16) -> Draft {
    let mut draft = Draft::new().subject(address.to_string()).value("address", address);
    let (label, server) = match found {
        Loop::Local(server) => {
            draft = draft.message("local").severity(Severity::Warning);
            (format!("{} has the address itself: only its own apiserver answers", host.name), server.as_ref())
        }
        Loop::Lost(server) => (format!("the director would send it back to {}", host.name), Some(server)),
    };
    for edge in edges {
        draft = draft.at(&host.name, &edge.url.origin, label.as_str());
    }
    if let Some(server) = server {
        let kind = server.forwarding.map_or(String::new(), |kind| format!(" ({kind})"));
        draft = draft.value("director", &server.director.name).at(
            &server.director.name,
            &server.address.origin,
            format!("{} is a server of it{kind}", host.name),
        );
    }
    with_edit(draft, host, address, edges, secure_port)
}

/// Adds how the clients are let dial the host's own apiserver.
fn with_edit(mut draft: Draft, host: &Host, address: IpAddr, edges: &[Edge], secure_port: u16) -> Draft {
    let own = host.network.as_ref().ok().and_then(|network| main_address_like(network, address));
    let Some(own) = own else { return draft };
    let own_url = format!("https://{}:{secure_port}", in_url(own));
    let edits: Option<Vec<edit::Edit>> =
        edges.iter().map(|edge| edit::edit(host, &edge.url.origin, (&edge.url.value, &own_url), ("", ""))).collect();
    draft = draft
        .value("own_url", &own_url)
        .maybe_value("file", edges.first().and_then(|edge| file_of(&edge.url)))
        .maybe_value("edit", edits.as_deref().and_then(edit::command));
    let is_manifest = host
        .component(ComponentName::KubeApiserver)
        .is_some_and(|apiserver| apiserver.layers.iter().any(|layer| layer.kind == LayerKind::Manifest));
    if is_manifest { draft.value("static_pods", "true") } else { draft }
}

/// A timeout alone says nothing of a loop: it counts on a master whose load balancer is known to make one, and where a cloud's
/// load balancer is dialled by a host that is not known to be none of its targets.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let Some(address) = hit.captures.get("address") else { return Refined::Drop };
    let is_master = host.component(ComponentName::KubeApiserver).is_some();
    let Ok(address) = address.parse::<IpAddr>() else {
        return if is_master || host.components.is_empty() { Refined::Keep(Vec::new()) } else { Refined::Drop };
    };
    let port = hit.captures.get("port").and_then(|port| port.parse().ok()).unwrap_or(443);
    match hairpin(context.cluster, host, address, port) {
        Ok(Some(_)) if is_master => Refined::Keep(Vec::new()),
        _ => Refined::Drop,
    }
}
