//! Folds the events of a host's logs to moments for a timeline: repeats of one event are one moment with their number.
//!
//! Events come from several logs at once, each log's own in order. What is kept is bounded, whatever the logs hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::input::{EventKind, LogEvent};
use super::job;
use super::time::Stamp;
use crate::report::LogLine;

/// Repeats with longer pauses, in seconds, are moments of their own. Longer than kubelet's longest back-off.
const PAUSE: i64 = 360;
/// Starts of a program within so many seconds are one: the unit's, and what the program says of it.
const SAME_START: i64 = 5;
/// Groups of one pattern that differ in what was captured; more are counted together, without captures.
const GROUPS: usize = 200;
/// Moments of one group in one log; later repeats are counted with the last.
const RUNS: usize = 64;
const STARTS: usize = 4096;
/// Groups of all logs; more are only counted.
const TOTAL: usize = 50_000;

type Captures = Arc<BTreeMap<String, String>>;

/// One event and its repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    pub kind: MomentKind,
    /// Who wrote it; of a start, who started.
    pub program: Option<String>,
    /// Of the first and the last repeat; none when the lines say nothing of it.
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
    /// Lines that two logs both have are counted once.
    pub count: u64,
    /// The first of them.
    pub line: LogLine,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MomentKind {
    Message {
        rule: String,
        /// Index of the pattern in its card.
        pattern: usize,
        captures: BTreeMap<String, String>,
    },
    Start,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// None for starts.
    pattern: Option<u32>,
    program: Option<Arc<str>>,
    captures: Captures,
}

#[derive(Debug)]
struct Group {
    rule: String,
    /// Index in the card.
    pattern: usize,
    /// By log.
    runs: HashMap<Arc<str>, Vec<Run>>,
}

#[derive(Debug, Clone)]
struct Run {
    first: Option<Stamp>,
    last: Option<Stamp>,
    own: u64,
    /// By the kind of log whose lines others have as well.
    copies: BTreeMap<String, u64>,
    line: LogLine,
}

impl Run {
    fn count(&self) -> u64 {
        self.own + self.copies.values().max().copied().unwrap_or(0)
    }

    fn is_near(&self, time: Option<Stamp>, pause: i64) -> bool {
        match (self.last, time) {
            (Some(last), Some(time)) => last.absolute == time.absolute && time.seconds_since(last) <= pause,
            (None, None) => true,
            _ => false,
        }
    }

    fn join(&mut self, later: Run) {
        self.last = self.last.max(later.last);
        self.own += later.own;
        for (name, count) in later.copies {
            *self.copies.entry(name).or_default() += count;
        }
    }
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Key, Group>,
    of_pattern: HashMap<u32, usize>,
    paths: HashMap<String, Arc<str>>,
    dropped: u64,
}

/// Takes events of one host.
#[derive(Debug, Default)]
pub struct TimelineFold {
    state: Mutex<State>,
}

impl TimelineFold {
    pub fn add(&self, event: LogEvent<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.add(event);
    }

    /// The moments in the order of their times, those without at the end; and the number of events beyond what is kept.
    pub fn finish(self) -> (Vec<Moment>, u64) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let dropped = state.dropped;
        let mut moments: Vec<Moment> = state.groups.into_iter().flat_map(|(key, group)| moments(key, group)).collect();
        moments.sort_by(|a, b| order(a).cmp(&order(b)));
        (moments, dropped)
    }
}

/// Place in the timeline: by time, what has none at the end.
fn order(moment: &Moment) -> (bool, Option<Stamp>, &str, u64, bool) {
    let absolute = moment.first.filter(|time| time.absolute);
    let is_start = moment.kind == MomentKind::Start;
    (absolute.is_none(), moment.first, &moment.line.path, moment.line.line, !is_start)
}

impl State {
    fn add(&mut self, event: LogEvent<'_>) {
        let (pattern, rule, place, captures) = match event.kind {
            EventKind::Message { index, pattern, captures } => {
                (Some(index), pattern.rule.as_str(), pattern.index, captures.clone())
            }
            EventKind::Start => (None, "", 0, Captures::default()),
        };
        let mut key = Key { pattern, program: event.program.cloned(), captures };
        if !self.groups.contains_key(&key) {
            let known = self.of_pattern.entry(pattern.unwrap_or(u32::MAX)).or_default();
            if *known >= GROUPS {
                key.captures = Captures::default();
            }
            *known += 1;
            if self.groups.len() >= TOTAL && !self.groups.contains_key(&key) {
                self.dropped += 1;
                return;
            }
        }
        let path = match self.paths.get(event.path) {
            Some(path) => path.clone(),
            None => self.paths.entry(event.path.to_owned()).or_insert_with(|| event.path.into()).clone(),
        };
        let pause = if pattern.is_some() { PAUSE } else { SAME_START };
        let group = self.groups.entry(key);
        let group = group.or_insert_with(|| Group { rule: rule.to_owned(), pattern: place, runs: HashMap::new() });
        let runs = group.runs.entry(path).or_default();
        let is_full = runs.len() >= if pattern.is_some() { RUNS } else { STARTS };
        match runs.last_mut().filter(|run| is_full || run.is_near(event.time, pause)) {
            Some(run) => {
                run.last = run.last.max(event.time);
                match run.copies.values_mut().next() {
                    Some(count) => *count += 1,
                    None => run.own += 1,
                }
            }
            None => {
                let copy = job::copy_of(event.path);
                runs.push(Run {
                    first: event.time,
                    last: event.time,
                    own: u64::from(copy.is_none()),
                    copies: copy.map(|name| (name, 1)).into_iter().collect(),
                    line: event.line(),
                });
            }
        }
    }
}

fn moments(key: Key, group: Group) -> Vec<Moment> {
    let pause = if key.pattern.is_some() { PAUSE } else { SAME_START };
    let mut runs: Vec<Run> = group.runs.into_values().flatten().collect();
    runs.sort_by(|a, b| (a.first, &a.line.path, a.line.line).cmp(&(b.first, &b.line.path, b.line.line)));
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut().filter(|known| known.is_near(run.first, pause)) {
            Some(known) => known.join(run),
            None => joined.push(run),
        }
    }
    let kind = match key.pattern {
        Some(_) => MomentKind::Message { rule: group.rule, pattern: group.pattern, captures: (*key.captures).clone() },
        None => MomentKind::Start,
    };
    if key.pattern.is_none() {
        // A start is one, however many lines say so; those of a loop are one moment.
        let mut loops: Vec<Run> = Vec::new();
        for mut start in joined {
            (start.own, start.copies) = (1, BTreeMap::new());
            match loops.last_mut().filter(|known| known.is_near(start.first, PAUSE)) {
                Some(known) => known.join(start),
                None => loops.push(start),
            }
        }
        joined = loops;
    }
    joined
        .into_iter()
        .map(|run| Moment {
            kind: kind.clone(),
            program: key.program.as_deref().map(str::to_owned),
            first: run.first,
            last: run.last,
            count: run.count(),
            line: run.line,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{LogInput, LogPattern, ScanOptions, Scanner};

    fn timeline(logs: &[(&str, &str)]) -> Vec<(String, String, u64)> {
        let pattern = LogPattern {
            rule: "dial".to_owned(),
            pattern: r"dial tcp (?P<address>\S+): connection refused".to_owned(),
            ..LogPattern::default()
        };
        let scanner = Scanner::new(vec![pattern]).unwrap();
        let fold = TimelineFold::default();
        let inputs = logs
            .iter()
            .map(|(path, text)| LogInput::new(*path, Box::new(std::io::Cursor::new(text.as_bytes().to_vec()))))
            .collect();
        let options = ScanOptions { at: "2026-11-21T12:00:00Z".parse().unwrap(), ..ScanOptions::default() };
        scanner.scan_events(inputs, &options, Some(&|event| fold.add(event)));
        let (moments, dropped) = fold.finish();
        assert_eq!(dropped, 0);
        let shown = |moment: Moment| {
            let what = match &moment.kind {
                MomentKind::Message { captures, .. } => captures["address"].clone(),
                MomentKind::Start => format!("{} starts", moment.program.as_deref().unwrap_or("?")),
            };
            let time = moment.first.and_then(Stamp::rfc3339).unwrap_or_default();
            (time.get(11..19).unwrap_or("").to_owned(), what, moment.count)
        };
        moments.into_iter().map(shown).collect()
    }

    fn owned(expected: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
        expected.iter().map(|(time, what, count)| ((*time).to_owned(), (*what).to_owned(), *count)).collect()
    }

    #[test]
    fn merges_logs_by_time_and_folds_repeats() {
        let line =
            |time: &str, to: &str| format!("2026-11-21T{time}Z m1 kubelet[1]: dial tcp {to}: connection refused\n");
        let kubelet =
            line("10:00:00", "a:1") + &line("10:00:10", "b:2") + &line("10:05:00", "a:1") + &line("11:00:00", "a:1");
        let etcd = "2026-11-21 10:00:05.000000 I | etcdmain: etcd Version: 3.3.10\n";
        let found = timeline(&[("/var/log/kubelet.log", &kubelet), ("/var/log/etcd.log", etcd)]);
        let expected =
            [("10:00:00", "a:1", 2), ("10:00:05", "etcd starts", 1), ("10:00:10", "b:2", 1), ("11:00:00", "a:1", 1)];
        assert_eq!(found, owned(&expected));
    }

    #[test]
    fn a_line_that_two_logs_have_is_counted_once() {
        let line = "2026-11-21T10:00:00Z m1 kubelet[1]: dial tcp a:1: connection refused\n".repeat(3);
        let found =
            timeline(&[("/var/log/syslog", &line), ("/var/log/messages", &line), ("/var/log/kubelet.log", &line)]);
        assert_eq!(found, owned(&[("10:00:00", "a:1", 6)]));
    }

    #[test]
    fn starts_of_a_loop_are_one_moment() {
        let log = "2026-11-21T10:00:00Z m1 systemd[1]: Started etcd.service\n\
            2026-11-21T10:00:02Z m1 etcd[9]: etcd Version: 3.3.10\n2026-11-21T10:01:00Z m1 etcd[9]: etcd Version: 3.3.10\n";
        assert_eq!(timeline(&[("/var/log/syslog", log)]), owned(&[("10:00:00", "etcd starts", 2)]));
    }

    #[test]
    fn what_has_no_time_comes_last_and_is_bounded() {
        let many: String = (0..1000).map(|index| format!("dial tcp host{index}: connection refused\n")).collect();
        let found = timeline_of_many(&many);
        assert_eq!(found, (GROUPS + 1, 1000));
    }

    fn timeline_of_many(text: &str) -> (usize, u64) {
        let pattern = LogPattern {
            rule: "dial".to_owned(),
            pattern: r"dial tcp (?P<address>\S+): connection refused".to_owned(),
            ..LogPattern::default()
        };
        let scanner = Scanner::new(vec![pattern]).unwrap();
        let fold = TimelineFold::default();
        let input = LogInput::new("/x", Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        scanner.scan_events(vec![input], &ScanOptions::default(), Some(&|event| fold.add(event)));
        let (moments, _) = fold.finish();
        (moments.len(), moments.iter().map(|moment| moment.count).sum())
    }
}
