//! Evidence that is no text to underline: log messages, processes, answers.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Context;
use super::words::Words;
use crate::origin::{Origin, Place};
use crate::render::text::{cut_message, escape};
use crate::report::{Evidence, EvidenceKind, Finding, Occurrences, Severity};

/// A note below the source lines: its word (`note`, `log`), and its text.
pub type Note = (String, String);

/// Log lines that are shown of one message with --verbose.
const LINES: usize = 3;

impl Context<'_> {
    /// What a log says, how often and since when.
    pub fn log_note(&self, finding: &Finding, evidence: &Evidence) -> Note {
        let words = self.words;
        let values: Vec<&str> = evidence_values(finding);
        let first = evidence.occurrences.iter().flat_map(|all| &all.lines).find(|line| line.text == evidence.label);
        let matter = first.map_or(0..0, |line| line.matter.clone());
        let message = escape(&cut_message(&evidence.label, &values, matter));
        let mut lines = Vec::new();
        let place = log_place(evidence);
        let host = escape(&evidence.host);
        let who = place.as_deref().and_then(program_of_log);
        lines.push(match (who, words.chinese()) {
            (Some(program), false) => format!("{} on {host} says \"{message}\"", escape(program)),
            (None, false) => format!("on {host}: \"{message}\""),
            (Some(program), true) => format!("{host} 上的 {}：“{message}”", escape(program)),
            (None, true) => format!("{host}：“{message}”"),
        });
        let mut facts = Vec::new();
        facts.extend(place.as_deref().map(escape));
        if let Some(occurrences) = &evidence.occurrences {
            facts.extend(times(words, occurrences, &self.report.at, finding.severity));
        }
        if !facts.is_empty() {
            lines.push(facts.join(words.comma()));
        }
        if self.options.verbose
            && let Some(occurrences) = &evidence.occurrences
        {
            for line in occurrences.lines.iter().take(LINES).filter(|line| line.text != evidence.label) {
                let text = escape(&cut_message(&line.text, &values, line.matter.clone()));
                lines.push(format!("{}:{}: {text}", escape(&line.path), line.line));
            }
        }
        (words.pick("log", "日志").to_owned(), lines.join("\n"))
    }

    /// A process, an answer, a default or a file without a text at hand.
    pub fn plain_note(&self, evidence: &Evidence) -> Note {
        let words = self.words;
        let word = match evidence.kind {
            EvidenceKind::Process => words.pick("process", "进程"),
            EvidenceKind::Probe => words.pick("probe", "探测"),
            EvidenceKind::Cluster => words.pick("compared", "对比"),
            EvidenceKind::Log => words.pick("log", "日志"),
            EvidenceKind::File => words.pick("note", "说明"),
        };
        let host = escape(&evidence.host);
        let label = escape(&evidence.label);
        let place = escape(&Origin { place: evidence.origin.place.clone(), via: None }.to_string());
        let place = match (&evidence.origin.place, words.chinese()) {
            (Place::File { .. }, _) => format!("{host}:{place}"),
            (Place::Process { pid, name, .. }, false) => format!("{} (pid {pid}) on {host}", escape(name)),
            (Place::Process { pid, name, .. }, true) => format!("{host} 上的 {}（pid {pid}）", escape(name)),
            (Place::Answer { .. }, false) => format!("{place}, from {host}"),
            (Place::Answer { .. }, true) => format!("{place}（来自 {host}）"),
            (Place::Default { .. }, false) => format!("{place} on {host}"),
            (Place::Default { of }, true) => format!("{host} 上 {} 的默认值", escape(of)),
        };
        let text = if label.is_empty() { place } else { format!("{place}: {label}") };
        (word.to_owned(), text)
    }
}

/// The values of a finding, longest first, to cut long lines around.
fn evidence_values(finding: &Finding) -> Vec<&str> {
    let mut values: Vec<&str> = finding.subject.iter().chain(finding.values.values()).map(String::as_str).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

/// `path:line` of a log's first line.
fn log_place(evidence: &Evidence) -> Option<String> {
    let first = evidence.occurrences.as_ref().and_then(|occurrences| occurrences.lines.first());
    match (first, &evidence.origin.place) {
        (Some(line), _) if line.line > 0 => Some(format!("{}:{}", line.path, line.line)),
        (Some(line), _) => Some(line.path.clone()),
        (None, Place::File { .. }) => Some(Origin { place: evidence.origin.place.clone(), via: None }.to_string()),
        (None, _) => None,
    }
}

/// The program that wrote a log, when the path says so: a container's name in the kubelet's folder for pod logs.
fn program_of_log(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/var/log/pods/") {
        return rest.split('/').nth(1);
    }
    let rest = path.strip_prefix("/var/log/containers/")?;
    // POD_NAMESPACE_CONTAINER-ID.log
    let (_, container) = rest.rsplit_once('_')?;
    container.split_once(".log")?.0.rsplit_once('-').map(|(name, _)| name)
}

/// `5 times since 09:45:12, last 09:46:40 UTC, still failing`.
fn times(words: Words, occurrences: &Occurrences, at: &str, severity: Severity) -> Vec<String> {
    let mut facts = Vec::new();
    let first = occurrences.first.as_deref().map(|time| clock(time, at));
    let last = occurrences.last.as_deref().map(|time| clock(time, at));
    let count = occurrences.count;
    match (first, last, words.chinese()) {
        (Some(first), Some(last), false) if count > 1 && first != last => {
            facts.push(format!("{count} times since {first}"));
            facts.push(format!("last {last} UTC"));
        }
        (Some(first), Some(last), true) if count > 1 && first != last => {
            facts.push(format!("自 {first} 起共 {count} 次"));
            facts.push(format!("最近一次 {last} UTC"));
        }
        (Some(time), _, false) | (None, Some(time), false) if count > 1 => {
            facts.push(format!("{count} times at {time} UTC"));
        }
        (Some(time), _, true) | (None, Some(time), true) if count > 1 => {
            facts.push(format!("{time} UTC 共 {count} 次"));
        }
        (Some(time), _, false) | (None, Some(time), false) => facts.push(format!("once, at {time} UTC")),
        (Some(time), _, true) | (None, Some(time), true) => facts.push(format!("{time} UTC 一次")),
        (None, None, false) if count == 1 => facts.push("once".to_owned()),
        (None, None, false) => facts.push(format!("{count} times")),
        (None, None, true) => facts.push(format!("{count} 次")),
    }
    if let Some(rate) = occurrences.per_minute().filter(|rate| *rate >= 10.0) {
        facts.push(match words.chinese() {
            false => format!("{rate:.0} a minute"),
            true => format!("每分钟 {rate:.0} 次"),
        });
    }
    match occurrences.ongoing {
        Some(true) if severity == Severity::Error => facts.push(words.pick("still failing", "仍在发生").to_owned()),
        Some(true) => facts.push(words.pick("still going on", "仍在发生").to_owned()),
        Some(false) => facts.push(words.pick("not seen since", "此后未再出现").to_owned()),
        None => {}
    }
    facts.extend(occurrences.restarted.iter().map(|(program, count)| restarted(words, program, *count)));
    facts
}

/// What started again between the first and the last time.
fn restarted(words: Words, program: &str, count: u64) -> String {
    let times = words.count(count.try_into().unwrap_or(usize::MAX), "time", "times", "次");
    match (program, words.chinese()) {
        ("kernel", false) => format!("the host booted {times} meanwhile"),
        ("kernel", true) => format!("其间主机启动 {times}"),
        (program, false) => format!("{} started {times} meanwhile", escape(program)),
        (program, true) => format!("其间 {} 启动 {times}", escape(program)),
    }
}

/// The time of day in UTC; with the date when that is not the report's.
fn clock(time: &str, at: &str) -> String {
    let Ok(moment) = time.parse::<Timestamp>() else { return escape(time) };
    let moment = moment.to_zoned(TimeZone::UTC);
    let same_day = at.parse::<Timestamp>().is_ok_and(|at| at.to_zoned(TimeZone::UTC).date() == moment.date());
    moment.strftime(if same_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::Language;

    #[test]
    fn names_the_program_that_wrote_a_pod_log() {
        for (path, program) in [
            ("/var/log/pods/kube-system_etcd-m2_9a8b/etcd/4.log:9", Some("etcd")),
            ("/var/log/containers/etcd-m2_kube-system_etcd-0123abcd.log:1", Some("etcd")),
            ("/var/log/containers/x_ns_kube-apiserver-0123.log", Some("kube-apiserver")),
            ("/var/log/syslog:9", None),
            ("/var/log/containers/odd", None),
        ] {
            assert_eq!(program_of_log(path), program, "{path}");
        }
    }

    #[test]
    fn says_when_and_how_often() {
        let at = "2024-05-02T10:00:00Z";
        for (count, first, last, ongoing, expected) in [
            (
                5,
                Some("2024-05-02T09:45:12Z"),
                Some("2024-05-02T09:46:40.5Z"),
                Some(true),
                "5 times since 09:45:12, last 09:46:40 UTC, still failing",
            ),
            (
                2,
                Some("2024-05-01T09:45:12Z"),
                Some("2024-05-02T09:46:40Z"),
                Some(false),
                "2 times since 2024-05-01 09:45:12, last 09:46:40 UTC, not seen since",
            ),
            (3, Some("2024-05-02T09:45:12Z"), Some("2024-05-02T09:45:12Z"), None, "3 times at 09:45:12 UTC"),
            (1, Some("2024-05-02T09:45:12+02:00"), None, None, "once, at 07:45:12 UTC"),
            (1, None, None, None, "once"),
            (7, None, None, Some(true), "7 times, still failing"),
            (1, Some("\x1b[1mhm"), None, None, "once, at \\x1b[1mhm UTC"),
        ] {
            let occurrences = Occurrences {
                count,
                first: first.map(str::to_owned),
                last: last.map(str::to_owned),
                ongoing,
                ..Occurrences::default()
            };
            let words = Words { language: Language::English };
            assert_eq!(times(words, &occurrences, at, Severity::Error).join(", "), expected);
        }
        let busy = Occurrences {
            count: 91,
            first: Some("2024-05-02T09:45:00Z".to_owned()),
            last: Some("2024-05-02T09:48:00Z".to_owned()),
            restarted: BTreeMap::from([("etcd".to_owned(), 4), ("kernel".to_owned(), 1)]),
            ..Occurrences::default()
        };
        let words = Words { language: Language::English };
        assert_eq!(
            times(words, &busy, at, Severity::Error).join(", "),
            "91 times since 09:45:00, last 09:48:00 UTC, 30 a minute, etcd started 4 times meanwhile, \
             the host booted 1 time meanwhile"
        );
    }
}
