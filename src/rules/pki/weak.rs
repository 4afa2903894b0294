//! pki-weak: a certificate in use that current software refuses or soon will: a short RSA key, SHA-1 or MD5, or a server's
//! name in the common name only.

use super::inventory::{Held, Role, flag_file, held, served_evidence, served_only};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::Certificate;
use crate::facts::component::ComponentName;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-weak", judge: Judge::Host(judge), refine: None };

const RSA_BITS: u32 = 2048;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let serving: Vec<&str> = [
        (ComponentName::KubeApiserver, "tls-cert-file"),
        (ComponentName::Etcd, "cert-file"),
        (ComponentName::Etcd, "peer-cert-file"),
    ]
    .into_iter()
    .filter_map(|(component, flag)| Some(flag_file(host, component, flag)?.0.value.as_str()))
    .collect();
    let all = held(host, context.cluster.at, verdict);
    for one in &all {
        let weaknesses = weaknesses(one.certificate, one.role, serving.contains(&one.path));
        if weaknesses.is_empty() {
            verdict.pass();
            continue;
        }
        verdict.fail(
            Draft::new().subject(one.path).value("certificate", one.path).value("weakness", weaknesses.join(", ")).at(
                &host.name,
                &one.file.origin,
                format!("{}: {}", one.certificate.subject, weaknesses.join(", ")),
            ),
        );
    }
    judge_served(host, &all, verdict);
}

/// What others serve to this host. That a name is missing is pki-san-missing.
fn judge_served(host: &Host, all: &[Held<'_>], verdict: &mut Verdict) {
    for (answer, leaf) in served_only(host, all) {
        let weaknesses = weaknesses(leaf, Role::Leaf, false);
        if weaknesses.is_empty() {
            verdict.pass();
            continue;
        }
        let weaknesses = weaknesses.join(", ");
        let said = format!("served a certificate of {}: {weaknesses}", leaf.subject);
        let draft = Draft::new().message("served").subject(leaf.sha256.clone()).value("target", &answer.target);
        verdict.fail(draft.value("weakness", &weaknesses).evidence(served_evidence(host, answer, &said)));
    }
}

fn weaknesses(certificate: &Certificate, role: Role, serves: bool) -> Vec<String> {
    let mut found = Vec::new();
    if certificate.key.starts_with("RSA")
        && let Some(bits) = certificate.key_bits.filter(|bits| *bits < RSA_BITS)
    {
        found.push(format!("an RSA key of {bits} bits"));
    }
    // A root's signature of itself is verified by nobody.
    let signature = certificate.signature.to_ascii_lowercase();
    if !certificate.self_signed && ["sha1", "md5", "md2"].iter().any(|old| signature.contains(old)) {
        found.push(format!("signed by {}", certificate.signature));
    }
    if serves && role == Role::Leaf && certificate.dns_names.is_empty() && certificate.addresses.is_empty() {
        found.push("no subject alternative name".to_owned());
    }
    found
}
