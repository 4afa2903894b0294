//! From what the scanner matched to drafts of findings.

use super::card::Card;
use super::condition::{FactsDocument, holds_for_log};
use super::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::logs::LogPattern;
use crate::origin::Origin;
use crate::report::{Confidence, Evidence, EvidenceKind, Severity};
use crate::rules::{Context, Detector, Refined};
use crate::source::SourceKind;

/// The card's patterns as the scanner takes them.
pub fn patterns_of(card: &Card) -> impl Iterator<Item = LogPattern> {
    card.logs.iter().enumerate().map(|(index, rule)| LogPattern {
        rule: card.id.clone(),
        index,
        pattern: rule.pattern.clone(),
        components: rule.components.clone(),
        persist_seconds: rule.persist,
        after_start_seconds: rule.after_start,
        min_count: rule.min_count,
        ended_by: rule.ended_by.clone(),
        ignore_if_ended_seconds: rule.ended_within,
    })
}

/// Adds a draft for each message of the card's patterns that is evidence on this host.
pub fn judge(
    card: &Card,
    detector: Option<&Detector>,
    context: &Context<'_>,
    host: &Host,
    document: &dyn Fn() -> std::sync::Arc<FactsDocument>,
    verdict: &mut Verdict,
) {
    if card.logs.is_empty() {
        return;
    }
    let mut found = false;
    for hit in host.logs.hits.iter().filter(|hit| hit.rule == card.id) {
        let Some(rule) = card.logs.get(hit.pattern) else { continue };
        if rule.hint && host.kind != SourceKind::File {
            continue;
        }
        let mut draft = Draft::new();
        draft.values.extend(rule.values.clone());
        draft.values.extend(hit.captures.clone());
        if rule.unless.as_ref().is_some_and(|unless| holds_for_log(unless, &draft.values, &document())) {
            continue;
        }
        match detector.and_then(|detector| detector.refine).map(|refine| refine(context, host, hit)) {
            Some(Refined::Drop) => continue,
            Some(Refined::Keep(values)) => {
                for (name, value) in values {
                    draft = draft.value(name, value);
                }
            }
            None => {}
        }
        found = true;
        if let Some(component) = &hit.component {
            draft.values.entry("program".to_owned()).or_insert_with(|| component.clone());
        }
        draft.subject = rule.subject.as_ref().and_then(|name| draft.values.get(name).cloned());
        draft.title.clone_from(&rule.title);
        draft.message = Some("log".to_owned());
        draft.severity = rule.severity;
        draft.confidence = rule.confidence;
        // A whole host shows what is so now, and its program has gone on without this message: it is over. A log given
        // alone is what somebody kept of a failure. A single message of the kind that only warns is no state either.
        let once = hit.count == 1 && rule.severity.unwrap_or(card.severity) == Severity::Warning;
        if host.kind != SourceKind::File && (hit.ongoing == Some(false) || once) && !rule.lasting {
            draft.over = true;
        }
        let first = hit.lines.first();
        let origin = match first {
            Some(line) => Origin::file(line.path.as_str(), None),
            None => Origin::answer("the logs"),
        };
        let mut evidence = Evidence::new(
            EvidenceKind::Log,
            &host.name,
            origin,
            first.map(|line| line.text.clone()).unwrap_or_default(),
        );
        evidence.occurrences = Some(hit.occurrences());
        draft.brief = hit.brief || rule.hint;
        if draft.brief {
            draft.confidence = Some(Confidence::Low);
        }
        verdict.fail(draft.evidence(evidence));
    }
    // A log that was read and says nothing of it speaks for the host, when the card has no other way to know.
    if !found && !host.logs.scanned.is_empty() && card.detect == [super::card::Detect::Log] {
        verdict.pass();
    }
}
