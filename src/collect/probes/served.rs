//! Certificates as served, from DER.

use std::net::IpAddr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

use crate::facts::certificates::{Certificate, ExtendedKeyUsage};

/// The certificates of a chain, leaf first.
pub fn certificates(chain: &[Vec<u8>]) -> Result<Vec<Certificate>, String> {
    chain
        .iter()
        .enumerate()
        .map(|(index, der)| certificate(der).map_err(|why| format!("certificate {} of the chain: {why}", index + 1)))
        .collect()
}

fn certificate(der: &[u8]) -> Result<Certificate, String> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| format!("is no X.509 certificate: {error}"))?;
    let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| "has a validity out of range".to_owned());
    let (key, key_bits) = key_kind(&parsed);
    let mut certificate = Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        common_name: attributes(parsed.subject().iter_common_name()).into_iter().next(),
        organizations: attributes(parsed.subject().iter_organization()),
        serial: hex(parsed.raw_serial()),
        not_before: time(parsed.validity().not_before.timestamp())?,
        not_after: time(parsed.validity().not_after.timestamp())?,
        dns_names: Vec::new(),
        addresses: Vec::new(),
        is_ca: parsed.is_ca(),
        extended_key_usage: None,
        self_signed: self_signed(&parsed),
        key,
        key_bits,
        signature: oid2sn(&parsed.signature_algorithm.algorithm, oid_registry())
            .map_or_else(|_| parsed.signature_algorithm.algorithm.to_id_string(), str::to_owned),
        public_key_sha256: hex(&Sha256::digest(parsed.public_key().raw)),
        sha256: hex(&Sha256::digest(der)),
        subject_key_id: None,
        authority_key_id: None,
        der: der.to_vec(),
        signed_by: Vec::new(),
    };
    for extension in parsed.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => certificate.dns_names.push((*name).to_owned()),
                        GeneralName::IPAddress(bytes) => certificate.addresses.extend(address(bytes)),
                        _ => {}
                    }
                }
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                certificate.extended_key_usage = Some(ExtendedKeyUsage {
                    any: usage.any,
                    server_auth: usage.server_auth,
                    client_auth: usage.client_auth,
                });
            }
            ParsedExtension::SubjectKeyIdentifier(id) => certificate.subject_key_id = Some(hex(id.0)),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                certificate.authority_key_id = id.key_identifier.as_ref().map(|id| hex(id.0));
            }
            _ => {}
        }
    }
    Ok(certificate)
}

fn attributes<'a>(found: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>) -> Vec<String> {
    found.filter_map(|attribute| attribute.as_str().ok()).map(str::to_owned).collect()
}

fn self_signed(parsed: &X509Certificate<'_>) -> bool {
    fn raw<'a>(name: &'a X509Name<'_>) -> &'a [u8] {
        name.as_raw()
    }
    raw(parsed.subject()) == raw(parsed.issuer()) && parsed.verify_signature(None).is_ok()
}

fn key_kind(parsed: &X509Certificate<'_>) -> (String, Option<u32>) {
    let info = parsed.public_key();
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => {
            let bits = key.key_size() as u32;
            (format!("RSA {bits}"), Some(bits))
        }
        Ok(PublicKey::EC(_)) => {
            let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|o| o.to_id_string());
            match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => ("ECDSA P-256".to_owned(), Some(256)),
                Some("1.3.132.0.34") => ("ECDSA P-384".to_owned(), Some(384)),
                Some("1.3.132.0.35") => ("ECDSA P-521".to_owned(), Some(521)),
                other => (format!("ECDSA {}", other.unwrap_or("with an unnamed curve")), None),
            }
        }
        _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => ("Ed25519".to_owned(), Some(256)),
        _ => (info.algorithm.algorithm.to_id_string(), None),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_rcgen_makes() {
        let mut params =
            rcgen::CertificateParams::new(vec!["m1".to_owned(), "10.0.0.1".to_owned(), "fd00::1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "kube-apiserver");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "lab");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let found = certificates(&[made.der().to_vec()]).unwrap().remove(0);
        assert_eq!(found.common_name.as_deref(), Some("kube-apiserver"));
        assert_eq!(found.organizations, ["lab"]);
        assert_eq!(found.dns_names, ["m1"]);
        assert_eq!(found.addresses, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
        let usage = ExtendedKeyUsage { any: false, server_auth: true, client_auth: false };
        assert_eq!(found.extended_key_usage, Some(usage));
        assert_eq!((found.key.as_str(), found.key_bits), ("ECDSA P-256", Some(256)));
        assert_eq!(found.signature, "ecdsa-with-SHA256");
        assert!(found.self_signed && !found.is_ca && found.not_before < found.not_after);
        assert_eq!(found.sha256.len(), 64);
        let broken = certificates(&[made.der().to_vec(), b"no certificate".to_vec()]).unwrap_err();
        assert!(broken.starts_with("certificate 2 of the chain: "), "{broken}");
    }
}
