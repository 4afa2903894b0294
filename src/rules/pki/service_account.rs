//! service-account-key-mismatch: the keys by which the apiserver verifies tokens do not hold the one that they are signed
//! with.

use std::collections::BTreeSet;

use super::inventory::readable;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::CertificateFile;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Sourced;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "service-account-key-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(_context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    // The flag may be given several times; without it tokens are verified with the serving key.
    let flag =
        ["service-account-key-file", "tls-private-key-file"].into_iter().find(|flag| apiserver.flag(flag).is_some());
    let Some(flag) = flag else { return };
    let mut verifying = BTreeSet::new();
    let mut complete = true;
    for value in in_force(apiserver, flag) {
        match host.kubernetes.certificates.get(&value.value).map(|file| readable(&value.value, file)) {
            Some(Ok(file)) => {
                verifying.extend(public_halves(file));
                complete &= file.keys.iter().all(|key| key.public_key_sha256.is_ok());
            }
            Some(Err(unknown)) => {
                verdict.unknown(unknown);
                complete = false;
            }
            // That it is not there is another rule's.
            None => complete = false,
        }
    }
    let Some(verified_by) = apiserver.flag_in_file(flag) else { return };
    let signers = [
        (ComponentName::KubeControllerManager, "service-account-private-key-file"),
        (ComponentName::KubeApiserver, "service-account-signing-key-file"),
    ];
    for (component, flag) in signers {
        let Some(signing) = host.component(component).and_then(|component| component.flag_in_file(flag)) else {
            continue;
        };
        let Some(file) = host.kubernetes.certificates.get(&signing.value) else { continue };
        let key = match readable(&signing.value, file) {
            Ok(file) => file,
            Err(unknown) => {
                verdict.unknown(unknown);
                continue;
            }
        };
        let Some(private) = key.keys.first() else { continue };
        let Some(digest) = verdict.known(&private.public_key_sha256) else { continue };
        if verifying.contains(digest) {
            verdict.pass();
        } else if complete {
            let draft = Draft::new()
                .subject(signing.value.clone())
                .value("signer", component.name())
                .value("signing_key", &signing.value)
                .value("verifying_key", &verified_by.value)
                .at(&host.name, &signing.origin, format!("{} signs tokens with this key", component.name()))
                .at(&host.name, &verified_by.origin, "kube-apiserver verifies them with this one, which is another");
            verdict.fail(draft);
        }
    }
}

/// Every occurrence of a flag in the layer in force.
fn in_force<'a>(component: &'a Component, flag: &str) -> &'a [Sourced<String>] {
    component.layers.iter().find_map(|layer| layer.flags.get(flag)).map(Vec::as_slice).unwrap_or_default()
}

fn public_halves(file: &CertificateFile) -> impl Iterator<Item = String> {
    let private = file.keys.iter().filter_map(|key| key.public_key_sha256.as_ref().ok());
    let certificates = file.certificates.iter().map(|certificate| &certificate.public_key_sha256);
    private.chain(&file.public_keys).chain(certificates).cloned()
}
