//! cluster-signing-mismatch: the controller-manager signs nodes' certificates with an authority that the apiserver does
//! not trust, or gives pods an authority that has not issued what the apiserver serves.

use super::inventory::{flag_file, leads_to, readable};
use super::same_cluster::are_one;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::CertificateFile;
use crate::facts::component::ComponentName;
use crate::origin::Sourced;
use crate::parse::pem::Verified;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "cluster-signing-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    use ComponentName::{KubeApiserver, KubeControllerManager};
    let signing = read(host, KubeControllerManager, "cluster-signing-cert-file", verdict);
    let client_ca = read(host, KubeApiserver, "client-ca-file", verdict);
    if let (Some((signing, authority)), Some((client_ca, trusted))) = (signing, client_ca) {
        if is_trusted(authority, trusted) {
            verdict.pass();
        } else {
            let draft = Draft::new()
                .subject(format!("{} of {}", signing.value, host.name))
                .value("signing", &signing.value)
                .value("trusted", &client_ca.value)
                .at(&host.name, &signing.origin, "kube-controller-manager signs with this authority")
                .at(&host.name, &client_ca.origin, "kube-apiserver trusts only this one");
            verdict.fail(draft);
        }
    }
    if let Some((client_ca, trusted)) = client_ca {
        judge_other_signers(context, host, client_ca, trusted, verdict);
    }
    // Where all trust one file and it is wrong, that file is the fault (pki-chain-broken), not this flag.
    let shared = client_ca.map(|(path, _)| path.value.as_str());
    let root = read(host, KubeControllerManager, "root-ca-file", verdict)
        .filter(|(path, _)| shared != Some(path.value.as_str()));
    let served = read(host, KubeApiserver, "tls-cert-file", verdict);
    if let (Some((root, trusted)), Some((served, certificate))) = (root, served) {
        match leads_to(certificate, trusted) {
            Verified::No => {
                let draft = Draft::new()
                    .message("root")
                    .subject(format!("{} of {}", root.value, host.name))
                    .value("root", &root.value)
                    .value("served", &served.value)
                    .at(&host.name, &root.origin, "pods get this authority")
                    .at(&host.name, &served.origin, "which has not issued what kube-apiserver serves");
                verdict.fail(draft);
            }
            Verified::Yes => verdict.pass(),
            Verified::Unsupported => {}
        }
    }
}

/// An intermediate authority is trusted by its root.
fn is_trusted(authority: &CertificateFile, trusted: &CertificateFile) -> bool {
    let known = |key: &str| trusted.certificates.iter().any(|other| other.public_key_sha256 == key);
    authority.certificates.first().is_some_and(|first| known(&first.public_key_sha256))
        || leads_to(authority, trusted) != Verified::No
}

/// Any master's controller-manager may be the one that signs: each apiserver has to trust them all.
fn judge_other_signers(
    context: &Context<'_>,
    host: &Host,
    client_ca: &Sourced<String>,
    trusted: &CertificateFile,
    verdict: &mut Verdict,
) {
    use ComponentName::{KubeApiserver, KubeControllerManager};
    let file = |host, component, flag| {
        let (path, file): (&Sourced<String>, _) = flag_file(host, component, flag)?;
        let file = readable(&path.value, file).ok().filter(|file| !file.certificates.is_empty())?;
        Some((path, file))
    };
    for other in context.cluster.hosts.iter().filter(|other| other.name != host.name) {
        let Some((signing, authority)) = file(other, KubeControllerManager, "cluster-signing-cert-file") else {
            continue;
        };
        // What its own apiserver does not trust either is said of that host.
        if file(other, KubeApiserver, "client-ca-file").is_some_and(|(_, own)| !is_trusted(authority, own)) {
            continue;
        }
        if is_trusted(authority, trusted) {
            verdict.pass();
        } else if are_one(host, other) {
            verdict.fail(
                Draft::new()
                    .message("other_master")
                    // What masters do not have in common is one fault, however many of them see it.
                    .subject(format!("{} between masters", signing.value))
                    .value("signer_on", &other.name)
                    .value("signing", &signing.value)
                    .value("trusted", &client_ca.value)
                    .hosts([host.name.clone(), other.name.clone()])
                    .at(&host.name, &client_ca.origin, "kube-apiserver trusts only this authority")
                    .at(&other.name, &signing.origin, "kube-controller-manager signs with another"),
            );
        }
    }
}

fn read<'a>(
    host: &'a Host,
    component: ComponentName,
    flag: &str,
    verdict: &mut Verdict,
) -> Option<(&'a Sourced<String>, &'a CertificateFile)> {
    let (value, file) = flag_file(host, component, flag)?;
    match readable(&value.value, file) {
        Ok(file) => (!file.certificates.is_empty()).then_some((value, file)),
        Err(unknown) => {
            verdict.unknown(unknown);
            None
        }
    }
}
