use std::net::IpAddr;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

const RSA_CRT: &str = include_str!("../../../testdata/pem/rsa.crt");
const RSA_PKCS1: &str = include_str!("../../../testdata/pem/rsa-pkcs1.key");
const RSA_OTHER: &str = include_str!("../../../testdata/pem/rsa-other.key");
const EC_CRT: &str = include_str!("../../../testdata/pem/ec.crt");
const EC_SEC1: &str = include_str!("../../../testdata/pem/ec-sec1.key");
const ED_CRT: &str = include_str!("../../../testdata/pem/ed25519.crt");

// What `openssl pkey -pubout -outform DER | sha256sum` gives.
const RSA: &str = "55e4482a1d23145cc53f3452496fb5a96d2315374b6e92b35d30b5c115fa0691";
const EC: &str = "130c928d41962d35fb6f87b0236d0529a170fe8ec8898000399cf4faea20c27c";
const ED: &str = "c69978b4a401b2ebe545a6d773f4609201f993777be05333ac7dd8d61723ebad";

fn read(content: impl AsRef<[u8]>) -> CertificateFile {
    parse(content.as_ref(), Origin::file("/etc/kubernetes/pki/x", None), Some(0o600))
}

#[test]
fn keys_in_every_encoding_give_the_digest_of_their_public_half() {
    let table = [
        (RSA_PKCS1, RSA),
        (include_str!("../../../testdata/pem/rsa-pkcs8.key"), RSA),
        (EC_SEC1, EC),
        (include_str!("../../../testdata/pem/ec-pkcs8.key"), EC),
        (include_str!("../../../testdata/pem/ec-with-parameters.key"), EC),
        (include_str!("../../../testdata/pem/ed25519.key"), ED),
    ];
    for (text, expected) in table {
        let expected = PrivateKey { public_key_sha256: Ok(expected.to_owned()), encrypted: false };
        let file = read(text);
        assert_eq!((&file.keys, &file.problems), (&vec![expected.clone()], &vec![]), "{text}");
        // The same with Windows' line ends, and with text around.
        assert_eq!(read(text.replace('\n', "\r\n")).keys[0], expected);
        assert_eq!(read(format!("Bag Attributes\n    friendlyName: é\n{text}\njunk")).keys, [expected]);
    }
    for text in [include_str!("../../../testdata/pem/rsa.pub"), include_str!("../../../testdata/pem/rsa-pkcs1.pub")] {
        let file = read(text);
        assert_eq!((file.public_keys, file.problems), (vec![RSA.to_owned()], vec![]));
    }
}

#[test]
fn the_digest_is_that_of_the_certificate_of_the_key() {
    for (text, digest, key, bits, signature) in [
        (RSA_CRT, RSA, "RSA 1024", 1024, "sha256WithRSAEncryption"),
        (include_str!("../../../testdata/pem/rsa-sha1.crt"), RSA, "RSA 1024", 1024, "sha1WithRSAEncryption"),
        (EC_CRT, EC, "ECDSA P-256", 256, "ecdsa-with-SHA256"),
        (ED_CRT, ED, "Ed25519", 256, "ED25519"),
    ] {
        let file = read(text);
        let found = &file.certificates[0];
        assert_eq!(found.public_key_sha256, digest);
        assert_eq!((found.key.as_str(), found.key_bits, found.signature.as_str()), (key, Some(bits), signature));
        assert!(found.self_signed, "{key}");
        assert_ne!(Ok(digest.to_owned()), read(RSA_OTHER).keys[0].public_key_sha256);
    }
    for key in [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyPair::generate_for(&rcgen::PKCS_ED25519),
    ] {
        let key = key.expect("a key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
        let file = read(format!("{}{}", certificate.pem(), key.serialize_pem()));
        assert_eq!(file.keys[0].public_key_sha256.as_ref(), Ok(&file.certificates[0].public_key_sha256));
    }
}

#[test]
fn a_certificate_is_read_as_openssl_shows_it() {
    let file = read(RSA_CRT);
    let found = &file.certificates[0];
    assert_eq!(found.subject, "O=system:masters, O=second, CN=kubernetes-admin");
    assert_eq!(found.issuer, found.subject);
    assert_eq!(found.common_name.as_deref(), Some("kubernetes-admin"));
    assert_eq!(found.organizations, ["system:masters", "second"]);
    assert_eq!(found.serial, "0a1b2c");
    assert_eq!(found.not_before.to_string(), "2026-11-21T12:46:03Z");
    assert_eq!(found.not_after.to_string(), "2126-10-28T12:46:03Z");
    assert_eq!(found.dns_names, ["kubernetes.default.svc"]);
    assert_eq!(found.addresses, ["10.96.0.1", "fd00::1"].map(|text| text.parse::<IpAddr>().expect("an address")));
    let usage = found.extended_key_usage.expect("an extended key usage");
    assert_eq!((usage.any, usage.server_auth, usage.client_auth), (false, true, true));
    assert!(found.is_ca, "openssl req -x509 makes an authority");
    assert_eq!(found.subject_key_id, found.authority_key_id);
    assert_eq!((file.mode, file.problems), (Some(0o600), vec![]));
}

#[test]
fn faults_are_told_and_the_rest_is_read() {
    let cut = &RSA_CRT[..RSA_CRT.len() / 2];
    let half: String =
        RSA_CRT.lines().take(5).chain(["-----END CERTIFICATE-----"]).map(|line| format!("{line}\n")).collect();
    // (content, certificates, keys, what a problem says)
    let table: &[(String, usize, usize, &str)] = &[
        (String::new(), 0, 0, "the file is empty"),
        ("hello\n".to_owned(), 0, 0, "neither PEM nor DER"),
        (cut.to_owned(), 0, 0, "CERTIFICATE of line 1: it has no -----END CERTIFICATE-----"),
        (format!("{cut}\n{EC_CRT}"), 1, 0, "CERTIFICATE of line 1: it has no"),
        (format!("{EC_CRT}{half}{ED_CRT}"), 2, 0, "CERTIFICATE of line 11: "),
        (RSA_CRT.replace("END CERTIFICATE", "END PRIVATE KEY"), 0, 0, "another label"),
        (RSA_CRT.replace("MII", "M~I"), 0, 0, "a character that base64 does not have"),
        (RSA_CRT.replace("-----BEGIN", "  -----BEGIN"), 0, 0, "something stands before"),
        (format!("\u{feff}{RSA_CRT}{EC_CRT}"), 1, 0, "something stands before"),
        (
            include_str!("../../../testdata/pem/ec-without-public.key").to_owned(),
            0,
            1,
            "does not carry its public half",
        ),
        (format!("{RSA_CRT}{}", EC_SEC1.replace("MHcC", "MHcD")), 1, 1, "EC PRIVATE KEY of line "),
        (RSA_CRT.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), 0, 0, "Kubernetes does not read"),
    ];
    for (content, certificates, keys, expected) in table {
        let file = read(content);
        assert_eq!((file.certificates.len(), file.keys.len()), (*certificates, *keys), "{expected}: {file:?}");
        assert!(file.problems.iter().any(|problem| problem.contains(expected)), "{expected}: {:?}", file.problems);
    }
}

#[test]
fn encrypted_keys_are_unknown() {
    for text in [
        include_str!("../../../testdata/pem/rsa-encrypted-pkcs1.key"),
        include_str!("../../../testdata/pem/rsa-encrypted-pkcs8.key"),
    ] {
        let file = read(text);
        assert!(file.keys[0].encrypted);
        let unknown = file.keys[0].public_key_sha256.as_ref().expect_err("no digest");
        assert!(unknown.why.contains("encrypted") && unknown.what.contains("/etc/kubernetes/pki/x"), "{unknown}");
        assert_eq!(file.problems, Vec::<String>::new());
    }
}

#[test]
fn der_is_read_and_said_to_be_der() {
    let file = read(include_bytes!("../../../testdata/pem/rsa.der"));
    assert_eq!(file.certificates[0].public_key_sha256, RSA);
    assert!(file.problems[0].contains("DER without PEM"), "{:?}", file.problems);
}

#[test]
fn nothing_private_is_kept() {
    for text in [RSA_PKCS1, EC_SEC1, include_str!("../../../testdata/pem/ed25519.key")] {
        let (_, secret) = text.split_once('\n').expect("lines");
        let secret = &secret[..24];
        for content in [text.to_owned(), text.replace("-----END", "-----DNE"), text.replace('/', "~")] {
            let file = format!("{:?}", read(content));
            assert!(!file.contains(secret), "{file}");
        }
    }
}

#[test]
fn embedded_data_is_base64_of_pem() {
    let origin = Origin::file("/etc/kubernetes/admin.conf", None);
    let data = BASE64.encode(RSA_CRT);
    assert_eq!(parse_base64(&data, origin.clone()).certificates.len(), 1);
    let (head, tail) = data.split_at(40);
    assert_eq!(parse_base64(&format!("{head}\n  {tail}\n"), origin.clone()).certificates.len(), 1);
    assert_eq!(parse_base64(&data[1..], origin.clone()).certificates.len(), 0);
    let problems = parse_base64("not base64!", origin).problems;
    assert!(problems[0].starts_with("not base64: "), "{problems:?}");
}

#[test]
fn issuers_are_told_apart_by_their_keys() {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let parsed = parse_der_certificate(certificate.der()).expect("parsed");
        (Issuer::new(params, key), parsed)
    };
    let (issuer, ca) = authority("kubernetes");
    let (_, impostor) = authority("kubernetes");
    let (_, other) = authority("etcd-ca");
    let mut params = CertificateParams::new(vec!["m1".to_owned()]).expect("names");
    params.not_after = date_time_ymd(4095, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, &issuer).expect("a certificate");
    let leaf = parse_der_certificate(leaf.der()).expect("parsed");
    assert_eq!(issued_by(&leaf, &ca), Verified::Yes);
    assert_eq!(issued_by(&leaf, &impostor), Verified::No);
    assert_eq!(issued_by(&leaf, &other), Verified::No);
    assert_eq!(issued_by(&ca, &ca), Verified::Yes);
    assert!(ca.is_ca && ca.self_signed && !leaf.is_ca && !leaf.self_signed);
    // RSA keys of 1024 bits verify too: weak is not broken.
    let weak = read(RSA_CRT).certificates.remove(0);
    assert_eq!(issued_by(&weak, &weak), Verified::Yes);
}

#[test]
fn nothing_panics_on_mangled_bytes() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize
    };
    let ec = include_str!("../../../testdata/pem/ec-pkcs8.key");
    let seeds: Vec<Vec<u8>> = [RSA_CRT, EC_CRT, RSA_PKCS1, ec]
        .iter()
        .filter_map(|text| blocks(text).pop()?.content.ok())
        .chain([RSA_CRT.as_bytes().to_vec()])
        .collect();
    for _ in 0..4_000 {
        let mut bytes = seeds[next() % seeds.len()].clone();
        for _ in 0..1 + next() % 4 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        bytes.truncate(bytes.len() - next() % 8);
        read(&bytes);
        let _ = (key::pkcs8(&bytes), key::pkcs1(&bytes), key::sec1(&bytes, None), key::spki(&bytes));
    }
}
