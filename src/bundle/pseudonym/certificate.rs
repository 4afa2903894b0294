//! Which keys a certificate was signed with, found while it is still whole.

use crate::facts::certificates::Certificate;
use crate::parse::pem::{Verified, issued_by};

/// Certificates of a host that are tried as signers.
const LIMIT: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Those that may sign, each key once.
    signers: Vec<Certificate>,
}

impl Certificates {
    pub fn new(found: Vec<Certificate>) -> Certificates {
        let mut signers: Vec<Certificate> = Vec::new();
        for certificate in found {
            let is_known = signers.iter().any(|known| {
                known.public_key_sha256 == certificate.public_key_sha256 && known.subject == certificate.subject
            });
            if !is_known && signers.len() < LIMIT {
                signers.push(certificate);
            }
        }
        Certificates { signers }
    }

    pub fn with_signers(&self, mut certificate: Certificate) -> Certificate {
        certificate.signed_by = self
            .signers
            .iter()
            .filter(|signer| issued_by(&certificate, signer) == Verified::Yes)
            .map(|signer| signer.public_key_sha256.clone())
            .collect();
        certificate.signed_by.sort();
        certificate.signed_by.dedup();
        certificate
    }
}
