//! pki-key-mismatch: a certificate and the private key beside it do not belong together.

use super::inventory::{file_at, in_force, key_file, readable};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::{Certificate, CertificateFile};
use crate::facts::component::ComponentName;
use crate::facts::log::LogHit;
use crate::origin::Origin;
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "pki-key-mismatch", judge: Judge::Host(judge), refine: Some(refine) };

/// Flags that name a certificate and its key.
const FLAGS: &[(ComponentName, &str, &str)] = &[
    (ComponentName::KubeApiserver, "tls-cert-file", "tls-private-key-file"),
    (ComponentName::KubeApiserver, "etcd-certfile", "etcd-keyfile"),
    (ComponentName::KubeApiserver, "kubelet-client-certificate", "kubelet-client-key"),
    (ComponentName::KubeApiserver, "proxy-client-cert-file", "proxy-client-key-file"),
    (ComponentName::KubeControllerManager, "cluster-signing-cert-file", "cluster-signing-key-file"),
    (ComponentName::KubeControllerManager, "tls-cert-file", "tls-private-key-file"),
    (ComponentName::KubeScheduler, "tls-cert-file", "tls-private-key-file"),
    (ComponentName::Kubelet, "tls-cert-file", "tls-private-key-file"),
    (ComponentName::Etcd, "cert-file", "key-file"),
    (ComponentName::Etcd, "peer-cert-file", "peer-key-file"),
    (ComponentName::Flanneld, "etcd-certfile", "etcd-keyfile"),
    (ComponentName::Dockerd, "tlscert", "tlskey"),
];

/// A certificate and its key, each with the file it is in.
struct Pair<'a> {
    certificate: (&'a str, &'a CertificateFile),
    key: (&'a str, &'a CertificateFile),
    /// Who uses it, and where that is written.
    user: String,
    named: Option<&'a Origin>,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let mut told: Vec<(&str, &str)> = Vec::new();
    for pair in pairs(host, verdict) {
        let paths = (pair.certificate.0, pair.key.0);
        if told.contains(&paths) && pair.named.is_some() {
            continue;
        }
        told.push(paths);
        let Some(certificate) = in_force(pair.certificate.1, context.cluster.at) else { continue };
        let Some(key) = pair.key.1.keys.first() else { continue };
        let Some(digest) = verdict.known(&key.public_key_sha256) else { continue };
        if belong_together(&pair, certificate, digest) {
            verdict.pass();
            continue;
        }
        let right = key_file(host, &certificate.public_key_sha256);
        let mut draft = Draft::new()
            .subject(pair.certificate.0)
            .value("certificate", pair.certificate.0)
            .value("key", pair.key.0)
            .value("user", &pair.user)
            .maybe_value("right_key", right)
            .at(&host.name, &pair.certificate.1.origin, format!("a certificate of {}", certificate.subject));
        // The line of an embedded private key is not shown.
        if pair.key.1.origin.path() != pair.certificate.1.origin.path() {
            draft = draft.at(&host.name, &pair.key.1.origin, "the private key of another one");
        } else {
            draft = draft.message("embedded");
        }
        if let Some(named) = pair.named {
            draft = draft.at(&host.name, named, format!("{} uses them together", pair.user));
        }
        verdict.fail(draft);
    }
}

fn belong_together(pair: &Pair<'_>, certificate: &Certificate, digest: &str) -> bool {
    // Of a bundle of authorities any may be the one that signs.
    match certificate.is_ca {
        true => pair.certificate.1.certificates.iter().any(|other| other.public_key_sha256 == digest),
        false => certificate.public_key_sha256 == digest,
    }
}

/// A renewal writes certificate and key one after the other, and a program that reads them meanwhile complains once. Where
/// all pairs of the program belong together now, that is over.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let mut scratch = Verdict::default();
    let is_its = |pair: &&Pair<'_>| pair.named.is_some() && hit.component.as_deref() == Some(pair.user.as_str());
    let pairs = pairs(host, &mut scratch);
    let mut matches = pairs.iter().filter(is_its).map(|pair| {
        let certificate = in_force(pair.certificate.1, context.cluster.at)?;
        let digest = pair.key.1.keys.first()?.public_key_sha256.as_ref().ok()?;
        Some(belong_together(pair, certificate, digest))
    });
    let is_over = pairs.iter().any(|pair| is_its(&pair)) && matches.all(|matches| matches == Some(true));
    if is_over { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

fn pairs<'a>(host: &'a Host, verdict: &mut Verdict) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    for (component, certificate_flag, key_flag) in FLAGS {
        let Some(component) = host.component(*component) else { continue };
        let (Some(certificate), Some(key)) = (component.flag(certificate_flag), component.flag_in_file(key_flag))
        else {
            continue;
        };
        let user = component.name.name();
        pairs.extend(of_files(host, &certificate.value, &key.value, user, Some(&key.origin), verdict));
    }
    if let Ok(Some(kubelet)) = &host.kubernetes.kubelet_configuration
        && let (Some(certificate), Some(key)) = (kubelet.get("tlsCertFile"), kubelet.get("tlsPrivateKeyFile"))
    {
        pairs.extend(of_files(host, &certificate.value, &key.value, "kubelet", Some(&key.origin), verdict));
    }
    for config in &host.kubernetes.kubeconfigs {
        for user in &config.users {
            let certificate = match (&user.client_certificate_data, &user.client_certificate) {
                (Some(file), _) => Some((config.path.as_str(), file)),
                (None, Some(path)) => read(host, &path.value, verdict),
                (None, None) => None,
            };
            let key = match (&user.client_key_data, &user.client_key) {
                (Some(file), _) => Some((config.path.as_str(), file)),
                (None, Some(path)) => read(host, &path.value, verdict),
                (None, None) => None,
            };
            if let (Some(certificate), Some(key)) = (certificate, key) {
                pairs.push(Pair { certificate, key, user: user.name.clone(), named: None });
            }
        }
    }
    // kubeadm's own lie side by side under one name.
    for path in host.kubernetes.certificates.keys() {
        let Some(base) = path.strip_prefix("/etc/kubernetes/pki/").and_then(|rest| rest.strip_suffix(".crt")) else {
            continue;
        };
        let key = format!("/etc/kubernetes/pki/{base}.key");
        let is_told = pairs.iter().any(|pair: &Pair<'_>| pair.certificate.0 == path);
        let known = ["ca", "apiserver", "front-proxy", "etcd/"].iter().any(|prefix| base.starts_with(prefix));
        if known && !is_told && file_at(host, &key).is_some() {
            pairs.extend(of_files(host, path, &key, "kubeadm", None, verdict));
        }
    }
    pairs
}

fn of_files<'a>(
    host: &'a Host,
    certificate: &str,
    key: &str,
    user: &str,
    named: Option<&'a Origin>,
    verdict: &mut Verdict,
) -> Option<Pair<'a>> {
    let certificate = read(host, certificate, verdict);
    let key = read(host, key, verdict);
    Some(Pair { certificate: certificate?, key: key?, user: user.to_owned(), named })
}

/// A file that is there; one that cannot be read is noted.
fn read<'a>(host: &'a Host, path: &str, verdict: &mut Verdict) -> Option<(&'a str, &'a CertificateFile)> {
    let (path, file) = host.kubernetes.certificates.get_key_value(path)?;
    match readable(path, file) {
        Ok(file) => Some((path.as_str(), file)),
        Err(unknown) => {
            verdict.unknown(unknown);
            None
        }
    }
}
