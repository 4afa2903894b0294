//! Which TCP connections and TLS handshakes local clients make, and what local servers offer.

use std::net::IpAddr;

use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, split_items};
use crate::facts::kubeadm::KubeadmPlan;
use crate::facts::kubernetes::Kubeconfig;
use crate::facts::load_balancer::{Proxy, ProxyLayer};
use crate::origin::Sourced;

use super::services::{apiserver_endpoints, kubeconfig_endpoint};
use super::{Endpoint, Plan};

/// Flags that hold URLs which a component dials: component, flag, whether a bare `HOST:PORT` means TLS.
const DIALLED: [(ComponentName, &str, bool); 7] = [
    (ComponentName::KubeApiserver, "etcd-servers", false),
    (ComponentName::Flanneld, "etcd-endpoints", false),
    (ComponentName::KubeControllerManager, "master", false),
    (ComponentName::KubeScheduler, "master", false),
    (ComponentName::KubeProxy, "master", false),
    (ComponentName::Kubelet, "master", false),
    (ComponentName::Kubelet, "api-servers", false),
];

/// Flags of etcd that hold URLs which it serves.
const SERVED_BY_ETCD: [&str; 4] =
    ["advertise-client-urls", "initial-advertise-peer-urls", "listen-client-urls", "listen-peer-urls"];

pub fn add(host: &Host, plan: &mut Plan) {
    for kubeconfig in &host.kubernetes.kubeconfigs {
        add_kubeconfig(host, kubeconfig, plan);
    }
    for (name, flag, bare_is_tls) in DIALLED {
        if let Some(component) = host.component(name) {
            for url in component.flag_items(flag) {
                if let Some(endpoint) = Endpoint::of_url(&url.value, bare_is_tls) {
                    plan.dial(&endpoint, None, true, written(component, flag, &url));
                }
            }
        }
    }
    // What is not there yet serves nothing; who holds its port is known without asking.
    if let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| !etcd.is_planned()) {
        add_etcd(etcd, plan);
    }
    if let Some(apiserver) = host.component(ComponentName::KubeApiserver).filter(|apiserver| !apiserver.is_planned()) {
        add_apiserver(apiserver, plan);
    }
    if let Some(kubeadm) = host.kubernetes.kubeadm_plan() {
        add_planned(&kubeadm, plan);
    }
    if let Some(kubelet) = host.component(ComponentName::Kubelet) {
        add_kubelet(kubelet, plan);
    }
    for (name, proxy) in [("haproxy", &host.load_balancers.haproxy), ("nginx", &host.load_balancers.nginx)] {
        if let Ok(Some(proxy)) = proxy {
            add_backends(name, proxy, plan);
        }
    }
}

/// What a master's kubeconfigs dial that is neither loopback nor its own: load balancers' and virtual addresses. One
/// connection does not tell whether each of their servers answers.
pub fn repeated(host: &Host) -> Vec<Endpoint> {
    let Ok(network) = &host.network else { return Vec::new() };
    if host.component(ComponentName::KubeApiserver).is_none() {
        return Vec::new();
    }
    let servers = host.kubernetes.kubeconfigs.iter().filter_map(|kubeconfig| kubeconfig.current_cluster());
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for endpoint in servers.filter_map(kubeconfig_endpoint) {
        let address = endpoint.host.parse::<IpAddr>();
        let is_elsewhere = match address {
            Ok(address) => !address.is_loopback() && !network.owns(address),
            Err(_) => endpoint.host != "localhost",
        };
        if is_elsewhere && !endpoints.contains(&endpoint) && endpoints.len() < 4 {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

fn written(component: &Component, flag: &str, value: &Sourced<String>) -> String {
    format!("{} --{flag} ({})", component.name.name(), value.origin)
}

fn add_kubeconfig(host: &Host, kubeconfig: &Kubeconfig, plan: &mut Plan) {
    let Some(cluster) = kubeconfig.current_cluster() else { return };
    let (Some(server), Some(endpoint)) = (&cluster.server, kubeconfig_endpoint(cluster)) else { return };
    let dialled_by = format!("{} ({})", owner(host, &kubeconfig.path), server.origin);
    plan.dial(&endpoint, cluster.tls_server_name.as_deref(), !cluster.insecure_skip_tls_verify, dialled_by);
}

/// Who uses the kubeconfig at `path`: the component that is told to, else the one that kubeadm writes such a file for.
fn owner(host: &Host, path: &str) -> &'static str {
    let told = host.components.iter().find(|component| {
        ["kubeconfig", "bootstrap-kubeconfig"]
            .iter()
            .any(|flag| component.flag(flag).is_some_and(|value| value.value == path))
    });
    if let Some(component) = told {
        return component.name.name();
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let usual = [
        ("controller-manager", "kube-controller-manager"),
        ("scheduler", "kube-scheduler"),
        ("proxy", "kube-proxy"),
        ("kubelet", "kubelet"),
    ];
    usual.iter().find(|(part, _)| file.contains(part)).map_or("kubectl", |(_, name)| name)
}

fn add_etcd(etcd: &Component, plan: &mut Plan) {
    for flag in SERVED_BY_ETCD {
        for url in etcd.flag_items(flag) {
            if let Some(endpoint) = Endpoint::of_url(&url.value, false) {
                // Listening on every address says nothing of the name that clients use; only whether it answers counts.
                let endpoint = match endpoint.is_unspecified() {
                    true => Endpoint { host: "127.0.0.1".to_owned(), tls: false, ..endpoint },
                    false => endpoint,
                };
                plan.dial(&endpoint, None, false, written(etcd, flag, &url));
            }
        }
    }
    // `m1=https://10.0.0.1:2380,...`: etcd dials every peer there, and its own listener is among them.
    let own: Vec<Endpoint> = etcd
        .flag_items("initial-advertise-peer-urls")
        .iter()
        .filter_map(|url| Endpoint::of_url(&url.value, false))
        .collect();
    if let Some(members) = etcd.flag("initial-cluster") {
        for member in split_items(members) {
            let Some((_, url)) = member.value.split_once('=') else { continue };
            if let Some(endpoint) = Endpoint::of_url(url, false).filter(|endpoint| !own.contains(endpoint)) {
                plan.dial(&endpoint, None, true, written(etcd, "initial-cluster", &member));
            }
        }
    }
}

/// Where `kubeadm join` asks for the cluster, and the name by which every node is going to dial it. Before the first master
/// nobody need answer there.
fn add_planned(kubeadm: &KubeadmPlan<'_>, plan: &mut Plan) {
    if let Some(endpoint) = kubeadm.discovery_endpoint()
        && let Some(target) = Endpoint::of_address(&endpoint.value, true)
    {
        plan.dial(&target, None, false, format!("kubeadm join ({})", endpoint.origin));
    }
    // Only init has the images listed; a node that joins fetches what the cluster says.
    if !kubeadm.is_join()
        && let Some(registry) = Endpoint::of_url(&format!("https://{}", kubeadm.registry()), true)
    {
        plan.dial(&Endpoint { tls: false, ..registry }, None, false, "the images of kubeadm init".to_owned());
    }
    if let Some(endpoint) = kubeadm.endpoint() {
        let name = endpoint.value.rsplit_once(':').map_or(endpoint.value.as_str(), |(name, _)| name);
        plan.names.insert(name.to_owned());
    }
}

fn add_apiserver(apiserver: &Component, plan: &mut Plan) {
    for (endpoint, flag) in apiserver_endpoints(apiserver) {
        let dialled_by = match flag.and_then(|flag| Some((flag, apiserver.flag(flag)?))) {
            Some((flag, value)) => written(apiserver, flag, value),
            None => "kube-apiserver's own secure port".to_owned(),
        };
        plan.dial(&endpoint, None, false, dialled_by);
    }
}

/// The kubelet's own server, where it is given a certificate: what it makes for itself nobody verifies.
fn add_kubelet(kubelet: &Component, plan: &mut Plan) {
    let Some(certificate) = kubelet.flag("tls-cert-file").filter(|path| !path.value.is_empty()) else { return };
    let address = kubelet.flag("address").map_or("0.0.0.0", |address| address.value.trim());
    let port = kubelet.flag("port").map_or("10250", |port| port.value.trim());
    let Ok(port) = port.parse::<u16>() else { return };
    let address = match address.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() => address.to_string(),
        Ok(_) => "127.0.0.1".to_owned(),
        Err(_) => return,
    };
    let endpoint = Endpoint { host: address, port, tls: true };
    if port != 0 {
        plan.dial(&endpoint, None, false, written(kubelet, "tls-cert-file", certificate));
    }
}

fn add_backends(name: &str, proxy: &Proxy, plan: &mut Plan) {
    for frontend in &proxy.frontends {
        // Behind a proxy of TCP stands whatever its clients talk; behind one of HTTP what the scheme says.
        let tls = match (&frontend.upstream_scheme, frontend.layer) {
            (Some(scheme), _) => scheme.value == "https",
            (None, layer) => layer == ProxyLayer::Tcp,
        };
        for backend in frontend.backends.iter().filter(|backend| !backend.disabled) {
            if let Some(endpoint) = Endpoint::of_address(&backend.address.value, tls) {
                let dialled_by = format!("{name} for {} ({})", frontend.name, backend.address.origin);
                plan.dial(&endpoint, None, false, dialled_by);
            }
        }
    }
}
