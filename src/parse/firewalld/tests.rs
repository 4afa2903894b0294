use super::*;

fn ports(from: u16, to: u16) -> Match {
    Match::Ports { ranges: vec![(from, to)], inverted: false }
}

#[test]
fn reads_zones() {
    let text = r#"<?xml version="1.0" encoding="utf-8"?>
<zone target="%%REJECT%%">
  <short>Nodes</short>
  <interface name="eth1"/>
  <source address="10.0.0.7/255.255.255.0"/>
  <source ipset="nodes"/>
  <service name="ssh"/>
  <port port="30000-32767" protocol="tcp"/>
  <rule priority="-5"><source address="10.9.0.0/16" invert="True"/><drop/></rule>
  <rule family="ipv4"><port port="6443" protocol="tcp"/><reject type="tcp-reset"/></rule>
  <rule priority="7"><icmp-type name="echo-request"/><accept/></rule>
  <forward/>
</zone>
"#;
    let zone = zone(text).expect("a zone");
    assert_eq!(zone.target, ZoneTarget::Reject);
    assert_eq!(zone.interfaces, ["eth1"]);
    assert_eq!(zone.sources, [ZoneSource::Net("10.0.0.0/24".parse().expect("a net")), ZoneSource::Other]);
    assert_eq!(zone.span.map(|span| (span.line, span.column)), Some((2, 1)));
    let seen: Vec<(&str, &Target, u32)> =
        zone.entries.iter().map(|entry| (entry.text.as_str(), &entry.target, entry.span.line)).collect();
    // Refusals come before what is let in; priorities before and after both.
    let expected = [
        ("rich rule", &Target::Drop, 9),
        ("rich rule, port 6443/tcp", &Target::Reject, 10),
        ("service ssh", &Target::Accept, 7),
        ("port 30000-32767/tcp", &Target::Accept, 8),
        ("rich rule", &Target::Accept, 11),
    ];
    assert_eq!(seen, expected);
    let [drop, reject, ssh, range, icmp] = &zone.entries[..] else { panic!("five entries") };
    assert!(matches!(&drop.matches[..], [Match::Source { inverted: true, .. }]), "{drop:?}");
    assert!(matches!(&reject.matches[..], [Match::Destination { .. }, _, port] if *port == ports(6443, 6443)));
    assert_eq!(ssh.service.as_deref(), Some("ssh"));
    assert_eq!(range.matches, [of_protocol("tcp"), ports(30_000, 32_767)]);
    assert_eq!(icmp.matches, [of_protocol("icmp")]);
}

#[test]
fn reads_services_and_policies() {
    let text = "<service>\n <include service=\"a\"/>\n <port protocol=\"tcp\" port=\"10250\"/>\n <port protocol=\"vrrp\" port=\"\"/>\n</service>";
    let found = service(text).expect("a service");
    assert_eq!(found.includes, ["a"]);
    assert_eq!(found.ports, [vec![of_protocol("tcp"), ports(10_250, 10_250)], vec![of_protocol("vrrp")]]);

    let policy = |head: &str, body: &str| {
        let text = format!("<policy{head}><ingress-zone name=\"ANY\"/>{body}</policy>");
        policy_may_accept(&text).expect("a policy")
    };
    assert!(!policy("", "<egress-zone name=\"HOST\"/><rule><icmp-type name=\"redirect\"/><accept/></rule>"));
    assert!(policy(" target=\"ACCEPT\"", "<egress-zone name=\"HOST\"/>"));
    assert!(policy("", "<egress-zone name=\"HOST\"/><port port=\"6443\" protocol=\"tcp\"/>"));
    assert!(!policy(" target=\"ACCEPT\"", "<egress-zone name=\"public\"/>"));
}

#[test]
fn reads_settings() {
    let text = "# DefaultZone=drop\nDefaultZone=home\n\nAllowZoneDrifting=yes\nDefaultZone = work \n";
    let found = settings(text);
    assert_eq!(found.default_zone.map(|(name, span)| (name, span.line)), Some(("work".to_owned(), 5)));
    assert!(found.drifts);
    assert_eq!(settings("CleanupOnExit=yes\n"), Settings::default());
}

#[test]
fn refuses_what_is_none() {
    let deep = "<zone>".repeat(100_000);
    let wide = format!("<zone>{}</zone>", "<port/>".repeat(20_000));
    let bomb = "<!DOCTYPE z [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;\">]><zone target=\"&c;\"/>";
    for text in ["", "<zone>", "<zone><service name=\"ssh\"</zone>", "<service/>", "text", &deep, &wide] {
        assert!(zone(text).is_err(), "{}", text.chars().take(40).collect::<String>());
    }
    assert_eq!(zone(bomb).expect("a zone").target, ZoneTarget::Default);
}
