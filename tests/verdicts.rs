//! What a whole run makes of the rules' verdicts: causes, merged evidence, order, counts, and what goes out of it. On the
//! fixtures of the rules (testdata/rules) and on clusters of their own (testdata/clusters).

#![expect(clippy::disallowed_methods, reason = "trees are copied and read besides what the program reads")]

mod fixtures;
#[path = "fixtures/strict.rs"]
mod strict;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::{folders, name, options, sources, testdata};
use k8sdoctor::engine::Language;
use k8sdoctor::engine::run::{Run, RunOptions, run};
use k8sdoctor::render::{human, json};
use k8sdoctor::report::{Confidence, EvidenceKind, Finding};
use strict::strict;

fn run_of(case: &Path, only: &[&str]) -> Run {
    run_with(&options(sources(case), only))
}

fn run_with(options: &RunOptions) -> Run {
    run(options).unwrap_or_else(|error| panic!("{:?}: {error}", options.sources))
}

fn fixture(rule: &str, case: &str) -> PathBuf {
    testdata("rules").join(rule).join(case)
}

fn cluster(name: &str) -> PathBuf {
    testdata("clusters").join(name)
}

fn kinds(finding: &Finding) -> BTreeSet<EvidenceKind> {
    finding.evidence.iter().map(|evidence| evidence.kind).collect()
}

/// Rule, hosts, and the rule that explains it, in the report's order.
fn shape(run: &Run) -> Vec<(String, String, Option<String>)> {
    let findings = &run.report.findings;
    findings
        .iter()
        .map(|finding| {
            let cause = finding.consequence_of.map(|cause| findings[cause].rule.clone());
            (finding.rule.clone(), finding.hosts.join(" "), cause)
        })
        .collect()
}

#[test]
fn causes_come_first_and_what_follows_beneath_them() {
    let etcd = ["etcd-address-not-local", "etcd-quorum-lost", "etcd-quorum-fragile"];
    let cgroups = ["cgroup-not-mounted", "cgroup-controller-missing"];
    for (case, only, expected) in [
        (
            "peer-on-floating-address",
            &etcd[..],
            &[
                ("etcd-address-not-local", "m2", None),
                ("etcd-quorum-fragile", "m2 m1 m3", Some("etcd-address-not-local")),
            ][..],
        ),
        (
            "two-peers-on-floating-addresses",
            &etcd[..],
            &[
                ("etcd-address-not-local", "m2", None),
                ("etcd-quorum-lost", "m1 m2 m3", Some("etcd-address-not-local")),
                ("etcd-address-not-local", "m3", None),
            ],
        ),
        // On the same host it explains, on another it does not.
        (
            "cgroups-off-and-unmounted",
            &cgroups[..],
            &[
                ("cgroup-controller-missing", "w1", None),
                ("cgroup-not-mounted", "w1", Some("cgroup-controller-missing")),
                ("cgroup-not-mounted", "w2", None),
            ],
        ),
    ] {
        let found = shape(&run_of(&cluster(case), only));
        let found: Vec<(&str, &str, Option<&str>)> =
            found.iter().map(|(rule, hosts, cause)| (rule.as_str(), hosts.as_str(), cause.as_deref())).collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn evidence_of_several_kinds_is_one_finding_and_more_certain() {
    use Confidence::{High, Medium};
    use EvidenceKind::{File, Log};
    for (rule, case, expected, confidence) in [
        ("etcd-address-not-local", "fail-file-and-log", &[File, Log][..], High),
        ("etcd-address-not-local", "fail-ipv6", &[File, Log], High),
        ("etcd-address-not-local", "fail-static-pod-floating-address", &[File], Medium),
        ("etcd-address-not-local", "fail-log-alone", &[Log], Medium),
        ("etcd-address-not-local", "fail-process", &[EvidenceKind::Process], Medium),
        ("apiserver-address-not-local", "fail-ipv6-file-and-log", &[File, Log], High),
        ("host-no-default-route", "fail-file-and-log", &[File, Log], High),
        ("cgroup-not-mounted", "fail-file-and-log", &[File, Log], High),
        // The server's host has the certificate, the client's the log.
        ("pki-san-missing", "fail-load-balancer", &[File, Log], High),
        ("apiserver-loopback-only", "fail-process-older-than-file", &[File, EvidenceKind::Process], High),
    ] {
        let run = run_of(&fixture(rule, case), &[rule]);
        let found: Vec<_> = run.report.findings.iter().map(|finding| (kinds(finding), finding.confidence)).collect();
        assert_eq!(found, [(expected.iter().copied().collect(), confidence)], "{rule}/{case}");
    }
}

#[test]
fn what_another_program_says_in_the_same_second_stands_beside_the_reason() {
    let case = fixture("pause-image-missing", "fail-and-the-kubelet-does-not-say-why");
    let run = run_of(&case, &["pause-image-missing", "pod-sandbox-creation-failed"]);
    assert_eq!(shape(&run), [("pause-image-missing".to_owned(), "m1".to_owned(), None)]);
    let said: Vec<&str> = run.report.findings[0].evidence.iter().map(|evidence| evidence.label.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("No such image") && said[1].contains("Error syncing pod"), "{said:?}");
    // Alone it is no finding.
    let run = run_of(&case, &["pod-sandbox-creation-failed"]);
    assert_eq!(shape(&run), []);
}

#[test]
fn findings_point_at_what_has_to_be_changed() {
    let at = |path: &str, line: u32, text: &str| (path.to_owned(), Some((line, text.to_owned())));
    for (rule, case, expected) in [
        ("etcd-address-not-local", "fail-environment-file", at("/etc/etcd.env", 4, "203.0.113.12")),
        ("etcd-address-not-local", "fail-configuration-file", at("/etc/etcd/etcd.conf.yml", 3, "203.0.113.12")),
        (
            "etcd-address-not-local",
            "fail-environment-file-in-part",
            at("/etc/systemd/system/etcd.service", 6, "https://${ETCD_IP}:2380"),
        ),
        ("apiserver-address-not-local", "fail-environment-file", at("/etc/kubernetes/apiserver", 1, "192.168.50.101")),
        ("apiserver-loopback-only", "fail-environment-file", at("/etc/kubernetes/apiserver", 2, "127.0.0.1")),
        ("etcd-quorum-fragile", "fail-two-members", at("/etc/etcd.env", 4, "e1=https://10.77.0.31:2380")),
        ("host-no-default-route", "fail-static-pod", ("/proc/net/route".to_owned(), None)),
        ("cgroup-controller-missing", "fail-raspberry-pi", at("/proc/cgroups", 6, "memory\t0\t1\t0")),
        ("pki-san-missing", "fail-service-address", ("/etc/kubernetes/pki/apiserver.crt".to_owned(), None)),
    ] {
        let run = run_of(&fixture(rule, case), &[rule]);
        let finding = &run.report.findings[0];
        let first = &finding.evidence[0];
        let path = first.origin.path().unwrap_or_default().to_owned();
        let text = first.origin.span().and_then(|span| {
            let file = run.texts.get(&first.host)?.get(&path)?;
            Some((span.line, file.text.get(span.start..span.end)?.to_owned()))
        });
        assert_eq!((path, text), expected, "{rule}/{case}");
    }
}

#[test]
fn the_order_of_sources_changes_nothing() {
    let ordered = sources(&cluster("two-peers-on-floating-addresses"));
    let only = ["etcd", "kube-apiserver", "host"];
    let shape_of = |sources: Vec<String>| {
        let run = run_with(&options(sources, &only));
        let findings = run.report.findings.iter().map(|finding| (finding.title.clone(), finding.confidence));
        (shape(&run), findings.collect::<Vec<_>>(), run.report.counts)
    };
    let first = shape_of(ordered.clone());
    assert_eq!(first, shape_of(ordered.clone()));
    let (mut findings, titles, counts) = first;
    let reversed = shape_of(ordered.into_iter().rev().collect());
    // Hosts of one finding stand in the order of the sources.
    let sort = |findings: &mut Vec<(String, String, Option<String>)>| {
        for (_, hosts, _) in findings {
            let mut names: Vec<&str> = hosts.split(' ').collect();
            names.sort_unstable();
            *hosts = names.join(" ");
        }
    };
    let (mut other, other_titles, other_counts) = reversed;
    sort(&mut findings);
    sort(&mut other);
    assert_eq!(findings, other);
    assert_eq!(titles, other_titles);
    assert_eq!(counts, other_counts);
}

#[test]
fn hosts_of_one_name_are_told_apart() {
    let case = cluster("one-name-twice");
    let run = run_of(&case, &["etcd-address-not-local"]);
    let names: BTreeSet<&str> = run.report.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names, BTreeSet::from(["a", "b"]), "their folders are called like hosts");
    let [finding] = run.report.findings.as_slice() else { panic!("{:?}", run.report.findings) };
    assert_eq!(finding.hosts, ["b"]);
    // The text is found by that name.
    assert!(run.texts[&finding.hosts[0]].contains_key("/etc/kubernetes/manifests/etcd.yaml"));
}

#[test]
fn every_outcome_is_counted_once() {
    let only = ["etcd-address-not-local", "etcd-quorum-lost", "etcd-quorum-fragile"];
    let counts = run_of(&cluster("peer-on-floating-address"), &only).report.counts;
    assert_eq!(
        (counts.failed, counts.passed, counts.not_applicable, counts.unknown),
        // The address: failed on m2, passed on m1 and m3. Quorum is judged once, for the first host; the logs of the one that
        // runs are silent of it.
        (2, 4, 3, 0)
    );
    for folder in folders(&testdata("rules")) {
        for case in folders(&folder) {
            let report = run_of(&case, &[&name(&folder)]).report;
            let counts = report.counts;
            let all = counts.failed + counts.passed + counts.not_applicable + counts.unknown;
            assert_eq!(all, report.rules * report.hosts.len(), "{}", case.display());
            assert_eq!(counts.unknown, report.unjudged.len(), "{}", case.display());
            assert_eq!(counts.failed > 0, !report.findings.is_empty(), "{}", case.display());
        }
    }
}

/// The report in every form that goes out.
fn outputs(options: &RunOptions) -> Vec<(String, String)> {
    let mut outputs = Vec::new();
    // What finds nothing says little that needs translating.
    let fails = options.sources.iter().any(|source| source.contains("/fail-") || source.contains("/clusters/"));
    let languages = if fails { &[Language::English, Language::Chinese][..] } else { &[Language::English] };
    for &language in languages {
        let run = run_with(&RunOptions { language, ..options.clone() });
        for (width, verbose, colour) in [(100, false, false), (40, true, true), (1, true, false)] {
            let options = human::Options { width, colour, verbose, language, hidden: 0 };
            let text = human::render(&run.report, &run.texts, options);
            assert!(run.report.findings.is_empty() || text.contains(&run.report.findings[0].rule));
            outputs.push((format!("human, {width} columns"), text));
        }
        let text = json::v1::Report::new(&run.report, &run.texts).to_json().expect("it becomes JSON");
        outputs.push(("json".to_owned(), text));
    }
    outputs
}

/// Texts of the tree that nobody else may see: the lines of private keys, tokens of kubeconfigs, and what is planted.
fn secrets(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            secrets(&path, found);
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let mut in_key = false;
        for line in text.lines() {
            in_key = (in_key || line.contains("PRIVATE KEY-----")) && !line.starts_with("-----END");
            if in_key && !line.starts_with("-----") {
                found.insert(line.trim().to_owned());
            }
            if let Some(token) = line.trim().strip_prefix("token: ") {
                found.insert(token.to_owned());
            }
            let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.');
            found.extend(words.filter(|word| word.contains("planted") && word.len() > 8).map(str::to_owned));
        }
    }
}

#[test]
fn every_output_is_sound_and_holds_no_secret() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../docs/schema/report-v1.json")).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&strict(schema)).expect("the schema is one");
    let mut kept = 0;
    let mut cases: Vec<(PathBuf, Vec<String>)> = folders(&testdata("rules"))
        .iter()
        .flat_map(|folder| folders(folder).into_iter().map(|case| (case, vec![name(folder)])).collect::<Vec<_>>())
        .collect();
    // These are judged by all rules.
    cases.extend(folders(&testdata("clusters")).into_iter().map(|case| (case, Vec::new())));
    for (case, only) in cases {
        let only: Vec<&str> = only.iter().map(String::as_str).collect();
        let mut hidden = BTreeSet::new();
        secrets(&case, &mut hidden);
        kept += hidden.len();
        for (form, text) in outputs(&options(sources(&case), &only)) {
            if form == "json" {
                let report = serde_json::from_str(&text).expect("it is JSON");
                let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:#?}", case.display());
            }
            for secret in &hidden {
                let shown = text.find(secret.as_str());
                let around = shown.map(|at| text[..at].chars().rev().take(80).collect::<Vec<_>>());
                let around: Option<String> = around.map(|chars| chars.into_iter().rev().collect());
                assert!(shown.is_none(), "{} ({form}) shows {secret} after {around:?}", case.display());
            }
        }
    }
    assert!(kept > 20, "the fixtures hold secrets: {kept}");
}

#[test]
fn secrets_are_near_what_is_quoted() {
    // Without findings that quote those lines the test above would say nothing.
    let run = run_of(&cluster("secrets"), &[]);
    for rule in ["etcd-address-not-local", "apiserver-address-not-local", "apiserver-loopback-only", "pki-san-missing"]
    {
        assert!(run.report.findings.iter().any(|finding| finding.rule == rule), "{rule}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            copy(&path, &target);
        } else if kind.is_symlink() {
            let link = std::fs::read_link(&path).expect("a link");
            std::os::unix::fs::symlink(link, &target).expect("a link");
        } else {
            std::fs::copy(&path, &target).expect("a file");
        }
    }
}

/// The edits that findings propose, applied to a copy of the host's tree: the finding is gone, and what else the file says is
/// as it was.
#[test]
fn proposed_edits_mend_what_they_are_for() {
    let mut mended = 0;
    for folder in folders(&testdata("rules")) {
        let rule = name(&folder);
        for case in folders(&folder).into_iter().filter(|case| name(case).starts_with("fail-")) {
            let copied = tempfile::tempdir().expect("a folder");
            copy(&case, copied.path());
            let before = run_of(copied.path(), &[&rule]);
            let edits: Vec<(&Finding, &str)> = before
                .report
                .findings
                .iter()
                .filter_map(|finding| Some((finding, finding.fix.as_ref()?)))
                .flat_map(|(finding, fix)| fix.lines().map(move |command| (finding, command)))
                .filter(|(finding, command)| finding.values.get("edit").map(String::as_str) == Some(*command))
                .collect();
            for (finding, command) in &edits {
                let host = before.report.hosts.iter().find(|host| host.name == finding.hosts[0]).expect("its host");
                let root = host.source.trim_end_matches('/');
                let command = command.replace(" /", &format!(" {root}/"));
                let done = Command::new("sh").args(["-c", &command]).status().expect("a shell");
                assert!(done.success(), "{rule}/{}: {command}", name(&case));
            }
            if edits.is_empty() {
                continue;
            }
            mended += 1;
            let after = run_of(copied.path(), &[&rule]);
            let left: Vec<&Finding> = after
                .report
                .findings
                .iter()
                // What a log says stays said.
                .filter(|finding| kinds(finding) != BTreeSet::from([EvidenceKind::Log]))
                .collect();
            assert!(left.is_empty(), "{rule}/{}: {edits:?} leaves {left:#?}", name(&case));
        }
    }
    assert!(mended > 20, "only {mended} fixtures are mended by an edit");
}
