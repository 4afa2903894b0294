//! Which finding explains which. Cards say what their condition causes (`explains`); a finding whose cause is present is
//! its consequence, also over conditions between them that left no trace. What only the logs of other hosts report is the
//! consequence of what the files of one show (`id@logs`).

use std::collections::{BTreeMap, VecDeque};

use super::card_set::CardSet;
use crate::report::{EvidenceKind, Finding, Severity};

/// How far a condition reaches another one.
struct Reached {
    /// Only on the same host.
    same_host: bool,
    /// Named by the card itself, not only through others.
    direct: bool,
    /// The name of the cause's value that the effect has to speak of.
    about: Option<String>,
}

/// What a condition causes, directly or through others, by id.
type Reach = BTreeMap<String, Reached>;

/// Sets `consequence_of` and puts the findings in the report's order: a root cause, what follows from it, the next root.
pub fn explain(findings: Vec<Finding>, cards: &CardSet) -> Vec<Finding> {
    let mut findings = findings;
    // A stable order first, so that what is chosen below does not depend on the order of judging.
    let causes = causes_known(&findings, cards);
    findings.sort_by_cached_key(|finding| order_key(finding, &causes));
    let reach = reaches(&findings, cards);
    let candidates = candidates(&findings, &reach, cards);
    let reached = |cause: usize, effect: usize| reach.get(findings[cause].rule.as_str())?.get(&findings[effect].rule);
    let is_direct = |cause: usize, effect: usize| reached(cause, effect).is_some_and(|reached| reached.direct);
    // Both speak of the same value: that is more than a way over conditions that left no trace.
    let is_about_the_same = |cause: usize, effect: usize| {
        candidates[effect].contains(&cause)
            && reached(cause, effect).is_some_and(|reached| reached.about.is_some())
            && !is_direct(effect, cause)
    };
    // The nearest cause: one whose card names it, and that other candidates explain in turn, not they it.
    let mut cause_of: Vec<Option<usize>> = candidates
        .iter()
        .enumerate()
        .map(|(effect, of)| {
            // Of two that may each explain the other, what the files say explains what logs alone report.
            let is_cause = |&cause: &usize| {
                !candidates[cause].contains(&effect)
                    || is_about_the_same(cause, effect)
                    || (is_told_by_logs(&findings[effect]) && !is_told_by_logs(&findings[cause]))
            };
            of.iter().copied().filter(is_cause).filter(|&cause| !is_about_the_same(effect, cause)).max_by_key(
                |&cause| {
                    let explained = of.iter().filter(|other| candidates[cause].contains(other)).count();
                    (
                        is_direct(cause, effect),
                        explained,
                        shares_host(&findings[cause], &findings[effect]),
                        std::cmp::Reverse(cause),
                    )
                },
            )
        })
        .collect();
    for start in 0..findings.len() {
        break_circle(start, &mut cause_of, &is_direct);
    }
    arrange(findings, &cause_of)
}

/// For each finding all findings that explain it, the nearest cause and every other, by their places in the list.
pub fn explanations(findings: &[Finding], cards: &CardSet) -> Vec<Vec<usize>> {
    candidates(findings, &reaches(findings, cards), cards)
}

fn reaches<'a>(findings: &'a [Finding], cards: &CardSet) -> BTreeMap<&'a str, Reach> {
    findings.iter().map(|finding| (finding.rule.as_str(), reach(&finding.rule, cards))).collect()
}

fn candidates(findings: &[Finding], reach: &BTreeMap<&str, Reach>, cards: &CardSet) -> Vec<Vec<usize>> {
    let explains = |cause: &Finding, effect: &Finding| {
        // What is over, or only worth knowing, explains no alarm.
        let grave = cause.severity > Severity::Info || effect.severity == Severity::Info;
        let reached = reach.get(cause.rule.as_str()).and_then(|reach| reach.get(&effect.rule));
        let follows = cause.rule != effect.rule && reached.is_some_and(|reached| is_within(reached, cause, effect));
        grave && (follows || is_heard_of(cause, effect, cards))
    };
    let of = |effect| (0..findings.len()).filter(|&cause| explains(&findings[cause], effect)).collect();
    findings.iter().map(of).collect()
}

/// How many conditions have each finding's as their effect: what much leads to is seldom the root.
fn causes_known(findings: &[Finding], cards: &CardSet) -> BTreeMap<String, usize> {
    let mut known: BTreeMap<String, usize> = findings.iter().map(|finding| (finding.rule.clone(), 0)).collect();
    for edge in cards.iter().flat_map(|card| &card.explains) {
        if let Some(count) = known.get_mut(parts(edge).0) {
            *count += 1;
        }
    }
    known
}

fn order_key(finding: &Finding, causes: &BTreeMap<String, usize>) -> impl Ord + use<> {
    (
        std::cmp::Reverse(finding.severity),
        finding.hosts.clone(),
        finding.evidence.first().map(|evidence| evidence.origin.to_string()),
        causes.get(&finding.rule).copied(),
        finding.rule.clone(),
        finding.subject.clone(),
    )
}

fn shares_host(a: &Finding, b: &Finding) -> bool {
    a.hosts.iter().any(|host| b.hosts.contains(host))
}

/// Whether the logs of another host report what this finding saw in files, as its card says (`id@logs`).
fn is_heard_of(cause: &Finding, effect: &Finding, cards: &CardSet) -> bool {
    let is_named = cards
        .get(&cause.rule)
        .is_some_and(|card| card.explains.iter().any(|edge| is_of_logs(edge) && parts(edge).0 == effect.rule));
    let is_elsewhere = cause.hosts.iter().any(|host| !effect.hosts.contains(host));
    is_named && is_elsewhere && is_told_by_logs(effect) && !is_told_by_logs(cause)
}

fn is_told_by_logs(finding: &Finding) -> bool {
    !finding.evidence.is_empty() && finding.evidence.iter().all(|evidence| evidence.kind == EvidenceKind::Log)
}

/// Whether an effect is where its cause reaches, and about the same where that is asked for.
fn is_within(reached: &Reached, cause: &Finding, effect: &Finding) -> bool {
    if reached.same_host && !shares_host(cause, effect) {
        return false;
    }
    let Some(name) = &reached.about else { return true };
    let Some(value) = cause.values.get(name) else { return false };
    let places = effect.evidence.iter().filter_map(|evidence| evidence.origin.path());
    effect.values.values().map(String::as_str).chain(places).any(|text| speaks_of(text, value))
}

/// Whether a text holds a value as a word of its own: `10.0.0.1` is not in `https://10.0.0.11:2380`.
fn speaks_of(text: &str, value: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.');
    !value.is_empty()
        && text
            .match_indices(value)
            .any(|(at, found)| ends(text[..at].chars().next_back()) && ends(text[at + found.len()..].chars().next()))
}

/// An entry of `explains` in its parts: the id, whether any host is reached, and the value that both speak of.
pub(super) fn parts(edge: &str) -> (&str, bool, Option<&str>) {
    let (edge, about) = edge.split_once('#').map_or((edge, None), |(edge, about)| (edge, Some(about)));
    match edge.strip_suffix("@cluster").or_else(|| edge.strip_suffix("@logs")) {
        Some(id) => (id, true, about),
        None => (edge, false, about),
    }
}

/// Whether an entry reaches only what the logs of other hosts tell: `pki-expired@logs`.
pub(super) fn is_of_logs(edge: &str) -> bool {
    edge.ends_with("@logs")
}

/// Whether a rule's condition causes another one's on the same host, directly or through others.
pub(super) fn leads_to(rule: &str, effect: &str, cards: &CardSet) -> bool {
    reach(rule, cards).get(effect).is_some_and(|reached| reached.about.is_none())
}

/// Everything that a rule's condition causes. `id@cluster` reaches any host, and so does what follows from it. What is
/// reached for one value alone (`id#value`) leads no further.
fn reach(rule: &str, cards: &CardSet) -> Reach {
    let mut reached = Reach::new();
    let mut queue = VecDeque::from([(rule.to_owned(), true)]);
    while let Some((id, same_host)) = queue.pop_front() {
        let Some(card) = cards.get(&id) else { continue };
        for edge in card.explains.iter().filter(|edge| !is_of_logs(edge)) {
            let (target, cluster, about) = parts(edge);
            let direct = id == rule;
            if about.is_some() && !direct {
                continue;
            }
            let same_host = same_host && !cluster;
            let known = reached.get(target);
            if known.is_none_or(|known| (known.same_host && !same_host) || (known.about.is_some() && about.is_none())) {
                let direct = direct || known.is_some_and(|known| known.direct);
                reached.insert(target.to_owned(), Reached { same_host, direct, about: about.map(str::to_owned) });
                if about.is_none() {
                    queue.push_back((target.to_owned(), same_host));
                }
            }
        }
    }
    reached.remove(rule);
    reached
}

/// Breaks the circle that is reached from `start`, where one is: at a cause that is only assumed, over conditions that left no
/// trace, before one that a card names.
fn break_circle(start: usize, cause_of: &mut [Option<usize>], is_direct: &impl Fn(usize, usize) -> bool) {
    let mut way = vec![start];
    let mut at = start;
    while let Some(cause) = cause_of[at] {
        if let Some(first) = way.iter().position(|&seen| seen == cause) {
            let circle = &way[first..];
            let assumed = |&&effect: &&usize| cause_of[effect].is_some_and(|cause| !is_direct(cause, effect));
            let weakest = circle.iter().find(assumed).copied().unwrap_or(at);
            cause_of[weakest] = None;
            return;
        }
        way.push(cause);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_parts() {
        assert_eq!(parts("etcd-not-running"), ("etcd-not-running", false, None));
        assert_eq!(parts("node-not-ready@cluster"), ("node-not-ready", true, None));
        assert_eq!(parts("pki-expired@logs"), ("pki-expired", true, None));
        assert_eq!(parts("pki-san-missing@cluster#address"), ("pki-san-missing", true, Some("address")));
    }

    #[test]
    fn a_value_is_a_word_of_its_own() {
        for (text, value, expected) in [
            ("https://10.0.0.1:2380", "10.0.0.1", true),
            ("https://10.0.0.11:2380", "10.0.0.1", false),
            ("DNS:m1,IP:10.0.0.1", "10.0.0.1", true),
            ("110.0.0.1", "10.0.0.1", false),
            ("10.0.0.11 10.0.0.1", "10.0.0.1", true),
            ("/etc/systemd/system/etcd.service", "/etc/systemd/system/etcd.service", true),
            ("/etc/systemd/system/etcd.service.d/a.conf", "/etc/systemd/system/etcd.service", false),
            ("anything", "", false),
        ] {
            assert_eq!(speaks_of(text, value), expected, "{value} in {text}");
        }
    }

    fn finding(rule: &str, values: &[(&str, &str)]) -> Finding {
        Finding {
            rule: rule.to_owned(),
            severity: Severity::Error,
            component: String::new(),
            title: String::new(),
            hosts: vec!["w1".to_owned()],
            subject: None,
            evidence: Vec::new(),
            notes: Vec::new(),
            fix: None,
            verify: Vec::new(),
            confidence: crate::report::Confidence::High,
            consequence_of: None,
            values: values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            suppressed: None,
        }
    }

    #[test]
    fn of_two_that_may_explain_each_other_the_one_about_the_same_value_does() {
        let cards = CardSet::builtin(crate::engine::Language::English).unwrap();
        let docker = || finding("docker-not-running", &[("unit", "docker.service")]);
        let etcd = || finding("etcd-not-running", &[]);
        let needed = || finding("flannel-etcd-unreachable", &[("dependent", "docker.service")]);
        let alone = || finding("flannel-etcd-unreachable", &[]);
        let endpoint = || finding("etcd-endpoint-unreachable", &[]);
        let kubelet = || finding("kubelet-not-running", &[]);
        for (findings, expected) in [
            // docker is started with flannel, whose endpoint is wrong.
            (vec![docker(), needed()], vec![("flannel-etcd-unreachable", None), ("docker-not-running", Some(0))]),
            // The kubelet needs docker too; that it would run etcd is only assumed.
            (
                vec![docker(), needed(), endpoint(), kubelet()],
                vec![
                    ("etcd-endpoint-unreachable", None),
                    ("flannel-etcd-unreachable", Some(0)),
                    ("docker-not-running", Some(1)),
                    ("kubelet-not-running", Some(2)),
                ],
            ),
            // It is not: etcd may run in docker, unseen.
            (vec![docker(), alone()], vec![("docker-not-running", None), ("flannel-etcd-unreachable", Some(0))]),
            (
                vec![docker(), alone(), etcd()],
                vec![
                    ("docker-not-running", None),
                    ("etcd-not-running", Some(0)),
                    ("flannel-etcd-unreachable", Some(1)),
                ],
            ),
        ] {
            let explained = explain(findings, &cards);
            let shape: Vec<_> = explained.iter().map(|it| (it.rule.as_str(), it.consequence_of)).collect();
            assert_eq!(shape, expected);
        }
    }
}
