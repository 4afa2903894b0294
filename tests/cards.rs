//! The cards hold what they promise: they load, in both languages, their patterns match their examples and nothing else,
//! and what they refer to exists.

use std::collections::{BTreeMap, BTreeSet};

use k8sdoctor::engine::check::check;
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
            // What files show causes what logs report of it, never the other way about.
            let lasting = card.explains.iter().filter(|edge| !edge.ends_with("@logs"));
            let effects = lasting.map(|edge| edge.split(['@', '#']).next().unwrap_or(edge));
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
