//! Which of a host's proxies and LVS services stand before an apiserver, and who the masters are.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::engine::verdict::Verdict;
use crate::facts::component::{Component, ComponentName};
use crate::facts::load_balancer::{Backend, Frontend};
use crate::facts::topology::secure_port;
use crate::facts::{Cluster, Host};
use crate::origin::Sourced;
use crate::rules::support::{Url, owners, resolve};

/// A host that runs, or is set up to run, an apiserver.
pub struct Master<'a> {
    pub host: &'a Host,
    pub apiserver: &'a Component,
}

impl Master<'_> {
    pub fn secure_port(&self) -> u16 {
        secure_port(self.apiserver)
    }

    /// The port of plain HTTP, where the release still has one.
    pub fn insecure_port(&self) -> Option<u16> {
        let port = self.apiserver.flag_or_default("insecure-port").or_else(|| self.apiserver.flag("port").cloned())?;
        port.value.parse().ok().filter(|port| *port > 0)
    }

    pub fn serves(&self, port: u16) -> bool {
        port == self.secure_port() || self.insecure_port() == Some(port)
    }

    /// Whether the host has this address.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.host.network.as_ref().is_ok_and(|network| network.addresses().any(|(_, net)| net.addr() == address))
    }
}

pub fn masters(cluster: &Cluster) -> Vec<Master<'_>> {
    cluster
        .hosts
        .iter()
        .filter_map(|host| {
            let apiserver = host.component(ComponentName::KubeApiserver)?;
            Some(Master { host, apiserver })
        })
        .collect()
}

/// One thing that takes connections for apiservers.
pub struct Balanced<'a> {
    /// `haproxy`, `nginx` or `keepalived`.
    pub balancer: &'static str,
    pub name: &'a str,
    pub path: &'a str,
    pub listen: Vec<&'a Sourced<String>>,
    pub backends: &'a [Backend],
    /// None for an LVS service.
    pub frontend: Option<&'a Frontend>,
}

impl Balanced<'_> {
    pub fn component(&self) -> ComponentName {
        match self.balancer {
            "haproxy" => ComponentName::Haproxy,
            "nginx" => ComponentName::Nginx,
            _ => ComponentName::Keepalived,
        }
    }

    pub fn ports(&self) -> Vec<u16> {
        self.listen.iter().filter_map(|listen| listen_port(&listen.value)).collect()
    }
}

/// The port of `ADDRESS:PORT`, `*:PORT`, `:PORT` or `PORT`.
pub fn listen_port(listen: &str) -> Option<u16> {
    listen.rsplit(':').next()?.trim().parse().ok()
}

/// The address of `ADDRESS:PORT`; none when it listens on all.
pub fn listen_address(listen: &str) -> Option<IpAddr> {
    let (address, _) = listen.rsplit_once(':')?;
    let address = address.trim_start_matches("ipv4@").trim_start_matches("ipv6@").trim_matches(['[', ']']);
    address.parse::<IpAddr>().ok().filter(|address| !address.is_unspecified())
}

/// Notes which of these balancers' configurations are there and could not be read.
pub fn note_unread(host: &Host, balancers: &[&str], verdict: &mut Verdict) {
    let found = &host.load_balancers;
    let unread = [
        ("haproxy", found.haproxy.as_ref().err()),
        ("nginx", found.nginx.as_ref().err()),
        ("keepalived", found.keepalived.as_ref().err()),
    ];
    for (_, unknown) in unread.into_iter().filter(|(balancer, _)| balancers.contains(balancer)) {
        if let Some(unknown) = unknown {
            verdict.unknown(unknown.clone());
        }
    }
}

/// Every proxy and LVS service of the host, whatever it stands before.
pub fn all(host: &Host) -> Vec<Balanced<'_>> {
    let balancers = &host.load_balancers;
    let mut found = Vec::new();
    for (balancer, proxy) in [("haproxy", &balancers.haproxy), ("nginx", &balancers.nginx)] {
        let Ok(Some(proxy)) = proxy else { continue };
        found.extend(proxy.frontends.iter().map(|frontend| Balanced {
            balancer,
            name: &frontend.name,
            path: frontend.origin.path().unwrap_or(&proxy.path),
            listen: frontend.listen.iter().collect(),
            backends: &frontend.backends,
            frontend: Some(frontend),
        }));
    }
    if let Ok(Some(keepalived)) = &balancers.keepalived {
        found.extend(keepalived.virtual_servers.iter().map(|server| Balanced {
            balancer: "keepalived",
            name: &server.address.value,
            path: server.address.origin.path().unwrap_or(&keepalived.path),
            listen: vec![&server.address],
            backends: &server.real_servers,
            frontend: None,
        }));
    }
    found
}

/// Those that stand before an apiserver: a backend has its port, or some kubeconfig dials them.
pub fn before_apiservers<'a>(cluster: &Cluster, host: &'a Host) -> Vec<Balanced<'a>> {
    let masters = masters(cluster);
    all(host).into_iter().filter(|balanced| is_before_apiservers(cluster, host, &masters, balanced)).collect()
}

fn is_before_apiservers(cluster: &Cluster, host: &Host, masters: &[Master<'_>], balanced: &Balanced<'_>) -> bool {
    let by_backend = balanced.backends.iter().filter_map(|backend| Url::parse(&backend.address.value)).any(|url| {
        let Some(port) = url.port else { return false };
        port == 6443
            || addresses_of(cluster, host, &url.host)
                .into_iter()
                .any(|address| masters.iter().any(|master| master.owns(address) && master.serves(port)))
    });
    by_backend || (!balanced.backends.is_empty() && dialled_as_apiserver(cluster, host, &balanced.ports()))
}

/// Whether a kubeconfig or component of the given hosts dials one of these ports of this host, at an address of its own or
/// a virtual one.
pub fn dialled_as_apiserver(cluster: &Cluster, host: &Host, ports: &[u16]) -> bool {
    !dialled_names(cluster, host, ports).is_empty()
}

/// The names and addresses by which clients dial this host for an apiserver, on one of the ports.
pub fn dialled_names(cluster: &Cluster, host: &Host, ports: &[u16]) -> BTreeSet<String> {
    let virtual_addresses = virtual_addresses(host);
    let mut names = BTreeSet::new();
    for client in &cluster.hosts {
        let kubeconfigs = client.kubernetes.kubeconfigs.iter().flat_map(|kubeconfig| &kubeconfig.clusters);
        let named = kubeconfigs.filter_map(|entry| Some(entry.server.as_ref()?.value.clone()));
        // Before kubeconfigs, flags named the apiserver.
        let flags = client.components.iter().flat_map(|component| {
            let items = ["master", "api-servers"].into_iter().flat_map(|flag| component.flag_items(flag));
            items.map(|item| item.value).collect::<Vec<_>>()
        });
        let urls = named.chain(flags).filter_map(|server| Url::parse(&server));
        for url in urls.filter(|url| ports.contains(&url.port_or_default())) {
            let here = if url.is_loopback() {
                client.name == host.name && host.component(ComponentName::KubeApiserver).is_none()
            } else {
                url.host == host.name
                    || addresses_of(cluster, client, &url.host).into_iter().any(|address| {
                        virtual_addresses.contains(&address)
                            || owners(cluster, address).any(|own| own.name == host.name)
                    })
            };
            if here {
                names.insert(url.host);
            }
        }
    }
    names
}

/// The virtual addresses that the host's keepalived may take.
pub fn virtual_addresses(host: &Host) -> Vec<IpAddr> {
    let Ok(Some(keepalived)) = &host.load_balancers.keepalived else { return Vec::new() };
    keepalived
        .instances
        .iter()
        .flat_map(|instance| &instance.virtual_addresses)
        .filter_map(|address| address.value.parse().ok())
        .collect()
}

/// What a name means on this host, or else on any other of the cluster; a given host's own name is its addresses.
pub fn addresses_of(cluster: &Cluster, at: &Host, name: &str) -> Vec<IpAddr> {
    let own = resolve(at, name);
    if !own.is_empty() {
        return own;
    }
    cluster.hosts.iter().map(|host| resolve(host, name)).find(|found| !found.is_empty()).unwrap_or_default()
}

/// `haproxy.service` as it is called on the host.
pub fn unit_of(host: &Host, component: ComponentName) -> String {
    host.units
        .iter()
        .find(|unit| {
            unit.exec_start
                .iter()
                .flat_map(|command| command.words.first())
                .any(|word| word.value.rsplit('/').next().is_some_and(|program| program.starts_with(component.name())))
        })
        .map_or_else(|| component.name().to_owned(), |unit| unit.name.trim_end_matches(".service").to_owned())
}
