//! Who dials whom, and whether what is dialled answers: the port, the scheme, the certificate.

use super::map::{Link, Served, Server, State, Where, place, runs};
use super::{Balancer, Edge, Route, Service, addresses, balancer_for, edges, secure_port};
use crate::facts::address::{Url, owners};
use crate::facts::certificates::{Certificate, CertificateFile};
use crate::facts::component::{Component, ComponentName, LayerKind, split_items};
use crate::facts::{Cluster, Host};
use crate::parse::pem::{Verified, issued_by};

/// Every link of the cluster, in the order of its hosts.
pub(super) fn of(cluster: &Cluster) -> Vec<Link> {
    let edges = edges(cluster);
    let mut links = Vec::new();
    for host in &cluster.hosts {
        links.extend(
            edges.iter().filter(|edge| edge.client_host == host.name).filter_map(|edge| of_edge(cluster, host, edge)),
        );
        links.extend(of_balancers(cluster, host));
    }
    links
}

/// None for a member's own URL among those of its peers.
fn of_edge(cluster: &Cluster, host: &Host, edge: &Edge) -> Option<Link> {
    if edge.service == Service::EtcdPeer && edge.route == Route::Direct && edge.servers.contains(&host.name) {
        return None;
    }
    let url = edge.parsed()?;
    let balancer = balancer_for(cluster, host, &url);
    let mut check = Check { cluster, client: host, edge, url: &url, broken: Vec::new(), unknown: Vec::new() };
    // An apiserver may stand behind a load balancer that was not given; an etcd member does not.
    let is_member = edge.route == Route::Elsewhere && edge.service != Service::Apiserver;
    let names: &[String] = if is_member { &[] } else { &edge.servers };
    let servers: Vec<Server> = names.iter().filter_map(|name| check.server(name)).collect();
    if edge.route == Route::Elsewhere {
        let mut why = format!("no given host has {}", url.host);
        if !names.is_empty() {
            why.push_str(&format!(
                ": a load balancer, or a host that was not given ({} may stand behind it)",
                names.join(", ")
            ));
        }
        check.unknown.push(why);
    } else if edge.servers.is_empty() {
        check.unknown.push("none of its backends was given".to_owned());
    }
    let state = match (check.broken.is_empty(), check.unknown.is_empty()) {
        (false, _) => State::Broken,
        (true, false) => State::Unknown,
        (true, true) => State::Fits,
    };
    let mut why = check.broken;
    why.append(&mut check.unknown);
    why.dedup();
    Some(Link {
        host: host.name.clone(),
        client: client_name(host, &edge.client),
        configured_at: in_file(host, edge).unwrap_or_else(|| place(&edge.url)),
        url: edge.url.value.clone(),
        scheme: url.scheme.clone(),
        service: Some(edge.service.name()),
        through: balancer.as_ref().map(Balancer::name),
        servers,
        state,
        why,
    })
}

/// The place of a file that gives a running component what it dials: there it can be edited.
fn in_file(host: &Host, edge: &Edge) -> Option<Where> {
    if edge.url.origin.path().is_some() {
        return None;
    }
    let component = host.components.iter().find(|component| component.name.name() == edge.client)?;
    let layers = component.layers.iter().filter(|layer| layer.kind != LayerKind::Process);
    let mut items = layers.flat_map(|layer| layer.flags.values().flatten()).flat_map(split_items);
    let url = edge.url.value.as_str();
    let is_it = |value: &str| value == url || value.split_once('=').is_some_and(|(_, value)| value == url);
    items.find(|item| is_it(&item.value)).map(|item| place(&item))
}

/// The component that signs in with a kubeconfig; other clients have their names already.
fn client_name(host: &Host, client: &str) -> String {
    if !client.starts_with('/') {
        return client.to_owned();
    }
    let flags = ["kubeconfig", "bootstrap-kubeconfig"];
    let named = host.components.iter().find(|component| {
        component.layers.iter().any(|layer| {
            flags.iter().any(|flag| {
                layer.flags.get(*flag).is_some_and(|values| values.iter().any(|value| value.value == client))
            })
        })
    });
    if let Some(component) = named {
        return component.name.name().to_owned();
    }
    match client.rsplit('/').next().unwrap_or_default() {
        "kubelet.conf" | "bootstrap-kubelet.conf" | "kubelet.kubeconfig" => "kubelet".to_owned(),
        "controller-manager.conf" => "kube-controller-manager".to_owned(),
        "scheduler.conf" => "kube-scheduler".to_owned(),
        "admin.conf" | "super-admin.conf" | "config" => "kubectl".to_owned(),
        "kube-proxy.kubeconfig" | "kube-proxy.conf" => "kube-proxy".to_owned(),
        _ => client.to_owned(),
    }
}

struct Check<'a> {
    cluster: &'a Cluster,
    client: &'a Host,
    edge: &'a Edge,
    url: &'a Url,
    broken: Vec<String>,
    unknown: Vec<String>,
}

impl Check<'_> {
    fn server(&mut self, name: &str) -> Option<Server> {
        let cluster = self.cluster;
        let host = cluster.hosts.iter().find(|host| host.name == name)?;
        let wanted = self.edge.service.component();
        let Some(component) = host.component(wanted) else {
            if self.edge.route != Route::Elsewhere {
                self.broken.push(format!("{name} has no {}", wanted.name()));
            }
            return Some(Server { host: name.to_owned(), component: wanted.name(), certificate: None });
        };
        // What may stand behind an unknown address is not judged.
        let is_certain = self.edge.route != Route::Elsewhere;
        if is_certain && runs(host, component) == Some(false) {
            self.broken.push(format!("no {} runs on {name}", wanted.name()));
        }
        if self.edge.route == Route::Direct {
            self.listener(host, component);
        }
        let certificate = if self.url.scheme == "https" { self.certificate(host, component, is_certain) } else { None };
        Some(Server { host: name.to_owned(), component: wanted.name(), certificate })
    }

    /// Whether the server listens on the port and address that are dialled, with the scheme.
    fn listener(&mut self, host: &Host, component: &Component) {
        let name = component.name.name();
        let listens: Vec<Url> = match self.edge.service {
            Service::Apiserver => super::map::listens(host, component),
            Service::EtcdClient => urls(component, "listen-client-urls"),
            Service::EtcdPeer => urls(component, "listen-peer-urls"),
        }
        .iter()
        .filter_map(|url| Url::parse(url))
        .collect();
        if listens.is_empty() {
            return self.unknown.push(format!("where {name} on {} listens is not known", host.name));
        }
        let port = self.url.port_or_default();
        let of_port: Vec<&Url> = listens.iter().filter(|listen| listen.port_or_default() == port).collect();
        let shown = |urls: &[&Url]| {
            let mut texts: Vec<String> =
                urls.iter().map(|url| format!("{}:{}", url.host, url.port_or_default())).collect();
            texts.dedup();
            texts.join(", ")
        };
        if of_port.is_empty() {
            let all: Vec<&Url> = listens.iter().collect();
            return self.broken.push(format!("{name} on {} listens on {}, not on port {port}", host.name, shown(&all)));
        }
        let dialled = addresses(self.cluster, self.client, self.url);
        let answers = |listen: &&&Url| match listen.address() {
            Some(address) => address.is_unspecified() || dialled.contains(&address),
            None => listen.host == self.url.host || listen.host == "localhost" && self.url.is_loopback(),
        };
        let answering: Vec<&Url> = of_port.iter().filter(answers).copied().collect();
        if answering.is_empty() && !dialled.is_empty() {
            self.broken.push(format!("{name} on {} listens on {} only", host.name, shown(&of_port)));
        }
        let schemes: Vec<&str> =
            of_port.iter().map(|listen| listen.scheme.as_str()).filter(|scheme| !scheme.is_empty()).collect();
        let scheme = self.url.scheme.as_str();
        if !scheme.is_empty() && !schemes.is_empty() && !schemes.contains(&scheme) {
            self.broken.push(format!("{name} on {} speaks {} there, not {scheme}", host.name, schemes.join(", ")));
        }
    }

    fn certificate(&mut self, host: &Host, component: &Component, is_certain: bool) -> Option<Served> {
        let flag = match self.edge.service {
            Service::Apiserver => "tls-cert-file",
            Service::EtcdClient => "cert-file",
            Service::EtcdPeer => "peer-cert-file",
        };
        let path = component.flag(flag)?;
        let file = host.kubernetes.certificates.get(&path.value)?.as_ref().ok()?;
        let leaf = file.certificates.first()?;
        let verified_name = if self.is_verified() { self.edge.verified_name() } else { None };
        let has_name = verified_name.as_ref().map(|name| leaf.covers(name));
        let trusted = verified_name.as_ref().and_then(|_| self.is_trusted(file, leaf));
        if is_certain {
            if leaf.not_after <= self.cluster.at {
                self.broken.push(format!(
                    "the certificate of {} on {} expired on {}",
                    component.name.name(),
                    host.name,
                    day(leaf)
                ));
            }
            if let (Some(name), Some(false)) = (&verified_name, has_name) {
                self.broken.push(format!(
                    "the certificate of {} on {} is not for {name}",
                    component.name.name(),
                    host.name
                ));
            }
            if trusted == Some(false) {
                self.broken.push(format!(
                    "{} on {} serves a certificate by {}, whom the client does not trust",
                    component.name.name(),
                    host.name,
                    leaf.issuer
                ));
            }
        }
        let addresses = leaf.addresses.iter().map(ToString::to_string);
        Some(Served {
            path: path.value.clone(),
            subject: leaf.subject.clone(),
            issuer: leaf.issuer.clone(),
            names: leaf.dns_names.iter().cloned().chain(addresses).collect(),
            expires: leaf.not_after,
            verified_name,
            has_name,
            trusted,
        })
    }

    /// Whether the client looks at certificates: a kubeconfig may say that it does not.
    fn is_verified(&self) -> bool {
        let clusters = self.client.kubernetes.kubeconfigs.iter().flat_map(|kubeconfig| &kubeconfig.clusters);
        let of_edge = |cluster: &&crate::facts::kubernetes::KubeconfigCluster| {
            cluster.server.as_ref().is_some_and(|server| server.origin == self.edge.url.origin)
        };
        !clusters.filter(of_edge).any(|cluster| cluster.insecure_skip_tls_verify)
    }

    /// Whether an authority that the client was given issued the certificate; none when that cannot be told.
    fn is_trusted(&self, file: &CertificateFile, leaf: &Certificate) -> Option<bool> {
        let authorities = self.authorities()?;
        if authorities.certificates.is_empty() {
            return None;
        }
        let answers: Vec<Verified> =
            authorities.certificates.iter().map(|authority| issued_by(leaf, authority)).collect();
        if answers.contains(&Verified::Yes) || authorities.certificates.iter().any(|known| known.sha256 == leaf.sha256)
        {
            Some(true)
        } else if answers.contains(&Verified::Unsupported) || file.certificates.len() > 1 {
            // Intermediates may lead there.
            None
        } else {
            Some(false)
        }
    }

    fn authorities(&self) -> Option<&CertificateFile> {
        let file = |path: &str| self.client.kubernetes.certificates.get(path)?.as_ref().ok();
        let flag = |component: ComponentName, flag: &str| file(&self.client.component(component)?.flag(flag)?.value);
        match self.edge.service {
            Service::EtcdPeer => flag(ComponentName::Etcd, "peer-trusted-ca-file"),
            Service::EtcdClient => flag(ComponentName::KubeApiserver, "etcd-cafile"),
            Service::Apiserver => {
                let mut clusters =
                    self.client.kubernetes.kubeconfigs.iter().flat_map(|kubeconfig| &kubeconfig.clusters);
                let entry = clusters.find(|cluster| {
                    cluster.server.as_ref().is_some_and(|server| server.origin == self.edge.url.origin)
                })?;
                match &entry.certificate_authority_data {
                    Some(data) => Some(data),
                    None => file(&entry.certificate_authority.as_ref()?.value),
                }
            }
        }
    }
}

fn urls(component: &Component, flag: &str) -> Vec<String> {
    let value = component.flag_or_default(flag).map(|value| value.value).unwrap_or_default();
    value.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect()
}

fn day(leaf: &Certificate) -> String {
    leaf.not_after.strftime("%Y-%m-%d").to_string()
}

/// What a host's load balancers dial.
fn of_balancers(cluster: &Cluster, host: &Host) -> Vec<Link> {
    let proxies = [("haproxy", &host.load_balancers.haproxy), ("nginx", &host.load_balancers.nginx)];
    let mut links = Vec::new();
    for (program, proxy) in proxies {
        for frontend in proxy.iter().flatten().flat_map(|proxy| &proxy.frontends) {
            for backend in &frontend.backends {
                let Some(url) = Url::parse(&backend.address.value) else { continue };
                let found = addresses(cluster, host, &url);
                let owner = if found.iter().any(std::net::IpAddr::is_loopback) {
                    Some(host)
                } else {
                    found.iter().find_map(|address| owners(cluster, *address).next())
                };
                let apiserver = owner.and_then(|owner| owner.component(ComponentName::KubeApiserver));
                let is_apiserver = apiserver.is_some_and(|apiserver| secure_port(apiserver) == url.port_or_default());
                let (state, why) = match (owner, is_apiserver) {
                    (None, _) => (State::Unknown, vec![format!("no given host has {}", url.host)]),
                    (Some(owner), _) if apiserver.is_some_and(|apiserver| runs(owner, apiserver) == Some(false)) => {
                        (State::Broken, vec![format!("no kube-apiserver runs on {}", owner.name)])
                    }
                    (Some(_), true) => (State::Fits, Vec::new()),
                    (Some(owner), false) => (
                        State::Unknown,
                        vec![format!("what listens on port {} of {} is not known", url.port_or_default(), owner.name)],
                    ),
                };
                links.push(Link {
                    host: host.name.clone(),
                    client: program.to_owned(),
                    configured_at: place(&backend.address),
                    url: backend.address.value.clone(),
                    scheme: frontend
                        .upstream_scheme
                        .as_ref()
                        .map_or_else(|| "tcp".to_owned(), |scheme| scheme.value.clone()),
                    service: is_apiserver.then_some("kube-apiserver"),
                    through: None,
                    servers: owner
                        .filter(|_| is_apiserver)
                        .map(|owner| Server {
                            host: owner.name.clone(),
                            component: "kube-apiserver",
                            certificate: None,
                        })
                        .into_iter()
                        .collect(),
                    state,
                    why,
                });
            }
        }
    }
    links
}
