//! What the logs of all hosts tell, by time: every message that a rule knows, whether it is a finding or not, and every
//! start of a program.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::card_set::CardSet;
use super::options::RunOptions;
use super::run::{self, RunError};
use super::template;
use crate::collect::logs::follow::{Follower, News};
use crate::collect::{Files, host, logs};
use crate::facts::log::{LogHit, Logs};
use crate::logs::{Moment, MomentKind, ScanOptions, Scanner, Stamp, TimelineFold};
use crate::report::{LogLine, Severity, Unopened, secret};
use crate::source::{SourceKind, SourceRef};

/// The events of several hosts.
#[derive(Debug)]
pub struct Timeline {
    /// The latest time that a line can have, RFC 3339.
    pub at: Timestamp,
    pub hosts: Vec<TimelineHost>,
    /// Sources that could not be opened.
    pub unopened: Vec<Unopened>,
    /// By time; those whose time is not known at the end.
    pub events: Vec<Event>,
}

#[derive(Debug)]
pub struct TimelineHost {
    pub name: String,
    pub source: String,
    pub kind: SourceKind,
    pub logs: usize,
    pub bytes: u64,
    pub lines: u64,
    /// What was not read, with why.
    pub left_out: Vec<(String, String)>,
}

/// One event on one host, with its repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub host: String,
    /// The program that wrote it, or that started.
    pub program: Option<String>,
    pub kind: EventKind,
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
    pub count: u64,
    /// The first of its lines.
    pub line: LogLine,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    Message {
        rule: String,
        severity: Severity,
        /// What it means, in the card's words.
        title: String,
        values: BTreeMap<String, String>,
        /// False for what the card calls normal here: while starting, or soon over.
        counts: bool,
    },
    Start,
}

/// Reads the logs of the sources.
pub fn run(options: &RunOptions) -> Result<Timeline, RunError> {
    let at = options.at.unwrap_or_else(crate::collect::now);
    let cards = run::cards(options)?;
    let scanner = run::scanner(&cards)?;
    let (sources, unopened) = run::open(options)?;
    let labels: Vec<String> = sources.iter().map(|source| source.label().to_owned()).collect();
    let scan = ScanOptions { since: options.since, at, ..ScanOptions::default() };
    let mut read: Vec<Read> = Vec::with_capacity(sources.len());
    let width = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    for chunk in sources.chunks(width) {
        read.extend(std::thread::scope(|scope| {
            let running: Vec<_> =
                chunk.iter().map(|source| scope.spawn(|| read_host(source.clone(), &scanner, &scan))).collect();
            // A bug of ours: better no timeline than one that leaves a host out.
            let join = |host: std::thread::ScopedJoinHandle<'_, Read>| {
                host.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            running.into_iter().map(join).collect::<Vec<_>>()
        }));
    }
    make_names_distinct(&mut read, &labels);
    let mut events = Vec::new();
    let mut hosts = Vec::with_capacity(read.len());
    for (read, label) in read.into_iter().zip(labels) {
        let Read { name, kind, logs, moments, dropped } = read;
        let known = known(&logs.hits);
        events.extend(describe_all(&cards, &name, moments, Some(&known)));
        let mut left_out = logs.left_out;
        if dropped > 0 {
            left_out
                .push(("timeline".to_owned(), format!("{dropped} events that differ from all others in their values")));
        }
        hosts.push(TimelineHost {
            name,
            source: label,
            kind,
            logs: logs.scanned.len(),
            bytes: logs.scanned.iter().map(|log| log.bytes).sum(),
            lines: logs.scanned.iter().map(|log| log.lines).sum(),
            left_out,
        });
    }
    sort(&mut events);
    Ok(Timeline { at, hosts, unopened, events })
}

/// By time; stable: those of one host stay in their order.
fn sort(events: &mut [Event]) {
    events.sort_by_key(|event| {
        let absolute = event.first.filter(|time| time.absolute);
        (absolute.is_none(), absolute)
    });
}

/// The events of hosts whose logs were scanned: a host's name, what was found in its logs, and their moments.
pub(super) fn events_of<'a>(
    cards: &CardSet,
    hosts: impl Iterator<Item = (&'a str, &'a Logs, Vec<Moment>)>,
) -> Vec<Event> {
    let mut events: Vec<Event> =
        hosts.flat_map(|(name, logs, moments)| describe_all(cards, name, moments, Some(&known(&logs.hits)))).collect();
    sort(&mut events);
    events
}

/// What following tells.
pub enum Follow {
    Events(Vec<Event>),
    /// A log that is not followed, and why.
    LeftOut(String, String),
}

/// Follows the live host's logs until `tell` says false. With `history` what they have already comes first.
pub fn follow(options: &RunOptions, history: bool, tell: &mut dyn FnMut(Follow) -> bool) -> Result<(), RunError> {
    let cards = run::cards(options)?;
    let scanner = run::scanner(&cards)?;
    let source = crate::source::open(None)?;
    let files = Files::new(source.clone());
    let name = host::name(&files, source.label());
    // From here on nothing is missed; what the history has of the time after is left to following.
    let (mut follower, mut news) = Follower::start(source);
    let began = crate::collect::now();
    if history {
        let mut past = run(options)?;
        past.events.retain(|event| event.first.is_none_or(|time| time.timestamp().is_none_or(|time| time < began)));
        for host in past.hosts {
            if !host.left_out.into_iter().all(|(path, why)| tell(Follow::LeftOut(path, why))) {
                return Ok(());
            }
        }
        if !tell(Follow::Events(past.events)) {
            return Ok(());
        }
    }
    let mut repeats = Repeats::default();
    loop {
        let mut inputs = Vec::new();
        for news in news.drain(..) {
            match news {
                News::Lines(input) => inputs.push(input),
                News::LeftOut(path, why) => {
                    if !tell(Follow::LeftOut(path, why)) {
                        return Ok(());
                    }
                }
            }
        }
        let now = crate::collect::now();
        let mut events = Vec::new();
        if !inputs.is_empty() {
            let scan =
                logs::host_options(&files, &ScanOptions { since: options.since, at: now, ..ScanOptions::default() });
            let fold = TimelineFold::default();
            scanner.scan_events(inputs, &scan, Some(&|event| fold.add(event)));
            let (moments, _) = fold.finish();
            events = describe_all(&cards, &name, moments, None);
        }
        let events = repeats.sift(events, now);
        if !events.is_empty() && !tell(Follow::Events(events)) {
            return Ok(());
        }
        news = follower.wait();
    }
}

/// Holds back what was told a moment ago, and tells from time to time how often it was repeated.
#[derive(Debug, Default)]
struct Repeats {
    told: BTreeMap<Said, (Timestamp, Option<Event>)>,
}

/// Program, rule and title.
type Said = (Option<String>, String, String);

/// An event is told again after so many seconds.
const QUIET: i64 = 60;
/// Events that are remembered.
const REMEMBERED: usize = 1000;

impl Repeats {
    fn sift(&mut self, events: Vec<Event>, now: Timestamp) -> Vec<Event> {
        let mut out = Vec::new();
        for event in events {
            let key = match &event.kind {
                EventKind::Start => {
                    out.push(event);
                    continue;
                }
                EventKind::Message { rule, title, .. } => (event.program.clone(), rule.clone(), title.clone()),
            };
            match self.told.get_mut(&key) {
                Some((_, held @ None)) => *held = Some(event),
                Some((_, Some(held))) => {
                    held.count += event.count;
                    held.last = held.last.max(event.last);
                }
                None => {
                    if self.told.len() < REMEMBERED {
                        self.told.insert(key, (now, None));
                    }
                    out.push(event);
                }
            }
        }
        self.told.retain(|_, (at, held)| {
            if now.as_second() - at.as_second() < QUIET {
                return true;
            }
            *at = now;
            // Quiet for as long: forgotten.
            held.take().map(|held| out.push(held)).is_some()
        });
        out
    }
}

struct Read {
    name: String,
    kind: SourceKind,
    logs: Logs,
    moments: Vec<Moment>,
    dropped: u64,
}

fn read_host(source: SourceRef, scanner: &Scanner, options: &ScanOptions) -> Read {
    let label = source.label().to_owned();
    let kind = source.kind();
    let files = Files::new(source);
    let fold = TimelineFold::default();
    let logs = logs::collect_events(&files, scanner, options, Some(&|event| fold.add(event)));
    let (moments, dropped) = fold.finish();
    Read { name: host::name(&files, &label), kind, logs, moments, dropped }
}

/// Two hosts of one name are told apart by their sources.
fn make_names_distinct(read: &mut [Read], labels: &[String]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for host in read.iter() {
        *seen.entry(host.name.clone()).or_default() += 1;
    }
    for (host, label) in read.iter_mut().zip(labels) {
        if seen.get(&host.name).is_some_and(|count| *count > 1) {
            host.name = format!("{} ({label})", host.name);
        }
    }
}

/// What of a host's messages is more than normal: rule, pattern, program.
type Known = BTreeSet<(String, usize, Option<String>)>;

fn known(hits: &[LogHit]) -> Known {
    hits.iter().map(|hit| (hit.rule.clone(), hit.pattern, hit.component.clone())).collect()
}

/// Moments in the words of their cards. A line that several patterns of one rule match is one event, the gravest.
fn describe_all(cards: &CardSet, host: &str, moments: Vec<Moment>, known: Option<&Known>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::with_capacity(moments.len());
    let mut places: HashMap<(String, LogLine), usize> = HashMap::new();
    for moment in moments {
        let event = describe(cards, host, moment, known);
        let weight = |event: &Event| match &event.kind {
            EventKind::Message { severity, counts, .. } => (*counts, Some(*severity), event.count),
            EventKind::Start => (true, None, event.count),
        };
        if let EventKind::Message { rule, .. } = &event.kind {
            let place = places.entry((rule.clone(), event.line.clone())).or_insert(events.len());
            if let Some(other) = events.get_mut(*place) {
                if weight(&event) > weight(other) {
                    *other = event;
                }
                continue;
            }
        }
        events.push(event);
    }
    events
}

/// A moment in the words of its card. Without `known` every message counts.
fn describe(cards: &CardSet, host: &str, moment: Moment, known: Option<&Known>) -> Event {
    let Moment { kind, program, first, last, count, line } = moment;
    let kind = match kind {
        MomentKind::Start => EventKind::Start,
        MomentKind::Message { rule, pattern, captures } => {
            let counts = known.is_none_or(|known| {
                // Values that are too many to be kept apart lose their program as well.
                known.contains(&(rule.clone(), pattern, program.clone()))
                    || known.contains(&(rule.clone(), pattern, None))
            });
            let card = cards.get(&rule);
            let log = card.and_then(|card| card.logs.get(pattern));
            let mut values = log.map(|log| log.values.clone()).unwrap_or_default();
            values.extend(captures.iter().map(|(name, value)| (name.clone(), secret::mask(value).into_owned())));
            let mut texts = values.clone();
            texts.insert("host".to_owned(), host.to_owned());
            if let Some(program) = &program {
                texts.entry("program".to_owned()).or_insert_with(|| program.clone());
            }
            if let Some(card) = card {
                texts.entry("component".to_owned()).or_insert_with(|| card.component.clone());
            }
            let title = card.map(|card| {
                let own = log.and_then(|log| log.title.as_ref()).into_iter();
                own.chain(card.messages.get("log"))
                    .chain(card.messages.get("default"))
                    .find_map(|text| template::fill(text, &texts))
                    .unwrap_or_else(|| card.title.clone())
            });
            let severity = log.and_then(|log| log.severity).or(card.map(|card| card.severity));
            EventKind::Message {
                title: secret::mask(&title.unwrap_or_else(|| rule.clone())).into_owned(),
                rule,
                severity: severity.unwrap_or(Severity::Warning),
                values,
                counts,
            }
        }
    };
    Event { host: host.to_owned(), program, kind, first, last, count, line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(title: &str, count: u64) -> Event {
        Event {
            host: "m1".to_owned(),
            program: Some("etcd".to_owned()),
            kind: EventKind::Message {
                rule: "etcd-x".to_owned(),
                severity: Severity::Error,
                title: title.to_owned(),
                values: BTreeMap::new(),
                counts: true,
            },
            first: None,
            last: None,
            count,
            line: LogLine { path: "/x".to_owned(), line: 0, text: String::new(), matter: 0..0 },
        }
    }

    #[test]
    fn repeats_are_told_once_a_minute() {
        let mut repeats = Repeats::default();
        let mut at = |second: i64, events: Vec<Event>| -> Vec<u64> {
            let now = Timestamp::from_second(1_700_000_000 + second).unwrap();
            repeats.sift(events, now).iter().map(|event| event.count).collect()
        };
        assert_eq!(at(0, vec![event("a", 2)]), [2]);
        assert_eq!(at(10, vec![event("a", 3), event("b", 1)]), [1]);
        assert!(at(20, vec![event("a", 4)]).is_empty());
        assert_eq!(at(60, Vec::new()), [7]);
        // Quiet for a minute, then as new.
        assert!(at(121, Vec::new()).is_empty());
        assert_eq!(at(122, vec![event("a", 1)]), [1]);
    }
}
