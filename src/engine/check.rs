//! Checks of cards that loading alone does not make: patterns match their examples and not their counter-examples, CEL
//! compiles, and what a card refers to exists. For the program's own cards and for a user's (`rules test`).

use std::collections::BTreeSet;

use regex::Regex;

use super::card::{Card, CommandTemplate, Detect};
use super::card_set::{CardError, CardSet};
use super::log_rules::patterns_of;
use super::{condition, template};
use crate::logs::Scanner;

/// What one pattern costs and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternReport {
    pub rule: String,
    pub pattern: usize,
    /// Texts of which every match contains one: what the scanner looks for.
    pub literals: Vec<String>,
    pub examples: usize,
    pub counterexamples: usize,
}

/// Everything that is wrong with the cards, by file and line. `known` holds ids that a card may refer to beside the set's.
pub fn check(cards: &CardSet, known: &BTreeSet<String>) -> Vec<CardError> {
    let mut errors = Vec::new();
    for card in cards.iter() {
        let mut wrong = |what: &str, message: String| {
            errors.push(CardError::new(&card.path, card.line_of(what), 1, message));
        };
        for edge in &card.explains {
            let (id, ..) = super::causes::parts(edge);
            if cards.get(id).is_none() && !known.contains(id) {
                wrong("explains", format!("explains {id}, which is no rule"));
            }
            if id == card.id && !super::causes::is_of_logs(edge) {
                wrong("explains", "explains itself".to_owned());
            }
        }
        if card.detect.contains(&Detect::Log) == card.logs.is_empty() {
            wrong("detect", "`detect` names log when there are `logs`, and only then".to_owned());
        }
        if let Some(last) = card.fix.last() {
            let needs = [&last.summary]
                .into_iter()
                .chain(last.commands.iter().flat_map(CommandTemplate::texts))
                .chain(&last.restarts)
                .any(|text| template::fill(text, &[("host".to_owned(), String::new())].into()).is_none());
            if last.when.is_some() || needs {
                wrong(
                    "fix",
                    "the last fix has a `when` or needs a value: without it there may be none to show".to_owned(),
                );
            }
        }
        for expression in expressions(card) {
            if let Err(error) = condition::check(expression) {
                wrong("conditions", format!("`{expression}`: {}", error.lines().next().unwrap_or_default()));
            }
        }
        for (pattern, rule) in patterns_of(card).zip(&card.logs) {
            let index = pattern.index;
            let place = format!("logs.{index}");
            let names = match Regex::new(&rule.pattern) {
                Ok(regex) => regex
                    .capture_names()
                    .flatten()
                    .map(str::to_owned)
                    .chain(rule.values.keys().cloned())
                    .collect::<BTreeSet<String>>(),
                Err(error) => {
                    let error = error.to_string();
                    wrong(&place, format!("pattern {index}: {}", error.lines().last().unwrap_or_default()));
                    continue;
                }
            };
            let scanner = match Scanner::new(vec![pattern]).and_then(|scanner| scanner.compile_all().map(|()| scanner))
            {
                Ok(scanner) => scanner,
                Err(errors) => {
                    errors.iter().for_each(|error| wrong(&place, format!("pattern {index}: {}", error.why)));
                    continue;
                }
            };
            // An example may hold several lines.
            let is_known = |text: &str| !scanner.match_line(text.as_bytes()).is_empty();
            let matches = |text: &str| text.lines().any(is_known) || is_known(text);
            for example in rule.examples.iter().filter(|example| !matches(example)) {
                wrong(&place, format!("pattern {index} does not match its example: {example}"));
            }
            for line in rule.counterexamples.iter().filter(|line| matches(line)) {
                wrong(&place, format!("pattern {index} matches its counter-example: {line}"));
            }
            if let Some(subject) = rule.subject.as_ref().filter(|subject| !names.contains(*subject)) {
                wrong(&place, format!("pattern {index}: the subject {subject} is no capture of it"));
            }
            if let Some(name) = names.iter().find(|name| name.chars().any(|c| c.is_ascii_uppercase())) {
                wrong(&place, format!("pattern {index}: the capture {name} has capital letters"));
            }
        }
    }
    errors
}

/// A report for each pattern, for `rules test`.
pub fn patterns(cards: &CardSet) -> Vec<PatternReport> {
    cards
        .iter()
        .flat_map(|card| {
            patterns_of(card).zip(&card.logs).map(|(pattern, rule)| PatternReport {
                rule: card.id.clone(),
                pattern: pattern.index,
                literals: Scanner::new(vec![pattern])
                    .ok()
                    .and_then(|scanner| scanner.cost(0))
                    .map(|cost| cost.literals)
                    .unwrap_or_default(),
                examples: rule.examples.len(),
                counterexamples: rule.counterexamples.len(),
            })
        })
        .collect()
}

fn expressions(card: &Card) -> impl Iterator<Item = &String> {
    let conditions = card.conditions.iter().flat_map(|condition| {
        [Some(&condition.fail), condition.each.as_ref(), condition.applies.as_ref(), condition.at.as_ref()]
            .into_iter()
            .flatten()
            .chain(condition.values.values())
    });
    conditions
        .chain(card.logs.iter().filter_map(|rule| rule.unless.as_ref()))
        .chain(card.fix.iter().filter_map(|fix| fix.when.as_ref()))
}
