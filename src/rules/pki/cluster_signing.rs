//! cluster-signing-mismatch: the controller-manager signs nodes' certificates with an authority that the apiserver does
//! not trust, or gives pods an authority that has not issued what the apiserver serves.

use super::inventory::{flag_file, leads_to, readable};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::CertificateFile;
use crate::facts::component::ComponentName;
use crate::origin::Sourced;
use crate::parse::pem::Verified;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "cluster-signing-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(_context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    use ComponentName::{KubeApiserver, KubeControllerManager};
    let signing = read(host, KubeControllerManager, "cluster-signing-cert-file", verdict);
    let client_ca = read(host, KubeApiserver, "client-ca-file", verdict);
    if let (Some((signing, authority)), Some((client_ca, trusted))) = (signing, client_ca) {
        let known = |key: &str| trusted.certificates.iter().any(|other| other.public_key_sha256 == key);
        // An intermediate authority is trusted by its root.
        let is_trusted = authority.certificates.first().is_some_and(|first| known(&first.public_key_sha256))
            || leads_to(authority, trusted) != Verified::No;
        if is_trusted {
            verdict.pass();
        } else {
            let draft = Draft::new()
                .subject(signing.value.clone())
                .value("signing", &signing.value)
                .value("trusted", &client_ca.value)
                .at(&host.name, &signing.origin, "kube-controller-manager signs with this authority")
                .at(&host.name, &client_ca.origin, "kube-apiserver trusts only this one");
            verdict.fail(draft);
        }
    }
    let root = read(host, KubeControllerManager, "root-ca-file", verdict);
    let served = read(host, KubeApiserver, "tls-cert-file", verdict);
    if let (Some((root, trusted)), Some((served, certificate))) = (root, served) {
        match leads_to(certificate, trusted) {
            Verified::No => {
                let draft = Draft::new()
                    .message("root")
                    .subject(root.value.clone())
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
