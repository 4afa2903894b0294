//! calico-credentials-invalid: the kubeconfig that a CNI plug-in has on the host trusts another CA than the cluster's. Its
//! token is in no fact and no bundle: that it has ended is known from logs alone.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::CertificateFile;
use crate::facts::kubernetes::Kubeconfig;
use crate::origin::Unknown;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "calico-credentials-invalid", judge: Judge::Host(judge), refine: None };

/// The cluster's CA as kubeadm and others place it.
const AUTHORITIES: [&str; 3] =
    ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/ssl/ca.pem", "/etc/kubernetes/pki/ca.pem"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let known = authorities(host);
    for unknown in &host.kubernetes.unread_cni_kubeconfigs {
        verdict.unknown(unknown.clone());
    }
    for config in &host.kubernetes.cni_kubeconfigs {
        let own = config.current_cluster().and_then(|cluster| cluster.certificate_authority_data.as_ref());
        let draft = Draft::new().subject(&config.path).value("file", &config.path).value("node", &host.name);
        if own.is_some() && known.is_empty() {
            verdict.unknown(Unknown::new("the cluster's CA", "no component of this host has it beside the plug-in"));
            continue;
        }
        if let Some(own) = own
            && !own.certificates.is_empty()
            && keys(own).is_disjoint(&known)
        {
            let label = "no CA that the components of this host trust";
            verdict.fail(
                draft
                    .message("ca")
                    .value("trust", "ca")
                    .maybe_value("issuer", own.certificates.first().map(|one| one.subject.as_str()))
                    .at(&host.name, &own.origin, label),
            );
            continue;
        }
        verdict.pass();
    }
}

/// Keys of the authorities that this host's components trust for the apiserver.
fn authorities(host: &Host) -> BTreeSet<&str> {
    let embedded = host.kubernetes.kubeconfigs.iter().filter_map(embedded);
    let on_disk = AUTHORITIES.iter().filter_map(|path| host.kubernetes.certificates.get(*path)?.as_ref().ok());
    embedded.chain(on_disk).flat_map(keys).collect()
}

fn embedded(config: &Kubeconfig) -> Option<&CertificateFile> {
    config.current_cluster()?.certificate_authority_data.as_ref()
}

fn keys(file: &CertificateFile) -> BTreeSet<&str> {
    file.certificates.iter().map(|one| one.public_key_sha256.as_str()).collect()
}
