//! A bundle is judged as what it was recorded of: verdict(tree) = verdict(bundle) = verdict(redacted bundle), for every tree
//! in testdata.

#![expect(clippy::disallowed_methods, reason = "bundles are written and read")]

mod fixtures;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fixtures::{folders, name, options, sources, testdata};
use k8sdoctor::bundle::record::{CollectOptions, to_file};
use k8sdoctor::bundle::redact::Policy;
use k8sdoctor::engine::run::{Checker, RunOptions};

/// What a report says, without where the evidence lies.
fn verdict(checker: &Checker, options: &RunOptions) -> serde_json::Value {
    let run = checker.run(options).unwrap_or_else(|error| panic!("{:?}: {error}", options.sources));
    // Two hosts of one name are told apart by where they come from.
    let mut json = serde_json::to_string(&run.report).expect("a report");
    for (index, source) in options.sources.iter().enumerate() {
        json = json.replace(source, &format!("source {index}"));
    }
    let mut report: serde_json::Value = serde_json::from_str(&json).expect("a report");
    report["seconds"] = 0.into();
    for host in report["hosts"].as_array_mut().expect("hosts") {
        host["source"] = "".into();
        host["kind"] = "".into();
    }
    report
}

fn bundle(source: &str, to: &Path, secrets: bool) -> String {
    let source = k8sdoctor::source::open(Some(source)).expect("a source");
    let options = CollectOptions { redact: Policy { secrets }, ..CollectOptions::default() };
    let summary = to_file(source, to, &options).expect("a bundle");
    assert_eq!(summary.incomplete, None);
    to.display().to_string()
}

/// The first difference of two values, by its path.
fn difference(a: &serde_json::Value, b: &serde_json::Value, at: &str) -> Option<String> {
    use serde_json::Value;
    match (a, b) {
        (Value::Object(x), Value::Object(y)) if x.keys().eq(y.keys()) => {
            x.iter().find_map(|(key, value)| difference(value, &y[key], &format!("{at}.{key}")))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().find_map(|(index, (x, y))| difference(x, y, &format!("{at}[{index}]")))
        }
        _ if a == b => None,
        _ => Some(format!("{at}: {a} became {b}")),
    }
}

/// The trees of one folder of cases, which are judged by the same rules.
fn complaints(folder: &Path) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut complaints = Vec::new();
    // Every rule would take an hour: each tree is made for its own, and a cluster for all.
    let rule = name(folder);
    let only: &[&str] = if rule == "clusters" { &[] } else { &[&rule] };
    let checker = Checker::new(&options(Vec::new(), only)).expect("the cards");
    for (number, case) in folders(folder).iter().enumerate() {
        let trees = sources(case);
        let expected = verdict(&checker, &options(trees.clone(), only));
        // Redaction is what could change a verdict; without it one tree of each rule tells.
        for secrets in [true, false].into_iter().take(if number == 0 { 2 } else { 1 }) {
            let bundles: Vec<String> = trees
                .iter()
                .enumerate()
                .map(|(index, tree)| bundle(tree, &directory.path().join(format!("{index}.tar.zst")), secrets))
                .collect();
            let found = verdict(&checker, &options(bundles, only));
            let what = if secrets { "redacted" } else { "with its secrets" };
            complaints.extend(
                difference(&expected, &found, "")
                    .map(|what_differs| format!("{rule}/{} {what}: {what_differs}", name(case))),
            );
        }
    }
    complaints
}

#[test]
fn a_bundle_has_the_verdict_of_its_tree() {
    let only = std::env::var("RULE").ok();
    let mut rules: Vec<PathBuf> = folders(&testdata("rules"));
    rules.retain(|rule| only.as_ref().is_none_or(|only| *only == name(rule)));
    rules.push(testdata("clusters"));
    let next = AtomicUsize::new(0);
    let found: Vec<String> = std::thread::scope(|scope| {
        let worker = || {
            let take = || rules.get(next.fetch_add(1, Ordering::Relaxed));
            std::iter::from_fn(take).flat_map(|rule| complaints(rule)).collect::<Vec<_>>()
        };
        let width = std::thread::available_parallelism().map_or(4, usize::from);
        let running: Vec<_> = (0..width).map(|_| scope.spawn(worker)).collect();
        running.into_iter().flat_map(|part| part.join().expect("a part")).collect()
    });
    assert!(found.is_empty(), "{} trees:\n{}", found.len(), found.join("\n"));
}
