//! X.509 certificates, and whether one was issued by another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use ring::signature::{
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::{
    ASN1Time, FromDer, GeneralName, ParsedExtension, SubjectPublicKeyInfo, X509Certificate, X509Error,
};
use x509_parser::public_key::PublicKey;

use super::{hex, sha256_hex};
use crate::facts::certificates::{Certificate, ExtendedKeyUsage};

/// Whether a certificate's signature is another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    Yes,
    No,
    /// Names and key identifiers agree, but the signature's algorithm is none that can be verified here.
    Unsupported,
}

/// A certificate from its DER. The error says what is wrong with it.
pub fn parse_der_certificate(der: &[u8]) -> Result<Certificate, String> {
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| match error {
        x509_parser::nom::Err::Incomplete(_) => "not a certificate: its data ends early".to_owned(),
        x509_parser::nom::Err::Error(error) | x509_parser::nom::Err::Failure(error) => {
            format!("not a certificate: {error}")
        }
    })?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the certificate", rest.len()));
    }
    let subject = parsed.subject();
    let (key, key_bits) = describe_key(parsed.public_key());
    let mut certificate = Certificate {
        subject: subject.to_string(),
        issuer: parsed.issuer().to_string(),
        common_name: subject.iter_common_name().find_map(|name| name.as_str().ok()).map(str::to_owned),
        organizations: subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect(),
        serial: serial(parsed.raw_serial()),
        not_before: timestamp(parsed.validity().not_before),
        not_after: timestamp(parsed.validity().not_after),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        is_ca: false,
        extended_key_usage: None,
        self_signed: false,
        key,
        key_bits,
        signature: signature_name(&parsed.signature_algorithm.algorithm.to_id_string()),
        public_key_sha256: sha256_hex(parsed.public_key().raw),
        sha256: sha256_hex(der),
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
            ParsedExtension::BasicConstraints(constraints) => certificate.is_ca = constraints.ca,
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
            ParsedExtension::ParseError { error } => {
                return Err(format!("its extension {} is malformed: {error}", extension.oid.to_id_string()));
            }
            _ => {}
        }
    }
    certificate.self_signed = subject.as_raw() == parsed.issuer().as_raw()
        && match verify(&parsed, parsed.public_key()) {
            Verified::Unsupported => by_names(&certificate, &certificate) != Verified::No,
            sure => sure == Verified::Yes,
        };
    Ok(certificate)
}

/// Whether `child` is signed with the key of `parent`, and names it as its issuer. Says nothing about dates or uses.
pub fn issued_by(child: &Certificate, parent: &Certificate) -> Verified {
    let (Ok((_, signed)), Ok((_, signer))) =
        (X509Certificate::from_der(&child.der), X509Certificate::from_der(&parent.der))
    else {
        // Without the encoded form the names are left, and what was verified while it was there.
        return match by_names(child, parent) {
            Verified::Unsupported if child.signed_by.contains(&parent.public_key_sha256) => Verified::Yes,
            Verified::Unsupported if !child.signed_by.is_empty() => Verified::No,
            // The signer was on another host then: its key's identifier is all that tells.
            Verified::Unsupported if child.authority_key_id.is_some() && parent.subject_key_id.is_some() => {
                Verified::Yes
            }
            sure => sure,
        };
    };
    if signed.issuer().as_raw() != signer.subject().as_raw() {
        return Verified::No;
    }
    match verify(&signed, signer.public_key()) {
        Verified::Unsupported => by_names(child, parent),
        sure => sure,
    }
}

fn by_names(child: &Certificate, parent: &Certificate) -> Verified {
    let ids_differ = match (&child.authority_key_id, &parent.subject_key_id) {
        (Some(authority), Some(subject)) => authority != subject,
        _ => false,
    };
    if child.issuer != parent.subject || ids_differ { Verified::No } else { Verified::Unsupported }
}

fn verify(signed: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> Verified {
    match signed.verify_signature(Some(key)) {
        Ok(()) => return Verified::Yes,
        Err(X509Error::SignatureVerificationError) => {}
        Err(_) => return Verified::Unsupported,
    }
    // A failure is also what keys give that the verifier holds too short or too long: ask again without that limit.
    let Ok(PublicKey::RSA(rsa)) = key.parsed() else { return Verified::No };
    let bits = significant_bits(rsa.modulus);
    if (2048..=8192).contains(&bits) {
        return Verified::No;
    }
    let legacy: &dyn VerificationAlgorithm =
        match signature_name(&signed.signature_algorithm.algorithm.to_id_string()).as_str() {
            "sha1WithRSAEncryption" => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "sha256WithRSAEncryption" => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            "sha512WithRSAEncryption" => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            _ => return Verified::Unsupported,
        };
    if !(1024..=8192).contains(&bits) {
        return Verified::Unsupported;
    }
    let key = UnparsedPublicKey::new(legacy, &key.subject_public_key.data);
    match key.verify(signed.tbs_certificate.as_ref(), &signed.signature_value.data) {
        Ok(()) => Verified::Yes,
        Err(_) => Verified::No,
    }
}

/// What a person calls the key, and its size.
fn describe_key(key: &SubjectPublicKeyInfo<'_>) -> (String, Option<u32>) {
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        let bits = significant_bits(rsa.modulus);
        return (format!("RSA {bits}"), Some(bits));
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let curve = curve.map(|oid| oid.to_id_string());
    match (key.algorithm.algorithm.to_id_string().as_str(), curve.as_deref()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => ("ECDSA P-256".to_owned(), Some(256)),
        ("1.2.840.10045.2.1", Some("1.3.132.0.33")) => ("ECDSA P-224".to_owned(), Some(224)),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => ("ECDSA P-384".to_owned(), Some(384)),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => ("ECDSA P-521".to_owned(), Some(521)),
        ("1.2.840.10045.2.1", curve) => (format!("ECDSA {}", curve.unwrap_or("of no named curve")), None),
        ("1.3.101.112", _) => ("Ed25519".to_owned(), Some(256)),
        ("1.3.101.113", _) => ("Ed448".to_owned(), Some(448)),
        ("1.2.840.10040.4.1", _) => ("DSA".to_owned(), None),
        (other, _) => (other.to_owned(), None),
    }
}

/// A signature algorithm's name as OpenSSL prints it; the object identifier of others.
fn signature_name(oid: &str) -> String {
    match oid {
        "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.14" => "sha224WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.1" => "ecdsa-with-SHA224",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.2.840.10040.4.3" => "dsa-with-SHA1",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        other => other,
    }
    .to_owned()
}

fn significant_bits(number: &[u8]) -> u32 {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros());
    ((number.len() - zeros) as u32 * 8).saturating_sub(first)
}

/// The number's bytes in hexadecimal, without the zero that keeps it positive.
fn serial(bytes: &[u8]) -> String {
    match bytes {
        [0, rest @ ..] if !rest.is_empty() => hex(rest),
        _ => hex(bytes),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}

/// Seconds; "no end" (99991231235959Z) is past the last instant that a timestamp can hold and becomes that one.
fn timestamp(time: ASN1Time) -> Timestamp {
    let seconds = time.timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
