//! Which daemons are asked what: etcd, apiservers, Docker, the CRI runtime.

use std::net::IpAddr;

use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::kubernetes::{Kubeconfig, KubeconfigCluster};

use super::{ApiserverQuestion, ClientCertificate, Endpoint, EtcdQuestion, FlannelQuestion, SocketQuestion};

/// Pairs that kubeadm makes for clients of etcd, certificate and key.
const ETCD_CLIENTS: [(&str, &str); 2] = [
    ("/etc/kubernetes/pki/apiserver-etcd-client.crt", "/etc/kubernetes/pki/apiserver-etcd-client.key"),
    ("/etc/kubernetes/pki/etcd/healthcheck-client.crt", "/etc/kubernetes/pki/etcd/healthcheck-client.key"),
];

/// Flags that name an apiserver where no kubeconfig does.
const DIALLED: [(ComponentName, &str); 4] = [
    (ComponentName::KubeControllerManager, "master"),
    (ComponentName::KubeScheduler, "master"),
    (ComponentName::KubeProxy, "master"),
    (ComponentName::Kubelet, "api-servers"),
];

/// The apiserver's port when nothing sets it.
const SECURE_PORT: u16 = 6443;

const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Where CRI runtimes listen when nothing sets it.
const CRI_SOCKETS: [&str; 3] = ["/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"];

/// The apiserver's --etcd-servers, then what the etcd of this host advertises to clients.
pub fn etcd(host: &Host) -> Vec<EtcdQuestion> {
    let apiserver = host.component(ComponentName::KubeApiserver);
    let etcd = host.component(ComponentName::Etcd);
    let flagged = |component: Option<&Component>, certificate: &str, key: &str| {
        let component = component?;
        Some(ClientCertificate::Files {
            certificate: component.flag(certificate)?.value.clone(),
            key: component.flag(key)?.value.clone(),
        })
    };
    let usual = ETCD_CLIENTS
        .iter()
        .filter(|(certificate, _)| host.kubernetes.certificates.contains_key(*certificate))
        .map(|(certificate, key)| ClientCertificate::Files {
            certificate: (*certificate).to_owned(),
            key: (*key).to_owned(),
        });
    let mut certificates: Vec<ClientCertificate> = flagged(apiserver, "etcd-certfile", "etcd-keyfile")
        .into_iter()
        .chain(usual)
        // By hand the same pair is often made for the server, its peers and etcdctl.
        .chain(flagged(etcd, "cert-file", "key-file"))
        .collect();
    let mut seen = Vec::new();
    certificates.retain(|certificate| {
        let new = !seen.contains(certificate);
        seen.push(certificate.clone());
        new
    });

    let mut questions: Vec<EtcdQuestion> = Vec::new();
    for (component, flag) in [(apiserver, "etcd-servers"), (etcd, "advertise-client-urls")] {
        for url in component.map(|component| component.flag_items(flag)).unwrap_or_default() {
            let Some(endpoint) = Endpoint::of_url(&url.value, false).filter(|endpoint| !endpoint.is_unspecified())
            else {
                continue;
            };
            let address = endpoint.url();
            if questions.iter().all(|question| question.endpoint != address) {
                let certificates = if endpoint.tls { certificates.clone() } else { Vec::new() };
                questions.push(EtcdQuestion { endpoint: address, certificates });
            }
        }
    }
    questions
}

/// Flannel's key at each endpoint that it is given, unless it takes its network from Kubernetes.
pub fn flannel(host: &Host) -> Vec<FlannelQuestion> {
    let Some(flanneld) = host.component(ComponentName::Flanneld) else { return Vec::new() };
    let from_kubernetes = flanneld.flag_bool("kube-subnet-mgr") == Some(true);
    let prefix = flanneld.flag_or_default("etcd-prefix").map(|prefix| prefix.value).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if from_kubernetes || !prefix.starts_with('/') || !prefix.bytes().all(is_plain) {
        return Vec::new();
    }
    let file = |flag: &str| Some(flanneld.flag(flag)?.value.clone());
    let certificate = file("etcd-certfile").zip(file("etcd-keyfile"));
    let certificates: Vec<ClientCertificate> =
        certificate.into_iter().map(|(certificate, key)| ClientCertificate::Files { certificate, key }).collect();
    let urls = flanneld.flag_items("etcd-endpoints");
    let endpoints = urls.iter().filter_map(|url| Endpoint::of_url(&url.value, false));
    endpoints
        .filter(|endpoint| !endpoint.is_unspecified())
        .map(|endpoint| FlannelQuestion {
            endpoint: endpoint.url(),
            key: format!("{}/config", prefix.trim_end_matches('/')),
            certificates: if endpoint.tls { certificates.clone() } else { Vec::new() },
        })
        .collect()
}

/// Each kubeconfig's server, those that flags name, the local secure port, the advertised address, and the insecure port when it is on.
pub fn apiservers(host: &Host) -> Vec<ApiserverQuestion> {
    let mut questions: Vec<ApiserverQuestion> = Vec::new();
    let mut ask = |endpoint: Endpoint, certificate: Option<ClientCertificate>| {
        let address = endpoint.url();
        let at = questions.iter().position(|question| question.endpoint == address).unwrap_or_else(|| {
            questions.push(ApiserverQuestion { endpoint: address, certificates: Vec::new() });
            questions.len() - 1
        });
        if let (Some(certificate), Some(question)) = (certificate.filter(|_| endpoint.tls), questions.get_mut(at))
            && !question.certificates.contains(&certificate)
        {
            question.certificates.push(certificate);
        }
    };
    for kubeconfig in &host.kubernetes.kubeconfigs {
        if let Some(endpoint) = kubeconfig.current_cluster().and_then(kubeconfig_endpoint) {
            ask(endpoint, client_certificate(kubeconfig));
        }
    }
    for (name, flag) in DIALLED {
        for url in host.component(name).map(|component| component.flag_items(flag)).unwrap_or_default() {
            if let Some(endpoint) = Endpoint::of_url(&url.value, false) {
                ask(endpoint, None);
            }
        }
    }
    if let Some(endpoint) = discovery(host) {
        ask(endpoint, None);
    }
    if let Some(apiserver) = host.component(ComponentName::KubeApiserver).filter(|apiserver| !apiserver.is_planned()) {
        for (endpoint, _) in apiserver_endpoints(apiserver) {
            ask(endpoint, None);
        }
    }
    for question in &mut questions {
        // Who may see most goes first: what is asked is only read, and a kubelet may not list what others have.
        question.certificates.sort_by_key(|certificate| match certificate {
            ClientCertificate::Kubeconfig { path } => rank(path),
            ClientCertificate::Files { certificate, .. } => rank(certificate),
        });
    }
    questions
}

/// Where the cluster that this host is to join by a token tells of itself.
pub fn discovery(host: &Host) -> Option<Endpoint> {
    let endpoint = host.kubernetes.kubeadm_plan()?.discovery_endpoint()?;
    Endpoint::of_address(&endpoint.value, true)
}

fn rank(path: &str) -> u8 {
    let name = path.rsplit('/').next().unwrap_or_default();
    match () {
        () if name.contains("admin") || path.ends_with("/.kube/config") => 0,
        () if name.contains("kubelet") || name.contains("proxy") => 2,
        () => 1,
    }
}

/// The name of this host's node: what the kubelet is told, else the host's own.
pub fn node(host: &Host) -> String {
    let told = host.component(ComponentName::Kubelet).and_then(|kubelet| kubelet.flag("hostname-override"));
    told.map_or(&host.name, |name| &name.value).clone()
}

/// The current cluster's server. Without a scheme, client-go takes it for TLS when there is anything about TLS beside it.
pub fn kubeconfig_endpoint(cluster: &KubeconfigCluster) -> Option<Endpoint> {
    let has_tls = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify;
    Endpoint::of_url(&cluster.server.as_ref()?.value, has_tls)
}

fn client_certificate(kubeconfig: &Kubeconfig) -> Option<ClientCertificate> {
    let user = kubeconfig.current_user()?;
    // Data takes precedence over a file, for each of the two fields on its own; a mixture is left alone.
    match (&user.client_certificate_data, &user.client_key_data, &user.client_certificate, &user.client_key) {
        (Some(_), Some(_), _, _) => Some(ClientCertificate::Kubeconfig { path: kubeconfig.path.clone() }),
        (None, None, Some(certificate), Some(key)) => Some(ClientCertificate::Files {
            certificate: beside(&kubeconfig.path, &certificate.value),
            key: beside(&kubeconfig.path, &key.value),
        }),
        _ => None,
    }
}

/// A path as client-go takes it: relative to the kubeconfig's directory.
fn beside(kubeconfig: &str, path: &str) -> String {
    match kubeconfig.rsplit_once('/') {
        Some((directory, _)) if !path.starts_with('/') => format!("{directory}/{path}"),
        _ => path.to_owned(),
    }
}

/// Where the apiserver of this host answers, with the flag that says so: its secure port on the address that it binds or
/// on loopback, the advertised address, and the insecure port when a flag turns that on. The insecure port's default
/// differs between releases, so silence is not taken for one.
pub fn apiserver_endpoints(apiserver: &Component) -> Vec<(Endpoint, Option<&'static str>)> {
    let address = |flag: &str| {
        let address: IpAddr = apiserver.flag(flag)?.value.trim().parse().ok()?;
        (!address.is_unspecified()).then(|| address.to_string())
    };
    let port = |flag: &str| {
        let port: Option<u16> = apiserver.flag(flag)?.value.trim().parse().ok();
        Some(port.filter(|port| *port != 0))
    };
    let loopback = || "127.0.0.1".to_owned();
    let mut endpoints = Vec::new();
    // Port 0 turns it off, which releases until 1.12 allow.
    if let Some(port) = port("secure-port").unwrap_or(Some(SECURE_PORT)) {
        let flag = apiserver.flag("secure-port").map(|_| "secure-port");
        let host = address("bind-address").unwrap_or_else(loopback);
        endpoints.push((Endpoint { host, port, tls: true }, flag));
        if let Some(host) = address("advertise-address") {
            endpoints.push((Endpoint { host, port, tls: true }, Some("advertise-address")));
        }
    }
    if let Some(Some(port)) = port("insecure-port") {
        let host = address("insecure-bind-address").or_else(|| address("address")).unwrap_or_else(loopback);
        endpoints.push((Endpoint { host, port, tls: false }, Some("insecure-port")));
    }
    endpoints
}

/// Docker's socket: dockerd's -H or `hosts` when it is a unix socket, else the usual path.
pub fn docker(host: &Host) -> Option<SocketQuestion> {
    let dockerd = host.component(ComponentName::Dockerd);
    let daemon = host.runtimes.docker_daemon.as_ref().ok().and_then(Option::as_ref);
    let flagged = dockerd
        .into_iter()
        .flat_map(|component| &component.layers)
        .flat_map(|layer| ["host", "H"].into_iter().filter_map(|flag| layer.flags.get(flag)).flatten())
        .map(|value| value.value.as_str());
    let configured = daemon
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("hosts."))
        .map(|(_, value)| value.value.as_str());
    let mut sockets: Vec<String> = flagged.chain(configured).filter_map(unix_path).collect();
    sockets.push(DOCKER_SOCKET.to_owned());
    keep_first(&mut sockets);
    let kubelet = host.component(ComponentName::Kubelet);
    let kubelet_says = kubelet.and_then(|kubelet| kubelet.flag("container-runtime"));
    let expected = dockerd.is_some()
        || daemon.is_some()
        || host.unit("docker.service").is_some()
        || kubelet_says.is_some_and(|runtime| runtime.value == "docker");
    Some(SocketQuestion { sockets, expected })
}

/// The kubelet's runtime endpoint, else the usual sockets.
pub fn cri(host: &Host) -> Option<SocketQuestion> {
    let kubelet = host.component(ComponentName::Kubelet);
    let flag = kubelet.and_then(|kubelet| kubelet.flag("container-runtime-endpoint"));
    let document = host.kubernetes.kubelet_configuration.as_ref().ok().and_then(Option::as_ref);
    let configured = flag.or_else(|| document.and_then(|document| document.get("containerRuntimeEndpoint")));
    match configured.map(|value| unix_path(&value.value)) {
        Some(Some(socket)) => Some(SocketQuestion { sockets: vec![socket], expected: true }),
        // A TCP endpoint or one of Windows: not a socket of this host.
        Some(None) => None,
        None => Some(SocketQuestion { sockets: CRI_SOCKETS.map(str::to_owned).to_vec(), expected: false }),
    }
}

/// The path of `unix:///run/x.sock`, `unix:/run/x.sock` or `/run/x.sock`.
fn unix_path(endpoint: &str) -> Option<String> {
    let endpoint = endpoint.trim();
    let path = endpoint.strip_prefix("unix://").or_else(|| endpoint.strip_prefix("unix:")).unwrap_or(endpoint);
    path.starts_with('/').then(|| path.to_owned())
}

fn keep_first(items: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    items.retain(|item| seen.insert(item.clone()));
}
