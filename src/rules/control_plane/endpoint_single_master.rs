//! endpoint-single-master: a node's component dials one master of several, which is then a single point of failure.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::load_balancer::Keepalived;
use crate::facts::topology::{self, Edge, Route, Service};
use crate::rules::load_balancer::before_apiservers;
use crate::rules::support::{file_of, in_url, in_words, main_address, owners, resolve};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "endpoint-single-master", judge: Judge::Host(judge), refine: None };

/// The components that every node runs, and those of masters when they dial another one.
const CLIENTS: [ComponentName; 4] = [
    ComponentName::Kubelet,
    ComponentName::KubeProxy,
    ComponentName::KubeControllerManager,
    ComponentName::KubeScheduler,
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let masters: Vec<&Host> =
        context.cluster.hosts.iter().filter(|host| host.component(ComponentName::KubeApiserver).is_some()).collect();
    if masters.len() < 2 || !are_one_cluster(&masters) {
        return;
    }
    if CLIENTS.iter().any(|name| host.component(*name).is_some()) {
        for unread in &host.kubernetes.unread_kubeconfigs {
            verdict.unknown(unread.clone());
        }
    }
    let edges: Vec<Edge> =
        topology::edges(context.cluster).into_iter().filter(|edge| edge.client_host == host.name).collect();
    for name in CLIENTS {
        let Some(component) = host.component(name) else { continue };
        let own = own_edges(component, &edges);
        let [edge] = own.as_slice() else { continue };
        let (Route::Direct, [server]) = (edge.route, edge.servers.as_slice()) else {
            verdict.pass();
            continue;
        };
        if *server == host.name || is_virtual(context, host, edge) {
            verdict.pass();
            continue;
        }
        let names: Vec<String> = masters.iter().map(|master| master.name.clone()).collect();
        verdict.fail(
            Draft::new()
                .subject(name.name())
                .value("program", name.name())
                .value("master", server)
                .value("masters", in_words(&names))
                .value("url", &edge.url.value)
                .maybe_value("file", file_of(&edge.url))
                .maybe_value("balancer", balancer(context))
                .at(&host.name, &edge.url.origin, format!("{server} alone"))
                .note(format!("the masters are {}", in_words(&names))),
        );
    }
}

/// The URL of what stands before all masters: what another component dials, else what kubeadm was told, else where a load
/// balancer that was given listens.
fn balancer(context: &Context<'_>) -> Option<String> {
    let edges = topology::edges(context.cluster);
    let dialled = edges.iter().find(|edge| edge.service == Service::Apiserver && edge.route == Route::Balanced);
    let told = || {
        let documents = context.cluster.hosts.iter().flat_map(|host| &host.kubernetes.kubeadm_configuration);
        let endpoint = documents.filter_map(|document| document.get("controlPlaneEndpoint")).next()?;
        let port = if endpoint.value.contains(':') { "" } else { ":6443" };
        Some(format!("https://{}{port}", endpoint.value)).filter(|_| !endpoint.value.is_empty())
    };
    let given = || {
        context.cluster.hosts.iter().find_map(|host| {
            let port = *before_apiservers(context.cluster, host).first()?.ports().first()?;
            let keepalived = host.load_balancers.keepalived.iter().flatten();
            let mut moving = keepalived.flat_map(|it| &it.instances).flat_map(|instance| &instance.virtual_addresses);
            let moving = moving.find_map(|address| address.value.split('/').next()?.parse::<IpAddr>().ok());
            let address = moving.or_else(|| main_address(host.network.as_ref().ok()?))?;
            Some(format!("https://{}:{port}", in_url(address)))
        })
    };
    dialled.map(|edge| edge.url.value.clone()).or_else(told).or_else(given)
}

/// What the component dials the apiserver by: its kubeconfig, else its flag.
fn own_edges<'a>(component: &Component, edges: &'a [Edge]) -> Vec<&'a Edge> {
    let usual = match component.name {
        ComponentName::Kubelet => "/etc/kubernetes/kubelet.conf",
        _ => "",
    };
    let path = component.flag("kubeconfig").map_or(usual, |path| path.value.as_str());
    let of_kubeconfig: Vec<&Edge> =
        edges.iter().filter(|edge| edge.service == Service::Apiserver && edge.client == path).collect();
    if !of_kubeconfig.is_empty() {
        return of_kubeconfig;
    }
    edges.iter().filter(|edge| edge.service == Service::Apiserver && edge.client == component.name.name()).collect()
}

/// Clusters that were given together by mistake have CAs of their own.
fn are_one_cluster(masters: &[&Host]) -> bool {
    let ca = |host: &Host| -> Option<String> {
        let path = &host.component(ComponentName::KubeApiserver)?.flag("client-ca-file")?.value;
        let file = host.kubernetes.certificates.get(path)?.as_ref().ok()?;
        Some(file.certificates.first()?.public_key_sha256.clone())
    };
    let known: Vec<String> = masters.iter().filter_map(|master| ca(master)).collect();
    known.windows(2).all(|pair| pair[0] == pair[1])
}

/// Whether the dialled address is one that may move to another host: keepalived's, kube-vip's, or one without a network of
/// its own.
fn is_virtual(context: &Context<'_>, host: &Host, edge: &Edge) -> bool {
    let Some(url) = edge.parsed() else { return true };
    let addresses = resolve(host, &url.host);
    let text = |keepalived: &Keepalived| {
        keepalived
            .instances
            .iter()
            .flat_map(|instance| &instance.virtual_addresses)
            .any(|virtual_address| virtual_address.value.parse().is_ok_and(|parsed| addresses.contains(&parsed)))
    };
    // What several hosts have is no one's own: the real servers of LVS, anycast.
    if addresses.iter().any(|address| owners(context.cluster, *address).count() > 1) {
        return true;
    }
    context.cluster.hosts.iter().any(|other| {
        let by_keepalived = matches!(&other.load_balancers.keepalived, Ok(Some(keepalived)) if text(keepalived));
        let by_pod = other.kubernetes.static_pods.as_ref().is_ok_and(|pods| {
            pods.iter().flat_map(|pod| &pod.containers).any(|container| {
                let words = container.environment.values().chain(&container.command);
                container.name.contains("vip")
                    && words.into_iter().any(|value| addresses.iter().any(|a| value.value.contains(&a.to_string())))
            })
        });
        // An interface's first address has the network's prefix; one that moves has 32, or comes after it.
        let by_prefix = other.network.as_ref().is_ok_and(|network| {
            network.interfaces.iter().any(|interface| {
                interface
                    .addresses
                    .iter()
                    .any(|net| addresses.contains(&net.addr()) && net.prefix_len() >= net.max_prefix_len())
            })
        });
        by_keepalived || by_pod || by_prefix
    })
}
