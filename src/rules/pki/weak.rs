//! pki-weak: a certificate in use that current software refuses or soon will: a short RSA key, SHA-1 or MD5, or a server's
//! name in the common name only.

use super::inventory::{Role, flag_file, held};
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
    for one in held(host, context.cluster.at, verdict) {
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
