//! Which finding explains which. Cards say what their condition causes (`explains`); a finding whose cause is present is
//! its consequence, also over conditions between them that left no trace.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::card_set::CardSet;
use crate::report::Finding;

/// What a condition causes, directly or through others: the id, and whether only on the same host.
type Reach = BTreeMap<String, bool>;

/// Sets `consequence_of` and puts the findings in the report's order: a root cause, what follows from it, the next root.
pub fn explain(findings: Vec<Finding>, cards: &CardSet) -> Vec<Finding> {
    let mut findings = findings;
    // A stable order first, so that what is chosen below does not depend on the order of judging.
    findings.sort_by_cached_key(order_key);
    let reach: BTreeMap<&str, Reach> =
        findings.iter().map(|finding| (finding.rule.as_str(), reach(&finding.rule, cards))).collect();
    let candidates: Vec<Vec<usize>> = findings
        .iter()
        .map(|effect| {
            (0..findings.len())
                .filter(|&index| {
                    let cause = &findings[index];
                    cause.rule != effect.rule
                        && reach
                            .get(cause.rule.as_str())
                            .and_then(|reach| reach.get(&effect.rule))
                            .is_some_and(|same_host| !same_host || shares_host(cause, effect))
                })
                .collect()
        })
        .collect();
    // The nearest cause: one that other candidates explain in turn, not they it.
    let mut cause_of: Vec<Option<usize>> = candidates
        .iter()
        .enumerate()
        .map(|(effect, of)| {
            of.iter().copied().filter(|&cause| !candidates[cause].contains(&effect)).max_by_key(|&cause| {
                let explained = of.iter().filter(|other| candidates[cause].contains(other)).count();
                (explained, shares_host(&findings[cause], &findings[effect]), std::cmp::Reverse(cause))
            })
        })
        .collect();
    for start in 0..findings.len() {
        break_circle(start, &mut cause_of);
    }
    arrange(findings, &cause_of)
}

fn order_key(finding: &Finding) -> impl Ord + use<> {
    (
        std::cmp::Reverse(finding.severity),
        finding.hosts.clone(),
        finding.evidence.first().map(|evidence| evidence.origin.to_string()),
        finding.rule.clone(),
        finding.subject.clone(),
    )
}

fn shares_host(a: &Finding, b: &Finding) -> bool {
    a.hosts.iter().any(|host| b.hosts.contains(host))
}

/// Everything that a rule's condition causes. `id@cluster` reaches any host, and so does what follows from it.
fn reach(rule: &str, cards: &CardSet) -> Reach {
    let mut reached = Reach::new();
    let mut queue = VecDeque::from([(rule.to_owned(), true)]);
    while let Some((id, same_host)) = queue.pop_front() {
        let Some(card) = cards.get(&id) else { continue };
        for edge in &card.explains {
            let (target, cluster) = match edge.strip_suffix("@cluster") {
                Some(target) => (target, true),
                None => (edge.as_str(), false),
            };
            let same_host = same_host && !cluster;
            let known = reached.get(target).copied();
            if known.is_none() || (known == Some(true) && !same_host) {
                reached.insert(target.to_owned(), same_host);
                queue.push_back((target.to_owned(), same_host));
            }
        }
    }
    reached.remove(rule);
    reached
}

fn break_circle(start: usize, cause_of: &mut [Option<usize>]) {
    let mut seen = BTreeSet::from([start]);
    let mut at = start;
    while let Some(cause) = cause_of[at] {
        if !seen.insert(cause) {
            cause_of[at] = None;
            return;
        }
        at = cause;
    }
}

/// Roots by severity, then by how much they explain, then as they stood; each followed by its consequences.
fn arrange(findings: Vec<Finding>, cause_of: &[Option<usize>]) -> Vec<Finding> {
    let effects_of = |cause: usize| (0..findings.len()).filter(move |&effect| cause_of[effect] == Some(cause));
    fn weight(cause: usize, cause_of: &[Option<usize>]) -> usize {
        (0..cause_of.len())
            .filter(|&effect| cause_of[effect] == Some(cause))
            .map(|effect| 1 + weight(effect, cause_of))
            .sum()
    }
    let mut roots: Vec<usize> = (0..findings.len()).filter(|&index| cause_of[index].is_none()).collect();
    roots.sort_by_key(|&root| {
        (std::cmp::Reverse(findings[root].severity), std::cmp::Reverse(weight(root, cause_of)), root)
    });
    let mut order = Vec::with_capacity(findings.len());
    let mut stack: Vec<usize> = roots.into_iter().rev().collect();
    while let Some(index) = stack.pop() {
        order.push(index);
        let effects: Vec<usize> = effects_of(index).collect();
        stack.extend(effects.into_iter().rev());
    }
    let mut place = vec![0; findings.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old] = new;
    }
    let mut slots: Vec<Option<Finding>> = findings.into_iter().map(Some).collect();
    order
        .iter()
        .filter_map(|&old| {
            let mut finding = slots[old].take()?;
            finding.consequence_of = cause_of[old].map(|cause| place[cause]);
            Some(finding)
        })
        .collect()
}
