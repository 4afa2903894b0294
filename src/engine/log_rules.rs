//! From what the scanner matched to drafts of findings.

use super::card::{Card, Detect};
use super::condition::{FactsDocument, holds_for_log};
use super::verdict::{Draft, Outcome, Verdict};
use crate::facts::Host;
use crate::facts::component::Component;
use crate::facts::log::{LogHit, QUIET};
use crate::logs::{LogPattern, attribute_path};
use crate::origin::{Origin, Unknown};
use crate::report::{Confidence, Evidence, EvidenceKind, Severity};
use crate::rules::support::unit_of;
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
        // No count is enough, and of an excerpt none is asked.
        min_count: if rule.last_resort { Some(u64::MAX) } else { rule.min_count },
        ended_by: rule.ended_by.clone(),
        ignore_if_ended_seconds: rule.ended_within,
        repeats_seconds: rule.repeats,
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
        if (rule.hint || rule.last_resort) && host.kind != SourceKind::File {
            continue;
        }
        if rule.beside {
            verdict.beside.push(evidence(host, hit));
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
            Some(Refined::KeepOn { hosts, values }) => {
                draft = draft.hosts(hosts);
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
        let ended = hit.ongoing == Some(false) || is_quiet_again(host, hit, rule.repeats);
        if host.kind != SourceKind::File && (ended || once) && !rule.lasting {
            draft.over = true;
        }
        draft.brief = hit.brief || rule.hint;
        draft.last_resort = rule.last_resort;
        if draft.brief {
            draft.confidence = Some(Confidence::Low);
        }
        let mut evidence = evidence(host, hit);
        if let Some(occurrences) = evidence.occurrences.as_mut().filter(|_| ended) {
            occurrences.ongoing = Some(false);
        }
        verdict.fail(draft.evidence(evidence));
    }
    if verdict.drafts.is_empty()
        && verdict.passes > 0
        && let Some(unknown) = unfinished(card, host)
    {
        verdict.unknown(unknown);
        return;
    }
    // What its logs are silent of did not happen, when the card has no other way to know: nothing could be asked.
    // Several hosts are compared by what was asked, too.
    let knows_otherwise = card.detect.contains(&Detect::Files)
        || card.detect.contains(&Detect::Cluster) && !card.detect.contains(&Detect::Live);
    if found || knows_otherwise || verdict.outcome() != Outcome::NotApplicable {
        return;
    }
    match unread(card, host) {
        Some(unknown) => verdict.unknown(unknown),
        None if !host.logs.scanned.is_empty() => verdict.pass(),
        None => {}
    }
}

/// What a host's log says, as evidence.
fn evidence(host: &Host, hit: &LogHit) -> Evidence {
    let first = hit.lines.first();
    let origin = match first {
        Some(line) => Origin::file(line.path.as_str(), None),
        None => Origin::answer("the logs"),
    };
    let label = first.map(|line| line.text.clone()).unwrap_or_default();
    let mut evidence = Evidence::new(EvidenceKind::Log, &host.name, origin, label);
    evidence.occurrences = Some(hit.occurrences());
    evidence
}

/// Kernel ticks in a second, as every Linux counts them in /proc/PID/stat.
const TICKS: u64 = 100;

/// A program that has nothing to complain of may write nothing at all, so that its complaint stays its log's last line. Where
/// it has run for twice the longest pause between the complaints, and the host's other logs went on for as long after the
/// last one, it is over. The card may say how often it comes (`repeats`). So is what came too seldom to tell, when the program
/// was started again after it and stays.
fn is_quiet_again(host: &Host, hit: &LogHit, repeats: Option<u64>) -> bool {
    let repeats = repeats.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let usual = hit.pause.max(repeats);
    let limit = match (usual, repeats) {
        (Some(usual), Some(_)) => usual.saturating_mul(2),
        (Some(usual), None) => (QUIET / 2).max(usual.saturating_mul(2)),
        // What ended a program once, and it has been up since, is not what it does again and again.
        (None, _) if hit.count == 1 => QUIET,
        (None, _) => QUIET.saturating_mul(2),
    };
    let Some(quiet) = hit.quiet_seconds(&host.logs).filter(|quiet| *quiet > limit) else { return false };
    let (Ok(uptime), Ok(processes)) = (&host.system.uptime_seconds, &host.system.processes) else { return false };
    // systemd speaks of a unit, and the unit's program is the one that has run on.
    let is_of_unit = |component: &Component| {
        let unit = component.layers.iter().find_map(unit_of);
        let speaks_of = |unit: &str| hit.lines.iter().any(|line| line.text.contains(&format!("{unit}: ")));
        hit.component.as_deref() == Some("systemd") && unit.is_some_and(speaks_of)
    };
    let is_meant =
        |component: &&Component| hit.component.as_deref() == Some(component.name.name()) || is_of_unit(component);
    let named = host.components.iter().filter(is_meant);
    let pids: Vec<u32> = named.filter_map(|component| component.pid).collect();
    processes.iter().filter(|process| pids.contains(&process.pid)).any(|process| {
        let age = process.started_ticks.map(|ticks| uptime.saturating_sub(ticks / TICKS));
        age.and_then(|age| i64::try_from(age).ok()).is_some_and(|age| age > limit && (usual.is_some() || age <= quiet))
    })
}

/// A log that is there, could not be read, or not to its end for want of time, and might hold what the card looks for.
fn unread(card: &Card, host: &Host) -> Option<Unknown> {
    // Of /var/log itself and of the journal it says what the host has none of, or what is too old to be asked for.
    left_out(card, host, |path| {
        host.logs.unfinished.contains(path)
            || path.starts_with('/') && path != "/var/log" && host.logs.scanned.iter().all(|log| log.path != *path)
    })
}

/// A log that there was no time for, and that might hold what the card looks for.
fn unfinished(card: &Card, host: &Host) -> Option<Unknown> {
    left_out(card, host, |path| host.logs.unfinished.contains(path))
}

fn left_out(card: &Card, host: &Host, is_meant: impl Fn(&str) -> bool) -> Option<Unknown> {
    let may_write = |program: &str| {
        card.logs.iter().any(|rule| rule.components.is_empty() || rule.components.iter().any(|it| it == program))
    };
    host.logs
        .left_out
        .iter()
        .filter(|(path, _)| is_meant(path))
        .find(|(path, _)| !attribute_path(path).is_some_and(|wrote| wrote.certain && !may_write(&wrote.program)))
        .map(|(path, why)| Unknown::new(path.as_str(), why.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::facts::component::{ComponentName, Layer, LayerKind};
    use crate::facts::system::Process;

    /// A host that was looked at `quiet` seconds after the message, with an apiserver that has run for `age` seconds.
    fn host(quiet: i64, age: u64) -> Host {
        let mut host = Host::empty("m1");
        host.system.uptime_seconds = Ok(100_000);
        host.system.processes = Ok(vec![Process {
            pid: 7,
            comm: "kube-apiserver".to_owned(),
            exe: None,
            argv: Vec::new(),
            cwd: None,
            environment: BTreeMap::new(),
            network_namespace: None,
            started_ticks: Some((100_000 - age) * TICKS),
            stopped: false,
        }]);
        let mut apiserver = Component::new(ComponentName::KubeApiserver);
        apiserver.pid = Some(7);
        host.components.push(apiserver);
        let last: jiff::Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        host.logs.looked_at = Some(last + jiff::SignedDuration::from_secs(quiet));
        host
    }

    fn hit(pause: Option<i64>) -> LogHit {
        LogHit {
            rule: "a".to_owned(),
            pattern: 0,
            component: Some("kube-apiserver".to_owned()),
            captures: BTreeMap::new(),
            count: 9,
            first: None,
            last: Some("2026-11-21T09:00:00Z".to_owned()),
            ongoing: Some(true),
            pause,
            restarts: 0,
            restarted: BTreeMap::new(),
            lines: Vec::new(),
            seconds: Default::default(),
            brief: false,
        }
    }

    #[test]
    fn a_program_that_runs_on_in_silence_has_nothing_to_complain_of() {
        for (what, pause, repeats, quiet, age, over) in [
            ("it runs since before", Some(5), None, 100, 5000, true),
            ("it was started again", Some(5), None, 100, 90, true),
            ("not for long enough", Some(5), None, 25, 5000, false),
            ("the pauses were as long", Some(60), None, 100, 5000, false),
            ("it has just been started, again and again", Some(5), None, 100, 20, false),
            ("rare, and started again", None, None, 300, 290, true),
            ("rare, and it runs since before", None, None, 300, 5000, false),
            ("rare, and not for long", None, None, 100, 90, false),
            ("it would have said so again", None, Some(10), 25, 5000, true),
            ("it may yet say so again", None, Some(10), 15, 5000, false),
            ("it has paused for longer", Some(60), Some(10), 100, 5000, false),
            ("it would have said so, and has just been started", None, Some(10), 25, 15, false),
        ] {
            assert_eq!(is_quiet_again(&host(quiet, age), &hit(pause), repeats), over, "{what}");
        }
        for (what, quiet, age, over) in [
            ("it ended once, and was started again", 70, 65, true),
            ("it ended once, and has just been started again", 70, 30, false),
        ] {
            let once = LogHit { count: 1, ..hit(None) };
            assert_eq!(is_quiet_again(&host(quiet, age), &once, None), over, "{what}");
        }
        // Of systemd's words of a unit the unit's own program shows that they are over.
        let of_unit = |name: &str| LogHit {
            component: Some("systemd".to_owned()),
            lines: vec![crate::report::LogLine {
                path: "journal".to_owned(),
                line: 1,
                text: format!("m1 systemd[1]: {name}: Main process exited, code=exited, status=1/FAILURE"),
                matter: 0..0,
            }],
            ..hit(Some(5))
        };
        let mut started = host(100, 90);
        let unit = Origin::file("/etc/systemd/system/kube-apiserver.service", None);
        started.components[0].layers.push(Layer {
            kind: LayerKind::Unit,
            origin: unit,
            flags: BTreeMap::new(),
            spelt: Vec::new(),
            arguments: Vec::new(),
            image: None,
        });
        assert!(is_quiet_again(&started, &of_unit("kube-apiserver.service"), None));
        assert!(!is_quiet_again(&started, &of_unit("etcd.service"), None));
        let mut dead = host(300, 5000);
        dead.components.clear();
        assert!(!is_quiet_again(&dead, &hit(Some(5)), Some(5)), "what it said last is why it ended");
    }
}
