//! service-account-key-mismatch: the keys by which the apiserver verifies tokens do not hold the one that they are signed
//! with.

use std::collections::BTreeSet;

use super::inventory::readable;
use super::same_cluster::are_one;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::CertificateFile;
use crate::facts::component::{Component, ComponentName};
use crate::origin::{Sourced, Unknown};
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector =
    Detector { id: "service-account-key-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(verifier) = Verifier::of(host) else { return };
    let verifying = verifier.keys(Some(verdict));
    let mut is_own_fault = false;
    for signer in signers(host) {
        let Some(digest) = signer.digest(Some(verdict)) else { continue };
        if verifying.keys.contains(digest) {
            verdict.pass();
        } else if verifying.complete {
            is_own_fault = true;
            verdict.fail(
                draft(&signer, &verifier)
                    .maybe_value("edit", verifier.name_instead(&signer))
                    .at(&host.name, &signer.path.origin, format!("{} signs tokens with this key", signer.program))
                    .at(
                        &host.name,
                        &verifier.path.origin,
                        "kube-apiserver verifies them with this one, which is another",
                    ),
            );
        }
    }
    // What is wrong between this host's own two is mended first, and with it, as a rule, what differs from other masters.
    if is_own_fault {
        return;
    }
    // A token that was signed on one master comes to every other one.
    for other in context.cluster.hosts.iter().filter(|other| other.name != host.name) {
        let Some(theirs) = Verifier::of(other).map(|theirs| theirs.keys(None)) else { continue };
        for signer in signers(other) {
            let Some(digest) = signer.digest(None) else { continue };
            // What its own apiserver does not verify either is said of that host.
            if !theirs.keys.contains(digest) {
                continue;
            }
            if verifying.keys.contains(digest) {
                verdict.pass();
            } else if verifying.complete && are_one(host, other) {
                verdict.fail(
                    draft(&signer, &verifier)
                        // What masters do not have in common is one fault, however many of them see it.
                        .subject(format!("{} between masters", signer.path.value))
                        .message("other_master")
                        .value("signer_on", &other.name)
                        .hosts([host.name.clone(), other.name.clone()])
                        .at(&host.name, &verifier.path.origin, "kube-apiserver verifies tokens with this key")
                        .at(&other.name, &signer.path.origin, format!("{} signs them with another", signer.program)),
                );
            }
        }
    }
}

/// What an apiserver verifies tokens with. The flag may be given several times; without it that is its serving key.
struct Verifier<'a> {
    host: &'a Host,
    flag: &'static str,
    given: &'a [Sourced<String>],
    path: &'a Sourced<String>,
}

const FLAG: &str = "service-account-key-file";

#[derive(Default)]
struct Verifying {
    keys: BTreeSet<String>,
    /// Whether all of its files could be read.
    complete: bool,
}

impl<'a> Verifier<'a> {
    fn of(host: &'a Host) -> Option<Verifier<'a>> {
        let apiserver = host.component(ComponentName::KubeApiserver)?;
        let flags = [FLAG, "tls-private-key-file"];
        let flag = flags.into_iter().find(|flag| apiserver.flag(flag).is_some())?;
        Some(Verifier { host, flag, given: in_force(apiserver, flag), path: apiserver.flag_in_file(flag)? })
    }

    /// Whether its file is there for this alone: what holds a private key or a certificate has another use, and is not to be
    /// overwritten.
    fn is_public_key(&self) -> bool {
        let file = self.host.kubernetes.certificates.get(&self.path.value).and_then(|file| file.as_ref().ok());
        self.flag == FLAG && file.is_some_and(|file| file.keys.is_empty() && file.certificates.is_empty())
    }

    /// The command that names the signer's own key in place of a file that is not to be overwritten.
    fn name_instead(&self, signer: &Signer<'_>) -> Option<String> {
        if self.flag != FLAG || self.is_public_key() {
            return None;
        }
        let pair = (self.path.value.as_str(), signer.path.value.as_str());
        edit::command(&[edit::edit(self.host, &self.path.origin, pair, pair)?])
    }

    fn keys(&self, mut verdict: Option<&mut Verdict>) -> Verifying {
        let mut found = Verifying { keys: BTreeSet::new(), complete: true };
        for value in self.given {
            match self.host.kubernetes.certificates.get(&value.value).map(|file| readable(&value.value, file)) {
                Some(Ok(file)) => {
                    found.keys.extend(public_halves(file));
                    found.complete &= file.keys.iter().all(|key| key.public_key_sha256.is_ok());
                }
                Some(Err(unknown)) => {
                    if let Some(verdict) = verdict.as_deref_mut() {
                        verdict.unknown(unknown);
                    }
                    found.complete = false;
                }
                // That it is not there is another rule's.
                None => found.complete = false,
            }
        }
        found
    }
}

/// A key that some component of a host signs tokens with.
struct Signer<'a> {
    host: &'a Host,
    program: &'static str,
    path: &'a Sourced<String>,
}

fn signers(host: &Host) -> impl Iterator<Item = Signer<'_>> {
    let flags = [
        (ComponentName::KubeControllerManager, "service-account-private-key-file"),
        (ComponentName::KubeApiserver, "service-account-signing-key-file"),
    ];
    flags.into_iter().filter_map(|(name, flag)| {
        Some(Signer { host, program: name.name(), path: host.component(name)?.flag_in_file(flag)? })
    })
}

impl<'a> Signer<'a> {
    /// Of the key's public half.
    fn digest(&self, verdict: Option<&mut Verdict>) -> Option<&'a String> {
        let file = self.host.kubernetes.certificates.get(&self.path.value)?;
        let found = readable(&self.path.value, file).and_then(|file| match file.keys.first() {
            Some(key) => key.public_key_sha256.as_ref().map(Some).map_err(Unknown::clone),
            None => Ok(None),
        });
        match (found, verdict) {
            (Ok(found), _) => found,
            (Err(unknown), Some(verdict)) => {
                verdict.unknown(unknown);
                None
            }
            (Err(_), None) => None,
        }
    }
}

fn draft(signer: &Signer<'_>, verifier: &Verifier<'_>) -> Draft {
    Draft::new()
        .subject(format!("{} of {}", signer.path.value, signer.host.name))
        .value("signer", signer.program)
        .value("signing_key", &signer.path.value)
        .value("verifying_key", &verifier.path.value)
        .maybe_value("public", verifier.is_public_key().then_some("yes"))
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
