//! Every rule against its fixtures: testdata/rules/<id>/<outcome>-<why>/ is a host tree (or a folder of several), and the
//! outcome its name begins with (`fail`, `pass`, `na`, `unknown`) is what the rule says of it.
//!
//! One rule alone: `RULE=etcd-address-not-local cargo test --test rules`.
#![allow(clippy::disallowed_methods, reason = "a test lists its fixtures and is told which rule by its environment")]
#![expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]

mod fixtures;

use std::path::{Path, PathBuf};

use fixtures::{folders, in_parallel, name, options, sources, testdata};
use k8sdoctor::config;
use k8sdoctor::engine::card::Phase;
use k8sdoctor::engine::run::{Run, run};
use k8sdoctor::engine::{CardSet, Language};

/// What is wrong with the run's outcome, if anything.
fn complaint(outcome: &str, rule: &str, run: &Run) -> Option<String> {
    let counts = run.report.counts;
    let of_rule = run.report.findings.iter().filter(|finding| finding.rule == rule).count();
    let said = format!("{counts:?}, unknown: {:?}", run.report.unjudged);
    match outcome {
        "fail" if of_rule == 0 => Some(format!("is not found: {said}")),
        "fail" => {
            let finding = run.report.findings.iter().find(|finding| finding.rule == rule)?;
            if finding.evidence.is_empty() {
                Some("has no evidence".to_owned())
            } else if finding.fix.is_none() {
                Some("has no fix".to_owned())
            } else {
                None
            }
        }
        _ if of_rule > 0 => Some(format!("is found: {}", run.report.findings[0].title)),
        "pass" if counts.passed == 0 || counts.unknown > 0 => Some(format!("does not pass: {said}")),
        "na" if counts.passed > 0 || counts.unknown > 0 => Some(format!("is judged: {said}")),
        "unknown" if counts.unknown == 0 => Some(format!("is not unknown: {said}")),
        "pass" | "na" | "unknown" => None,
        other => Some(format!("the folder's name begins with {other}, which is no outcome")),
    }
}

#[test]
fn every_fixture_has_its_outcome() {
    let root = testdata("rules");
    let only = std::env::var("RULE").ok();
    let mut complaints = Vec::new();
    let mut cases: Vec<(String, PathBuf)> = Vec::new();
    for folder in folders(&root) {
        let rule = name(&folder);
        if only.as_ref().is_some_and(|only| *only != rule) {
            continue;
        }
        let of_rule = folders(&folder);
        // An early return in a loop over subjects hides all but the first: each rule proves that it has none.
        if !of_rule.iter().any(|name| name.ends_with("fail-second-of-two")) {
            complaints.push(format!("{rule}: has no fixture fail-second-of-two"));
        }
        cases.extend(of_rule.into_iter().map(|case| (rule.clone(), case)));
    }
    let judged = in_parallel(&cases, |(rule, case)| {
        let name = name(case);
        let outcome = name.split('-').next().unwrap_or_default();
        let mut options = options(sources(case), &[rule]);
        // A file of this name beside the tree asks what breaks with that release.
        let asked = std::fs::read_to_string(case.join("kubernetes-version")).ok();
        options.kubernetes_version = asked.map(|text| text.trim().to_owned());
        // And one of this name says what the operator expects of the hosts.
        if let Ok(text) = std::fs::read_to_string(case.join("k8sdoctor.toml")) {
            let config =
                config::parse("k8sdoctor.toml", &text).unwrap_or_else(|error| panic!("{rule}/{name}: {error}"));
            options.expected.virtual_ip = config.virtual_ip.map(|address| address.value);
        }
        // What kubeadm will be given on this host, beside the tree too.
        let given = case.join("kubeadm.yaml");
        if given.is_file() {
            options.sources.push(given.display().to_string());
            options.phase = Some(Phase::Preflight);
        }
        match run(&options) {
            Ok(run) => complaint(outcome, rule, &run).map(|what| format!("{rule}/{name}: {what}")),
            Err(error) => Some(format!("{rule}/{name}: {error}")),
        }
    });
    complaints.extend(judged.into_iter().flatten());
    let cases = cases.len();
    assert!(cases > 0, "no fixture below {}", root.display());
    assert!(complaints.is_empty(), "{} of {cases} fixtures:\n{}", complaints.len(), complaints.join("\n"));
}

/// Rules that no tree can show, and where their judging is tested.
const WITHOUT_FIXTURES: [(&str, &str); 1] = [
    // What is served is known of a handshake alone, and files hold only what is to be served; on a real server in
    // tests/real/served_stale.rs.
    ("pki-served-stale", "src/rules/live_tests/pki.rs"),
];

#[test]
fn every_rule_has_fixtures_or_says_why_not() {
    let with: Vec<String> = folders(&testdata("rules")).iter().map(|folder| name(folder)).collect();
    let cards = CardSet::builtin(Language::English).unwrap_or_else(|errors| panic!("{errors:?}"));
    let without: Vec<&str> =
        cards.iter().map(|card| card.id.as_str()).filter(|id| !with.iter().any(|one| one == id)).collect();
    let expected: Vec<&str> = WITHOUT_FIXTURES.iter().map(|(id, _)| *id).collect();
    assert_eq!(without, expected);
    for (id, tested_in) in WITHOUT_FIXTURES {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(tested_in))
            .unwrap_or_else(|error| panic!("{tested_in}: {error}"));
        assert!(text.contains(id), "{tested_in} does not test {id}");
    }
}
