//! Findings that are no reason to fail: waived in the configuration, allowed by a comment beside the value, or known from a
//! baseline. They stay in the report.
//!
//! Who waives a fault accepts what it brings: its consequences are covered with it, each with a note that names it. Not
//! covered is what does not follow from it alone (something else that stands explains it too), and what is more severe than
//! what was accepted: a waived warning does not hide an outage. A baseline covers only what it lists, for it promises that
//! what is new fails. What is not covered stands by itself, with a note that names its suppressed cause.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::allow::{self, Comment};
use super::{Finding, Notice, Report, Suppression, SuppressionKind};
use crate::config::Waiver;
use crate::render::human::Texts;

/// What waivers are applied with.
#[derive(Debug)]
pub struct Waivers<'a> {
    pub list: &'a [Waiver],
    /// The configuration's path, for the places of waivers.
    pub config: &'a str,
    /// The rules that were judged.
    pub judged: BTreeSet<&'a str>,
    /// For each finding the places of all that explain it ([`crate::engine::causes::explanations`]).
    pub explanations: Vec<Vec<usize>>,
    /// Whether all rules were: else a waiver that matches nothing may match in another run.
    pub is_whole: bool,
}

/// Marks the findings that waivers or comments cover, and adds what there is to say of waivers to the report's notices.
pub fn waive(report: &mut Report, texts: &Texts, waivers: &Waivers<'_>) {
    let today = report.at.parse::<Timestamp>().map(|at| at.to_zoned(TimeZone::UTC).date()).ok();
    let mut comments = allow::comments(texts);
    let mut used = vec![false; waivers.list.len()];
    let mut over = vec![0_usize; waivers.list.len()];
    for finding in &mut report.findings {
        let mut ended = None;
        for (index, waiver) in waivers.list.iter().enumerate() {
            if !waiver.fits(finding) {
                continue;
            }
            used[index] = true;
            let place = format!("{}:{}", waivers.config, waiver.line);
            // Without a date to judge by nothing can be shown to hold still.
            if waiver.until.is_some_and(|until| today.is_none_or(|today| today > until)) {
                ended = ended.or(Some((index, waiver, place)));
                continue;
            }
            if finding.suppressed.is_none() {
                finding.suppressed = Some(Suppression {
                    kind: SuppressionKind::Waiver,
                    reason: waiver.reason.clone(),
                    owner: waiver.owner.clone(),
                    until: waiver.until.map(|until| until.to_string()),
                    place,
                });
            }
        }
        allow_by_comment(finding, &mut comments);
        if let (None, Some((index, waiver, place))) = (&finding.suppressed, ended) {
            over[index] += 1;
            let until = waiver.until.map(|until| until.to_string()).unwrap_or_default();
            finding.notes.push(format!("its waiver at {place} ended on {until}: {}", waiver.reason));
        }
    }
    for ((waiver, used), over) in waivers.list.iter().zip(used).zip(over) {
        let place = format!("{}:{}", waivers.config, waiver.line);
        let rule = waiver.rule.text();
        if over > 0 {
            let until = waiver.until.map(|until| until.to_string()).unwrap_or_default();
            let message = format!("the waiver of {rule} ended on {until}: what it covered fails again ({over})");
            report.notices.push(Notice { place, message });
        } else if !used && waivers.is_whole {
            let message = format!("the waiver of {rule} matches nothing that was found");
            report.notices.push(Notice { place, message });
        }
    }
    for comment in &comments {
        report.notices.extend(comment.notice(&waivers.judged, waivers.is_whole));
    }
    cover_consequences(&mut report.findings, &waivers.explanations);
    release_consequences(&mut report.findings);
}

/// Suppresses what follows from suppressed findings alone and is no more severe; what something else explains too is put
/// beneath that.
fn cover_consequences(findings: &mut [Finding], explanations: &[Vec<usize>]) {
    let accepted: Vec<Option<usize>> = (0..findings.len()).map(|index| suppressed_cause(findings, index)).collect();
    // What stands: roots, what is more severe than what was accepted, and all that these explain.
    let mut parent: Vec<Option<Option<usize>>> = vec![None; findings.len()];
    let mut queue = VecDeque::new();
    for (index, finding) in findings.iter().enumerate().filter(|(_, finding)| finding.suppressed.is_none()) {
        let stands = match accepted[index].and_then(|cause| findings.get(cause)) {
            Some(cause) => finding.severity > cause.severity,
            None => true,
        };
        if stands {
            parent[index] = Some(finding.consequence_of);
            queue.push_back(index);
        }
    }
    while let Some(cause) = queue.pop_front() {
        for (effect, of) in explanations.iter().enumerate() {
            let is_open = findings.get(effect).is_some_and(|effect| effect.suppressed.is_none());
            if is_open && parent[effect].is_none() && of.contains(&cause) {
                parent[effect] = Some(Some(cause));
                queue.push_back(effect);
            }
        }
    }
    for index in 0..findings.len() {
        let Some(cause) = accepted[index].filter(|_| findings[index].suppressed.is_none()) else { continue };
        if let Some(parent) = parent[index] {
            findings[index].consequence_of = parent;
            continue;
        }
        let Some(of) = findings.get(cause) else { continue };
        let suppression = of.suppressed.clone();
        if let Some(suppression) = &suppression {
            let note = format!("it follows from {}, which is {}: {}", of.rule, suppression.kind.done(), of.title);
            findings[index].notes.push(note);
        }
        findings[index].suppressed = suppression;
    }
}

/// The nearest suppressed finding that a finding follows from.
fn suppressed_cause(findings: &[Finding], index: usize) -> Option<usize> {
    let mut cause = findings.get(index)?.consequence_of?;
    // As many steps as there are findings end every circle.
    for _ in 0..findings.len() {
        let of = findings.get(cause)?;
        if of.suppressed.is_some() {
            return Some(cause);
        }
        cause = of.consequence_of?;
    }
    None
}

fn allow_by_comment(finding: &mut Finding, comments: &mut [Comment]) {
    for comment in comments.iter_mut() {
        if !comment.fits(finding) {
            continue;
        }
        comment.used = true;
        if finding.suppressed.is_none() {
            finding.suppressed = Some(Suppression {
                kind: SuppressionKind::Comment,
                reason: comment.reason.clone(),
                owner: None,
                until: None,
                place: comment.place(),
            });
        }
    }
}

/// Marks the findings that a baseline knows; `known` says so of the finding at an index.
pub fn accept_known(report: &mut Report, baseline: &str, known: impl Fn(usize) -> bool) {
    for (index, finding) in report.findings.iter_mut().enumerate() {
        if finding.suppressed.is_none() && known(index) {
            finding.suppressed = Some(Suppression {
                kind: SuppressionKind::Baseline,
                reason: "known before".to_owned(),
                owner: None,
                until: None,
                place: baseline.to_owned(),
            });
        }
    }
    release_consequences(&mut report.findings);
}

/// Puts each finding that is not suppressed under the nearest cause that is not either, and says what else explains it.
fn release_consequences(findings: &mut [Finding]) {
    for index in 0..findings.len() {
        if findings[index].suppressed.is_some() {
            continue;
        }
        let mut cause = findings[index].consequence_of;
        // As many steps as there are findings end every circle.
        for _ in 0..findings.len() {
            let Some(of) = cause.and_then(|cause| findings.get(cause)) else {
                cause = None;
                break;
            };
            let Some(suppression) = &of.suppressed else { break };
            let note = format!("it follows from {}, which is {}: {}", of.rule, suppression.kind.done(), of.title);
            cause = of.consequence_of;
            if !findings[index].notes.contains(&note) {
                findings[index].notes.push(note);
            }
        }
        findings[index].consequence_of = cause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;
    use crate::report::Severity::{self, Error, Warning};

    /// Findings of these severities, each beneath the one at the place given, the first one waived.
    fn findings(of: &[(Severity, Option<usize>)]) -> Vec<Finding> {
        let (report, _) = sample::floating_address();
        let mut findings: Vec<Finding> = of
            .iter()
            .map(|(severity, cause)| {
                let mut finding = report.findings[0].clone();
                (finding.severity, finding.consequence_of) = (*severity, *cause);
                finding
            })
            .collect();
        findings[0].suppressed = Some(Suppression {
            kind: SuppressionKind::Waiver,
            reason: "known".to_owned(),
            owner: None,
            until: None,
            place: "k8sdoctor.toml:1".to_owned(),
        });
        findings
    }

    #[test]
    fn what_follows_from_a_waived_finding_alone_is_covered() {
        for (of, explanations, suppressed, causes) in [
            // A chain.
            (
                &[(Error, None), (Error, Some(0)), (Warning, Some(1))][..],
                vec![vec![], vec![0], vec![0, 1]],
                vec![true, true, true],
                vec![None, Some(0), Some(1)],
            ),
            // Something else explains the second one too, and with it the third.
            (
                &[(Error, None), (Error, Some(0)), (Warning, Some(1)), (Error, None)],
                vec![vec![], vec![0, 3], vec![1], vec![]],
                vec![true, false, false, false],
                vec![None, Some(3), Some(1), None],
            ),
            // What is more severe than what was accepted stands, and what follows from it.
            (
                &[(Warning, None), (Error, Some(0)), (Warning, Some(1)), (Warning, Some(0))],
                vec![vec![], vec![0], vec![1], vec![0]],
                vec![true, false, false, true],
                vec![None, None, Some(1), Some(0)],
            ),
            // Two that explain each other have no other cause than the waived one.
            (
                &[(Error, None), (Error, Some(0)), (Error, Some(0))],
                vec![vec![], vec![0, 2], vec![0, 1]],
                vec![true, true, true],
                vec![None, Some(0), Some(0)],
            ),
        ] {
            let mut findings = findings(of);
            cover_consequences(&mut findings, &explanations);
            release_consequences(&mut findings);
            let found: Vec<bool> = findings.iter().map(|finding| finding.suppressed.is_some()).collect();
            assert_eq!(found, suppressed, "{of:?}");
            let found: Vec<Option<usize>> = findings.iter().map(|finding| finding.consequence_of).collect();
            assert_eq!(found, causes, "{of:?}");
        }
    }
}
