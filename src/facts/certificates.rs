//! X.509 certificates and private keys, as found on disk, embedded in kubeconfigs, or served.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::origin::{Fact, Origin};

/// A PEM (or DER) file, or the data of a kubeconfig field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CertificateFile {
    pub origin: Origin,
    /// The certificates in order: the leaf first in a serving file.
    pub certificates: Vec<Certificate>,
    pub keys: Vec<PrivateKey>,
    /// SHA-256 of the SubjectPublicKeyInfo of bare public keys (`PUBLIC KEY`, sa.pub), lower-case hex.
    pub public_keys: Vec<String>,
    /// Permission bits; none for embedded data.
    pub mode: Option<u32>,
    /// Blocks that could not be parsed, with why.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub common_name: Option<String>,
    pub organizations: Vec<String>,
    /// Lower-case hex.
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub dns_names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub is_ca: bool,
    /// None when the extension is absent, which allows every use.
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    pub self_signed: bool,
    /// `RSA 2048`, `ECDSA P-256`, `Ed25519`.
    pub key: String,
    pub key_bits: Option<u32>,
    /// `sha256WithRSAEncryption`.
    pub signature: String,
    /// SHA-256 of the SubjectPublicKeyInfo, lower-case hex.
    pub public_key_sha256: String,
    /// SHA-256 of the whole certificate, lower-case hex.
    pub sha256: String,
    /// Subject and authority key identifiers, lower-case hex.
    pub subject_key_id: Option<String>,
    pub authority_key_id: Option<String>,
    /// Left out of what is written as JSON, and so empty in what is read back; `collect::probes` records it apart.
    #[serde(skip)]
    pub der: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendedKeyUsage {
    pub any: bool,
    pub server_auth: bool,
    pub client_auth: bool,
}

/// A private key: only what is public of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrivateKey {
    /// SHA-256 of the SubjectPublicKeyInfo that belongs to it, lower-case hex.
    pub public_key_sha256: Fact<String>,
    pub encrypted: bool,
}

impl Certificate {
    /// Whether a Go client (crypto/x509 VerifyHostname) that dials this name or address accepts the certificate: addresses
    /// against IP SANs, names against DNS SANs with a wildcard for one whole left-most label. The common name does not count.
    pub fn covers(&self, name_or_address: &str) -> bool {
        let host = name_or_address.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.dns_names.iter().any(|pattern| {
            let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
            match pattern.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
                None => pattern == host,
            }
        })
    }
}
