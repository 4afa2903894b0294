//! pki-san-missing: a server certificate lacks a name or address that some client really dials.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::certificates::{Certificate, CertificateFile};
use crate::facts::component::{Component, ComponentName};
use crate::facts::log::LogHit;
use crate::facts::topology::{self, Edge, Route, Service};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{Url, in_words, is_virtual};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "pki-san-missing", judge: Judge::Host(judge), refine: Some(refine) };

/// Where kubeadm puts kube-apiserver's certificate.
const KUBEADM_CERTIFICATE: &str = "/etc/kubernetes/pki/apiserver.crt";

/// A name that has to be in a certificate, and who needs it.
struct Wanted {
    name: String,
    /// `kubelet.conf on w1 dials it`.
    why: String,
    host: String,
    origin: Option<Origin>,
    need: Need,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Some client verifies the name.
    Certain,
    /// A client does, if what it dials leads to this host, which the evidence does not say.
    Uncertain,
    /// Few clients do: worth telling beside others that are missing.
    Usual,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for serving in serving(context.cluster, host) {
        on_disk(context, host, &serving, verdict);
    }
    served(host, verdict);
}

/// A certificate that a component of the host serves, and what its clients need of it.
struct Serving<'a> {
    component: &'a Component,
    path: &'a Sourced<String>,
    key: Option<&'a Sourced<String>>,
    /// The flag that names the CA which signs such certificates, where there is one.
    authority: Option<&'a Sourced<String>>,
    wanted: Vec<Wanted>,
}

fn serving<'a>(cluster: &Cluster, host: &'a Host) -> Vec<Serving<'a>> {
    let edges: Vec<Edge> = topology::edges(cluster).into_iter().filter(|edge| verifies(cluster, edge)).collect();
    let mut found = Vec::new();
    let mut add = |component: &'a Component, [certificate, key, authority]: [&str; 3], wanted: Vec<Wanted>| {
        if let Some(path) = component.flag(certificate) {
            let (key, authority) = (component.flag(key), component.flag(authority));
            found.push(Serving { component, path, key, authority, wanted });
        }
    };
    if let Some(apiserver) = host.component(ComponentName::KubeApiserver) {
        let wanted = wanted_of_apiserver(cluster, host, apiserver, &edges);
        add(apiserver, ["tls-cert-file", "tls-private-key-file", ""], wanted);
    }
    if let Some(etcd) = host.component(ComponentName::Etcd) {
        let wanted = wanted_of_etcd(host, etcd, &edges, Service::EtcdClient);
        add(etcd, ["cert-file", "key-file", "trusted-ca-file"], wanted);
        let wanted = wanted_of_etcd(host, etcd, &edges, Service::EtcdPeer);
        add(etcd, ["peer-cert-file", "peer-key-file", "peer-trusted-ca-file"], wanted);
    }
    found
}

/// Whether the client looks at the certificate at all: a kubeconfig may say that it does not.
fn verifies(cluster: &Cluster, edge: &Edge) -> bool {
    let host = cluster.hosts.iter().find(|host| host.name == edge.client_host);
    let kubeconfigs = host.iter().flat_map(|host| &host.kubernetes.kubeconfigs);
    !kubeconfigs.filter(|kubeconfig| kubeconfig.path == edge.client).flat_map(|kubeconfig| &kubeconfig.clusters).any(
        |cluster| {
            cluster.insecure_skip_tls_verify
                && cluster.server.as_ref().is_some_and(|server| server.origin == edge.url.origin)
        },
    )
}

/// The names that the certificate lacks, each with who needs it.
fn missing_of<'a>(leaf: &Certificate, serving: &'a Serving<'_>) -> BTreeMap<&'a str, Vec<&'a Wanted>> {
    let mut missing: BTreeMap<&str, Vec<&Wanted>> = BTreeMap::new();
    for wanted in &serving.wanted {
        if !leaf.covers(&wanted.name) && !is_common_name_enough(leaf, serving.component, &wanted.name) {
            missing.entry(&wanted.name).or_default().push(wanted);
        }
    }
    missing
}

/// Clients of Kubernetes before 1.19 took the common name for a name of a certificate without any.
fn is_common_name_enough(leaf: &Certificate, component: &Component, name: &str) -> bool {
    leaf.dns_names.is_empty()
        && leaf.addresses.is_empty()
        && name.parse::<IpAddr>().is_err()
        && leaf.common_name.as_deref() == Some(name)
        && component.is_at_least(1, 19) == Some(false)
}

fn leaf_of<'a>(host: &'a Host, serving: &Serving<'_>) -> Option<&'a Certificate> {
    host.kubernetes.certificates.get(&serving.path.value)?.as_ref().ok()?.certificates.first()
}

/// The certificate that a component's flag names, against what its clients need.
fn on_disk(context: &Context<'_>, host: &Host, serving: &Serving<'_>, verdict: &mut Verdict) {
    let (component, path) = (serving.component, serving.path);
    let Some(file) = host.kubernetes.certificates.get(&path.value) else { return };
    let Some(file) = verdict.known(file) else { return };
    let Some(leaf) = file.certificates.first() else {
        return verdict.unknown(Unknown::new(&path.value, "holds no certificate that could be read"));
    };
    let missing = missing_of(leaf, serving);
    let is = |need: Need| missing.values().flatten().find(|wanted| wanted.need == need);
    // kubeadm puts the service's names into its own certificate: it was made anew, by other means.
    let lacks_usual = path.value == KUBEADM_CERTIFICATE && is(Need::Usual).is_some();
    if is(Need::Certain).is_none() && !lacks_usual {
        return match is(Need::Uncertain) {
            Some(wanted) => verdict.unknown(
                Unknown::new(
                    format!("whether {} leads to {}", wanted.name, host.name),
                    format!("no given host has it, and {}", wanted.why),
                )
                .with_remedy("give the evidence of the host that has it too"),
            ),
            None => verdict.pass(),
        };
    }
    let names: Vec<String> = missing
        .iter()
        .filter(|(_, wants)| is(Need::Certain).is_some() || wants.iter().any(|want| want.need == Need::Usual))
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let mut draft = texts(Draft::new(), leaf, &names)
        .subject(path.value.clone())
        .value("certificate", &path.value)
        .value("server", component.name.name())
        .maybe_value("key", serving.key.map(|key| &key.value))
        .at(&host.name, &file.origin, valid_for(leaf));
    let ca = issuer_of(host, leaf);
    draft = draft
        .maybe_value("ca", ca.map(|(path, _)| path).or(serving.authority.map(|path| path.value.as_str())))
        .maybe_value("ca_key", ca.and_then(|(_, ca)| key_of(host, ca)));
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
    for (client, hit) in
        refusals(context.cluster).filter(|(_, hit)| refused(hit).is_some_and(|name| names.contains(name)))
    {
        draft = draft.evidence(log_evidence(client, hit));
    }
    if is(Need::Certain).is_none() {
        draft = draft.severity(Severity::Warning);
    }
    if path.value == KUBEADM_CERTIFICATE {
        draft = draft.value("kubeadm_certificate", "apiserver");
    }
    verdict.fail(draft);
}

/// What clients of all hosts wrote of a certificate without the name that they dialled.
fn refusals(cluster: &Cluster) -> impl Iterator<Item = (&Host, &LogHit)> {
    cluster
        .hosts
        .iter()
        .flat_map(|host| host.logs.hits.iter().filter(|hit| hit.rule == DETECTOR.id).map(move |hit| (host, hit)))
}

fn refused(hit: &LogHit) -> Option<&String> {
    hit.captures.get("name")
}

fn log_evidence(client: &Host, hit: &LogHit) -> Evidence {
    let first = hit.lines.first();
    let origin = first.map_or_else(|| Origin::answer("the logs"), |line| Origin::file(line.path.as_str(), None));
    let text = first.map(|line| line.text.clone()).unwrap_or_default();
    let mut evidence = Evidence::new(EvidenceKind::Log, &client.name, origin, text);
    evidence.occurrences = Some(hit.occurrences());
    evidence
}

/// A client's message about a certificate that was found to lack the name is that finding's evidence, on the server's host.
fn refine(context: &Context<'_>, _: &Host, hit: &LogHit) -> Refined {
    let Some(name) = refused(hit) else { return Refined::Keep(Vec::new()) };
    let is_found = context.cluster.hosts.iter().any(|host| {
        serving(context.cluster, host).iter().any(|serving| {
            leaf_of(host, serving).is_some_and(|leaf| {
                let missing = missing_of(leaf, serving);
                missing.contains_key(name.as_str())
                    && missing.values().flatten().any(|wanted| wanted.need == Need::Certain)
            })
        })
    });
    if is_found { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

/// The certificates that were served, against the name that the client on this host verifies.
fn served(host: &Host, verdict: &mut Verdict) {
    for answer in &host.probes.handshakes {
        // A name that nobody verifies need not be in it.
        if !answer.verified {
            continue;
        }
        let Ok(chain) = &answer.chain else { continue };
        let Some(leaf) = chain.first() else { continue };
        if leaf.covers(&answer.server_name) {
            verdict.pass();
            continue;
        }
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

fn valid_for(leaf: &Certificate) -> String {
    match (sans(leaf).as_slice(), &leaf.common_name) {
        ([], Some(name)) => format!("has the common name {name}, which clients do not look at, and no other name"),
        ([], None) => "has no name at all".to_owned(),
        (names, _) => format!("valid for {}", in_words(names)),
    }
}

pub(super) fn sans(certificate: &Certificate) -> Vec<String> {
    let addresses = certificate.addresses.iter().map(IpAddr::to_string);
    certificate.dns_names.iter().cloned().chain(addresses).collect()
}

/// What clients of this host's apiserver dial: by the edges that lead here, and what every cluster's clients use.
fn wanted_of_apiserver(cluster: &Cluster, host: &Host, apiserver: &Component, edges: &[Edge]) -> Vec<Wanted> {
    let mut wanted = wanted_by_edges(cluster, host, apiserver, edges);
    // Pods reach the apiserver by the first address of the first service range (KUBERNETES_SERVICE_HOST).
    let ranges = apiserver.flag_items("service-cluster-ip-range");
    if let Some((range, first)) = ranges.first().and_then(|range| Some((range, first_address(&range.value)?))) {
        wanted.push(Wanted {
            name: first.to_string(),
            why: "pods dial the first address of the service range".to_owned(),
            host: host.name.clone(),
            origin: Some(range.origin.clone()),
            need: Need::Certain,
        });
        wanted.push(Wanted {
            name: "kubernetes.default.svc".to_owned(),
            why: "some pods dial kubernetes.default.svc".to_owned(),
            host: host.name.clone(),
            origin: None,
            need: Need::Usual,
        });
    }
    wanted
}

fn wanted_of_etcd(host: &Host, etcd: &Component, edges: &[Edge], service: Service) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = edges
        .iter()
        .filter(|edge| edge.service == service && edge.route == Route::Direct && edge.servers.contains(&host.name))
        .filter_map(|edge| wanted_by(edge, Need::Certain))
        .collect();
    let by_others = edges
        .iter()
        .any(|edge| edge.service == service && edge.client_host != host.name && edge.servers.contains(&host.name));
    if service == Service::EtcdPeer && !by_others && etcd.flag_items("initial-cluster").len() < 2 {
        // Nobody dials the peer of a single member.
        wanted.clear();
        return wanted;
    }
    let flag = match service {
        Service::EtcdPeer => "initial-advertise-peer-urls",
        _ => "advertise-client-urls",
    };
    for item in etcd.flag_items(flag) {
        let Some(url) = Url::parse(&item.value).filter(|url| url.scheme == "https" && !url.is_loopback()) else {
            continue;
        };
        // Nobody dials an address that is none; that it is advertised is another fault.
        if url.address().is_some_and(|address| address.is_unspecified()) {
            continue;
        }
        wanted.push(Wanted {
            name: url.host,
            why: "it advertises this URL".to_owned(),
            host: host.name.clone(),
            origin: Some(item.origin.clone()),
            need: Need::Certain,
        });
    }
    wanted
}

fn wanted_by_edges(cluster: &Cluster, host: &Host, apiserver: &Component, edges: &[Edge]) -> Vec<Wanted> {
    edges
        .iter()
        .filter(|edge| edge.service == Service::Apiserver && edge.servers.contains(&host.name))
        .filter_map(|edge| {
            let need = match edge.route {
                Route::Direct | Route::Balanced => Need::Certain,
                Route::Elsewhere if is_other_member(cluster, edge) => return None,
                Route::Elsewhere if is_balancers(cluster, apiserver, edge) || others_have_it(cluster, host, edge) => {
                    Need::Certain
                }
                // A load balancer's, or another master's that was not given.
                Route::Elsewhere => Need::Uncertain,
            };
            wanted_by(edge, need)
        })
        .collect()
}

/// Whether an address that no given host has is known to be a load balancer's or a virtual one: an apiserver of this cluster
/// does not serve that port, some host is set up to carry the address, or kubeadm was told so.
fn is_balancers(cluster: &Cluster, apiserver: &Component, edge: &Edge) -> bool {
    let Some(url) = edge.parsed() else { return false };
    let is_endpoint = |text: &str| Url::parse(text).is_some_and(|endpoint| endpoint.host == url.host);
    url.port_or_default() != topology::secure_port(apiserver)
        || url.address().is_some_and(|address| is_virtual(cluster, address))
        || cluster
            .hosts
            .iter()
            .flat_map(|host| &host.kubernetes.kubeadm_configuration)
            .any(|document| document.get("controlPlaneEndpoint").is_some_and(|endpoint| is_endpoint(&endpoint.value)))
}

/// Whether the certificates of all other apiservers have what is dialled, at least two of them: they were made for one
/// address before all masters, and this one's was not.
fn others_have_it(cluster: &Cluster, host: &Host, edge: &Edge) -> bool {
    let Some(name) = edge.verified_name() else { return false };
    let others: Vec<bool> = cluster
        .hosts
        .iter()
        .filter(|other| other.name != host.name)
        .filter_map(|other| {
            let path = &other.component(ComponentName::KubeApiserver)?.flag("tls-cert-file")?.value;
            let leaf = other.kubernetes.certificates.get(path)?.as_ref().ok()?.certificates.first()?;
            Some(leaf.covers(&name))
        })
        .collect();
    others.len() >= 2 && others.iter().all(|has| *has)
}

fn wanted_by(edge: &Edge, need: Need) -> Option<Wanted> {
    let url = edge.parsed().filter(|url| url.scheme == "https")?;
    let name = edge.verified_name()?;
    // A client on the same host may go through a local proxy by loopback; the certificate needs the name all the same.
    let client = edge.client.rsplit('/').next().unwrap_or(&edge.client);
    Some(Wanted {
        why: format!("{client} on {} dials {}", edge.client_host, url.host),
        name,
        host: edge.client_host.clone(),
        origin: Some(edge.url.origin.clone()),
        need,
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

fn first_address(range: &str) -> Option<IpAddr> {
    let net: ipnet::IpNet = range.trim().parse().ok()?;
    match net.network() {
        IpAddr::V4(address) => Some(IpAddr::V4(u32::from(address).checked_add(1)?.into())),
        IpAddr::V6(address) => Some(IpAddr::V6(u128::from(address).checked_add(1)?.into())),
    }
}
