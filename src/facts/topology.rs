//! What dials what, from the configurations alone: each client's endpoint with the hosts that answer there, through a load
//! balancer or virtual address where the configuration has one.

mod endpoints;
mod links;
pub mod map;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::facts::address::{Url, owners, resolve};
use crate::facts::component::{Component, ComponentName};
use crate::facts::load_balancer::Frontend;
use crate::facts::{Cluster, Host};
use crate::origin::Sourced;

/// What answers at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    Apiserver,
    EtcdClient,
    EtcdPeer,
}

impl Service {
    /// The component that answers.
    pub fn component(self) -> ComponentName {
        match self {
            Service::Apiserver => ComponentName::KubeApiserver,
            Service::EtcdClient | Service::EtcdPeer => ComponentName::Etcd,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Service::Apiserver => "kube-apiserver",
            Service::EtcdClient => "etcd",
            Service::EtcdPeer => "etcd peer",
        }
    }
}

/// How sure the server of an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The host owns the address that is dialled.
    Direct,
    /// A proxy or virtual address whose backends are known.
    Balanced,
    /// The address belongs to no given host: a load balancer or virtual address, or a host that was not given.
    Elsewhere,
}

/// One endpoint that one client dials.
#[derive(Debug, Clone, Serialize)]
pub struct Edge {
    pub client_host: String,
    /// `kubelet`, `kube-apiserver`, `etcd`, or the kubeconfig's file.
    pub client: String,
    /// The URL as written, and where.
    pub url: Sourced<String>,
    pub service: Service,
    pub route: Route,
    /// The given hosts that may answer.
    pub servers: Vec<String>,
    /// Verified in the place of the dialled name (`tls-server-name`).
    pub server_name: Option<String>,
}

impl Edge {
    pub fn parsed(&self) -> Option<Url> {
        Url::parse(&self.url.value)
    }

    /// The name or address that the client verifies.
    pub fn verified_name(&self) -> Option<String> {
        self.server_name.clone().or_else(|| self.parsed().map(|url| url.host))
    }
}

/// The client of an edge that `kubeadm join` is going to dial.
pub const KUBEADM: &str = "kubeadm join";

/// Every edge of the cluster, in the order of its hosts.
pub fn edges(cluster: &Cluster) -> Vec<Edge> {
    let mut edges = Vec::new();
    for host in &cluster.hosts {
        for kubeconfig in &host.kubernetes.kubeconfigs {
            for entry in &kubeconfig.clusters {
                let Some(server) = &entry.server else { continue };
                push(
                    &mut edges,
                    cluster,
                    host,
                    kubeconfig.path.clone(),
                    server,
                    Service::Apiserver,
                    entry.tls_server_name.clone(),
                );
            }
        }
        if let Some(endpoint) = host.kubernetes.kubeadm_plan().and_then(|plan| plan.discovery_endpoint()) {
            let url = Sourced::new(format!("https://{}", endpoint.value), endpoint.origin.clone());
            push(&mut edges, cluster, host, KUBEADM.to_owned(), &url, Service::Apiserver, None);
        }
        for component in &host.components {
            for (flag, service) in dialling_flags(component.name) {
                for item in component.flag_items(flag) {
                    // initial-cluster names its URLs: `m1=https://10.0.0.1:2380`.
                    let item = match item.value.split_once('=') {
                        Some((_, url)) if *flag == "initial-cluster" => {
                            let url = url.to_owned();
                            Sourced::new(url, item.origin.clone())
                        }
                        _ => item,
                    };
                    push(&mut edges, cluster, host, component.name.name().to_owned(), &item, *service, None);
                }
            }
        }
    }
    edges
}

/// The flags by which a component is told what to dial.
fn dialling_flags(component: ComponentName) -> &'static [(&'static str, Service)] {
    match component {
        ComponentName::KubeApiserver => &[("etcd-servers", Service::EtcdClient)],
        ComponentName::Etcd => &[("initial-cluster", Service::EtcdPeer)],
        ComponentName::Flanneld => &[("etcd-endpoints", Service::EtcdClient)],
        ComponentName::KubeControllerManager | ComponentName::KubeScheduler | ComponentName::KubeProxy => {
            &[("master", Service::Apiserver)]
        }
        ComponentName::Kubelet => &[("api-servers", Service::Apiserver)],
        _ => &[],
    }
}

fn push(
    edges: &mut Vec<Edge>,
    cluster: &Cluster,
    host: &Host,
    client: String,
    url: &Sourced<String>,
    service: Service,
    server_name: Option<String>,
) {
    let Some(parsed) = Url::parse(&url.value) else { return };
    let (route, servers) = servers(cluster, host, &parsed, service);
    edges.push(Edge { client_host: host.name.clone(), client, url: url.clone(), service, route, servers, server_name });
}

/// The hosts that may answer at a URL that a client on `from` dials.
fn servers(cluster: &Cluster, from: &Host, url: &Url, service: Service) -> (Route, Vec<String>) {
    if url.is_loopback() {
        return through(cluster, from, url, service);
    }
    let addresses = addresses(cluster, from, url);
    let owner = addresses.iter().find_map(|address| owners(cluster, *address).next());
    let named = cluster.hosts.iter().find(|host| host.name == url.host);
    match owner.or(named) {
        // A virtual address lives on one host at a time, and leads to all of its backends.
        Some(owner) => through(cluster, owner, url, service),
        None => (Route::Elsewhere, all_serving(cluster, service)),
    }
}

/// The addresses of the dialled name, as the client's host or any other of the cluster knows it.
fn addresses(cluster: &Cluster, from: &Host, url: &Url) -> Vec<IpAddr> {
    let own = resolve(from, &url.host);
    if !own.is_empty() {
        return own;
    }
    cluster.hosts.iter().map(|host| resolve(host, &url.host)).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The host itself, or what stands behind its proxy on that port.
fn through(cluster: &Cluster, at: &Host, url: &Url, service: Service) -> (Route, Vec<String>) {
    if let Some(Balancer { frontend, .. }) = balancer_at(at, url.port_or_default()) {
        let backends: BTreeSet<String> = frontend
            .backends
            .iter()
            .filter_map(|backend| Url::parse(&backend.address.value))
            .flat_map(|backend| addresses(cluster, at, &backend))
            .flat_map(|address| {
                if address.is_loopback() {
                    vec![at.name.clone()]
                } else {
                    owners(cluster, address).map(|host| host.name.clone()).collect()
                }
            })
            .collect();
        // Backends that were not given leave the given ones that serve.
        return (Route::Balanced, backends.into_iter().collect());
    }
    if at.component(service.component()).is_some() {
        (Route::Direct, vec![at.name.clone()])
    } else {
        (Route::Elsewhere, all_serving(cluster, service))
    }
}

/// A load balancer of a host that listens on some port.
struct Balancer<'a> {
    host: &'a Host,
    /// `haproxy`, `nginx`
    program: &'static str,
    frontend: &'a Frontend,
}

impl Balancer<'_> {
    /// `haproxy on lb`
    fn name(&self) -> String {
        format!("{} on {}", self.program, self.host.name)
    }
}

fn balancer_at(host: &Host, port: u16) -> Option<Balancer<'_>> {
    let proxies = [("haproxy", &host.load_balancers.haproxy), ("nginx", &host.load_balancers.nginx)];
    proxies.into_iter().find_map(|(program, proxy)| {
        let proxy = proxy.as_ref().ok()?.as_ref()?;
        let frontend = proxy
            .frontends
            .iter()
            .find(|frontend| frontend.listen.iter().any(|listen| listens_on(&listen.value, port)))?;
        Some(Balancer { host, program, frontend })
    })
}

/// The load balancer of a given host that a URL leads to.
fn balancer_for<'a>(cluster: &'a Cluster, from: &'a Host, url: &Url) -> Option<Balancer<'a>> {
    if url.is_loopback() {
        return balancer_at(from, url.port_or_default());
    }
    let addresses = addresses(cluster, from, url);
    let owner = addresses.iter().find_map(|address| owners(cluster, *address).next());
    let owner = owner.or_else(|| cluster.hosts.iter().find(|host| host.name == url.host))?;
    balancer_at(owner, url.port_or_default())
}

/// Whether the host is set up to carry an address that moves between hosts: keepalived's, kube-vip's.
fn may_carry(host: &Host, address: IpAddr) -> bool {
    let is_it = |text: &str| text.split('/').next().is_some_and(|text| text.trim().parse() == Ok(address));
    let keepalived = host.load_balancers.keepalived.iter().flatten();
    let instances = keepalived.flat_map(|keepalived| &keepalived.instances);
    let of_keepalived = instances.flat_map(|instance| &instance.virtual_addresses).any(|known| is_it(&known.value));
    let containers = host.kubernetes.static_pods.iter().flatten().flat_map(|pod| &pod.containers);
    let mut of_kube_vip =
        containers.filter(|container| container.image.as_ref().is_some_and(|image| image.value.contains("kube-vip")));
    of_keepalived
        || of_kube_vip.any(|container| {
            let names = ["address", "vip_address"];
            names.iter().any(|name| container.environment.get(*name).is_some_and(|value| is_it(&value.value)))
        })
}

/// Whether a proxy's `ADDRESS:PORT`, `*:PORT` or `PORT` is this port.
fn listens_on(listen: &str, port: u16) -> bool {
    listen.rsplit(':').next().is_some_and(|text| text.trim().parse() == Ok(port))
}

fn all_serving(cluster: &Cluster, service: Service) -> Vec<String> {
    let name = service.component();
    cluster.hosts.iter().filter(|host| host.component(name).is_some()).map(|host| host.name.clone()).collect()
}

/// The port that a kube-apiserver serves TLS on.
pub fn secure_port(apiserver: &Component) -> u16 {
    apiserver.flag("secure-port").and_then(|port| port.value.parse().ok()).unwrap_or(6443)
}
