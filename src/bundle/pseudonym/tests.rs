use std::net::{IpAddr, Ipv4Addr};

use super::address::Addresses;
use super::name::Names;
use super::*;

fn key() -> [u8; 32] {
    Sha256::digest(b"test").into()
}

fn addresses(text: &str) -> String {
    let mut out = Vec::new();
    Addresses::new(key()).text(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

fn names(known: &[&str], text: &str) -> String {
    let mut out = Vec::new();
    let known = known.iter().map(|name| (*name).to_owned()).collect();
    Names::new(key(), known).unwrap().text(text.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

fn map(address: &str) -> IpAddr {
    Addresses::new(key()).map(address.parse().unwrap())
}

#[test]
fn common_prefixes_stay_as_long() {
    let common = |a: IpAddr, b: IpAddr| match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => panic!("the family changed"),
    };
    let all = [
        "10.77.0.11",
        "10.77.0.12",
        "10.77.31.1",
        "10.76.0.1",
        "10.200.3.4",
        "172.16.5.5",
        "172.31.5.5",
        "192.168.1.5",
        "192.168.77.5",
        "8.8.8.8",
        "203.0.113.12",
        "203.0.114.12",
        "1.2.3.4",
        "fd00:1:2::3",
        "fd00:1:3::3",
        "2001:db8::1",
        "2001:db8:9::1",
        "fe80::5054:ff:fe12:3456",
        "fd00:1:2:0:aaaa::1",
    ];
    for a in all {
        for b in all {
            let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
            if a.is_ipv4() == b.is_ipv4() {
                assert_eq!(common(map(&a.to_string()), map(&b.to_string())), common(a, b), "{a} {b}");
            }
        }
    }
    for changed in ["10.77.0.11", "203.0.113.12", "fd00:1:2::3", "172.20.1.1", "fe80::5054:ff:fe12:3456"] {
        assert_ne!(map(changed).to_string(), changed);
    }
}

#[test]
fn kinds_of_addresses_stay() {
    for fixed in
        ["127.0.0.1", "0.0.0.0", "255.255.255.0", "169.254.20.10", "10.96.0.1", "172.17.0.1", "::1", "::", "ff02::1"]
    {
        assert_eq!(map(fixed).to_string(), fixed);
    }
    let is_private = |address: IpAddr| matches!(address, IpAddr::V4(address) if address.is_private());
    for step in 0..4000u32 {
        let address: IpAddr = Ipv4Addr::from_bits(step.wrapping_mul(0x9e37_79b9)).into();
        let mapped = map(&address.to_string());
        assert_eq!(is_private(mapped), is_private(address), "{address} {mapped}");
        assert_eq!(mapped.is_loopback(), address.is_loopback());
        assert_eq!(mapped.is_multicast(), address.is_multicast());
    }
}

#[test]
fn addresses_in_text() {
    let (one, six) = (map("10.77.0.12"), map("fd00:1::5"));
    for (text, expected) in [
        ("https://10.77.0.12:2379,x", format!("https://{one}:2379,x")),
        ("10.77.0.12/24", format!("{one}/24")),
        ("[fd00:1::5]:6443", format!("[{six}]:6443")),
        ("fd00:1::5/64 dev", format!("{six}/64 dev")),
        ("at 10:20:30 10.77.0.12", format!("at 10:20:30 {one}")),
        ("a:6443:10.77.0.12", format!("a:6443:{one}")),
        ("::ffff:10.77.0.12", format!("::ffff:{one}")),
        ("etcd-10.77.0.12.pem", format!("etcd-{one}.pem")),
        ("1.2.840.113549.1.1.11 v3.5.0 300.1.1.1", "1.2.840.113549.1.1.11 v3.5.0 300.1.1.1".to_owned()),
        ("52:54:00:12:34:56 std::fmt", "52:54:00:12:34:56 std::fmt".to_owned()),
    ] {
        assert_eq!(addresses(text), expected, "{text}");
    }
    // A network stays one, whatever its length, and holds its addresses.
    for length in 9..=24 {
        let network: ipnet::Ipv4Net = format!("10.171.205.9/{length}").parse().unwrap();
        let mapped: ipnet::Ipv4Net = addresses(&network.trunc().to_string()).parse().unwrap();
        assert_eq!((mapped.trunc(), mapped.prefix_len()), (mapped, length));
        let IpAddr::V4(inside) = map("10.171.205.9") else { panic!("IPv4") };
        assert!(mapped.contains(&inside), "{mapped} {inside}");
    }
}

#[test]
fn tables_of_the_kernel() {
    let map4 = |text: &str| match map(text) {
        IpAddr::V4(address) => format!("{:08X}", address.to_bits().swap_bytes()),
        IpAddr::V6(_) => panic!("IPv4"),
    };
    let addresses = Addresses::new(key());
    let table = |path: &str, text: &str| String::from_utf8(addresses.table(path, text.as_bytes()).unwrap()).unwrap();
    let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
        eth0\t00000000\t01004D0A\t0003\t0\t0\t0\t00000000\t0\n";
    assert_eq!(table("/proc/net/route", route), route.replace("01004D0A", &map4("10.77.0.1")));
    let tcp = "   1: 0C004D0A:0943 0100007F:1F90 0A 00000000:00000000\n";
    assert_eq!(table("/proc/1/net/tcp", tcp), tcp.replace("0C004D0A", &map4("10.77.0.12")));
    let six = "fd000001000000000000000000000005 02 40 00 80     eth0\n";
    let IpAddr::V6(mapped) = map("fd00:1::5") else { panic!("IPv6") };
    assert_eq!(table("/proc/net/if_inet6", six), six.replace(&six[..32], &format!("{:032x}", mapped.to_bits())));
    assert_eq!(addresses.table("/etc/route", b""), None);
}

#[test]
fn names_keep_their_form() {
    let m1 = names(&["m1"], "m1");
    assert!(m1 != "m1" && m1.len() == 2 && m1.as_bytes()[0].is_ascii_lowercase() && m1.as_bytes()[1].is_ascii_digit());
    let all: std::collections::BTreeSet<String> = (0..10)
        .flat_map(|digit| ('a'..='z').map(move |letter| format!("{letter}{digit}")))
        .map(|name| names(&[&name], &name))
        .collect();
    assert_eq!(all.len(), 260, "two names became one");
    let known = ["m1", "lab.internal", "m1.lab.internal"];
    let domain = names(&known, "lab.internal");
    for (text, expected) in [
        ("m1.lab.internal:6443", format!("{m1}.{domain}:6443")),
        ("etcd-m1_x m1", format!("etcd-{m1}_x {m1}")),
        ("*.lab.internal", format!("*.{domain}")),
        ("m12 xm1 am1b", "m12 xm1 am1b".to_owned()),
        ("M1", m1.to_ascii_uppercase()),
    ] {
        assert_eq!(names(&known, text), expected, "{text}");
    }
    assert!(names(&known, "m9.lab.internal").ends_with(&format!(".{domain}")));
    assert!(!names(&known, "m9.lab.internal").starts_with("m9"));
}

#[test]
fn a_certificate_becomes_its_facts() {
    let pem = include_bytes!("../../../testdata/certificates/apiserver.crt");
    let authority = include_bytes!("../../../testdata/certificates/ca.crt");
    let parse = |bytes: &[u8]| {
        let origin = crate::origin::Origin::file("/x", None);
        crate::parse::pem::parse(bytes, origin, None).certificates.remove(0)
    };
    let (leaf, ca) = (parse(pem), parse(authority));
    let pseudonyms = Pseudonyms {
        addresses: Some(Addresses::new(key())),
        names: None,
        certificates: Certificates::new(vec![ca.clone()]),
    };
    let written = pseudonyms.text(pem);
    assert!(!String::from_utf8_lossy(&written).contains("BEGIN CERTIFICATE-----"));
    let read = parse(&written);
    assert_eq!(read.signed_by, std::slice::from_ref(&ca.public_key_sha256));
    let ca = parse(&pseudonyms.text(authority));
    assert_eq!(crate::parse::pem::issued_by(&read, &ca), crate::parse::pem::Verified::Yes);
    let other = parse(&pseudonyms.text(include_bytes!("../../../testdata/certificates/ca-other.crt")));
    assert_eq!(crate::parse::pem::issued_by(&read, &other), crate::parse::pem::Verified::No);
    let mapped: Vec<IpAddr> = leaf.addresses.iter().map(|address| map(&address.to_string())).collect();
    assert_eq!(read.addresses, mapped);
    assert_eq!((read.not_after, read.key, read.self_signed), (leaf.not_after, leaf.key, leaf.self_signed));
    // The same within a kubeconfig.
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let config = format!("    certificate-authority-data: {}\n", engine.encode(pem));
    let config = String::from_utf8(pseudonyms.text(config.as_bytes())).unwrap();
    assert_eq!(parse(&engine.decode(config.trim().split(' ').nth(1).unwrap()).unwrap()).serial, leaf.serial);
}

#[test]
fn pieces_of_a_log_are_not_cut_within_a_name() {
    let pseudonyms = Pseudonyms {
        addresses: Some(Addresses::new(key())),
        names: Some(Names::new(key(), vec!["master-one".to_owned()]).unwrap()),
        certificates: Certificates::default(),
    };
    let text = "master-one dialled 10.77.0.12:2379\n".repeat(50) + "10.77.0.1";
    let whole = pseudonyms.text(text.as_bytes());
    for size in [1, 7, 64] {
        let mut lines = Lines::new(&pseudonyms);
        let mut out = Vec::new();
        let mut pieces = text.as_bytes().chunks(size).peekable();
        while let Some(piece) = pieces.next() {
            let mut piece = piece.to_vec();
            lines.push(&mut piece, pieces.peek().is_none());
            out.append(&mut piece);
        }
        assert_eq!(out, whole, "{size}");
    }
}

#[test]
fn an_escape_before_a_name_or_address_is_no_part_of_it() {
    for (text, is_found) in [
        (r"a\nmaster1 x", true),
        (r"a\tmaster1 x", true),
        (r"a\u003cmaster1\u003e x", true),
        (r"a\\nmaster1 x", true),
        ("anmaster1 x", false),
    ] {
        assert_eq!(!names(&["master1"], text).contains("master1"), is_found, "{text}");
        let text = text.replace("master1", "10.77.3.4");
        assert_eq!(!addresses(&text).contains("10.77.3.4"), is_found, "{text}");
    }
}

#[test]
fn a_runtime_s_cut_leaves_no_half_of_a_name() {
    let pseudonyms = Pseudonyms {
        addresses: Some(Addresses::new(key())),
        names: Some(Names::new(key(), vec!["master-node".to_owned()]).unwrap()),
        certificates: Certificates::new(Vec::new()),
    };
    let cri = |tag: &str, text: &str| format!("2026-11-21T10:00:00.000000000Z stderr {tag} {text}\n");
    let docker =
        |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stderr\",\"time\":\"2026-11-21T10:00:00Z\"}}\n");
    for text in [
        [cri("P", "dial master-no"), cri("F", "de: refused")].concat(),
        [cri("P", "dial 10.77."), cri("F", "3.4: refused")].concat(),
        [docker("a\\nmaster-"), docker("node 10.77.3"), docker(".4 b\\n")].concat(),
    ] {
        // As one text, and in any two parts.
        let mut written = vec![String::from_utf8(pseudonyms.content("/var/log/x", text.as_bytes()).unwrap()).unwrap()];
        for at in 0..text.len() {
            let mut lines = Lines::new(&pseudonyms);
            let (mut first, mut second) = (text.as_bytes()[..at].to_vec(), text.as_bytes()[at..].to_vec());
            lines.push(&mut first, false);
            lines.push(&mut second, true);
            written.push(String::from_utf8([first, second].concat()).unwrap());
        }
        for out in &written {
            assert_eq!(out, &written[0]);
            for half in ["master", "node", "10.77."] {
                assert!(!out.contains(half), "{half} in {out}");
            }
            assert_eq!(out.lines().count(), text.lines().count());
        }
    }
}
