//! The addresses by which clients find the control plane: what was intended, and what stands there.

use super::map::{Backend, Endpoint, EndpointKind, Link, Where, place};
use super::{Balancer, addresses, balancer_at};
use crate::facts::address::{Url, owners};
use crate::facts::component::ComponentName;
use crate::facts::{Cluster, Host};

/// Those that kubeadm's configuration names and those that clients dial; by how many dial them.
pub(super) fn of(cluster: &Cluster, links: &[Link]) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for host in &cluster.hosts {
        for document in &host.kubernetes.kubeadm_configuration {
            let intended =
                ["controlPlaneEndpoint", "api.controlPlaneEndpoint"].iter().find_map(|key| document.get(key));
            let Some(intended) = intended else { continue };
            let Some(url) = Url::parse(&intended.value) else { continue };
            // kubeadm takes the apiserver's port where none is given.
            let url = Url { port: Some(url.port.unwrap_or(6443)), scheme: "https".to_owned(), ..url };
            add(&mut endpoints, cluster, host, &url).intended_at.get_or_insert_with(|| place(intended));
        }
    }
    let proxies = ["haproxy", "nginx"];
    for link in
        links.iter().filter(|link| link.service == Some("kube-apiserver") && !proxies.contains(&link.client.as_str()))
    {
        let Some(host) = cluster.hosts.iter().find(|host| host.name == link.host) else { continue };
        let Some(url) = Url::parse(&link.url).filter(|url| !url.is_loopback()) else { continue };
        add(&mut endpoints, cluster, host, &url).clients += 1;
    }
    endpoints.sort_by(|a, b| {
        let key = |endpoint: &Endpoint| (endpoint.intended_at.is_none(), std::cmp::Reverse(endpoint.clients));
        key(a).cmp(&key(b)).then_with(|| a.address.cmp(&b.address))
    });
    endpoints
}

fn add<'a>(endpoints: &'a mut Vec<Endpoint>, cluster: &Cluster, from: &Host, url: &Url) -> &'a mut Endpoint {
    let address = match url.address() {
        Some(address) => format!("{}:{}", crate::facts::address::in_url(address), url.port_or_default()),
        None => format!("{}:{}", url.host, url.port_or_default()),
    };
    let index = match endpoints.iter().position(|endpoint| endpoint.address == address) {
        Some(index) => index,
        None => {
            endpoints.push(describe(cluster, from, url, address));
            endpoints.len() - 1
        }
    };
    &mut endpoints[index]
}

fn describe(cluster: &Cluster, from: &Host, url: &Url, address: String) -> Endpoint {
    let found = addresses(cluster, from, url);
    let carriers: Vec<String> = cluster
        .hosts
        .iter()
        .filter(|host| found.iter().any(|address| super::may_carry(host, *address)))
        .map(|host| host.name.clone())
        .collect();
    let at: Vec<&Host> = if carriers.is_empty() {
        found.iter().flat_map(|address| owners(cluster, *address)).collect()
    } else {
        cluster.hosts.iter().filter(|host| carriers.contains(&host.name)).collect()
    };
    let balancers: Vec<Balancer<'_>> = at.iter().filter_map(|host| balancer_at(host, url.port_or_default())).collect();
    let mut backends: Vec<Backend> = Vec::new();
    for (balancer, host) in balancers
        .iter()
        .flat_map(|balancer| balancer.frontend.backends.iter().map(move |backend| (backend, balancer.host)))
    {
        let owner = Url::parse(&balancer.address.value).and_then(|url| {
            let found = addresses(cluster, host, &url);
            if found.iter().any(std::net::IpAddr::is_loopback) {
                return Some(host.name.clone());
            }
            found.iter().find_map(|address| owners(cluster, *address).next()).map(|host| host.name.clone())
        });
        let backend = Backend { address: balancer.address.value.clone(), host: owner };
        if !backends.contains(&backend) {
            backends.push(backend);
        }
    }
    let serves = |host: &&Host| {
        let apiserver = host.component(ComponentName::KubeApiserver);
        apiserver.is_some_and(|apiserver| super::secure_port(apiserver) == url.port_or_default())
    };
    let kind = match () {
        () if !carriers.is_empty() => EndpointKind::VirtualAddress,
        () if !balancers.is_empty() => EndpointKind::LoadBalancer,
        () if at.iter().any(serves) => EndpointKind::Apiserver,
        () => EndpointKind::Unknown,
    };
    let by = match kind {
        EndpointKind::VirtualAddress => carriers,
        EndpointKind::LoadBalancer => balancers.iter().map(Balancer::name).collect(),
        EndpointKind::Apiserver | EndpointKind::Unknown => at.iter().map(|host| host.name.clone()).collect(),
    };
    Endpoint { address, kind, by, backends, clients: 0, intended_at: None::<Where> }
}
