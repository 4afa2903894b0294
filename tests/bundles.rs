//! A bundle is judged as what it was recorded of: verdict(tree) = verdict(bundle) = verdict(redacted bundle), for every tree
//! in testdata.

#![expect(clippy::disallowed_methods, reason = "bundles are written and read")]

mod fixtures;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fixtures::{folders, name, options, sources, testdata};
use k8sdoctor::bundle::pseudonym::Wanted;
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
    // As `collect` and `check` open it: a tree may be what another tool took.
    let mut hosts = k8sdoctor::source::open_all(Some(source)).expect("a source");
    assert_eq!(hosts.len(), 1, "{source}");
    let source = hosts.remove(0);
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
                .map(|tree| bundle(tree, &directory.path().join(format!("{}.tar.zst", name(Path::new(tree)))), secrets))
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

/// Everything of an archive's content.
fn unpacked(bundle: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(bundle).expect("a bundle");
    std::io::Read::read_to_end(&mut zstd::Decoder::new(file).expect("zstd"), &mut bytes).expect("whole");
    bytes
}

/// What is wrong, on how many hosts, because of what, where; not whose names are in it.
fn shape(report: &serde_json::Value) -> Vec<String> {
    let mut shape: Vec<String> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .map(|finding| {
            let lines: Vec<String> = finding["evidence"]
                .as_array()
                .expect("evidence")
                .iter()
                .map(|one| format!("{}:{}", one["kind"], one["occurrences"]["count"]))
                .collect();
            let hosts = finding["hosts"].as_array().map_or(0, Vec::len);
            let cause = finding["consequence_of"].as_u64().and_then(|index| usize::try_from(index).ok());
            let cause = cause.map(|index| report["findings"][index]["rule"].clone());
            format!("{} {} {hosts} {cause:?} {lines:?}", finding["rule"], finding["severity"])
        })
        .collect();
    shape.sort();
    shape.push(format!("{}", report["counts"]));
    shape
}

#[test]
fn pseudonyms_leave_the_verdict_and_no_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let checker = Checker::new(&options(Vec::new(), &[])).expect("the cards");
    let mut cases: Vec<PathBuf> =
        folders(&testdata("hosts")).iter().map(|cluster| cluster.join("as-written")).collect();
    cases.extend(folders(&testdata("clusters")));
    let mut complaints = Vec::new();
    for case in &cases {
        let trees = sources(case);
        let expected = verdict(&checker, &options(trees.clone(), &[]));
        let key = Some("a key".to_owned());
        let pseudonyms = Wanted { addresses: true, hostnames: true, key };
        let bundles: Vec<String> = trees
            .iter()
            .enumerate()
            .map(|(index, tree)| {
                let source = k8sdoctor::source::open(Some(tree)).expect("a source");
                let to = directory.path().join(format!("{index}.tar.zst"));
                let options = CollectOptions { pseudonyms: pseudonyms.clone(), ..CollectOptions::default() };
                to_file(source, &to, &options).expect("a bundle");
                to.display().to_string()
            })
            .collect();
        let found = verdict(&checker, &options(bundles.clone(), &[]));
        let (before, after) = (shape(&expected), shape(&found));
        complaints
            .extend(before.iter().filter(|one| !after.contains(one)).map(|one| format!("{}: lost {one}", name(case))));
        complaints
            .extend(after.iter().filter(|one| !before.contains(one)).map(|one| format!("{}: new {one}", name(case))));
        // The hosts' own names and addresses are in none of them, in no form.
        for (tree, bundle) in trees.iter().zip(&bundles) {
            let bytes = unpacked(bundle);
            let own = std::fs::read_to_string(Path::new(tree).join("etc/hostname")).unwrap_or_default();
            let own = own.trim();
            let whole = |at: usize, length: usize| {
                let joins = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
                !joins(at.checked_sub(1).and_then(|at| bytes.get(at))) && !joins(bytes.get(at + length))
            };
            let hosts = std::fs::read_to_string(Path::new(tree).join("etc/hosts")).unwrap_or_default();
            let addresses = hosts.lines().filter_map(|line| line.split_whitespace().next()).filter(|address| {
                address
                    .parse::<std::net::Ipv4Addr>()
                    .is_ok_and(|address| !address.is_loopback() && address.octets()[0] != 255)
            });
            for secret in addresses.chain([own]).filter(|secret| !secret.is_empty()) {
                if let Some(at) = memchr::memmem::find_iter(&bytes, secret).find(|at| whole(*at, secret.len())) {
                    let around = String::from_utf8_lossy(&bytes[at.saturating_sub(40)..(at + 40).min(bytes.len())]);
                    complaints.push(format!("{}: {secret} is still there: {around:?}", name(case)));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
