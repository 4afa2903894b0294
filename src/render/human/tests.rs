//! Snapshots of whole reports, as a person sees them.

use super::*;
use crate::origin::Origin;
use crate::render::sample::*;
use crate::report::*;

fn options() -> Options {
    Options { width: 100, colour: false, verbose: false, language: Language::English, hidden: 0 }
}

#[test]
fn a_root_cause_with_its_consequences() {
    let (report, texts) = floating_address();
    insta::assert_snapshot!("root_cause", render(&report, &texts, options()));
}

#[test]
fn consequences_in_full_when_verbose() {
    let (report, texts) = floating_address();
    insta::assert_snapshot!("verbose", render(&report, &texts, Options { verbose: true, ..options() }));
}

#[test]
fn narrow_and_wide() {
    let (report, texts) = floating_address();
    insta::assert_snapshot!("narrow", render(&report, &texts, Options { width: 60, ..options() }));
    insta::assert_snapshot!("wide", render(&report, &texts, Options { width: 200, ..options() }));
}

#[test]
fn in_chinese() {
    let (report, texts) = floating_address();
    insta::assert_snapshot!("chinese", render(&report, &texts, Options { language: Language::Chinese, ..options() }));
}

#[test]
fn colour_is_left_out_of_commands() {
    let (report, texts) = floating_address();
    let painted = render(&report, &texts, Options { colour: true, ..options() });
    assert!(painted.contains("\x1b["));
    let command = painted.lines().find(|line| line.contains("sed -i")).unwrap_or_default();
    assert!(command.starts_with("    sed -i") && !command.contains('\x1b'), "{command:?}");
}

#[test]
fn nothing_found_but_not_everything_known() {
    let mut report = report(vec![host("w1", &["worker"])], Vec::new());
    report.counts.unknown = 5;
    for rule in ["pki-expired", "pki-not-yet-valid", "pki-key-mismatch", "pki-san-missing", "etcd-nospace"] {
        let (what, why, remedy) = match rule {
            "etcd-nospace" => ("alarms of etcd on w1", "no probe was taken", "run k8sdoctor check on the host itself"),
            _ => ("/etc/kubernetes/pki/ca.key", "permission denied", "run as root"),
        };
        report.unjudged.push(unjudged(rule, "w1", what, why, Some(remedy)));
    }
    report.problems.push(Problem {
        host: "w1".to_owned(),
        place: "/var/lib/kubelet/config.yaml:12:3".to_owned(),
        message: "a mapping was expected, a list was found".to_owned(),
        remedy: Some("compare with a node that works".to_owned()),
    });
    insta::assert_snapshot!("nothing_found", render(&report, &Texts::new(), options()));
}

#[test]
fn the_verdict_never_says_more_than_is_known() {
    let hosts = || vec![host("w1", &["worker"])];
    let clean = report(hosts(), Vec::new());
    let mut unknown = clean.clone();
    unknown.counts.unknown = 1;
    let mut unread = clean.clone();
    unread.problems.push(Problem {
        host: "w1".to_owned(),
        place: "/etc/fstab".to_owned(),
        message: "permission denied".to_owned(),
        remedy: None,
    });
    let mut empty = clean.clone();
    empty.counts = Counts { not_applicable: 131, ..Counts::default() };
    for (report, expected) in [
        (clean, "\nnothing wrong was found\n"),
        (unknown, "\nnothing wrong was found in what could be judged, but 1 check could not be judged\n"),
        (unread, "\nnothing wrong was found in what could be judged, but 1 thing could not be read\n"),
        (empty, "\nnothing was judged: no rule applies to what was given\n"),
    ] {
        let text = render(&report, &Texts::new(), options());
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn hostile_text_is_harmless() {
    let evil = "server: \x1b[2J\x1b[H\u{202e}https://\x07evil\u{9b}1m:6443  # 中文\r\n";
    let path = "/etc/\x1b]0;pwned\x07/kubelet.conf";
    let mut found = finding("kubelet-\x1b[1m", Severity::Warning, "title \x1b[31m with\nlines", &["m\x1b[1m1"]);
    let from = evil.find("https").unwrap_or(0);
    let to = evil.find("  #").unwrap_or(0);
    found.evidence.push(Evidence::new(
        EvidenceKind::File,
        "m\x1b[1m1",
        Origin::file(path, Some(crate::origin::Span::of(evil, from, to))),
        "label \x1b[0m",
    ));
    let mut log = Evidence::new(
        EvidenceKind::Log,
        "m\x1b[1m1",
        Origin::file("/var/log/x", None),
        format!("{}\x1b[1;1H\"error\":\"gone\r\nforged line\"{}", "x".repeat(400), "y".repeat(400)),
    );
    log.occurrences = Some(Occurrences {
        count: 2,
        first: Some("\x1b[1m".to_owned()),
        last: None,
        ongoing: Some(false),
        restarted: BTreeMap::new(),
        lines: vec![LogLine { path: "/var/log/\x1b".to_owned(), line: 3, text: "\x1b[1m".to_owned(), matter: 0..0 }],
        ..Occurrences::default()
    });
    found.evidence.push(log);
    found.evidence.push(Evidence::new(EvidenceKind::Process, "m1", Origin::process(7, "et\x1bcd", None), "\x1b"));
    found.notes.push("note \x1b[1m\nsecond line".to_owned());
    found.fix = Some(Fix {
        risk: Risk::Manual,
        summary: "sum\x1b[1m".to_owned(),
        commands: vec!["echo \x1b[1m\ncat > /x <<EOF\nEOF".into()],
        restarts: vec!["\x1b".to_owned()],
    });
    found.verify.push("\x1b".to_owned());
    let mut report = report(vec![host("m\x1b[1m1", &["\x1b"])], vec![found]);
    report.at = "\x1b".to_owned();
    report.unjudged.push(unjudged("\x1br", "\x1bh", "\x1bw", "\x1by", Some("\x1bz")));
    report.problems.push(Problem {
        host: "\x1b".to_owned(),
        place: "\x1b".to_owned(),
        message: "\x1b".to_owned(),
        remedy: Some("\x1b".to_owned()),
    });
    let texts = texts(&[("m\x1b[1m1", path, evil)]);
    for verbose in [false, true] {
        let text = render(&report, &texts, Options { verbose, ..options() });
        let bad: Vec<char> = text.chars().filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}').collect();
        assert!(bad.is_empty(), "{bad:?} in {text}");
        assert!(!text.contains("\nforged line"));
        if !verbose {
            insta::assert_snapshot!("hostile", text);
        }
    }
}

#[test]
fn a_value_that_came_through_another_file_and_a_long_line() {
    let unit = format!(
        "[Service]\nExecStart=/usr/bin/etcd {} --listen-peer-urls=https://${{IP}}:2380\n",
        "--x=yyyyyyyy ".repeat(60)
    );
    let env = "# local\nIP=203.0.113.12\n";
    let mut found = finding("etcd-address-not-local", Severity::Error, "etcd on m2 listens elsewhere", &["m2"]);
    let origin = Origin::file("/etc/systemd/system/etcd.service", Some(span_of(&unit, "${IP}")))
        .with_via(Origin::file("/etc/etcd.env", Some(span_of(env, "203.0.113.12"))));
    found.evidence.push(Evidence::new(EvidenceKind::File, "m2", origin, "no interface has 203.0.113.12"));
    found.evidence.push(Evidence::new(
        EvidenceKind::Process,
        "m2",
        Origin::process(811, "etcd", Some(61)),
        "runs with --listen-peer-urls=https://203.0.113.12:2380",
    ));
    let report = report(vec![host("m2", &["etcd"])], vec![found]);
    let texts = texts(&[("m2", "/etc/systemd/system/etcd.service", &unit), ("m2", "/etc/etcd.env", env)]);
    insta::assert_snapshot!("via", render(&report, &texts, options()));
}

#[test]
fn two_places_of_one_file_are_one_snippet() {
    let text = "frontend api\n  bind *:6443\nbackend api\n  balance roundrobin\n  server m1 10.0.0.1:6443 check\n";
    let mut found = finding("lb-port-own", Severity::Warning, "haproxy forwards to the port that it binds", &["lb"]);
    for (part, label) in [("6443", "bound here"), ("10.0.0.1:6443", "and dialled here")] {
        let origin = Origin::file("/etc/haproxy/haproxy.cfg", Some(span_of(text, part)));
        found.evidence.push(Evidence::new(EvidenceKind::File, "lb", origin, label));
    }
    let report = report(vec![host("lb", &["load-balancer"])], vec![found]);
    let texts = texts(&[("lb", "/etc/haproxy/haproxy.cfg", text)]);
    insta::assert_snapshot!("two_places", render(&report, &texts, options()));
}

#[test]
fn a_circle_of_causes_is_shown_once() {
    let mut one = finding("one", Severity::Error, "first", &["m1"]);
    let mut two = finding("two", Severity::Error, "second", &["m1"]);
    one.consequence_of = Some(1);
    two.consequence_of = Some(0);
    let mut own = finding("own", Severity::Error, "its own", &["m1"]);
    own.consequence_of = Some(2);
    let mut lost = finding("lost", Severity::Error, "lost", &["m1"]);
    lost.consequence_of = Some(99);
    let text = render(&report(Vec::new(), vec![one, two, own, lost]), &Texts::new(), options());
    for (needle, count) in
        [("error[own]", 1), ("error[lost]", 1), ("error[one]", 1), ("- second", 1), ("error[two]", 0)]
    {
        assert_eq!(text.matches(needle).count(), count, "{needle} in {text}");
    }
}

#[test]
fn a_span_that_does_not_fit_the_text_is_not_underlined() {
    let mut found = finding("x", Severity::Error, "gone", &["m1"]);
    let span = crate::origin::Span { start: 900, end: 910, line: 40, column: 3 };
    found.evidence.push(Evidence::new(EvidenceKind::File, "m1", Origin::file("/a", Some(span)), "was here"));
    let text = render(&report(Vec::new(), vec![found]), &texts(&[("m1", "/a", "short\n")]), options());
    assert!(text.contains("--> m1:/a:40:3"), "{text}");
    assert!(text.contains("was here"), "{text}");
}

#[test]
fn a_secret_is_not_shown() {
    let config = "users:\n- user:\n    token: abcdef.0123456789\n";
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n";
    let mut found = finding("x", Severity::Error, "secrets", &["m1"]);
    for (path, text, part) in [("/config", config, "abcdef.0123456789"), ("/key", key, "MIIEvQIBADAN")] {
        let origin = Origin::file(path, Some(span_of(text, part)));
        found.evidence.push(Evidence::new(EvidenceKind::File, "m1", origin, "look here"));
    }
    let report = report(Vec::new(), vec![found]);
    let texts = texts(&[("m1", "/config", config), ("m1", "/key", key)]);
    let human = render(&report, &texts, options());
    let json = crate::render::json::v1::Report::new(&report, &texts).to_json().unwrap_or_default();
    for text in [human, json] {
        assert!(text.contains("look here"), "{text}");
        assert!(!text.contains("abcdef") && !text.contains("MIIE"), "{text}");
    }
}
