//! What a new certificate in the place of an old one takes: the values that the cards' fixes are filled with.

use super::inventory::{Held, Role, issuer_of, key_file, started_as, used_by};
use crate::engine::verdict::Draft;
use crate::facts::Host;
use crate::facts::certificates::Certificate;
use crate::facts::component::ComponentName;
use crate::rules::Context;
use crate::rules::support::{at_least, in_words};

/// The Kubernetes release that runs on the host, or the one to judge as.
pub(super) fn version(context: &Context<'_>, host: &Host) -> Option<String> {
    const FROM: [ComponentName; 4] = [
        ComponentName::KubeApiserver,
        ComponentName::KubeControllerManager,
        ComponentName::KubeScheduler,
        ComponentName::Kubelet,
    ];
    let own = || FROM.iter().find_map(|name| host.component(*name)?.version.as_ref()).map(|found| found.value.clone());
    context.kubernetes_version.map(str::to_owned).or_else(own)
}

/// Adds how the certificate is issued again: `renew` for kubeadm's own, else the pieces for openssl.
pub(super) fn with_renewal(
    draft: Draft,
    context: &Context<'_>,
    host: &Host,
    all: &[Held<'_>],
    held: &Held<'_>,
) -> Draft {
    let mut draft = draft.value("certificate", held.path).value("subject", &held.certificate.subject);
    draft = draft.value(if held.entry.is_some() { "kubeconfig" } else { "file" }, held.path);
    if let Some((name, restart)) = held.kubeadm() {
        draft = with_kubeadm(draft, context, host, name);
        if !restart.is_empty() {
            draft = draft.value("server", restart).value("static_pod", restart);
        }
    } else {
        let users = used_by(host, held.path);
        if let Some(first) = users.first() {
            let words: Vec<String> = users.iter().map(|name| (*name).to_owned()).collect();
            draft = draft.value("used_by", in_words(&words)).value("server", started_as(host, first));
        }
    }
    if let Some(product) = managed_by(held.path) {
        return draft.value("product", product);
    }
    if let Some(entry) = held.entry {
        return draft.value("user", entry);
    }
    if held.role != Role::Authority {
        draft = draft.value("extensions", extensions(held.certificate));
        draft = draft.maybe_value("key", key_file(host, &held.certificate.public_key_sha256));
        if let Some(authority) = issuer_of(all, held.certificate) {
            draft = draft
                .value("ca", authority.path)
                .maybe_value("ca_key", key_file(host, &authority.certificate.public_key_sha256));
        }
    }
    draft
}

fn with_kubeadm(draft: Draft, context: &Context<'_>, host: &Host, name: &str) -> Draft {
    // `kubeadm alpha certs renew` came with 1.13; before that there is only issuing anew.
    let version = version(context, host);
    let command = match version.as_deref() {
        Some(version) if !at_least(version, 1, 13) => None,
        Some(version) if !at_least(version, 1, 20) => Some("kubeadm alpha certs renew"),
        _ => Some("kubeadm certs renew"),
    };
    draft.maybe_value("renew", command).value("kubeadm_certificate", name)
}

/// The distribution that issues the certificate itself when it starts.
fn managed_by(path: &str) -> Option<&'static str> {
    ["k3s", "rke2"].into_iter().find(|name| path.starts_with(&format!("/var/lib/rancher/{name}/")))
}

/// The lines of an openssl extension file, for printf.
pub(super) fn extensions(certificate: &Certificate) -> String {
    let mut lines = Vec::new();
    let names = certificate.dns_names.iter().map(|name| format!("DNS:{name}"));
    let addresses = certificate.addresses.iter().map(|address| format!("IP:{address}"));
    let names: Vec<String> = names.chain(addresses).collect();
    if !names.is_empty() {
        lines.push(format!("subjectAltName={}", names.join(",")));
    }
    lines.push("keyUsage=digitalSignature,keyEncipherment".to_owned());
    let uses: Vec<&str> = match certificate.extended_key_usage {
        Some(usage) => [(usage.server_auth || usage.any, "serverAuth"), (usage.client_auth || usage.any, "clientAuth")]
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
            .collect(),
        None => vec!["serverAuth", "clientAuth"],
    };
    if !uses.is_empty() {
        lines.push(format!("extendedKeyUsage={}", uses.join(",")));
    }
    lines.join("\\n")
}
