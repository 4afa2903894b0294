//! Where kubeconfigs dial a host that has a proxy before the apiservers, and whether anything listens there.

use std::net::IpAddr;

use super::frontends::{addresses_of, before_apiservers};
use crate::facts::component::ComponentName;
use crate::facts::load_balancer::Frontend;
use crate::facts::topology::secure_port;
use crate::facts::{Cluster, Host};
use crate::origin::Sourced;
use crate::rules::support::{Url, is_running};

/// One kubeconfig's server that is an address of a given host.
pub struct Dial<'a> {
    pub client: &'a Host,
    /// The kubeconfig that says so.
    pub path: &'a str,
    pub server: &'a Sourced<String>,
    /// `NAME:PORT` as it stands there.
    pub endpoint: String,
    pub address: IpAddr,
    pub port: u16,
}

/// What dials one of the host's own addresses (not a virtual one) where nothing listens. Empty when the host's sockets are
/// not known, when none of its proxies runs, or when it has no proxy before apiservers.
pub fn missed_dials<'a>(cluster: &'a Cluster, host: &Host) -> Vec<Dial<'a>> {
    let Some(listeners) = host.network.as_ref().ok().and_then(|network| network.listeners.as_ref().ok()) else {
        return Vec::new();
    };
    let runs =
        [ComponentName::Haproxy, ComponentName::Nginx].into_iter().any(|name| is_running(host, name) == Some(true));
    if !runs || listeners.is_empty() || before_apiservers(cluster, host).is_empty() {
        return Vec::new();
    }
    let is_served = |dial: &Dial<'_>| {
        listeners.iter().any(|listener| {
            listener.port == dial.port && (listener.address.is_unspecified() || listener.address == dial.address)
        })
    };
    dials(cluster, host).into_iter().filter(|dial| !is_served(dial)).collect()
}

/// Whether some kubeconfig dials the host where one of its proxies before the apiservers listens.
pub fn is_dialled_rightly(cluster: &Cluster, host: &Host) -> bool {
    let balanced = before_apiservers(cluster, host);
    let frontends: Vec<&Frontend> = balanced.iter().filter_map(|balanced| balanced.frontend).collect();
    let takes = |dial: &Dial<'_>| {
        frontends.iter().flat_map(|frontend| &frontend.listen).any(|listen| {
            let address = super::frontends::listen_address(&listen.value);
            super::frontends::listen_port(&listen.value) == Some(dial.port)
                && address.is_none_or(|address| address == dial.address)
        })
    };
    dials(cluster, host).iter().any(takes)
}

fn dials<'a>(cluster: &'a Cluster, host: &Host) -> Vec<Dial<'a>> {
    let Ok(network) = &host.network else { return Vec::new() };
    let masters = [ComponentName::KubeApiserver, ComponentName::KubeControllerManager];
    let own_port = masters
        .into_iter()
        .find_map(|name| host.component(name))
        .map(|_| host.component(ComponentName::KubeApiserver).map_or(6443, secure_port));
    // What a proxy of the host sends to is an apiserver's port too, which is about to be served where a master joins.
    let balanced = before_apiservers(cluster, host);
    let backends: Vec<Url> = balanced
        .iter()
        .filter_map(|balanced| balanced.frontend)
        .flat_map(|frontend| &frontend.backends)
        .filter_map(|backend| Url::parse(&backend.address.value))
        .collect();
    let mut found = Vec::new();
    for client in &cluster.hosts {
        for kubeconfig in &client.kubernetes.kubeconfigs {
            let servers = kubeconfig.clusters.iter().filter_map(|entry| entry.server.as_ref());
            for server in servers {
                let Some(url) = Url::parse(&server.value).filter(|url| !url.is_loopback()) else { continue };
                let owned = |address: &IpAddr| network.addresses().any(|(_, net)| net.addr() == *address);
                let Some(address) = addresses_of(cluster, client, &url.host).into_iter().find(owned) else { continue };
                let port = url.port_or_default();
                // A master's own apiserver is dialled past the proxy.
                let is_backend = backends.iter().any(|backend| {
                    backend.port == Some(port) && addresses_of(cluster, host, &backend.host).contains(&address)
                });
                if own_port == Some(port) || is_backend {
                    continue;
                }
                let endpoint = format!("{}:{port}", url.host);
                found.push(Dial { client, path: &kubeconfig.path, server, endpoint, address, port });
            }
        }
    }
    found
}
