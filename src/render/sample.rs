//! Reports for the renderers' tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collect::TextFile;
use crate::origin::{Origin, Span, Unknown};
use crate::render::human::Texts;
use crate::report::*;
use crate::source::SourceKind;

pub const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";
const MANIFEST_TEXT: &str = "apiVersion: v1
kind: Pod
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.77.0.12:2379
    - --listen-client-urls=https://127.0.0.1:2379
    - --listen-peer-urls=https://203.0.113.12:2380
";

pub fn file(path: &str, text: &str) -> Arc<TextFile> {
    Arc::new(TextFile { path: path.into(), text: text.to_owned(), lossy: false })
}

/// The span of the first `part` in `text`.
pub fn span_of(text: &str, part: &str) -> Span {
    let at = text.find(part).expect("the sample has the part");
    Span::of(text, at, at + part.len())
}

pub fn texts(files: &[(&str, &str, &str)]) -> Texts {
    let mut texts = Texts::new();
    for (host, path, text) in files {
        texts.entry((*host).to_owned()).or_default().insert((*path).to_owned(), file(path, text));
    }
    texts
}

pub fn finding(rule: &str, severity: Severity, title: &str, hosts: &[&str]) -> Finding {
    Finding {
        rule: rule.to_owned(),
        severity,
        component: "etcd".to_owned(),
        title: title.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        subject: None,
        evidence: Vec::new(),
        notes: Vec::new(),
        fix: None,
        verify: Vec::new(),
        confidence: Confidence::High,
        consequence_of: None,
        values: BTreeMap::new(),
        suppressed: None,
    }
}

pub fn host(name: &str, roles: &[&str]) -> HostSummary {
    HostSummary {
        name: name.to_owned(),
        source: format!("evidence/{name}"),
        kind: SourceKind::Tree,
        incomplete: false,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    }
}

pub fn report(hosts: Vec<HostSummary>, findings: Vec<Finding>) -> Report {
    Report {
        at: "2024-05-02T10:00:00Z".to_owned(),
        hosts,
        findings,
        unjudged: Vec::new(),
        problems: Vec::new(),
        unopened: Vec::new(),
        notices: Vec::new(),
        configuration: None,
        certificates: Vec::new(),
        rules: 131,
        counts: Counts { failed: 0, passed: 118, not_applicable: 11, unknown: 0 },
        passed: Vec::new(),
        seconds: 0.31,
    }
}

pub fn unjudged(rule: &str, host: &str, what: &str, why: &str, remedy: Option<&str>) -> Unjudged {
    let unknown = Unknown { what: what.to_owned(), why: why.to_owned(), remedy: remedy.map(str::to_owned) };
    Unjudged { rule: rule.to_owned(), host: host.to_owned(), unknown }
}

/// A listen URL that is not the host's, seen in the manifest and the log, and two things that follow from it, one of which
/// has a consequence of its own.
pub fn floating_address() -> (Report, Texts) {
    let mut root = finding(
        "etcd-address-not-local",
        Severity::Error,
        "etcd on m2 is told to listen on 203.0.113.12, an address that m2 does not have",
        &["m2"],
    );
    let span = span_of(MANIFEST_TEXT, "203.0.113.12");
    root.evidence.push(Evidence::new(
        EvidenceKind::File,
        "m2",
        Origin::file(MANIFEST, Some(span)),
        "no interface has it",
    ));
    let log = "/var/log/pods/kube-system_etcd-m2_5a1c/etcd/4.log";
    let message = "listen tcp 203.0.113.12:2380: bind: cannot assign requested address";
    let mut said = Evidence::new(EvidenceKind::Log, "m2", Origin::file(log, None), message);
    said.occurrences = Some(Occurrences {
        count: 5,
        first: Some("2024-05-02T09:45:12Z".to_owned()),
        last: Some("2024-05-02T09:46:40Z".to_owned()),
        ongoing: Some(true),
        lines: vec![LogLine {
            path: log.to_owned(),
            line: 9,
            text: format!("{{\"level\":\"fatal\",\"error\":\"{message}\"}}"),
            matter: 0..0,
        }],
        ..Occurrences::default()
    });
    root.evidence.push(said);
    root.evidence.push(Evidence::new(
        EvidenceKind::Probe,
        "m1",
        Origin::answer("connect to 10.77.0.12:2380"),
        "connection refused",
    ));
    root.notes.push("m2 has 10.77.0.12 (host0), 10.244.2.1 (cni0), 127.0.0.1 and ::1 (lo)".to_owned());
    root.fix = Some(Fix {
        risk: Risk::Risky,
        summary: "listen on m2's own address 10.77.0.12; what etcd advertises to others can stay as it is".to_owned(),
        commands: vec![
            "sed -i 's#listen-peer-urls=https://203.0.113.12:2380#listen-peer-urls=https://10.77.0.12:2380#' \\\n  /etc/kubernetes/manifests/etcd.yaml".into(),
        ],
        restarts: vec!["etcd (static pod)".to_owned()],
    });
    root.verify = vec!["k8sdoctor check".to_owned(), "etcdctl endpoint health --cluster".to_owned()];
    root.subject = Some("203.0.113.12".to_owned());
    root.values.insert("address".to_owned(), "203.0.113.12".to_owned());

    let mut down = finding("etcd-not-running", Severity::Error, "etcd is not running on m2", &["m2"]);
    down.consequence_of = Some(0);
    down.evidence.push(Evidence::new(
        EvidenceKind::File,
        "m2",
        Origin::file("/proc", None),
        "no process is called etcd",
    ));
    let mut fragile = finding(
        "etcd-quorum-fragile",
        Severity::Warning,
        "2 of 3 etcd members are left, one failure from losing quorum",
        &["m1", "m3"],
    );
    fragile.consequence_of = Some(1);
    let mut apiserver = finding(
        "apiserver-etcd-unreachable",
        Severity::Error,
        "kube-apiserver on m2 restarts: it dials only 127.0.0.1:2379",
        &["m2"],
    );
    apiserver.consequence_of = Some(0);
    let hosts = vec![
        host("m1", &["control-plane", "etcd"]),
        host("m2", &["control-plane", "etcd"]),
        host("m3", &["control-plane", "etcd"]),
        host("w1", &["worker"]),
        host("lb", &["load-balancer"]),
    ];
    let mut report = report(hosts, vec![root, down, fragile, apiserver]);
    report.counts.failed = 4;
    report.counts.unknown = 1;
    report.unjudged.push(unjudged(
        "etcd-nospace",
        "m3",
        "alarms of etcd on m3",
        "the member did not answer in 3 s",
        None,
    ));
    (report, texts(&[("m2", MANIFEST, MANIFEST_TEXT)]))
}
