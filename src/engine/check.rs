//! Checks of cards that loading alone does not make: patterns match their examples and not their counter-examples, CEL
//! compiles, and what a card refers to exists. For the program's own cards and for a user's (`rules test`).

use std::collections::BTreeSet;

use regex::bytes::RegexBuilder;

use super::card::{Card, Detect};
use super::card_set::{CardError, CardSet};
use super::{condition, template};

/// A required literal shorter than this finds itself in every other line.
pub const SHORTEST_LITERAL: usize = 6;

/// What one pattern costs and does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternReport {
    pub rule: String,
    pub pattern: usize,
    /// The longest literal that every match contains, if there is one.
    pub literal: Option<String>,
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
            let id = edge.strip_suffix("@cluster").unwrap_or(edge);
            if cards.get(id).is_none() && !known.contains(id) {
                wrong("explains", format!("explains {id}, which is no rule"));
            }
            if id == card.id {
                wrong("explains", "explains itself".to_owned());
            }
        }
        if card.detect.contains(&Detect::Log) == card.logs.is_empty() {
            wrong("detect", "`detect` names log when there are `logs`, and only then".to_owned());
        }
        if let Some(last) = card.fix.last() {
            let needs = [&last.summary]
                .into_iter()
                .chain(&last.commands)
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
        for (index, rule) in card.logs.iter().enumerate() {
            match RegexBuilder::new(&rule.pattern).unicode(false).build() {
                Err(error) => {
                    let error = error.to_string();
                    wrong("logs", format!("pattern {index}: {}", error.lines().last().unwrap_or_default()));
                }
                Ok(regex) => {
                    for example in rule.examples.iter().filter(|example| !regex.is_match(example.as_bytes())) {
                        wrong("logs", format!("pattern {index} does not match its example: {example}"));
                    }
                    for line in rule.counterexamples.iter().filter(|line| regex.is_match(line.as_bytes())) {
                        wrong("logs", format!("pattern {index} matches its counter-example: {line}"));
                    }
                    let names: BTreeSet<&str> =
                        regex.capture_names().flatten().chain(rule.values.keys().map(String::as_str)).collect();
                    if let Some(subject) = rule.subject.as_deref().filter(|subject| !names.contains(subject)) {
                        wrong("logs", format!("pattern {index}: the subject {subject} is no capture of it"));
                    }
                    if let Some(name) = names.iter().find(|name| name.chars().any(|c| c.is_ascii_uppercase())) {
                        wrong("logs", format!("pattern {index}: the capture {name} has capital letters"));
                    }
                    if required_literal(&rule.pattern).is_none_or(|literal| literal.len() < SHORTEST_LITERAL) {
                        wrong(
                            "logs",
                            format!(
                                "pattern {index} has no literal of {SHORTEST_LITERAL} bytes that every match contains: {}",
                                rule.pattern
                            ),
                        );
                    }
                }
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
            card.logs.iter().enumerate().map(|(index, rule)| PatternReport {
                rule: card.id.clone(),
                pattern: index,
                literal: required_literal(&rule.pattern),
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

/// The longest literal that every match of the pattern contains, lower-cased when it is matched without case.
pub fn required_literal(pattern: &str) -> Option<String> {
    let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let mut best = String::new();
    let mut run = String::new();
    walk(&hir, &mut run, &mut best);
    flush(&mut run, &mut best);
    (!best.is_empty()).then_some(best)
}

fn flush(run: &mut String, best: &mut String) {
    if run.len() > best.len() {
        std::mem::swap(run, best);
    }
    run.clear();
}

fn walk(hir: &regex_syntax::hir::Hir, run: &mut String, best: &mut String) {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Literal(literal) => run.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Capture(capture) => walk(&capture.sub, run, best),
        HirKind::Concat(parts) => parts.iter().for_each(|part| walk(part, run, best)),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            flush(run, best);
            walk(&repetition.sub, run, best);
            flush(run, best);
        }
        HirKind::Class(class) => match single_letter(class) {
            Some(letter) => run.push(letter),
            None => flush(run, best),
        },
        HirKind::Look(_) | HirKind::Empty => {}
        HirKind::Repetition(_) | HirKind::Alternation(_) => flush(run, best),
    }
}

/// `[Aa]`, which is what a letter becomes under `(?i)`.
fn single_letter(class: &regex_syntax::hir::Class) -> Option<char> {
    let letters: Vec<char> = match class {
        regex_syntax::hir::Class::Bytes(bytes) => {
            let ranges = bytes.ranges();
            if ranges.iter().any(|range| range.start() != range.end()) {
                return None;
            }
            ranges.iter().map(|range| range.start() as char).collect()
        }
        regex_syntax::hir::Class::Unicode(_) => return None,
    };
    match letters.as_slice() {
        [upper, lower] if upper.to_ascii_lowercase() == *lower => Some(*lower),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_match_contains() {
        let table = [
            ("bind: cannot (assign|find) it", Some("bind: cannot ")),
            ("(?i)Address in use", Some("address in use")),
            ("a|bcdefgh", None),
            (r"port \d+ is in use", Some(" is in use")),
            (r"(?:timeout )?\w+", None),
        ];
        for (pattern, literal) in table {
            assert_eq!(required_literal(pattern).as_deref(), literal, "{pattern}");
        }
    }
}
