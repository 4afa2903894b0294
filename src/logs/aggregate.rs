//! Folds the matches of one log, in their order, to groups of one pattern, program and captured values; and the groups of
//! all logs to hits. What a card calls normal is left out here: what ends in time, what only starting brings, what is rare.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::pattern::LogPattern;
use super::program;
use super::redact::redact;
use super::time::Stamp;
use crate::facts::log::LogHit;
use crate::report::LogLine;

/// Groups of one pattern that differ in what was captured; more are counted together, without captures.
const GROUPS: usize = 200;
/// Kept of each group in each log.
const LINES: usize = 3;
const SERIES: usize = 64;
const STARTS: usize = 4096;
/// Starts of a program within so many seconds are one: the unit's, and what the program says of it.
const SAME_START: i64 = 5;
/// Matches with longer pauses than this, in seconds, are separate series. Longer than kubelet's longest back-off.
const PAUSE: u64 = 360;
/// Of each group so many of the first and as many of the last seconds in which it was seen are kept.
const SECONDS: usize = 32;
/// Something that was last seen within so many seconds of the log's end goes on; half of it, where it came often.
const ONGOING: i64 = 60;
/// From so many matches on, the pauses between them say what is usual.
const OFTEN: u64 = 5;

pub(crate) type Captures = Arc<BTreeMap<String, String>>;
pub(crate) type Program = Option<Arc<str>>;

/// A line that a pattern matched.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub time: Option<Stamp>,
    pub program: Program,
    pub captures: Captures,
    pub line: RawLine,
}

/// A line as it was read; only what is shown of them is made text, without secrets.
#[derive(Debug, Clone)]
pub(crate) struct RawLine {
    /// From 1.
    pub number: u64,
    pub text: Box<[u8]>,
}

impl RawLine {
    pub fn shown(&self, path: &str) -> LogLine {
        let text = redact(String::from_utf8_lossy(&self.text));
        LogLine { path: path.to_owned(), line: self.number, text }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Series {
    first: Option<Stamp>,
    last: Option<Stamp>,
    count: u64,
    /// The longest pause between two of its matches, in seconds.
    gap: i64,
}

impl Series {
    fn at(time: Option<Stamp>) -> Series {
        Series { first: time, last: time, count: 1, gap: 0 }
    }

    /// Takes a later series in, when it is near enough.
    fn join(&mut self, later: &Series, pause: u64) -> bool {
        let near = match (self.last, later.first) {
            (Some(last), Some(first)) => {
                last.absolute == first.absolute && first.seconds_since(last) <= i64::try_from(pause).unwrap_or(i64::MAX)
            }
            (None, None) => true,
            _ => false,
        };
        if near {
            if let (Some(last), Some(first)) = (self.last, later.first) {
                self.gap = self.gap.max(later.gap).max(first.seconds_since(last));
            }
            self.last = self.last.max(later.last);
            self.count += later.count;
        }
        near
    }

    fn lasts(&self) -> Option<i64> {
        Some(self.last?.seconds_since(self.first?))
    }
}

#[derive(Debug, Default, Clone)]
struct Group {
    series: Vec<Series>,
    /// What was seen while the program was starting, which is normal unless it starts again soon.
    excused: Option<Series>,
    lines: Vec<(Option<Stamp>, RawLine)>,
    excused_lines: Vec<(Option<Stamp>, RawLine)>,
    /// Seconds since the epoch in which it was seen, in the order of the log.
    seconds: Vec<i64>,
    /// The program recovered after the last match; the time when it is known.
    ended: Option<Option<Stamp>>,
}

impl Group {
    fn add(&mut self, series: Series, pause: u64) {
        self.ended = None;
        let is_full = self.series.len() >= SERIES;
        let pause = if is_full { u64::MAX } else { pause };
        if !self.series.last_mut().is_some_and(|known| known.join(&series, pause)) {
            self.series.push(series);
            self.series.truncate(SERIES * 2);
        }
    }

    fn seen(&mut self, time: Option<Stamp>) {
        let Some(second) = time.filter(|time| time.absolute).map(|time| time.nanos.div_euclid(1_000_000_000)) else {
            return;
        };
        if self.seconds.last() != Some(&second) {
            if self.seconds.len() == 2 * SECONDS {
                self.seconds.remove(SECONDS);
            }
            self.seconds.push(second);
        }
    }

    fn settle_excused(&mut self, is_normal: bool, pause: u64) {
        let lines = std::mem::take(&mut self.excused_lines);
        if let Some(series) = self.excused.take().filter(|_| !is_normal) {
            self.add(series, pause);
            lines.into_iter().for_each(|line| keep(&mut self.lines, line));
        }
    }
}

/// Keeps the first line and the last two.
fn keep(lines: &mut Vec<(Option<Stamp>, RawLine)>, line: (Option<Stamp>, RawLine)) {
    if lines.len() == LINES {
        lines.remove(1);
    }
    lines.push(line);
}

#[derive(Debug, Default, Clone)]
pub(crate) struct ProgramLog {
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
    starts: Vec<Stamp>,
}

/// The matches of one log.
#[derive(Debug, Default)]
pub(crate) struct LogFold {
    groups: HashMap<(u32, Program, Captures), Group>,
    groups_of: HashMap<u32, usize>,
    programs: HashMap<Program, ProgramLog>,
    /// The log's first time, when the programs in it began there.
    pub begins: Option<Stamp>,
    pub last: Option<Stamp>,
}

impl LogFold {
    pub fn matched(&mut self, index: u32, pattern: &LogPattern, found: Match) {
        let Match { time, program, captures, line } = found;
        self.seen(&program, time);
        let starting = match (pattern.after_start_seconds, time) {
            (Some(limit), Some(time)) => {
                let start = self.programs.get(&program).and_then(|log| log.starts.last().copied()).or(self.begins);
                start.is_some_and(|start| {
                    start.absolute == time.absolute && (0..=seconds(limit)).contains(&time.seconds_since(start))
                })
            }
            _ => false,
        };
        let key = (index, program, captures);
        let key = if self.groups.contains_key(&key) {
            key
        } else {
            let known = self.groups_of.entry(index).or_default();
            if *known < GROUPS {
                *known += 1;
                key
            } else {
                (index, None, Captures::default())
            }
        };
        let pause = pause(pattern);
        let group = self.groups.entry(key).or_default();
        group.seen(time);
        if starting {
            let series = Series::at(time);
            match &mut group.excused {
                Some(known) => {
                    known.last = time;
                    known.count += 1;
                }
                None => group.excused = Some(series),
            }
            keep(&mut group.excused_lines, (time, line));
        } else {
            group.add(Series::at(time), pause);
            keep(&mut group.lines, (time, line));
        }
    }

    /// The program shows that what the pattern is about is over.
    pub fn recovered(&mut self, index: u32, pattern: &LogPattern, found: &Match) {
        self.seen(&found.program, found.time);
        for ((of, program, captures), group) in &mut self.groups {
            let is_other_program = program.is_some() && found.program.is_some() && *program != found.program;
            let agrees = |(name, value): (&String, &String)| captures.get(name).is_none_or(|known| known == value);
            if *of != index || is_other_program || !found.captures.iter().all(agrees) {
                continue;
            }
            group.ended = Some(found.time);
            let Some(limit) = pattern.ignore_if_ended_seconds else { continue };
            let first = group.series.last().and_then(|series| series.first);
            if let (Some(first), Some(time)) = (first, found.time)
                && first.absolute == time.absolute
                && (0..=seconds(limit)).contains(&time.seconds_since(first))
            {
                group.series.pop();
                group.lines.retain(|(time, _)| time.is_some_and(|time| time < first));
            }
            group.settle_excused(true, 0);
        }
    }

    pub fn started(&mut self, patterns: &[LogPattern], program: &Arc<str>, time: Option<Stamp>) {
        let Some(time) = time else { return };
        let key = Some(program.clone());
        let log = self.programs.entry(key.clone()).or_default();
        let before = log.starts.last().copied();
        if before.is_some_and(|before| before.absolute == time.absolute && time.seconds_since(before) < SAME_START) {
            return;
        }
        if log.starts.len() == STARTS {
            // What matters is how it is now.
            log.starts.remove(1);
        }
        log.starts.push(time);
        let before = before.or(self.begins);
        for ((index, of, _), group) in &mut self.groups {
            let Some(pattern) = patterns.get(*index as usize).filter(|_| *of == key) else { continue };
            // A program that starts again so soon did not survive its start: what it said was the reason.
            let soon = seconds(pattern.after_start_seconds.unwrap_or(0)).saturating_mul(2).max(60);
            let survived = before.is_none_or(|before| time.seconds_since(before) > soon);
            group.settle_excused(survived, pause(pattern));
        }
    }

    /// A line of the program, whatever it says.
    pub fn seen(&mut self, program: &Program, time: Option<Stamp>) {
        let Some(time) = time else { return };
        self.last = self.last.max(Some(time));
        if !self.programs.contains_key(program) && self.programs.len() >= STARTS {
            return;
        }
        let log = self.programs.entry(program.clone()).or_default();
        log.first = Some(log.first.map_or(time, |first| first.min(time)));
        log.last = log.last.max(Some(time));
    }
}

/// One log's part of a hit.
struct Part<'a> {
    log: usize,
    group: &'a Group,
}

/// A log that was folded, and of whose lines it may be a copy: syslog and the journal have the same lines.
pub(crate) struct Folded {
    pub path: String,
    pub fold: LogFold,
    pub copy_of: Option<String>,
}

/// Hits out of all logs' groups, sorted. Of an excerpt, what is too short to be sure of as well.
pub(crate) fn hits(
    patterns: &[LogPattern],
    components: &[Vec<String>],
    logs: &mut [Folded],
    is_excerpt: bool,
) -> Vec<LogHit> {
    let mut excused: HashSet<(u32, Program, Captures)> = HashSet::new();
    if is_excerpt {
        for folded in logs.iter_mut() {
            for (key, group) in &mut folded.fold.groups {
                let Some(pattern) = patterns.get(key.0 as usize) else { continue };
                if group.series.is_empty() && group.excused.is_some() {
                    excused.insert(key.clone());
                }
                group.settle_excused(false, pause(pattern));
            }
        }
    }
    let logs = &*logs;
    let programs = programs(logs);
    let mut parts: BTreeMap<(u32, &Program, &Captures), Vec<Part<'_>>> = BTreeMap::new();
    for (log, folded) in logs.iter().enumerate() {
        for ((index, program, captures), group) in &folded.fold.groups {
            if !group.series.is_empty() {
                parts.entry((*index, program, captures)).or_default().push(Part { log, group });
            }
        }
    }
    let mut counts: HashMap<(u32, &Program), u64> = HashMap::new();
    let mut hits = Vec::new();
    for ((index, program, captures), parts) in &parts {
        let Some(pattern) = patterns.get(*index as usize) else { continue };
        let (count, best) = count(parts, logs);
        *counts.entry((*index, program)).or_default() += count;
        let series = joined(parts, pause(pattern));
        let persists = pattern.persist_seconds.is_none_or(|persist| {
            series.iter().any(|series| series.lasts().is_some_and(|lasts| lasts >= seconds(persist)))
        });
        if !persists && !is_excerpt {
            continue;
        }
        let brief = !persists || excused.contains(&(*index, (*program).clone(), (*captures).clone()));
        let first = series.iter().filter_map(|series| series.first).min();
        let last = series.iter().filter_map(|series| series.last).max();
        let log = match program {
            Some(_) => programs.get(*program).cloned(),
            None => own_log(parts, logs, &programs),
        };
        let ended = parts.iter().filter_map(|part| part.group.ended).max();
        let restarts = match (&log, first, last) {
            (Some(log), Some(first), Some(last)) => {
                log.starts.iter().filter(|start| first < **start && **start <= last).count() as u64
            }
            _ => 0,
        };
        let restarted = match (first, last) {
            (Some(first), Some(last)) => restarted(&programs, first, last),
            _ => BTreeMap::new(),
        };
        let mut lines: Vec<(Option<Stamp>, &str, &RawLine)> = Vec::new();
        let of_best = parts.iter().filter(|part| part.log == best);
        let of_others = parts.iter().filter(|part| part.log != best && logs[part.log].copy_of.is_none());
        for part in of_best.chain(of_others) {
            let path = logs[part.log].path.as_str();
            lines.extend(part.group.lines.iter().map(|(time, line)| (*time, path, line)));
        }
        lines.sort_by_key(|(time, _, _)| *time);
        let skip = lines.len().saturating_sub(LINES);
        let lines = lines.iter().enumerate().filter(|(at, _)| *at == 0 || *at > skip);
        hits.push((
            (*index, *program),
            LogHit {
                rule: pattern.rule.clone(),
                pattern: pattern.index,
                component: program.as_deref().map(str::to_owned),
                captures: (***captures).clone(),
                count,
                first: first.and_then(Stamp::rfc3339),
                last: last.and_then(Stamp::rfc3339),
                ongoing: ongoing(ended, last, log.as_ref(), usual_pause(&series), pattern.repeats_seconds.map(seconds)),
                pause: usual_pause(&series),
                restarts,
                restarted,
                seconds: parts.iter().flat_map(|part| part.group.seconds.iter().copied()).collect::<BTreeSet<_>>(),
                lines: lines.map(|(_, (_, path, line))| line.shown(path)).collect(),
                brief,
            },
        ));
    }
    hits.retain_mut(|((index, program), hit): &mut ((u32, &Program), LogHit)| {
        let least = patterns.get(*index as usize).and_then(|pattern| pattern.min_count).unwrap_or(0);
        let is_rare = counts.get(&(*index, *program)).copied().unwrap_or(0) < least;
        hit.brief |= is_rare;
        is_excerpt || !is_rare
    });
    let mut hits: Vec<(bool, LogHit)> = hits
        .into_iter()
        .filter_map(|((index, program), hit)| {
            let wanted = components.get(index as usize)?;
            let of = program.as_deref();
            Some((of.is_some_and(|of| wanted.iter().any(|name| *name == *of)), hit))
        })
        .collect();
    drop_foreign(patterns, &mut hits);
    let mut hits: Vec<LogHit> = hits.into_iter().map(|(_, hit)| hit).collect();
    hits.sort_by(|a, b| {
        (&a.rule, a.pattern, &a.component, &a.captures).cmp(&(&b.rule, b.pattern, &b.component, &b.captures))
    });
    hits
}

/// A line that does not name its program matches patterns for any. When the file's name tells whose it is, and a pattern
/// for that program or for any matches it too, those for others only are wrong. `hits` says of each whether it is for its program.
fn drop_foreign(patterns: &[LogPattern], hits: &mut Vec<(bool, LogHit)>) {
    let place = |hit: &LogHit| hit.lines.first().map(|line| (line.path.clone(), line.line));
    let for_any: HashSet<(&str, usize)> = patterns
        .iter()
        .filter(|pattern| pattern.components.is_empty())
        .map(|pattern| (pattern.rule.as_str(), pattern.index))
        .collect();
    let is_foreign = |(is_own, hit): &(bool, LogHit)| {
        !is_own && hit.component.is_some() && !for_any.contains(&(hit.rule.as_str(), hit.pattern))
    };
    let native: HashSet<(String, u64)> =
        hits.iter().filter(|hit| !is_foreign(hit)).filter_map(|(_, hit)| place(hit)).collect();
    hits.retain(|hit| !is_foreign(hit) || place(&hit.1).is_none_or(|place| !native.contains(&place)));
}

/// How often it occurred, lines that two logs both have counted once, and the log with most of them.
fn count(parts: &[Part<'_>], logs: &[Folded]) -> (u64, usize) {
    let mut own = 0;
    let mut copies: BTreeMap<&str, u64> = BTreeMap::new();
    let mut best = (0, 0);
    for part in parts {
        let count = part.group.series.iter().map(|series| series.count).sum();
        match &logs[part.log].copy_of {
            Some(name) => *copies.entry(name).or_default() += count,
            None => own += count,
        }
        if count > best.0 {
            best = (count, part.log);
        }
    }
    (own + copies.values().max().copied().unwrap_or(0), best.1)
}

fn joined(parts: &[Part<'_>], pause: u64) -> Vec<Series> {
    let mut all: Vec<Series> = parts.iter().flat_map(|part| part.group.series.iter().copied()).collect();
    // Times since boot can't be compared with others.
    if all.iter().any(|series| series.first.is_some_and(|time| time.absolute)) {
        all.retain(|series| series.first.is_none_or(|time| time.absolute));
    }
    all.sort_by_key(|series| series.first);
    let mut joined: Vec<Series> = Vec::new();
    for series in all {
        if !joined.last_mut().is_some_and(|known| known.join(&series, pause)) {
            joined.push(series);
        }
    }
    joined
}

fn programs(logs: &[Folded]) -> HashMap<Program, ProgramLog> {
    let mut programs: HashMap<Program, ProgramLog> = HashMap::new();
    for folded in logs {
        for (program, log) in &folded.fold.programs {
            let all = programs.entry(program.clone()).or_default();
            all.first = all.first.into_iter().chain(log.first).min();
            all.last = all.last.max(log.last);
            all.starts.extend(&log.starts);
        }
    }
    for log in programs.values_mut() {
        log.starts.sort_unstable();
        log.starts.dedup_by(|later, earlier| later.seconds_since(*earlier) < SAME_START);
    }
    programs
}

/// What of a node's own programs started after `first` until `last`.
fn restarted(programs: &HashMap<Program, ProgramLog>, first: Stamp, last: Stamp) -> BTreeMap<String, u64> {
    programs
        .iter()
        .filter_map(|(program, log)| Some((program.as_deref().filter(|name| program::is_of_node(name))?, log)))
        .filter_map(|(program, log)| {
            let meanwhile = |start: &&Stamp| start.absolute == first.absolute && first < **start && **start <= last;
            let count = log.starts.iter().filter(meanwhile).count() as u64;
            (count > 0).then(|| (program.to_owned(), count))
        })
        .collect()
}

/// The log itself, for lines that do not say who wrote them; its programs may have gone on in another file, as a container
/// that was started again does.
fn own_log(parts: &[Part<'_>], logs: &[Folded], programs: &HashMap<Program, ProgramLog>) -> Option<ProgramLog> {
    let mut own = ProgramLog::default();
    for part in parts {
        let fold = &logs.get(part.log)?.fold;
        let named = fold.programs.keys().filter(|program| program.is_some());
        own.last = own.last.max(named.filter_map(|program| programs.get(program)?.last).max());
        own.first = own.first.into_iter().chain(fold.programs.values().filter_map(|log| log.first)).min();
        own.last = own.last.max(fold.last);
    }
    Some(own)
}

/// The longest pause of the last series, when that is long enough to tell.
fn usual_pause(series: &[Series]) -> Option<i64> {
    series.last().filter(|series| series.count >= OFTEN).map(|series| series.gap)
}

/// Whether it went on until the end of its program's log. What came again and again is over when it has stayed away for twice
/// its longest pause, or what the card says of it; of what came once or twice, a tenth of the log's length has to be enough.
fn ongoing(
    ended: Option<Option<Stamp>>,
    last: Option<Stamp>,
    log: Option<&ProgramLog>,
    pause: Option<i64>,
    repeats: Option<i64>,
) -> Option<bool> {
    if let Some(ended) = ended
        && (ended.is_none() || ended >= last)
    {
        return Some(false);
    }
    let (last, log) = (last?, log?);
    let end = log.last.filter(|end| end.absolute == last.absolute)?;
    let span = log.first.map_or(0, |first| end.seconds_since(first));
    let usual = pause.map_or(i64::MAX, |pause| pause.saturating_mul(2));
    let floor = if pause.is_some() { ONGOING / 2 } else { ONGOING };
    let least = repeats.map_or(floor.max(usual.min(span / 10)), |repeats| {
        repeats.saturating_mul(2).max(pause.map_or(0, |pause| pause.saturating_mul(2)))
    });
    Some(end.seconds_since(last) <= least)
}

fn pause(pattern: &LogPattern) -> u64 {
    pattern.persist_seconds.unwrap_or(0).max(PAUSE)
}

fn seconds(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
