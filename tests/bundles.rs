//! A bundle is judged as what it was recorded of: verdict(tree) = verdict(bundle) = verdict(redacted bundle), for every tree
//! in testdata.

#![expect(clippy::disallowed_methods, reason = "bundles are written and read")]

mod fixtures;

use std::path::{Path, PathBuf};

use fixtures::{folders, name, options, sources, testdata};
use k8sdoctor::bundle::record::{CollectOptions, to_file};
use k8sdoctor::bundle::redact::Policy;
use k8sdoctor::engine::run::{RunOptions, run};

/// What a report says, without where the evidence lies.
fn verdict(options: &RunOptions) -> serde_json::Value {
    let run = run(options).unwrap_or_else(|error| panic!("{:?}: {error}", options.sources));
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

fn complaints(cases: &[PathBuf]) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut complaints = Vec::new();
    for case in cases {
        let trees = sources(case);
        // Every rule would take an hour: each tree is made for its own, and a cluster for all.
        let rule = name(case.parent().expect("a parent"));
        let only: &[&str] = if rule == "clusters" { &[] } else { &[&rule] };
        let expected = verdict(&options(trees.clone(), only));
        for secrets in [false, true] {
            let bundles: Vec<String> = trees
                .iter()
                .enumerate()
                .map(|(index, tree)| bundle(tree, &directory.path().join(format!("{index}.tar.zst")), secrets))
                .collect();
            let found = verdict(&options(bundles, only));
            let what = if secrets { "redacted" } else { "with its secrets" };
            complaints.extend(difference(&expected, &found, "").map(|what_differs| {
                format!("{}/{} {what}: {what_differs}", name(case.parent().expect("a parent")), name(case))
            }));
        }
    }
    complaints
}

#[test]
fn a_bundle_has_the_verdict_of_its_tree() {
    let only = std::env::var("RULE").ok();
    let mut cases: Vec<PathBuf> = folders(&testdata("rules"))
        .iter()
        .filter(|rule| only.as_ref().is_none_or(|only| *only == name(rule)))
        .flat_map(|rule| folders(rule))
        .collect();
    cases.extend(folders(&testdata("clusters")));
    let parts: Vec<&[PathBuf]> = cases.chunks(cases.len().div_ceil(4).max(1)).collect();
    let found: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(|| complaints(part))).collect();
        running.into_iter().flat_map(|part| part.join().expect("a part")).collect()
    });
    assert!(found.is_empty(), "{} of {} trees:\n{}", found.len(), cases.len(), found.join("\n"));
}
