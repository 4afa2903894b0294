//! Whole clusters: testdata/hosts/<cluster>/ as it should be, as its document wrote it, and with one fault at a time
//! (testdata/hosts/README.md is the format).
//!
//! One cluster or one case alone, with its report: `HOSTS=<cluster>/<fault> cargo test --test hosts -- --nocapture`.

#![allow(clippy::disallowed_methods, reason = "a test copies its trees and is told which by its environment")]

mod fixtures;
mod overlay;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fixtures::folders;
use k8sdoctor::bundle::record::{CollectOptions, to_file};
use k8sdoctor::bundle::redact::Policy;
use k8sdoctor::engine::run::{Checker, Run, RunOptions};
use k8sdoctor::engine::{CardSet, Language};
use k8sdoctor::render::human;
use k8sdoctor::report::{Finding, Severity};
use overlay::{Case, Cluster, Expected, clusters};

fn judge(cluster: &Cluster, trees: &[PathBuf]) -> Run {
    let options = RunOptions {
        sources: trees.iter().map(|tree| tree.display().to_string()).collect(),
        at: Some(cluster.file.at.parse().unwrap_or_else(|error| panic!("{}: {error}", cluster.file.at))),
        ..RunOptions::default()
    };
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    let checker =
        CHECKER.get_or_init(|| Checker::new(&RunOptions::default()).unwrap_or_else(|error| panic!("{error}")));
    let run = checker.run(&options).unwrap_or_else(|error| panic!("{}: {error}", cluster.name));
    if std::env::var_os("HOSTS").is_some() {
        println!("{}", shown(&run));
    }
    run
}

fn shown(run: &Run) -> String {
    let options = human::Options { width: 120, colour: false, verbose: true, language: Language::English, hidden: 0 };
    human::render(&run.report, &run.texts, options)
}

fn hosts_of(text: &str) -> BTreeSet<&str> {
    text.split_whitespace().collect()
}

/// What a finding is, as expect.yaml writes it.
fn expected_of(finding: &Finding, findings: &[Finding]) -> Expected {
    let mut hosts = finding.hosts.clone();
    hosts.sort();
    let of = finding.consequence_of.and_then(|cause| findings.get(cause)).map(|cause| cause.rule.clone());
    Expected { rule: finding.rule.clone(), host: hosts.join(" "), of, pending: false }
}

fn is_same(found: &Expected, expected: &Expected) -> bool {
    found.rule == expected.rule
        && hosts_of(&found.host) == hosts_of(&expected.host)
        && (expected.of.is_none() || expected.of == found.of)
}

/// What is found and not expected, and the other way about; each expectation stands for one finding.
fn differences(role: &str, found: Vec<Expected>, expected: &[Expected]) -> Vec<String> {
    let mut missing: Vec<&Expected> = expected.iter().collect();
    let mut complaints = Vec::new();
    for found in found {
        match missing.iter().position(|expected| is_same(&found, expected)) {
            Some(index) => drop(missing.remove(index)),
            None => {
                let of = found.of.map(|of| format!(" of {of}")).unwrap_or_default();
                complaints.push(format!("as {role} is found {{rule: {}, host: {}}}{of}", found.rule, found.host));
            }
        }
    }
    complaints
        .extend(missing.iter().map(|it| format!("as {role} is not found {{rule: {}, host: {}}}", it.rule, it.host)));
    complaints
}

fn compare(run: &Run, case: &Case, allowed: &[Expected]) -> Vec<String> {
    let findings = &run.report.findings;
    let of_role = |is_root: bool| -> Vec<Expected> {
        findings
            .iter()
            .filter(|finding| finding.consequence_of.is_none() == is_root)
            .filter(|finding| {
                let it = expected_of(finding, findings);
                finding.severity != Severity::Info || !allowed.iter().any(|allowed| is_same(&it, allowed))
            })
            .map(|finding| expected_of(finding, findings))
            .collect()
    };
    let settled =
        |expected: &[Expected]| -> Vec<Expected> { expected.iter().filter(|it| !it.pending).cloned().collect() };
    let mut complaints = differences("root", of_role(true), &settled(&case.roots));
    complaints.extend(differences("consequence", of_role(false), &settled(&case.consequences)));
    let is_allowed = |finding: &&Finding| {
        let it = expected_of(finding, findings);
        finding.severity == Severity::Info && allowed.iter().any(|allowed| is_same(&it, allowed))
    };
    let first = findings.iter().find(|finding| !is_allowed(finding)).map(|finding| finding.rule.as_str());
    if complaints.is_empty() && case.roots.len() == 1 && first != case.roots.first().map(|root| root.rule.as_str()) {
        complaints.push(format!("the first finding is {first:?}"));
    }
    complaints
}

/// How the verdict of the hosts' bundles differs from that of their trees.
fn bundles_differ(cluster: &Cluster, trees: &[PathBuf], run: &Run, with_secrets: bool) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("a directory: {error}"));
    let bundle = |tree: &PathBuf| {
        let source = k8sdoctor::source::open_path(tree).unwrap_or_else(|error| panic!("{error}"));
        let to = directory.path().join(format!("{}.tar.zst", fixtures::name(tree)));
        let redact = Policy { secrets: !with_secrets };
        let options = CollectOptions { redact, ..CollectOptions::default() };
        to_file(source, &to, &options).unwrap_or_else(|error| panic!("{error}"));
        to
    };
    let bundles: Vec<PathBuf> = trees.iter().map(bundle).collect();
    let of_bundles = judge(cluster, &bundles);
    let verdict = |run: &Run| -> BTreeSet<String> {
        let findings = &run.report.findings;
        let one = |finding: &Finding| {
            let cause = finding.consequence_of.and_then(|cause| findings.get(cause)).map(|cause| cause.rule.as_str());
            let places: Vec<String> =
                finding.evidence.iter().map(|one| format!("{}:{:?}", one.host, one.origin)).collect();
            format!("{} [{}] {:?} of {cause:?}: {places:?}", finding.title, finding.rule, finding.severity)
        };
        findings.iter().map(one).collect()
    };
    let (before, after) = (verdict(run), verdict(&of_bundles));
    let what = if with_secrets { "bundles with secrets" } else { "bundles" };
    let lost = before.difference(&after).map(|one| format!("lost in {what}: {one}"));
    let new = after.difference(&before).map(|one| format!("new in {what}: {one}"));
    let mut complaints: Vec<String> = lost.chain(new).collect();
    if run.report.counts != of_bundles.report.counts {
        complaints.push(format!("{what}: {:?} became {:?}", run.report.counts, of_bundles.report.counts));
    }
    complaints
}

/// What the run says of the case against what is expected; what is pending is only told of.
fn complaints_of(cluster: &Cluster, name: &str, root: &Path, case: &Case) -> Vec<String> {
    let hosts = cluster.hosts(Some((root, case)));
    let run = judge(cluster, &hosts.trees());
    let pending = case.roots.iter().chain(&case.consequences).filter(|it| it.pending);
    let (found, missing): (Vec<&Expected>, Vec<&Expected>) =
        pending.partition(|it| run.report.findings.iter().any(|finding| finding.rule == it.rule));
    if let Some(found) = found.first() {
        return vec![format!("{name}: {} is found now: take its `pending` out\n{}", found.rule, shown(&run))];
    }
    for it in &missing {
        println!("{name}: pending until {} finds it on {}", it.rule, it.host);
    }
    // Without its cause a consequence would stand alone.
    if case.roots.iter().all(|root| root.pending) {
        return Vec::new();
    }
    let mut complaints = compare(&run, case, &cluster.file.allowed);
    complaints.extend(bundles_differ(cluster, &hosts.trees(), &run, false));
    if case.together {
        for tree in hosts.trees() {
            let alone = judge(cluster, std::slice::from_ref(&tree));
            let found = alone.report.findings.iter().filter(|it| case.roots.iter().any(|root| root.rule == it.rule));
            complaints.extend(found.map(|it| format!("{} alone shows {}: {}", it.hosts.join(" "), it.rule, it.title)));
        }
    }
    if complaints.is_empty() {
        return Vec::new();
    }
    vec![format!("{name}:\n  {}\n{}", complaints.join("\n  "), shown(&run))]
}

fn finish(complaints: &[String], cases: usize) {
    assert!(cases > 0, "no case: does testdata/hosts/ have this one?");
    assert!(complaints.is_empty(), "{} of {cases} cases:\n{}", complaints.len(), complaints.join("\n"));
}

fn every_case(folder: &str) {
    let clusters = clusters();
    let cases: Vec<_> = clusters
        .iter()
        .flat_map(|cluster| {
            cluster.cases(folder).into_iter().map(move |(name, root, case)| (cluster, name, root, case))
        })
        .collect();
    if cases.is_empty() && std::env::var_os("HOSTS").is_some() {
        return;
    }
    let complaints =
        fixtures::in_parallel(&cases, |(cluster, name, root, case)| complaints_of(cluster, name, root, case));
    let complaints: Vec<String> = complaints.into_iter().flatten().collect();
    finish(&complaints, cases.len());
}

#[test]
fn a_corrected_cluster_is_silent_together_and_host_by_host() {
    let mut complaints = Vec::new();
    let mut cases = 0;
    for cluster in clusters() {
        let hosts = cluster.hosts(None);
        let mut together = vec![hosts.trees()];
        together.extend(hosts.trees().into_iter().map(|tree| vec![tree]));
        for trees in together {
            cases += 1;
            let run = judge(&cluster, &trees);
            if trees.len() > 1 {
                complaints.extend(bundles_differ(&cluster, &trees, &run, false));
                complaints.extend(bundles_differ(&cluster, &trees, &run, true));
            }
            let findings = &run.report.findings;
            let wrong = findings.iter().any(|finding| {
                let it = expected_of(finding, findings);
                finding.severity != Severity::Info || !cluster.file.allowed.iter().any(|allowed| is_same(&it, allowed))
            });
            let problems: Vec<&String> = run.report.problems.iter().map(|problem| &problem.message).collect();
            // A tree in which nothing can be judged would be silent too.
            if wrong || !problems.is_empty() || run.report.counts.passed < 5 {
                let trees: Vec<String> = trees.iter().map(|tree| fixtures::name(tree)).collect();
                complaints.push(format!("{} {}: {problems:?}\n{}", cluster.name, trees.join(" "), shown(&run)));
            }
        }
    }
    finish(&complaints, cases);
}

#[test]
fn hosts_given_together_are_judged_together() {
    for cluster in clusters() {
        let trees = cluster.hosts(None);
        let run = judge(&cluster, &trees.trees());
        let judged: Vec<&str> = run.report.hosts.iter().map(|host| host.name.as_str()).collect();
        let given: Vec<String> =
            folders(&cluster.root.join("corrected")).iter().map(|host| fixtures::name(host)).collect();
        assert_eq!(judged, given, "{}: /etc/hostname is the folder's name", cluster.name);
        let is_for_several = |(_, _, case): &(String, PathBuf, Case)| case.together;
        assert!(
            std::env::var_os("HOSTS").is_some() || cluster.cases("faults").iter().any(is_for_several),
            "{}: no fault that only hosts together show (`together: true`)",
            cluster.name
        );
    }
}

#[test]
fn what_a_document_gets_wrong_is_found_in_the_cluster_that_it_builds() {
    every_case("as-written");
}

#[test]
fn each_fault_alone_is_the_root_cause() {
    every_case("faults");
}

#[test]
fn cases_name_rules_and_hosts_that_exist() {
    let cards = CardSet::builtin(Language::English).unwrap_or_else(|errors| panic!("{errors:?}"));
    let known: BTreeSet<&str> = cards.iter().map(|card| card.id.as_str()).collect();
    let mut complaints = Vec::new();
    for cluster in clusters() {
        let hosts: BTreeSet<String> =
            folders(&cluster.root.join("corrected")).iter().map(|host| fixtures::name(host)).collect();
        for (name, root, case) in cluster.cases("as-written").into_iter().chain(cluster.cases("faults")) {
            let mut wrong = |what: String| complaints.push(format!("{name}: {what}"));
            for expected in case.roots.iter().chain(&case.consequences) {
                if !expected.pending && !known.contains(expected.rule.as_str()) {
                    wrong(format!("{} is no rule", expected.rule));
                }
                for host in hosts_of(&expected.host).into_iter().filter(|host| !hosts.contains(*host)) {
                    wrong(format!("{host} is no host"));
                }
            }
            for folder in folders(&root).iter().map(|folder| fixtures::name(folder)) {
                if !hosts.contains(&folder) {
                    wrong(format!("the folder {folder} is no host"));
                }
            }
            if case.roots.is_empty() {
                wrong("names no root cause".to_owned());
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
