//! Folds the matches of one log, in their order, to groups of one pattern, program and captured values. What a card calls
//! normal is left out here: what ends in time, what only starting brings.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::pattern::LogPattern;
use super::redact::redact;
use super::time::Stamp;
use crate::report::LogLine;

/// Groups of one pattern that differ in what was captured; more are counted together, without captures.
const GROUPS: usize = 200;
/// Kept of each group in each log.
pub(super) const LINES: usize = 3;
const SERIES: usize = 64;
const STARTS: usize = 4096;
/// Starts of a program within so many seconds are one: the unit's, and what the program says of it.
pub(super) const SAME_START: i64 = 5;
/// Matches with longer pauses than this, in seconds, are separate series. Longer than kubelet's longest back-off.
const PAUSE: u64 = 360;
/// Of each group so many of the first and as many of the last seconds in which it was seen are kept.
const SECONDS: usize = 32;

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
    /// Where in it the words stand that made it count; empty when that is not known.
    pub matter: Range<usize>,
}

impl RawLine {
    pub fn shown(&self, path: &str) -> LogLine {
        let words = self.text.get(self.matter.clone()).map(String::from_utf8_lossy).unwrap_or_default();
        let text = redact(String::from_utf8_lossy(&self.text));
        // What was hidden before them has moved them.
        let places = text.match_indices(&*words).map(|(at, _)| at).filter(|_| !words.is_empty());
        let matter = places.min_by_key(|at| at.abs_diff(self.matter.start)).map_or(0..0, |at| at..at + words.len());
        LogLine { path: path.to_owned(), line: self.number, text, matter }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series {
    pub first: Option<Stamp>,
    pub last: Option<Stamp>,
    pub count: u64,
    /// The longest pause between two of its matches, in seconds.
    pub gap: i64,
}

impl Series {
    fn at(time: Option<Stamp>) -> Series {
        Series { first: time, last: time, count: 1, gap: 0 }
    }

    /// Takes a later series in, when it is near enough.
    pub fn join(&mut self, later: &Series, pause: u64) -> bool {
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

    pub fn lasts(&self) -> Option<i64> {
        Some(self.last?.seconds_since(self.first?))
    }
}

#[derive(Debug, Default, Clone)]
pub(super) struct Group {
    pub series: Vec<Series>,
    /// What was seen while the program was starting, which is normal unless it starts again soon.
    pub excused: Option<Series>,
    pub lines: Vec<(Option<Stamp>, RawLine)>,
    excused_lines: Vec<(Option<Stamp>, RawLine)>,
    /// Seconds since the epoch in which it was seen, in the order of the log.
    pub seconds: Vec<i64>,
    /// The program recovered after the last match; the time when it is known.
    pub ended: Option<Option<Stamp>>,
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

    pub fn settle_excused(&mut self, is_normal: bool, pause: u64) {
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
    pub starts: Vec<Stamp>,
}

/// The matches of one log.
#[derive(Debug, Default)]
pub(crate) struct LogFold {
    pub(super) groups: HashMap<(u32, Program, Captures), Group>,
    groups_of: HashMap<u32, usize>,
    pub(super) programs: HashMap<Program, ProgramLog>,
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
        let pause = pause(pattern);
        let group = match self.groups.entry((index, program, captures)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let known = self.groups_of.entry(index).or_default();
                if *known < GROUPS {
                    *known += 1;
                    new.insert(Group::default())
                } else {
                    drop(new);
                    self.groups.entry((index, None, Captures::default())).or_default()
                }
            }
        };
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
        let is_full = self.programs.len() >= STARTS;
        let log = match self.programs.get_mut(program) {
            Some(known) => known,
            None if is_full => return,
            None => self.programs.entry(program.clone()).or_default(),
        };
        log.first = Some(log.first.map_or(time, |first| first.min(time)));
        log.last = log.last.max(Some(time));
    }
}

pub(super) fn pause(pattern: &LogPattern) -> u64 {
    pattern.persist_seconds.unwrap_or(0).max(PAUSE)
}

pub(super) fn seconds(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
