//! The certificates that a host uses: files that something names or that lie where components look for them, and those
//! that kubeconfigs embed. What merely lies around (backups, superseded files) is none of them.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::certificates::{Certificate, CertificateFile};
use crate::facts::component::ComponentName;
use crate::facts::kubernetes::Kubeconfig;
use crate::facts::probe::TlsAnswer;
use crate::origin::{Fact, Origin, Sourced, Unknown};
use crate::parse::pem::{Verified, issued_by};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{starting_layers, unit_to_restart};
use crate::source::SourceKind;

/// The name that a certificate of a kubeadm layout has there, its path, and the component that has to start again to
/// take up a new one.
const KUBEADM: &[(&str, &str, &str)] = &[
    ("apiserver", "/etc/kubernetes/pki/apiserver.crt", "kube-apiserver"),
    ("apiserver-kubelet-client", "/etc/kubernetes/pki/apiserver-kubelet-client.crt", "kube-apiserver"),
    ("apiserver-etcd-client", "/etc/kubernetes/pki/apiserver-etcd-client.crt", "kube-apiserver"),
    ("front-proxy-client", "/etc/kubernetes/pki/front-proxy-client.crt", "kube-apiserver"),
    ("etcd-server", "/etc/kubernetes/pki/etcd/server.crt", "etcd"),
    ("etcd-peer", "/etc/kubernetes/pki/etcd/peer.crt", "etcd"),
    ("etcd-healthcheck-client", "/etc/kubernetes/pki/etcd/healthcheck-client.crt", "etcd"),
    ("controller-manager.conf", "/etc/kubernetes/controller-manager.conf", "kube-controller-manager"),
    ("scheduler.conf", "/etc/kubernetes/scheduler.conf", "kube-scheduler"),
    ("admin.conf", "/etc/kubernetes/admin.conf", ""),
];

/// kubeadm's certificate authorities.
const KUBEADM_AUTHORITIES: &[&str] =
    &["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/front-proxy-ca.crt", "/etc/kubernetes/pki/etcd/ca.crt"];

/// Where installers keep nothing but what is in use.
const MANAGED: &[&str] = &[
    "/var/lib/rancher/k3s/server/tls/",
    "/var/lib/rancher/k3s/agent/",
    "/var/lib/rancher/rke2/server/tls/",
    "/var/lib/rancher/rke2/agent/",
    "/var/snap/microk8s/current/certs/",
];

/// Who a certificate speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Authority,
    Leaf,
    /// With it the kubelet signs in; it renews it itself.
    KubeletClient,
}

/// A certificate that the host uses.
#[derive(Debug, Clone)]
pub(super) struct Held<'a> {
    /// The certificate's file, or the kubeconfig that embeds it.
    pub path: &'a str,
    pub file: &'a CertificateFile,
    pub certificate: &'a Certificate,
    pub role: Role,
    /// The kubeconfig's user or cluster, for embedded ones.
    pub entry: Option<&'a str>,
}

impl Held<'_> {
    pub fn kubeadm(&self) -> Option<(&'static str, &'static str)> {
        if self.role == Role::Authority {
            return None;
        }
        KUBEADM.iter().find(|(_, path, _)| *path == self.path).map(|(name, _, restart)| (*name, *restart))
    }
}

/// Everything that the host uses, authorities first. What could not be read is noted as unknown.
pub(super) fn held<'a>(host: &'a Host, at: Timestamp, verdict: &mut Verdict) -> Vec<Held<'a>> {
    let mut held = files(host, at, verdict);
    for unread in &host.kubernetes.unread_kubeconfigs {
        verdict.unknown(unread.clone());
    }
    embedded(host, at, &mut held);
    held.sort_by_key(|held| (held.role != Role::Authority, held.path));
    held
}

fn files<'a>(host: &'a Host, at: Timestamp, verdict: &mut Verdict) -> Vec<Held<'a>> {
    let named = named_paths(host);
    let nothing_names = !host.kubernetes.certificates.keys().any(|path| named.contains(path.as_str()));
    let kubelet_paths = kubelet_client_paths(host);
    let mut held = Vec::new();
    for (path, file) in &host.kubernetes.certificates {
        let used = named.contains(path.as_str())
            || is_usual(path)
            || host.kind == SourceKind::File
            || (nothing_names && !is_set_aside(path));
        if !used || is_own_serving_certificate(path) {
            continue;
        }
        let Some(file) = known_certificates(path, file, verdict) else { continue };
        let Some(certificate) = in_force(file, at) else { continue };
        let role = match () {
            () if kubelet_paths.contains(path.as_str()) => Role::KubeletClient,
            () if certificate.is_ca => Role::Authority,
            () => Role::Leaf,
        };
        held.push(Held { path, file, certificate, role, entry: None });
    }
    held
}

/// The file, unless it is not known: then that is noted, but for private keys, which have no dates and no names.
pub(super) fn known_certificates<'a>(
    path: &str,
    file: &'a Fact<CertificateFile>,
    verdict: &mut Verdict,
) -> Option<&'a CertificateFile> {
    match readable(path, file) {
        Ok(file) => Some(file),
        Err(unknown) => {
            if !path.ends_with(".key") && !path.ends_with("-key.pem") {
                verdict.unknown(unknown);
            }
            None
        }
    }
}

/// The file, when something in it could be understood.
pub(super) fn readable<'a>(path: &str, file: &'a Fact<CertificateFile>) -> Fact<&'a CertificateFile> {
    let file = file.as_ref().map_err(Unknown::clone)?;
    let is_empty = file.certificates.is_empty() && file.keys.is_empty() && file.public_keys.is_empty();
    match file.problems.first() {
        Some(problem) if is_empty => Err(Unknown::new(path, problem).with_remedy("mend the file")),
        _ => Ok(file),
    }
}

fn embedded<'a>(host: &'a Host, at: Timestamp, held: &mut Vec<Held<'a>>) {
    let kubelet = kubelet_kubeconfig(host).map(|config| config.path.as_str());
    for config in host.kubernetes.kubeconfigs.iter().filter(|config| is_in_use(config)) {
        for cluster in &config.clusters {
            let Some(file) = &cluster.certificate_authority_data else { continue };
            let Some(certificate) = in_force(file, at) else { continue };
            // The same authority is told once, where it lies as a file.
            if held.iter().all(|held| held.certificate.sha256 != certificate.sha256) {
                held.push(Held {
                    path: &config.path,
                    file,
                    certificate,
                    role: Role::Authority,
                    entry: Some(&cluster.name),
                });
            }
        }
        for user in &config.users {
            let Some(file) = &user.client_certificate_data else { continue };
            let Some(certificate) = in_force(file, at) else { continue };
            let role = if kubelet == Some(config.path.as_str()) { Role::KubeletClient } else { Role::Leaf };
            held.push(Held { path: &config.path, file, certificate, role, entry: Some(&user.name) });
        }
    }
}

/// Whether anybody signs in with a kubeconfig: kubeadm's super-admin.conf is for emergencies, and stays behind on hosts
/// that were reset; others were put aside.
pub(super) fn is_in_use(config: &Kubeconfig) -> bool {
    !config.path.ends_with("/super-admin.conf") && !is_set_aside(&config.path)
}

/// The certificate of a file that counts: of a bundle of authorities one that is valid, if any; else a leaf, the first.
pub(super) fn in_force(file: &CertificateFile, at: Timestamp) -> Option<&Certificate> {
    let first = file.certificates.first()?;
    if !first.is_ca {
        return Some(first);
    }
    let valid = |certificate: &&Certificate| certificate.not_before <= at && at < certificate.not_after;
    let latest = || file.certificates.iter().max_by_key(|certificate| certificate.not_after);
    file.certificates.iter().filter(valid).max_by_key(|certificate| certificate.not_after).or_else(latest)
}

/// Paths that a component's flag, a kubeconfig or the kubelet's configuration names.
pub(super) fn named_paths(host: &Host) -> BTreeSet<&str> {
    let mut named = BTreeSet::new();
    for component in &host.components {
        for layer in &component.layers {
            let values = layer.flags.values().flatten().map(|value| value.value.as_str());
            named.extend(values.filter(|value| value.starts_with('/')));
        }
    }
    for config in &host.kubernetes.kubeconfigs {
        let clusters = config.clusters.iter().filter_map(|cluster| cluster.certificate_authority.as_ref());
        let users = config.users.iter().flat_map(|user| [&user.client_certificate, &user.client_key]).flatten();
        named.extend(clusters.chain(users).map(|path| path.value.as_str()));
    }
    if let Ok(Some(kubelet)) = &host.kubernetes.kubelet_configuration {
        let fields = ["authentication.x509.clientCAFile", "tlsCertFile", "tlsPrivateKeyFile"];
        named.extend(fields.iter().filter_map(|field| Some(kubelet.get(field)?.value.as_str())));
    }
    for document in &host.kubernetes.kubeadm_configuration {
        let fields = ["etcd.external.caFile", "etcd.external.certFile", "etcd.external.keyFile"];
        named.extend(fields.iter().filter_map(|field| Some(document.get(field)?.value.as_str())));
    }
    named
}

/// Whether components look for a certificate of this path without being told.
fn is_usual(path: &str) -> bool {
    KUBEADM.iter().any(|(_, usual, _)| *usual == path)
        || KUBEADM_AUTHORITIES.contains(&path)
        || path.ends_with("/kubelet-client-current.pem")
        || path.ends_with("/kubelet-server-current.pem")
        || (MANAGED.iter().any(|directory| path.starts_with(directory)) && !path.contains("/temporary-certs/"))
}

/// Whether a path looks like a copy that somebody put aside.
pub(super) fn is_set_aside(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["bak", "backup", "old", "orig", "save", "expired", "copy"]
        .iter()
        .any(|word| path.split(['/', '.', '-', '_']).any(|part| part.starts_with(word)))
}

/// The serving certificate that a kubelet makes for itself when it is given none: nobody verifies it, and its dates do
/// not matter.
fn is_own_serving_certificate(path: &str) -> bool {
    path == "/var/lib/kubelet/pki/kubelet.crt"
}

/// The kubeconfig with which the kubelet signs in.
pub(super) fn kubelet_kubeconfig(host: &Host) -> Option<&Kubeconfig> {
    const USUAL: &[&str] = &[
        "/etc/kubernetes/kubelet.conf",
        "/var/lib/kubelet/kubeconfig",
        "/etc/kubernetes/kubelet.kubeconfig",
        "/etc/kubernetes/kubelet-kubeconfig",
    ];
    let by_path = |path: &str| host.kubernetes.kubeconfigs.iter().find(|config| config.path == path);
    match host.component(ComponentName::Kubelet).and_then(|kubelet| kubelet.flag("kubeconfig")) {
        Some(path) => by_path(&path.value),
        None => USUAL.iter().find_map(|path| by_path(path)),
    }
}

fn kubelet_client_paths(host: &Host) -> BTreeSet<&str> {
    let mut paths: BTreeSet<&str> = host
        .kubernetes
        .certificates
        .keys()
        .map(String::as_str)
        .filter(|path| path.ends_with("/kubelet-client-current.pem"))
        .collect();
    let users = kubelet_kubeconfig(host).map(|config| config.users.as_slice()).unwrap_or_default();
    paths.extend(users.iter().filter_map(|user| Some(user.client_certificate.as_ref()?.value.as_str())));
    paths
}

/// What was served to a client of this host that verifies it, leaf first, where the leaf is in no file that is judged here:
/// another host's certificate, or one that was replaced on disk. Each leaf once.
pub(super) fn served_only<'a>(host: &'a Host, held: &[Held<'_>]) -> Vec<(&'a TlsAnswer, &'a Certificate)> {
    let mut found: Vec<(&TlsAnswer, &Certificate)> = Vec::new();
    for answer in host.probes.handshakes.iter().filter(|answer| answer.verified) {
        let Some(leaf) = answer.chain.as_ref().ok().and_then(|chain| chain.first()) else { continue };
        let is_known = held.iter().any(|one| one.certificate.sha256 == leaf.sha256)
            || found.iter().any(|(_, known)| known.sha256 == leaf.sha256);
        if !is_known {
            found.push((answer, leaf));
        }
    }
    found
}

/// The evidence of a certificate that was served.
pub(super) fn served_evidence(host: &Host, answer: &TlsAnswer, said: &str) -> Evidence {
    Evidence::new(
        EvidenceKind::Probe,
        &host.name,
        Origin::answer(format!("TLS handshake with {}", answer.target)),
        format!("{said}; dialled by {}", answer.dialled_by),
    )
}

/// The authority among the host's own that has issued a certificate.
pub(super) fn issuer_of<'a, 'b>(held: &'b [Held<'a>], certificate: &Certificate) -> Option<&'b Held<'a>> {
    held.iter().find(|authority| {
        authority.role == Role::Authority
            && authority.certificate.sha256 != certificate.sha256
            && issued_by(certificate, authority.certificate) == Verified::Yes
    })
}

/// The file of the private key that belongs to a public one.
pub(super) fn key_file<'a>(host: &'a Host, public_key_sha256: &str) -> Option<&'a str> {
    host.kubernetes.certificates.iter().find_map(|(path, file)| {
        let keys = &file.as_ref().ok()?.keys;
        keys.iter()
            .any(|key| key.public_key_sha256.as_ref().is_ok_and(|known| known == public_key_sha256))
            .then_some(path.as_str())
    })
}

/// Components whose flags name a path, by their names.
pub(super) fn used_by<'a>(host: &'a Host, path: &str) -> Vec<&'a str> {
    let names = |component: &crate::facts::component::Component| {
        component.layers.iter().any(|layer| layer.flags.values().flatten().any(|value| value.value == path))
    };
    host.components.iter().filter(|component| names(component)).map(|component| component.name.name()).collect()
}

/// What is to be started anew for a component to read its files again: its unit, its static pod, else its own name.
pub(super) fn started_as(host: &Host, component: &str) -> String {
    let found = host.components.iter().find(|known| known.name.name() == component);
    let unit = found.and_then(|found| {
        starting_layers(host, found).into_iter().find_map(|layer| unit_to_restart(host, found, layer))
    });
    unit.unwrap_or(component).trim_end_matches(".service").to_owned()
}

/// A file that a component's flag names, with the flag's value where a person can edit it. None when the flag is not
/// given, or names what is not there.
pub(super) fn flag_file<'a>(
    host: &'a Host,
    component: ComponentName,
    flag: &str,
) -> Option<(&'a Sourced<String>, &'a Fact<CertificateFile>)> {
    let value = host.component(component)?.flag_in_file(flag)?;
    Some((value, host.kubernetes.certificates.get(&value.value)?))
}

/// A file by its path.
pub(super) fn file_at<'a>(host: &'a Host, path: &str) -> Option<&'a Fact<CertificateFile>> {
    host.kubernetes.certificates.get(path)
}

/// Whether what `presented` holds leads to an authority of `trusted`, over the intermediates that it brings along.
pub(super) fn leads_to(presented: &CertificateFile, trusted: &CertificateFile) -> Verified {
    let Some(leaf) = presented.certificates.first() else { return Verified::Unsupported };
    const LONGEST: usize = 5;
    let mut unsure = false;
    let mut current = leaf;
    for _ in 0..LONGEST {
        for root in &trusted.certificates {
            if root.sha256 == current.sha256 {
                return Verified::Yes;
            }
            match issued_by(current, root) {
                Verified::Yes => return Verified::Yes,
                Verified::Unsupported => unsure = true,
                Verified::No => {}
            }
        }
        let next = presented
            .certificates
            .iter()
            .find(|other| other.sha256 != current.sha256 && issued_by(current, other) == Verified::Yes);
        match next {
            Some(next) => current = next,
            None => break,
        }
    }
    if unsure || trusted.certificates.is_empty() { Verified::Unsupported } else { Verified::No }
}
