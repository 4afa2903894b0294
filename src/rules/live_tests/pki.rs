//! Certificates as served.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

use super::{handshake, host, judged, only, outcome};
use crate::facts::Host;
use crate::facts::certificates::Certificate;
use crate::facts::probe::ApiserverAnswer;
use crate::origin::{Origin, Unknown};
use crate::parse::pem;

const FILE: &str = "/etc/kubernetes/pki/apiserver.crt";
const UNIT: &str = "[Service]\nExecStart=/usr/bin/kube-apiserver --tls-cert-file=/etc/kubernetes/pki/apiserver.crt \\\n  \
                    --tls-private-key-file=/etc/kubernetes/pki/apiserver.key\n[Install]\nWantedBy=multi-user.target\n";

/// A certificate in PEM, of these uses, to this year.
fn issued(uses: &[ExtendedKeyUsagePurpose], (year, month): (i32, u8)) -> String {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "10.0.0.9".to_owned()]).unwrap();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "kube-apiserver");
    params.distinguished_name = name;
    params.extended_key_usages = uses.to_vec();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(year, month, 15);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn parsed(text: &str) -> Certificate {
    pem::parse(text.as_bytes(), Origin::file("/served", None), None).certificates.remove(0)
}

fn server(year: i32, month: u8) -> String {
    issued(&[ExtendedKeyUsagePurpose::ServerAuth], (year, month))
}

/// A host whose apiserver's file holds one certificate and serves another.
fn apiserver(on_disk: &str, served: &str, version: Option<&str>) -> Host {
    let mut host = host(&[("/etc/systemd/system/kube-apiserver.service", UNIT), (FILE, on_disk)]);
    host.probes.handshakes.push(handshake("127.0.0.1:6443", false, Ok(vec![parsed(served)])));
    host.probes.apiservers.push(ApiserverAnswer {
        endpoint: "https://127.0.0.1:6443".to_owned(),
        live: Ok(true),
        version: version.map(str::to_owned).ok_or_else(|| Unknown::new("version", "not told")),
        cluster: None,
        clock_offset_ms: None,
    });
    host
}

#[test]
fn a_server_that_was_not_restarted() {
    let (old, new) = (server(2026, 6), server(2036, 1));
    for (on_disk, served, version, expected) in [
        (&new, &old, Some("v1.15.12"), "fails"),
        (&new, &new, Some("v1.15.12"), "passes"),
        // It does so by itself.
        (&new, &old, Some("v1.17.0"), "unknown"),
        (&new, &old, None, "unknown"),
        (&new, &new, None, "passes"),
    ] {
        assert_eq!(outcome("pki-served-stale", apiserver(on_disk, served, version)), expected, "{version:?}");
    }
    let judgement = judged("pki-served-stale", apiserver(&new, &old, Some("v1.15.12")));
    let finding = only(&judgement);
    assert!(finding.title.contains(FILE) && finding.title.contains("127.0.0.1:6443"), "{}", finding.title);
    let fix = finding.fix.as_ref().unwrap();
    assert!(fix.lines().eq(["systemctl restart kube-apiserver.service"]));

    let ended = server(2025, 6);
    let judgement = judged("pki-served-stale", apiserver(&new, &ended, Some("v1.15.12")));
    let finding = only(&judgement);
    assert_eq!(finding.severity, crate::report::Severity::Error);
    assert!(finding.title.contains("2025-06-15"), "{}", finding.title);
}

#[test]
fn a_server_that_may_serve_another_on_purpose() {
    let (old, new) = (server(2026, 6), server(2036, 1));
    // Not the apiserver's address: a load balancer's, or another host's.
    let mut elsewhere = apiserver(&new, &new, Some("v1.15.12"));
    elsewhere.probes.handshakes.push(handshake("10.0.0.88:6443", false, Ok(vec![parsed(&old)])));
    assert_eq!(outcome("pki-served-stale", elsewhere), "passes");
    // By name it may be another one.
    let mut by_name = apiserver(&new, &old, Some("v1.15.12"));
    by_name.probes.handshakes[0].server_name = "api.example".to_owned();
    assert_eq!(outcome("pki-served-stale", by_name), "na");
    // Nothing was asked.
    let mut silent = apiserver(&new, &old, Some("v1.15.12"));
    silent.probes = Default::default();
    assert_eq!(outcome("pki-served-stale", silent), "na");
}

#[test]
fn what_another_host_serves() {
    let dialled = |served: &str, verified| {
        let mut host = host(&[]);
        host.probes.handshakes.push(handshake("10.0.0.9:6443", verified, Ok(vec![parsed(served)])));
        host
    };
    let (soon, late) = (server(2026, 1), server(2036, 1));
    let client = issued(&[ExtendedKeyUsagePurpose::ClientAuth], (2036, 1));
    for (rule, served, verified, expected) in [
        ("pki-expires-soon", &soon, true, "fails"),
        ("pki-expires-soon", &soon, false, "na"),
        ("pki-expires-soon", &late, true, "passes"),
        // One that has ended is pki-expired.
        ("pki-expires-soon", &server(2025, 6), true, "na"),
        ("pki-usage-missing", &client, true, "fails"),
        ("pki-usage-missing", &client, false, "na"),
        ("pki-usage-missing", &late, true, "passes"),
        ("pki-usage-missing", &issued(&[], (2036, 1)), true, "passes"),
        ("pki-weak", &late, true, "passes"),
    ] {
        assert_eq!(outcome(rule, dialled(served, verified)), expected, "{rule} {verified}");
    }
    for (rule, served) in [("pki-expires-soon", &soon), ("pki-usage-missing", &client)] {
        let judgement = judged(rule, dialled(served, true));
        assert!(only(&judgement).title.contains("10.0.0.9:6443"), "{}", judgement.findings[0].title);
    }
    let mut weak = dialled(&late, true);
    if let Ok(chain) = &mut weak.probes.handshakes[0].chain {
        chain[0].key = "RSA 1024".to_owned();
        chain[0].key_bits = Some(1024);
    }
    let judgement = judged("pki-weak", weak);
    assert!(only(&judgement).title.contains("1024 bits"), "{}", judgement.findings[0].title);
}
