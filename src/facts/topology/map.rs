//! The cluster as its hosts' configurations draw it: who runs what, who dials whom, through which load balancer, and which
//! certificate answers there. What `k8sdoctor topology` prints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::links;
use crate::facts::address::{Url, in_url};
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Place, Sourced};
use crate::report::secret::mask;

/// The whole map. Lists are in the order of the hosts as given, then of their components and configurations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topology {
    /// The time that dates are judged against.
    pub at: Timestamp,
    pub hosts: Vec<Node>,
    pub etcd_members: Vec<Member>,
    /// Addresses by which clients on several hosts, or kubeadm's configuration, reach the control plane.
    pub endpoints: Vec<Endpoint>,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    pub name: String,
    /// The source as the user named it.
    pub source: String,
    /// `control-plane`, `etcd`, `worker`, `load-balancer`.
    pub roles: Vec<String>,
    /// Without loopback, link-local and containers' addresses; empty also when they are not known.
    pub addresses: Vec<String>,
    pub components: Vec<Service>,
}

/// A component on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    pub name: &'static str,
    pub version: Option<String>,
    /// Whether its process runs; none when the host's processes are not known.
    pub running: Option<bool>,
    /// Where it listens, as it is configured: `https://10.0.0.1:2379`, `0.0.0.0:6443`.
    pub listens: Vec<String>,
    pub configured_at: Where,
}

/// A place of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Where {
    /// The file's path on its host, or what else it is: `process 812 (etcd)`.
    pub place: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// An etcd member, as the members name each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    pub name: String,
    pub peer_url: String,
    /// The given host that is this member; none when it was not given.
    pub host: Option<String>,
    /// The hosts whose `initial-cluster` names it so.
    pub named_by: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointKind {
    /// An address that moves between hosts: keepalived's, kube-vip's.
    VirtualAddress,
    LoadBalancer,
    /// One apiserver's own address.
    Apiserver,
    /// No given host has it.
    Unknown,
}

/// Where clients find the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// `10.0.0.10:6443`, `lb.example.org:8443`.
    pub address: String,
    pub kind: EndpointKind,
    /// `haproxy on lb`; for a virtual address the hosts that may carry it.
    pub by: Vec<String>,
    pub backends: Vec<Backend>,
    /// How many clients dial it.
    pub clients: usize,
    /// kubeadm's controlPlaneEndpoint names it, at this place.
    pub intended_at: Option<Where>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backend {
    pub address: String,
    pub host: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Everything that the evidence shows of it fits.
    Fits,
    Broken,
    /// The evidence does not show what answers there.
    Unknown,
}

/// A client and what it dials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link {
    pub host: String,
    /// `kubelet`, `kube-apiserver`, `kubectl`, `haproxy`, ...
    pub client: String,
    pub configured_at: Where,
    /// As it is written.
    pub url: String,
    /// `https`, `http`, `tcp`; empty where the URL has none.
    pub scheme: String,
    /// What is to answer: `kube-apiserver`, `etcd`, `etcd peer`; none for a backend that is nothing known.
    pub service: Option<&'static str>,
    /// `haproxy on lb`, when the address is a load balancer's of a given host.
    pub through: Option<String>,
    pub servers: Vec<Server>,
    pub state: State,
    /// Why it is broken or unknown.
    pub why: Vec<String>,
}

/// What answers, or may answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    pub host: String,
    pub component: &'static str,
    pub certificate: Option<Served>,
}

/// The certificate that a server is configured to serve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Served {
    pub path: String,
    pub subject: String,
    pub issuer: String,
    pub names: Vec<String>,
    pub expires: Timestamp,
    /// What the client verifies, and whether the certificate has it; none when the client does not verify.
    pub verified_name: Option<String>,
    pub has_name: Option<bool>,
    /// Whether the authority that the client was given issued it; none when that is not known.
    pub trusted: Option<bool>,
}

/// The map of the hosts given together. Passwords in URLs are masked.
pub fn of(cluster: &Cluster) -> Topology {
    let links = links::of(cluster);
    let mut map = Topology {
        at: cluster.at,
        hosts: cluster.hosts.iter().map(node).collect(),
        etcd_members: members(cluster),
        endpoints: super::endpoints::of(cluster, &links),
        links,
    };
    mask_passwords(&mut map);
    map
}

fn mask_passwords(map: &mut Topology) {
    let services = map.hosts.iter_mut().flat_map(|host| &mut host.components).flat_map(|service| &mut service.listens);
    let members = map.etcd_members.iter_mut().map(|member| &mut member.peer_url);
    let backends =
        map.endpoints.iter_mut().flat_map(|endpoint| &mut endpoint.backends).map(|backend| &mut backend.address);
    let links = map.links.iter_mut().flat_map(|link| std::iter::once(&mut link.url).chain(&mut link.why));
    for text in services.chain(members).chain(backends).chain(links) {
        if let std::borrow::Cow::Owned(masked) = mask(text) {
            *text = masked;
        }
    }
}

impl Where {
    pub fn of(origin: &Origin) -> Where {
        match &origin.place {
            Place::File { path, span } => Where { place: path.to_string(), line: span.map(|span| span.line) },
            _ => Where { place: origin.to_string(), line: None },
        }
    }
}

impl std::fmt::Display for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.place),
            None => write!(f, "{}", self.place),
        }
    }
}

/// What a host is in its cluster: `control-plane`, `etcd`, `load-balancer`, `worker`.
pub fn roles(host: &Host) -> Vec<String> {
    if !host.expected.roles.is_empty() {
        return host.expected.roles.clone();
    }
    let has = |name| host.component(name).is_some_and(|component| !component.layers.is_empty());
    let mut roles = Vec::new();
    if has(ComponentName::KubeApiserver) {
        roles.push("control-plane".to_owned());
    }
    if has(ComponentName::Etcd) {
        roles.push("etcd".to_owned());
    }
    // A local proxy before the apiservers makes no other host of a worker.
    if roles.is_empty() && host.component(ComponentName::Kubelet).is_some() {
        roles.push("worker".to_owned());
    }
    let balances = [&host.load_balancers.haproxy, &host.load_balancers.nginx].into_iter().any(|proxy| {
        let proxy = proxy.as_ref().ok().and_then(Option::as_ref);
        proxy.is_some_and(|proxy| proxy.frontends.iter().any(|frontend| !frontend.backends.is_empty()))
    });
    if balances {
        roles.push("load-balancer".to_owned());
    }
    roles
}

fn node(host: &Host) -> Node {
    Node {
        name: host.name.clone(),
        source: host.source.clone(),
        roles: roles(host),
        addresses: addresses(host),
        components: host.components.iter().filter_map(|component| service(host, component)).collect(),
    }
}

/// Interfaces that container runtimes and pod networks make.
const OF_CONTAINERS: [&str; 10] =
    ["docker", "cni", "flannel", "cali", "veth", "vxlan", "tunl", "kube-", "br-", "nodelocaldns"];

fn addresses(host: &Host) -> Vec<String> {
    let Ok(network) = &host.network else { return Vec::new() };
    let is_outside = |(interface, net): &(&str, ipnet::IpNet)| {
        let address = net.addr();
        let local = match address {
            std::net::IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
            std::net::IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
        };
        !local && !OF_CONTAINERS.iter().any(|prefix| interface.starts_with(prefix))
    };
    let mut addresses: Vec<String> =
        network.addresses().filter(is_outside).map(|(_, net)| net.addr().to_string()).collect();
    addresses.dedup();
    addresses
}

fn service(host: &Host, component: &Component) -> Option<Service> {
    let first = component.layers.first()?;
    // A file says more of where to look than a process.
    let layer = component.layers.iter().find(|layer| layer.kind != LayerKind::Process).unwrap_or(first);
    Some(Service {
        name: component.name.name(),
        version: component.version.as_ref().map(|version| version.value.clone()),
        running: runs(host, component),
        listens: listens(host, component),
        configured_at: Where::of(&layer.origin),
    })
}

/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST_PROCESSES: usize = 3;

/// Whether the component's process runs; none when the host's processes are not known.
pub(super) fn runs(host: &Host, component: &Component) -> Option<bool> {
    let processes = host.system.processes.as_ref().ok()?;
    match component.pid {
        Some(_) => Some(true),
        None if processes.len() < FEWEST_PROCESSES => None,
        None => Some(false),
    }
}

/// Where a component listens, by its configuration.
pub(super) fn listens(host: &Host, component: &Component) -> Vec<String> {
    let flag = |name: &str| component.flag_or_default(name).map(|value| value.value).filter(|value| !value.is_empty());
    match component.name {
        ComponentName::KubeApiserver => {
            let port = super::secure_port(component);
            let address = flag("bind-address").unwrap_or_else(|| "0.0.0.0".to_owned());
            let mut listens = vec![format!("https://{}:{port}", bracketed(&address))];
            let plain = flag("insecure-port").filter(|port| port != "0");
            if let (Some(port), Some(address)) = (plain, flag("insecure-bind-address")) {
                listens.push(format!("http://{}:{port}", bracketed(&address)));
            }
            listens
        }
        ComponentName::Etcd => ["listen-client-urls", "listen-peer-urls"]
            .iter()
            .filter_map(|name| flag(name))
            .flat_map(|urls| urls.split(',').map(|url| url.trim().to_owned()).collect::<Vec<_>>())
            .collect(),
        ComponentName::Haproxy | ComponentName::Nginx => {
            let proxy = match component.name {
                ComponentName::Haproxy => &host.load_balancers.haproxy,
                _ => &host.load_balancers.nginx,
            };
            let frontends = proxy.iter().flatten().flat_map(|proxy| &proxy.frontends);
            frontends.flat_map(|frontend| &frontend.listen).map(|listen| listen.value.clone()).collect()
        }
        _ => Vec::new(),
    }
}

/// An IPv6 address in brackets.
fn bracketed(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), in_url)
}

/// Members by name and URL, in the order in which they are first named.
fn members(cluster: &Cluster) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    let etcds: Vec<(&Host, &Component)> =
        cluster.hosts.iter().filter_map(|host| Some((host, host.component(ComponentName::Etcd)?))).collect();
    let own_names: BTreeMap<String, &str> = etcds
        .iter()
        .filter_map(|(host, etcd)| Some((etcd.flag_or_default("name")?.value, host.name.as_str())))
        .collect();
    for (host, etcd) in &etcds {
        for item in etcd.flag_items("initial-cluster") {
            let Some((name, url)) = item.value.split_once('=') else { continue };
            let known = members.iter_mut().find(|member| member.name == name && member.peer_url == url);
            match known {
                Some(member) => member.named_by.push(host.name.clone()),
                None => members.push(Member {
                    name: name.to_owned(),
                    peer_url: url.to_owned(),
                    host: own_names.get(name).map(|host| (*host).to_owned()).or_else(|| owner(cluster, url)),
                    named_by: vec![host.name.clone()],
                }),
            }
        }
    }
    members
}

fn owner(cluster: &Cluster, url: &str) -> Option<String> {
    let address = Url::parse(url)?.address().filter(|address| !address.is_loopback())?;
    crate::facts::address::owners(cluster, address).next().map(|host| host.name.clone())
}

/// Text of a value for people.
pub(super) fn place<T>(value: &Sourced<T>) -> Where {
    Where::of(&value.origin)
}
