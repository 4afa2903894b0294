//! The cards hold what they promise: they load, in both languages, their patterns match their examples and nothing else,
//! and what they refer to exists.

use std::collections::{BTreeMap, BTreeSet};

use k8sdoctor::engine::check::{check, patterns};
use k8sdoctor::engine::{CardSet, Language};
use k8sdoctor::rules;

fn builtin(language: Language) -> CardSet {
    CardSet::builtin(language).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    })
}

#[test]
fn cards_are_right() {
    let errors = check(&builtin(Language::English), &BTreeSet::new());
    assert!(errors.is_empty(), "{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

/// Every pattern of the cards with the card's id.
fn each_pattern(cards: &CardSet) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    for card in cards.iter() {
        for rule in &card.logs {
            all.push((card.id.as_str(), rule.pattern.as_str()));
            all.extend(rule.ended_by.as_deref().map(|pattern| (card.id.as_str(), pattern)));
        }
    }
    all
}

/// Whoever takes a pattern out of a card has to get what the card gets, with older tools as well: those refuse a backslash
/// before what has no meaning.
#[test]
#[expect(clippy::disallowed_methods, reason = "the patterns are given to ripgrep")]
fn patterns_are_read_alike_everywhere() {
    let cards = builtin(Language::English);
    let mut arguments: Vec<String> =
        ["-c", "-a", "--no-config", "--regex-size-limit=1G", "--dfa-size-limit=1G"].map(str::to_owned).into();
    let name = regex::Regex::new(r"\(\?P?<\w+>").unwrap();
    for (id, pattern) in each_pattern(&cards) {
        regex::bytes::Regex::new(pattern).unwrap_or_else(|error| panic!("{id}: {error}"));
        let mut rest = pattern;
        while let Some((_, after)) = rest.split_once('\\') {
            let escaped = after.chars().next().unwrap_or_default();
            let is_known = escaped.is_ascii_alphanumeric() || r"\.+*?()|[]{}^$#&-~".contains(escaped);
            assert!(is_known, "{id}: write {escaped} without a backslash: {pattern}");
            rest = &after[escaped.len_utf8()..];
        }
        // They are joined to one, in which a name may stand once.
        arguments.extend(["-e".to_owned(), name.replace_all(pattern, "(?:").into_owned()]);
    }
    let run = std::process::Command::new("rg").args(&arguments).arg("-").stdin(std::process::Stdio::null()).output();
    match run {
        // 1: nothing matched, as there is nothing.
        Ok(output) => {
            assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => println!("not tried with ripgrep: {error}"),
    }
}

/// One literal of fewer bytes makes the scan of every log slower by a third.
#[test]
fn patterns_hold_a_literal_that_costs_nothing() {
    for pattern in patterns(&builtin(Language::English)) {
        for literal in &pattern.literals {
            let (rule, index) = (&pattern.rule, pattern.pattern);
            assert!(
                literal.len() >= 9,
                "{rule}: log pattern {index} rests on {literal:?}; give it 9 bytes that do not vary"
            );
        }
    }
}

#[test]
fn every_card_is_translated() {
    let english = builtin(Language::English);
    let chinese = builtin(Language::Chinese);
    let missing: Vec<&str> = english
        .iter()
        .filter(|card| chinese.get(&card.id).is_none_or(|translated| translated.prose == card.prose))
        .map(|card| card.id.as_str())
        .collect();
    assert!(missing.is_empty(), "no Chinese card: {missing:?}");
}

#[test]
fn every_detector_has_its_card() {
    let cards = builtin(Language::English);
    let without: Vec<&str> = rules::ids().into_iter().filter(|id| cards.get(id).is_none()).collect();
    assert!(without.is_empty(), "detectors without a card: {without:?}");
}

/// What causes another condition is not caused by it in turn: else what is the root would depend on what was found.
#[test]
fn no_condition_explains_itself_in_the_end() {
    let cards = builtin(Language::English);
    let mut causes: BTreeMap<&str, Vec<&str>> = cards
        .iter()
        .map(|card| {
            // What files show causes what logs report of it, never the other way about; what holds for one value leads no
            // further.
            let lasting = card.explains.iter().filter(|edge| !edge.ends_with("@logs") && !edge.contains('#'));
            let effects = lasting.map(|edge| edge.split('@').next().unwrap_or(edge));
            (card.id.as_str(), effects.collect())
        })
        .collect();
    // Conditions without an effect that is left are in no circle.
    loop {
        let ends: BTreeSet<&str> = causes.iter().filter(|(_, effects)| effects.is_empty()).map(|(id, _)| *id).collect();
        if ends.is_empty() {
            break;
        }
        causes.retain(|id, _| !ends.contains(id));
        for effects in causes.values_mut() {
            effects.retain(|effect| !ends.contains(effect));
        }
    }
    assert!(causes.is_empty(), "in a circle, or before one: {causes:?}");
}
