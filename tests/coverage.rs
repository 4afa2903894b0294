//! docs/coverage.md says which conditions are found, in which ways, and with which fixtures. It is made from the cards, from
//! testdata/rules, from testdata/conditions.txt, the list of what the project promises, and from the tests in tests/real and
//! tests/cluster that break a real component; this test says when it is stale.
//!
//! `UPDATE=1 cargo test --test coverage` writes it anew.
#![allow(clippy::disallowed_methods, reason = "a test lists its fixtures and writes the document when it is told to")]

mod fixtures;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use fixtures::{folders, name, testdata};
use k8sdoctor::engine::card::Card;
use k8sdoctor::engine::{CardSet, Language};

const WAYS: [&str; 4] = ["files", "live", "log", "cluster"];
const OUTCOMES: [&str; 4] = ["fail", "pass", "na", "unknown"];

/// Conditions that are found beside those that were promised.
const BESIDE: [&str; 4] = ["controllers-not-running", "kubeadm-config-invalid", "kubeadm-leftovers", "lb-not-running"];

/// A promised condition.
struct Promise {
    ways: BTreeSet<String>,
    /// Whether a document describes it from which clusters are built: a real component shows it, or the list of those that
    /// none can show says why.
    documents: bool,
}

/// The lines of a list in testdata, without its comments.
fn list(name: &str) -> Vec<String> {
    let path = testdata(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The promised conditions.
fn promised() -> BTreeMap<String, Promise> {
    let promised: BTreeMap<String, Promise> = list("conditions.txt")
        .iter()
        .map(|line| {
            let mut fields = line.split('\t');
            let (Some(id), Some(ways)) = (fields.next(), fields.next()) else { panic!("{line}: lacks its ways") };
            let ways: BTreeSet<String> = ways.split(',').map(str::to_owned).collect();
            assert!(ways.iter().all(|way| WAYS.contains(&way.as_str())), "{line}");
            let mark = fields.next();
            assert!(mark.is_none_or(|mark| mark == "documents"), "{line}");
            (id.to_owned(), Promise { ways, documents: mark.is_some() })
        })
        .collect();
    assert!(promised.len() > 150, "{} conditions", promised.len());
    promised
}

/// The files with one of these endings under a folder of the repository.
fn files(folder: &str, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == ending) => found.push(path),
                false => {}
            }
        }
    }
    found
}

/// Which tests break a real component and find the rule: `real` for those of tests/real, which name it in a constant,
/// `cluster` for a fault of tests/cluster.
fn shown() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut shown: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for (folder, ending, before, kind) in
        [("tests/real", "rs", ": &str = \"", "real"), ("tests/cluster/faults", "toml", "rule = \"", "cluster")]
    {
        for path in files(folder, ending) {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for line in text.lines().filter(|line| kind == "real" || line.starts_with(before)) {
                let Some((_, rest)) = line.split_once(before) else { continue };
                let Some((id, _)) = rest.split_once('"') else { continue };
                shown.entry(id.to_owned()).or_default().insert(kind);
            }
        }
    }
    shown
}

/// How many fixtures a rule has of each outcome.
fn fixtures_of(rule: &str) -> BTreeMap<String, usize> {
    let folder = testdata("rules").join(rule);
    let mut counts = BTreeMap::new();
    if folder.is_dir() {
        for case in folders(&folder) {
            let outcome = name(&case).split('-').next().unwrap_or_default().to_owned();
            *counts.entry(outcome).or_default() += 1;
        }
    }
    counts
}

fn cards() -> CardSet {
    CardSet::builtin(Language::English)
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

fn ways(card: &Card) -> BTreeSet<String> {
    card.detect.iter().map(|way| way.name().to_owned()).collect()
}

fn in_order(ways: &BTreeSet<String>) -> String {
    WAYS.into_iter().filter(|way| ways.contains(*way)).collect::<Vec<_>>().join(", ")
}

fn document() -> String {
    let (cards, promised, shown) = (cards(), promised(), shown());
    let ids: BTreeSet<&str> =
        cards.iter().map(|card| card.id.as_str()).chain(promised.keys().map(String::as_str)).collect();
    let documents: Vec<&str> =
        promised.iter().filter(|(_, promise)| promise.documents).map(|(id, _)| id.as_str()).collect();
    let none = BTreeSet::new();
    let mut rows = String::new();
    let (mut whole, mut partial, mut absent) = (0, 0, 0);
    for id in &ids {
        let wanted = promised.get(*id).map_or(&none, |promise| &promise.ways);
        let Some(card) = cards.get(id) else {
            absent += 1;
            let _ = writeln!(rows, "| {id} | | | | {} | | |", in_order(wanted));
            continue;
        };
        let has = ways(card);
        let missing: BTreeSet<String> = wanted.difference(&has).cloned().collect();
        if missing.is_empty() {
            whole += 1
        } else {
            partial += 1
        };
        let fixtures = fixtures_of(id);
        let counts = OUTCOMES
            .into_iter()
            .filter_map(|outcome| fixtures.get(outcome).map(|count| format!("{count} {outcome}")))
            .collect::<Vec<_>>()
            .join(", ");
        let _ = writeln!(
            rows,
            "| {id} | {} | {} | {} | {} | {counts} | {} |",
            card.component,
            card.severity.name(),
            in_order(&has),
            in_order(&missing),
            shown.get(*id).map(|kinds| kinds.iter().copied().collect::<Vec<_>>().join(", ")).unwrap_or_default(),
        );
    }
    format!(
        "# Coverage\n\n\
         Made from the cards, the fixtures and the list of promised conditions; `UPDATE=1 cargo test --test coverage`\n\
         writes it anew.\n\n\
         {} conditions: {whole} found in every promised way, {partial} in some of them, {absent} not yet.\n\n\
         Real: a test breaks a real component, finds it and mends it, in tests/real on one host, in tests/cluster in a\n\
         cluster of kubeadm. {} of the {} conditions that documents describe have one; testdata/not-real.txt says why the\n\
         others have none.\n\n\
         | condition | component | severity | found in | missing | fixtures | real |\n|---|---|---|---|---|---|---|\n\
         {rows}",
        ids.len(),
        documents.iter().filter(|id| shown.contains_key(**id)).count(),
        documents.len(),
    )
}

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coverage.md");
    let document = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &document).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let stale: Vec<&str> = document.lines().filter(|line| !written.lines().any(|known| known == *line)).collect();
    assert!(
        written == document,
        "docs/coverage.md is stale; `UPDATE=1 cargo test --test coverage` writes it. New:\n{}",
        stale.join("\n")
    );
}

#[test]
fn what_is_found_was_promised() {
    let promised = promised();
    let cards = cards();
    let strangers: Vec<&str> = cards
        .iter()
        .map(|card| card.id.as_str())
        .filter(|id| !promised.contains_key(*id) && !BESIDE.contains(id))
        .collect();
    assert!(strangers.is_empty(), "not in testdata/conditions.txt: {strangers:?}");
    let stale: Vec<&&str> = BESIDE.iter().filter(|id| cards.get(id).is_none() || promised.contains_key(**id)).collect();
    assert!(stale.is_empty(), "no card, or promised by now: {stale:?}");
}

#[test]
fn fixtures_belong_to_cards() {
    let cards = cards();
    let strangers: Vec<String> = folders(&testdata("rules"))
        .iter()
        .map(|folder| name(folder))
        .filter(|rule| cards.get(rule).is_none())
        .collect();
    assert!(strangers.is_empty(), "fixtures of no card: {strangers:?}");
}

#[test]
fn what_documents_describe_is_shown_by_real_components() {
    let (shown, promised) = (shown(), promised());
    let reasons: BTreeMap<String, String> = list("not-real.txt")
        .iter()
        .map(|line| {
            let (id, why) = line.split_once('\t').unwrap_or_else(|| panic!("{line}: lacks its reason"));
            assert!(why.len() > 20, "{line}: that is no reason");
            (id.to_owned(), why.to_owned())
        })
        .collect();
    let mut wrong = Vec::new();
    for (id, _) in promised.iter().filter(|(_, promise)| promise.documents) {
        match (shown.contains_key(id), reasons.contains_key(id)) {
            (false, false) => {
                wrong.push(format!("{id}: no test breaks a real component, and testdata/not-real.txt lacks it"))
            }
            (true, true) => wrong.push(format!("{id}: a test shows it, take it out of testdata/not-real.txt")),
            _ => {}
        }
    }
    let stale = reasons.keys().filter(|id| promised.get(*id).is_none_or(|promise| !promise.documents));
    wrong.extend(stale.map(|id| format!("{id}: in testdata/not-real.txt, and no document describes it")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
