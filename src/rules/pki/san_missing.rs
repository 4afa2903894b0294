//! pki-san-missing: a server certificate lacks a name or address that some client really dials.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::certificates::{Certificate, CertificateFile};
use crate::facts::component::{Component, ComponentName};
use crate::facts::topology::{self, Edge, Route, Service};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{Url, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-san-missing", judge: Judge::Host(judge), refine: None };

/// A name that has to be in a certificate, and who needs it.
struct Wanted {
    name: String,
    /// `kubelet.conf on w1 dials it`.
    why: String,
    host: String,
    origin: Option<Origin>,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let edges = topology::edges(context.cluster);
    if let Some(apiserver) = host.component(ComponentName::KubeApiserver) {
        let wanted = wanted_of_apiserver(context.cluster, host, apiserver, &edges);
        on_disk(host, apiserver, "tls-cert-file", "tls-private-key-file", wanted, verdict);
    }
    if let Some(etcd) = host.component(ComponentName::Etcd) {
        on_disk(host, etcd, "cert-file", "key-file", wanted_of_etcd(host, etcd, &edges, Service::EtcdClient), verdict);
        on_disk(
            host,
            etcd,
            "peer-cert-file",
            "peer-key-file",
            wanted_of_etcd(host, etcd, &edges, Service::EtcdPeer),
            verdict,
        );
    }
    served(host, verdict);
}

/// The certificate that a component's flag names, against what its clients need.
fn on_disk(host: &Host, component: &Component, flag: &str, key_flag: &str, wanted: Vec<Wanted>, verdict: &mut Verdict) {
    let Some(path) = component.flag(flag) else { return };
    let Some(file) = host.kubernetes.certificates.get(&path.value) else { return };
    let Some(file) = verdict.known(file) else { return };
    let Some(leaf) = file.certificates.first() else { return };
    let mut missing: BTreeMap<String, Vec<&Wanted>> = BTreeMap::new();
    for wanted in &wanted {
        if !leaf.covers(&wanted.name) {
            missing.entry(wanted.name.clone()).or_default().push(wanted);
        }
    }
    if missing.is_empty() {
        return verdict.pass();
    }
    let names: Vec<String> = missing.keys().cloned().collect();
    let draft = texts(Draft::new(), leaf, &names)
        .subject(path.value.clone())
        .value("certificate", &path.value)
        .value("server", component.name.name())
        .maybe_value("key", component.flag(key_flag).map(|key| &key.value));
    let ca = issuer_of(host, leaf);
    let mut draft = draft
        .maybe_value("ca", ca.map(|(path, _)| path))
        .maybe_value("ca_key", ca.and_then(|(_, ca)| key_of(host, ca)))
        .at(&host.name, &file.origin, format!("valid for {}", in_words(&sans(leaf))));
    for wants in missing.values() {
        for want in wants.iter().take(2) {
            draft = match &want.origin {
                Some(origin) => {
                    draft.evidence(Evidence::new(EvidenceKind::File, &want.host, origin.clone(), &want.why))
                }
                None => draft.note(want.why.clone()),
            };
        }
    }
    if path.value.starts_with("/etc/kubernetes/pki/") {
        let certificate =
            path.value.trim_start_matches("/etc/kubernetes/pki/").trim_end_matches(".crt").replace('/', "-");
        draft = draft.value("kubeadm_certificate", certificate);
    }
    verdict.fail(draft);
}

/// The certificates that were served, against the name that the client on this host verifies.
fn served(host: &Host, verdict: &mut Verdict) {
    for answer in &host.probes.handshakes {
        let Ok(chain) = &answer.chain else { continue };
        let Some(leaf) = chain.first() else { continue };
        if leaf.covers(&answer.server_name) {
            verdict.pass();
            continue;
        }
        // Nobody has to dial the loopback address by TLS: what a client really dials is named in dialled_by.
        let names = vec![answer.server_name.clone()];
        let draft = texts(Draft::new(), leaf, &names)
            .message("served")
            // The certificate of a file of this host is one fault with it.
            .subject(file_of_leaf(host, leaf).unwrap_or(&leaf.sha256))
            .value("target", &answer.target)
            .evidence(Evidence::new(
                EvidenceKind::Probe,
                &host.name,
                Origin::answer(format!("TLS handshake with {}", answer.target)),
                format!("served a certificate for {}; dialled by {}", in_words(&sans(leaf)), answer.dialled_by),
            ));
        verdict.fail(draft);
    }
}

/// Every readable file of certificates and keys of the host.
fn files(host: &Host) -> impl Iterator<Item = (&str, &CertificateFile)> {
    host.kubernetes.certificates.iter().filter_map(|(path, file)| Some((path.as_str(), file.as_ref().ok()?)))
}

/// The file whose first certificate this is.
fn file_of_leaf<'a>(host: &'a Host, leaf: &Certificate) -> Option<&'a str> {
    files(host)
        .find(|(_, file)| file.certificates.first().is_some_and(|certificate| certificate.sha256 == leaf.sha256))
        .map(|(path, _)| path)
}

/// The authority that signed a certificate, where it is on the host.
fn issuer_of<'a>(host: &'a Host, leaf: &Certificate) -> Option<(&'a str, &'a Certificate)> {
    files(host).find_map(|(path, file)| {
        let ca = file.certificates.first()?;
        let identified = match (&leaf.authority_key_id, &ca.subject_key_id) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        (ca.is_ca && ca.subject == leaf.issuer && identified).then_some((path, ca))
    })
}

/// The file with a certificate's private key, where it is on the host.
fn key_of<'a>(host: &'a Host, certificate: &Certificate) -> Option<&'a str> {
    let belongs = |file: &CertificateFile| {
        file.keys
            .iter()
            .any(|key| key.public_key_sha256.as_ref().is_ok_and(|hash| *hash == certificate.public_key_sha256))
    };
    files(host).find(|(_, file)| belongs(file)).map(|(path, _)| path)
}

fn texts(draft: Draft, leaf: &Certificate, missing: &[String]) -> Draft {
    let mut all = sans(leaf);
    all.extend(missing.iter().cloned());
    let openssl: Vec<String> = all
        .iter()
        .map(|name| if name.parse::<IpAddr>().is_ok() { format!("IP:{name}") } else { format!("DNS:{name}") })
        .collect();
    draft
        .value("missing", in_words(missing))
        .value("first_missing", missing.first().cloned().unwrap_or_default())
        .value("missing_list", missing.join(","))
        .value("names", all.join(","))
        .value("openssl_names", openssl.join(","))
        .value("subject", &leaf.subject)
}

fn sans(certificate: &Certificate) -> Vec<String> {
    let addresses = certificate.addresses.iter().map(IpAddr::to_string);
    certificate.dns_names.iter().cloned().chain(addresses).collect()
}

/// What clients of this host's apiserver dial: by the edges that lead here, and what every cluster's clients use.
fn wanted_of_apiserver(cluster: &Cluster, host: &Host, apiserver: &Component, edges: &[Edge]) -> Vec<Wanted> {
    let mut wanted = wanted_by_edges(cluster, host, edges, Service::Apiserver);
    if let Some(address) = specific(apiserver.flag("advertise-address")) {
        wanted.push(Wanted {
            why: "it advertises this address".to_owned(),
            name: address.value.clone(),
            host: host.name.clone(),
            origin: Some(address.origin.clone()),
        });
    }
    // Pods reach the apiserver by the first address of the service range (KUBERNETES_SERVICE_HOST).
    for range in apiserver.flag_items("service-cluster-ip-range") {
        if let Some(first) = first_address(&range.value) {
            wanted.push(Wanted {
                name: first.to_string(),
                why: "pods dial the first address of the service range".to_owned(),
                host: host.name.clone(),
                origin: Some(range.origin.clone()),
            });
            wanted.push(Wanted {
                name: "kubernetes.default.svc".to_owned(),
                why: "pods dial kubernetes.default.svc".to_owned(),
                host: host.name.clone(),
                origin: None,
            });
        }
    }
    wanted
}

fn wanted_of_etcd(host: &Host, etcd: &Component, edges: &[Edge], service: Service) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = edges
        .iter()
        .filter(|edge| edge.service == service && edge.route == Route::Direct && edge.servers.contains(&host.name))
        .filter_map(wanted_by)
        .collect();
    let flag = match service {
        Service::EtcdPeer => "initial-advertise-peer-urls",
        _ => "advertise-client-urls",
    };
    for item in etcd.flag_items(flag) {
        let Some(url) = Url::parse(&item.value).filter(|url| url.scheme == "https" && !url.is_loopback()) else {
            continue;
        };
        wanted.push(Wanted {
            name: url.host,
            why: "it advertises this URL".to_owned(),
            host: host.name.clone(),
            origin: Some(item.origin.clone()),
        });
    }
    wanted
}

fn wanted_by_edges(cluster: &Cluster, host: &Host, edges: &[Edge], service: Service) -> Vec<Wanted> {
    edges
        .iter()
        .filter(|edge| edge.service == service && edge.servers.contains(&host.name))
        .filter(|edge| match edge.route {
            Route::Direct | Route::Balanced => true,
            // An address that nobody given owns is a load balancer's, unless it is another master's that was not given.
            Route::Elsewhere => !is_other_member(cluster, edge),
        })
        .filter_map(wanted_by)
        .collect()
}

fn wanted_by(edge: &Edge) -> Option<Wanted> {
    let url = edge.parsed().filter(|url| url.scheme == "https")?;
    let name = edge.verified_name()?;
    // A client on the same host may go through a local proxy by loopback; the certificate needs the name all the same.
    let client = edge.client.rsplit('/').next().unwrap_or(&edge.client);
    Some(Wanted {
        why: format!("{client} on {} dials {}", edge.client_host, url.host),
        name,
        host: edge.client_host.clone(),
        origin: Some(edge.url.origin.clone()),
    })
}

/// Whether the dialled host is one of the etcd members that were not given: a single master of a stacked cluster.
fn is_other_member(cluster: &Cluster, edge: &Edge) -> bool {
    let Some(url) = edge.parsed() else { return false };
    cluster.hosts.iter().filter_map(|host| host.component(ComponentName::Etcd)).any(|etcd| {
        etcd.flag_items("initial-cluster").iter().any(|item| {
            let member = item.value.split_once('=').and_then(|(_, member)| Url::parse(member));
            member.is_some_and(|member| member.host == url.host)
        })
    })
}

fn specific(value: Option<&Sourced<String>>) -> Option<&Sourced<String>> {
    value.filter(|value| value.value.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified()))
}

fn first_address(range: &str) -> Option<IpAddr> {
    let net: ipnet::IpNet = range.trim().parse().ok()?;
    match net.network() {
        IpAddr::V4(address) => Some(IpAddr::V4(u32::from(address).checked_add(1)?.into())),
        IpAddr::V6(address) => Some(IpAddr::V6(u128::from(address).checked_add(1)?.into())),
    }
}
