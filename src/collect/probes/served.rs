//! Certificates as served, from DER.

use crate::facts::certificates::Certificate;
use crate::parse::pem::parse_der_certificate;

/// The certificates of a chain, leaf first.
pub fn certificates(chain: &[Vec<u8>]) -> Result<Vec<Certificate>, String> {
    chain
        .iter()
        .enumerate()
        .map(|(index, der)| {
            parse_der_certificate(der).map_err(|why| format!("certificate {} of the chain: {why}", index + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::facts::certificates::ExtendedKeyUsage;

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
