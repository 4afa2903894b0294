//! docs/coverage.md says which conditions are found, in which ways, and with which fixtures. It is made from the cards, from
//! testdata/rules and from testdata/conditions.txt, the list of what the project promises; this test says when it is stale.
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
const BESIDE: [&str; 3] = ["kubeadm-config-invalid", "kubeadm-leftovers", "lb-not-running"];

/// The promised conditions with their ways.
fn promised() -> BTreeMap<String, BTreeSet<String>> {
    let path = testdata("conditions.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let promised: BTreeMap<String, BTreeSet<String>> = lines
        .map(|line| {
            let (id, ways) = line.split_once('\t').unwrap_or_else(|| panic!("{line}: lacks its ways"));
            let ways: BTreeSet<String> = ways.split(',').map(str::to_owned).collect();
            assert!(ways.iter().all(|way| WAYS.contains(&way.as_str())), "{line}");
            (id.to_owned(), ways)
        })
        .collect();
    assert!(promised.len() > 150, "{} conditions", promised.len());
    promised
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
    let (cards, promised) = (cards(), promised());
    let ids: BTreeSet<&str> =
        cards.iter().map(|card| card.id.as_str()).chain(promised.keys().map(String::as_str)).collect();
    let none = BTreeSet::new();
    let mut rows = String::new();
    let (mut whole, mut partial, mut absent) = (0, 0, 0);
    for id in &ids {
        let wanted = promised.get(*id).unwrap_or(&none);
        let Some(card) = cards.get(id) else {
            absent += 1;
            let _ = writeln!(rows, "| {id} | | | | {} | |", in_order(wanted));
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
            "| {id} | {} | {} | {} | {} | {counts} |",
            card.component,
            card.severity.name(),
            in_order(&has),
            in_order(&missing),
        );
    }
    format!(
        "# Coverage\n\n\
         Made from the cards, the fixtures and the list of promised conditions; `UPDATE=1 cargo test --test coverage`\n\
         writes it anew.\n\n\
         {} conditions: {whole} found in every promised way, {partial} in some of them, {absent} not yet.\n\n\
         | condition | component | severity | found in | missing | fixtures |\n|---|---|---|---|---|---|\n{rows}",
        ids.len()
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
