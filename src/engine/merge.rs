//! One fault, one finding: drafts of the same rule about the same thing become one finding with all their evidence.

use std::collections::{BTreeMap, BTreeSet};

use super::card::{Card, CardScope, CommandTemplate, FixTemplate};
use super::condition::holds_for_values;
use super::template;
use super::verdict::Draft;
use crate::report::{Command, Confidence, EvidenceKind, Finding, Fix, Severity, secret};

/// A rule's drafts with the host that each was made for.
pub fn findings(card: &Card, drafts: Vec<(String, Draft)>) -> Vec<Finding> {
    let mut groups: Vec<(String, Draft)> = Vec::new();
    for (host, mut draft) in drafts {
        if draft.hosts.is_empty() {
            draft.hosts.push(host.clone());
        }
        draft.values.entry("host".to_owned()).or_insert_with(|| host.clone());
        let same = groups.iter_mut().find(|(known_host, known)| {
            (card.scope == CardScope::Cluster || *known_host == host)
                && match (&known.subject, &draft.subject) {
                    (Some(known), Some(subject)) => known == subject,
                    _ => true,
                }
        });
        match same {
            Some((_, known)) => absorb(card, known, draft),
            None => groups.push((host, draft)),
        }
    }
    groups.into_iter().map(|(_, draft)| finding(card, draft)).collect()
}

/// Adds a draft to one about the same. Configuration speaks before logs: its texts and values win.
fn absorb(card: &Card, known: &mut Draft, other: Draft) {
    let severity = severity_of(card, known).max(severity_of(card, &other));
    let (strong, weak) = if rank(known) <= rank(&other) { (known.clone(), other) } else { (other, known.clone()) };
    *known = strong;
    known.subject = known.subject.take().or(weak.subject);
    for (name, value) in weak.values {
        known.values.entry(name).or_insert(value);
    }
    for evidence in weak.evidence {
        if !known.evidence.contains(&evidence) {
            known.evidence.push(evidence);
        }
    }
    for note in weak.notes {
        if !known.notes.contains(&note) {
            known.notes.push(note);
        }
    }
    for host in weak.hosts {
        if !known.hosts.contains(&host) {
            known.hosts.push(host);
        }
    }
    known.over &= weak.over;
    known.brief &= weak.brief;
    known.last_resort &= weak.last_resort;
    known.severity = Some(severity);
    known.confidence = known.confidence.max(weak.confidence);
}

/// What is over is only worth knowing; a severity that the user set wins over a message's own.
fn severity_of(card: &Card, draft: &Draft) -> Severity {
    match draft.severity {
        _ if draft.over => Severity::Info,
        Some(own) if !card.severity_is_set => own,
        _ => card.severity,
    }
}

/// 0 for what points at configuration, more for what only reports its effect.
fn rank(draft: &Draft) -> u8 {
    draft
        .evidence
        .iter()
        .map(|evidence| match evidence.kind {
            EvidenceKind::File => 0,
            EvidenceKind::Cluster => 1,
            EvidenceKind::Process => 2,
            EvidenceKind::Probe => 3,
            EvidenceKind::Log => 4,
        })
        .min()
        .unwrap_or(0)
}

fn finding(card: &Card, draft: Draft) -> Finding {
    let severity = severity_of(card, &draft);
    let mut values = draft.values;
    // A message that names the program that is at fault says more than the card's component.
    values.entry("component".to_owned()).or_insert_with(|| card.component.clone());
    let title = draft
        .title
        .as_ref()
        .into_iter()
        .chain(draft.message.as_ref().and_then(|name| card.messages.get(name)))
        .chain(card.messages.get("default"))
        .find_map(|text| template::fill(text, &values))
        .unwrap_or_else(|| card.title.clone());
    // What a rule says may quote a URL with a password in it.
    let title = masked(&title);
    for value in values.values_mut() {
        *value = masked(value);
    }
    let mut evidence = draft.evidence;
    for label in evidence.iter_mut().map(|evidence| &mut evidence.label) {
        *label = masked(label);
    }
    let notes = draft.notes.iter().map(|note| masked(note)).collect();
    let kinds: BTreeSet<EvidenceKind> = evidence.iter().map(|evidence| evidence.kind).collect();
    let confidence = if kinds.len() > 1 { Confidence::High } else { draft.confidence.unwrap_or(Confidence::Medium) };
    Finding {
        rule: card.id.clone(),
        severity,
        component: card.component.clone(),
        title,
        hosts: draft.hosts,
        subject: draft.subject.as_deref().map(masked),
        evidence,
        notes,
        fix: card.fix.iter().find_map(|fix| filled(fix, &values)),
        verify: card.verify.iter().filter_map(|command| template::fill(command, &values)).collect(),
        confidence,
        consequence_of: None,
        values,
        suppressed: None,
    }
}

fn masked(text: &str) -> String {
    secret::mask(text).into_owned()
}

fn command_filled(CommandTemplate(command): &CommandTemplate, values: &BTreeMap<String, String>) -> Option<Command> {
    let host = match &command.host {
        Some(host) => Some(template::fill(host, values)?),
        None => None,
    };
    Some(Command { host, line: template::fill(&command.run, values)? })
}

fn filled(fix: &FixTemplate, values: &BTreeMap<String, String>) -> Option<Fix> {
    if fix.when.as_ref().is_some_and(|when| !holds_for_values(when, values)) {
        return None;
    }
    let all = |texts: &[String]| texts.iter().map(|text| template::fill(text, values)).collect::<Option<Vec<_>>>();
    let commands: Vec<Command> =
        fix.commands.iter().map(|command| command_filled(command, values)).collect::<Option<_>>()?;
    // What a command starts anew need not be started anew once more; what is not known by name the summary says in words.
    let mut restarts = all(&fix.restarts)?;
    restarts.retain(|unit| !unit.is_empty() && !commands.iter().any(|command| command.restarts(unit)));
    Some(Fix { risk: fix.risk, summary: template::fill(&fix.summary, values)?, commands, restarts })
}
