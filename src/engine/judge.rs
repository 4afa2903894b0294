//! Judging of all rules on all hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::card::{Card, Detect};
use super::card_set::CardSet;
use super::condition::{self, FactsDocument};
use super::verdict::{Draft, Outcome, Verdict};
use super::{causes, dialect, log_rules, merge, moments};
use crate::facts::Host;
use crate::report::{Counts, Evidence, Finding, Severity, Unjudged};
use crate::rules::{self, Context, Detector, Judge};
use crate::source::SourceKind;

/// What judging gave.
#[derive(Debug, Default)]
pub struct Judgement {
    /// In the report's order.
    pub findings: Vec<Finding>,
    pub unjudged: Vec<Unjudged>,
    pub counts: Counts,
    /// Rules that passed on at least one host and failed on none.
    pub passed: Vec<String>,
}

/// Judges every card on every host of the context's cluster.
pub fn judge(cards: &CardSet, context: &Context<'_>) -> Judgement {
    let detectors: BTreeMap<&str, &Detector> = rules::all().map(|detector| (detector.id, detector)).collect();
    let hosts = &context.cluster.hosts;
    let documents: Vec<OnceLock<Arc<FactsDocument>>> = hosts.iter().map(|_| OnceLock::new()).collect();
    let mut judgement = Judgement::default();
    let mut drafts_of: Vec<(&Card, Vec<(String, Draft)>)> = Vec::new();
    let mut beside: Vec<(&str, Evidence)> = Vec::new();
    for card in cards.iter() {
        if context.phase.is_some_and(|phase| !card.phases.contains(&phase)) {
            continue;
        }
        let detector = detectors.get(card.id.as_str()).copied();
        let mut drafts: Vec<(String, Draft)> = Vec::new();
        let mut passed = false;
        for (host, document) in hosts.iter().zip(&documents) {
            let facts = || document.get_or_init(|| Arc::new(FactsDocument::of(host))).clone();
            let first = std::ptr::eq(host, &hosts[0]);
            let mut verdict = judge_host(card, detector, context, host, first, &facts);
            if host.kind == SourceKind::File {
                // Files without a host show what stands in them; the rest does not apply to them.
                verdict.unknowns.retain(|unknown| !unknown.needs_a_host());
            }
            match verdict.outcome() {
                Outcome::Failed => judgement.counts.failed += 1,
                Outcome::Passed => {
                    judgement.counts.passed += 1;
                    passed = true;
                }
                Outcome::NotApplicable => judgement.counts.not_applicable += 1,
                Outcome::Unknown(unknown) => {
                    judgement.counts.unknown += 1;
                    judgement.unjudged.push(Unjudged { rule: card.id.clone(), host: host.name.clone(), unknown });
                }
            }
            beside.extend(verdict.beside.into_iter().map(|evidence| (card.id.as_str(), evidence)));
            drafts.extend(verdict.drafts.into_iter().map(|draft| (host.name.clone(), draft)));
        }
        if passed && drafts.is_empty() {
            judgement.passed.push(card.id.clone());
        }
        drafts_of.push((card, drafts));
    }
    drop_brief(&mut drafts_of, &mut judgement.counts);
    let mut findings: Vec<Finding> =
        drafts_of.into_iter().flat_map(|(card, drafts)| merge::findings(card, drafts)).collect();
    dialect::translate(&mut findings, context.cluster);
    judgement.findings = causes::explain(findings, cards);
    moments::join(&mut judgement.findings, &beside, cards);
    judgement
}

/// What an excerpt hints at only is no finding beside what its messages say for certain; a mere note beside an alarm
/// neither, and a last resort beside any alarm.
fn drop_brief(drafts_of: &mut [(&Card, Vec<(String, Draft)>)], counts: &mut Counts) {
    let alarming = |counts_as: fn(&Draft) -> bool| -> BTreeSet<String> {
        drafts_of
            .iter()
            .flat_map(|(card, drafts)| drafts.iter().filter(|(_, draft)| is_alarm(card, draft)))
            .filter(|(_, draft)| counts_as(draft))
            .map(|(host, _)| host.clone())
            .collect()
    };
    let certain = alarming(|draft| !draft.brief);
    let known = alarming(|draft| !draft.last_resort);
    let any = alarming(|_| true);
    for (card, drafts) in drafts_of.iter_mut().filter(|(_, drafts)| drafts.iter().any(|(_, draft)| draft.brief)) {
        let before = failed_hosts(drafts);
        let sure: BTreeSet<String> =
            drafts.iter().filter(|(_, draft)| !draft.brief).map(|(host, _)| host.clone()).collect();
        drafts.retain(|(host, draft)| {
            let beside = match (is_alarm(card, draft), draft.last_resort) {
                (true, true) => &known,
                (true, false) => &certain,
                (false, _) => &any,
            };
            !draft.brief || sure.contains(host) || !beside.contains(host)
        });
        let dropped = before - failed_hosts(drafts);
        counts.failed -= dropped;
        counts.not_applicable += dropped;
    }
}

fn is_alarm(card: &Card, draft: &Draft) -> bool {
    !draft.over && draft.severity.unwrap_or(card.severity) > Severity::Info
}

fn failed_hosts(drafts: &[(String, Draft)]) -> usize {
    drafts.iter().map(|(host, _)| host).collect::<BTreeSet<_>>().len()
}

fn judge_host(
    card: &Card,
    detector: Option<&Detector>,
    context: &Context<'_>,
    host: &Host,
    first: bool,
    facts: &dyn Fn() -> Arc<FactsDocument>,
) -> Verdict {
    let mut verdict = Verdict::default();
    match detector.map(|detector| &detector.judge) {
        Some(Judge::Host(judge)) => judge(context, host, &mut verdict),
        Some(Judge::Cluster(judge)) if first => judge(context, &mut verdict),
        Some(Judge::Both(of_host, of_cluster)) => {
            of_host(context, host, &mut verdict);
            if first {
                of_cluster(context, &mut verdict);
            }
        }
        Some(Judge::Cluster(_)) | None => {}
    }
    if !card.conditions.is_empty() {
        condition::judge(card, host, &facts(), &mut verdict);
    }
    if card.detect.contains(&Detect::Log) {
        log_rules::judge(card, detector, context, host, facts, &mut verdict);
    }
    // Nothing to judge of a component is no result when its files could not be read.
    if verdict.outcome() == Outcome::NotApplicable
        && let Some((_, unknown)) = host.hidden_components.iter().find(|(name, _)| name.name() == card.component)
    {
        verdict.unknown(unknown.clone());
    }
    verdict
}
