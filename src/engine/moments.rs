//! One event that several programs tell of in the same second: the message that says why has the others beside it.
//!
//! The kubelet says "Error syncing pod", the runtime "No such image". The first alone is worth nothing and the second is
//! believed sooner with it, so a finding from a log takes what its consequences' programs said in its seconds.

use super::card_set::CardSet;
use super::causes;
use crate::report::{Evidence, EvidenceKind, Finding};

/// A finding takes at most so many messages of others.
const MOST: usize = 2;

/// Adds to each finding that a log tells what other programs said of its consequences in the same seconds. `beside` has
/// messages that make no finding of their own, by the rule whose condition they show.
pub(super) fn join(findings: &mut [Finding], beside: &[(&str, Evidence)], cards: &CardSet) {
    let effects: Vec<(usize, Evidence)> = findings
        .iter()
        .filter_map(|finding| Some((finding.consequence_of?, finding.evidence.iter().find(|it| is_log(it))?.clone())))
        .collect();
    for (index, finding) in findings.iter_mut().enumerate() {
        let own: Vec<Evidence> = finding.evidence.iter().filter(|evidence| is_log(evidence)).cloned().collect();
        if own.is_empty() {
            continue;
        }
        let of_effects = effects.iter().filter(|(cause, _)| *cause == index).map(|(_, evidence)| evidence);
        let alone =
            beside.iter().filter(|(rule, _)| *rule == finding.rule || causes::leads_to(&finding.rule, rule, cards));
        let mut joined: Vec<Evidence> = Vec::new();
        for evidence in of_effects.chain(alone.map(|(_, evidence)| evidence)) {
            let is_known = |known: &Evidence| same_line(known, evidence);
            if joined.len() < MOST
                && own.iter().any(|known| coincide(known, evidence))
                && !own.iter().chain(&joined).any(is_known)
            {
                joined.push(evidence.clone());
            }
        }
        finding.evidence.append(&mut joined);
    }
}

fn is_log(evidence: &Evidence) -> bool {
    evidence.kind == EvidenceKind::Log
}

/// Whether two messages of one host were seen at the same moment: clocks that write only seconds may differ by one.
fn coincide(a: &Evidence, b: &Evidence) -> bool {
    let (Some(a_seen), Some(b_seen)) = (&a.occurrences, &b.occurrences) else { return false };
    let is_seen = |second: &i64| b_seen.seconds.range(second - 1..=second + 1).next().is_some();
    a.host == b.host && a_seen.seconds.iter().any(is_seen)
}

fn same_line(a: &Evidence, b: &Evidence) -> bool {
    let line = |evidence: &Evidence| {
        let line = evidence.occurrences.as_ref()?.lines.first()?.clone();
        Some((evidence.host.clone(), line))
    };
    line(a).is_some() && line(a) == line(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;
    use crate::report::{LogLine, Occurrences};

    fn said(host: &str, text: &str, seconds: &[i64]) -> Evidence {
        let mut evidence = Evidence::new(EvidenceKind::Log, host, Origin::file("/var/log/messages", None), text);
        let lines =
            vec![LogLine { path: "/var/log/messages".to_owned(), line: 1, text: text.to_owned(), matter: 0..0 }];
        evidence.occurrences =
            Some(Occurrences { seconds: seconds.iter().copied().collect(), lines, ..Occurrences::default() });
        evidence
    }

    #[test]
    fn the_same_moment_is_within_a_second_on_one_host() {
        for (a, b, expected) in [
            (said("m1", "a", &[10]), said("m1", "b", &[10]), true),
            (said("m1", "a", &[10]), said("m1", "b", &[11]), true),
            (said("m1", "a", &[10]), said("m1", "b", &[12]), false),
            (said("m1", "a", &[1, 50]), said("m1", "b", &[20, 49]), true),
            (said("m1", "a", &[10]), said("m2", "b", &[10]), false),
            (said("m1", "a", &[]), said("m1", "b", &[]), false),
        ] {
            assert_eq!(coincide(&a, &b), expected, "{a:?} {b:?}");
        }
        assert!(same_line(&said("m1", "a", &[1]), &said("m1", "a", &[2])));
        assert!(!same_line(&said("m1", "a", &[1]), &said("m1", "b", &[1])));
    }
}
