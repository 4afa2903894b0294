//! The scanner: threads take blocks of the logs in turn and match; each log's matches are folded in its own order.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use regex_syntax::hir::Hir;

use super::aggregate::{self, Folded, LogFold, Match, Program, RawLine};
use super::decompress::{self, Unpacked};
use super::feed::{Buffer, Feed};
use super::gate::Gate;
use super::literals::Literal;
use super::matching::{Event, Worker};
use super::pattern::{LogPattern, Matcher, PatternError};
use super::prefilter::Prefilter;
use super::program::{self, Attribution};
use super::time::{Clock, Stamp};
use crate::facts::log::{Logs, ScannedLog};
use crate::report::LogLine;

/// More blocks than this are not folded ahead of one that is still searched.
const AHEAD: u64 = 32;

type Open<'a> = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'a>;

/// A log to scan.
pub struct LogInput<'a> {
    /// Where it stands on the host.
    pub path: String,
    /// Who writes it, as far as that is known from elsewhere than its lines.
    pub attribution: Option<Attribution>,
    /// False for what has no lines that a reader could count: a journal.
    pub is_numbered: bool,
    /// When it was last written, where that is known: no line is later, which tells the year of times without one.
    pub modified: Option<Timestamp>,
    open: Open<'a>,
}

impl<'a> LogInput<'a> {
    /// The reader gives the file as it is; what is packed is unpacked.
    pub fn new(path: impl Into<String>, reader: Box<dyn Read + Send>) -> LogInput<'a> {
        LogInput::lazy(path, Box::new(move || Ok(reader)))
    }

    /// Opened only when its turn comes.
    pub fn lazy(path: impl Into<String>, open: Open<'a>) -> LogInput<'a> {
        let path = path.into();
        LogInput { attribution: program::attribute_path(&path), path, is_numbered: true, modified: None, open }
    }

    /// The path and the log's lines as they are scanned: unpacked, an exported journal as text.
    pub fn into_lines(self) -> (String, io::Result<Box<dyn Read + Send>>) {
        (self.path, (self.open)().and_then(|log| decompress::open(log, false)))
    }
}

/// By default two threads and no limit in time; `at` has to be set where lines lack a year.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Matches that are older than this at [`ScanOptions::at`] are left out.
    pub since: Option<Duration>,
    pub threads: usize,
    /// The latest time that a line can have: now, or when the evidence was taken.
    pub at: Timestamp,
    /// Seconds east of UTC of times without zone.
    pub utc_offset: i32,
    /// When the host started, for the kernel's times.
    pub boot: Option<Timestamp>,
    /// Of each log at most so many bytes (unpacked) are read.
    pub limit: u64,
    /// Logs with no more lines than this in all are an excerpt that somebody chose: what would have to go on, or to occur
    /// more often, is told all the same, as [`LogHit::brief`](crate::facts::log::LogHit::brief). 0 for a host's own logs.
    pub excerpt_lines: u64,
}

impl Default for ScanOptions {
    fn default() -> ScanOptions {
        ScanOptions {
            since: None,
            threads: 2,
            at: Timestamp::UNIX_EPOCH,
            utc_offset: 0,
            boot: None,
            limit: 64 << 30,
            excerpt_lines: 0,
        }
    }
}

impl ScanOptions {
    /// The earliest time of a match, when there is a limit.
    pub fn from_time(&self) -> Option<Timestamp> {
        self.at.checked_sub(self.since?).ok()
    }
}

/// A line that says something, as it is met, for a timeline.
#[derive(Debug, Clone, Copy)]
pub struct LogEvent<'e> {
    pub kind: EventKind<'e>,
    pub time: Option<Stamp>,
    /// Who wrote it; of a start, who started.
    pub program: Option<&'e Arc<str>>,
    pub path: &'e str,
    pub(crate) line: &'e RawLine,
}

#[derive(Debug, Clone, Copy)]
pub enum EventKind<'e> {
    /// A pattern, by its place among those given to [`Scanner::new`], and what it captured.
    Message { index: u32, pattern: &'e LogPattern, captures: &'e Arc<BTreeMap<String, String>> },
    /// A program started.
    Start,
}

impl LogEvent<'_> {
    /// The line as it is shown, without secrets.
    pub fn line(&self) -> LogLine {
        self.line.shown(self.path)
    }
}

/// What is told of each event.
pub type Tell<'a> = &'a (dyn Fn(LogEvent<'_>) + Sync);

/// What [`Scanner::match_line`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineMatch {
    pub rule: String,
    pub pattern: usize,
    pub captures: BTreeMap<String, String>,
}

/// What a pattern costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Texts of which each match contains one; a line is looked at when it has one of them.
    pub literals: Vec<String>,
}

/// What a matcher's match means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    Pattern(u32),
    Recovery(u32),
    /// A start of this program, or of the one that wrote the line.
    Start(Program),
}

/// Who has a literal.
pub(crate) struct Users {
    /// Matchers, and where it stands in what their gate matches.
    pub matchers: Vec<(u32, Option<u16>)>,
    /// The gates of all of them in one, when there are several.
    shared: OnceLock<Option<Gate>>,
}

impl Users {
    fn new(matchers: Vec<(u32, Option<u16>)>) -> Users {
        Users { matchers, shared: OnceLock::new() }
    }

    /// A gate that all have to pass, and how far before the literal it begins.
    pub fn shared_gate(&self, matchers: &[(Matcher, Role)]) -> Option<(&Gate, usize)> {
        let [(_, before), _, ..] = self.matchers[..] else { return None };
        let before = before?;
        let gate = self.shared.get_or_init(|| {
            let gate = |(index, at): &(u32, Option<u16>)| {
                if *at == Some(before) { matchers.get(*index as usize)?.0.gate_tree() } else { None }
            };
            Gate::new(&Hir::alternation(self.matchers.iter().map(gate).collect::<Option<Vec<_>>>()?))
        });
        Some((gate.as_ref()?, before.into()))
    }
}

/// All patterns, ready to be matched.
pub struct Scanner {
    pub(crate) patterns: Vec<LogPattern>,
    pub(crate) matchers: Vec<(Matcher, Role)>,
    /// Canonical names of the programs that a pattern is for.
    pub(crate) components: Vec<Vec<String>>,
    pub(crate) prefilter: Prefilter,
    /// By literal: the matchers that have it.
    pub(crate) users: Vec<Users>,
}

impl Scanner {
    /// Whether there is nothing to look for, so that no log need be read.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Refuses patterns that are no regex or that no literal of six bytes or more announces; all of them are told.
    pub fn new(patterns: Vec<LogPattern>) -> Result<Scanner, Vec<PatternError>> {
        let mut matchers = Vec::new();
        let mut errors = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let mut add = |source: &str, what: &str, role: Role| match Matcher::new(source) {
                Ok(matcher) => matchers.push((matcher, role)),
                Err(why) => errors.push(PatternError {
                    rule: pattern.rule.clone(),
                    index: pattern.index,
                    why: format!("{what}{why}"),
                }),
            };
            add(&pattern.pattern, "", Role::Pattern(index as u32));
            if let Some(ended_by) = &pattern.ended_by {
                add(ended_by, "ended_by: ", Role::Recovery(index as u32));
            }
            if pattern.ignore_if_ended_seconds.is_some() && pattern.ended_by.is_none() {
                let why = "ignore_if_ended_seconds needs ended_by".to_owned();
                errors.push(PatternError { rule: pattern.rule.clone(), index: pattern.index, why });
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for (program, source) in program::STARTS {
            if let Ok(matcher) = Matcher::new(source) {
                matchers.push((matcher, Role::Start(program.map(Arc::from))));
            }
        }
        let mut literals: BTreeMap<Literal, Vec<(u32, Option<u16>)>> = BTreeMap::new();
        for (index, (matcher, _)) in matchers.iter().enumerate() {
            for literal in &matcher.literals {
                let text = Literal { at: None, ..literal.clone() };
                literals.entry(text).or_default().push((index as u32, literal.at));
            }
        }
        let (literals, users): (Vec<Literal>, Vec<Users>) =
            literals.into_iter().map(|(literal, matchers)| (literal, Users::new(matchers))).unzip();
        let canonical = |name: &String| program::canonical(name).map_or_else(|| name.clone(), |name| name.into_owned());
        let components = patterns.iter().map(|pattern| pattern.components.iter().map(canonical).collect()).collect();
        Ok(Scanner { prefilter: Prefilter::new(&literals), patterns, matchers, components, users })
    }

    /// Compiles every regex, which otherwise waits for the first line that needs it; for tests of cards.
    pub fn compile_all(&self) -> Result<(), Vec<PatternError>> {
        let errors: Vec<PatternError> = self
            .matchers
            .iter()
            .filter_map(|(matcher, role)| {
                let why = matcher.compile().err()?;
                let (Role::Pattern(index) | Role::Recovery(index)) = role else { return None };
                let pattern = self.patterns.get(*index as usize)?;
                Some(PatternError { rule: pattern.rule.clone(), index: pattern.index, why })
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// What the pattern at `index` of those given to [`Scanner::new`] rests on.
    pub fn cost(&self, index: usize) -> Option<Cost> {
        let (matcher, _) = self.matchers.iter().find(|(_, role)| *role == Role::Pattern(index as u32))?;
        let literals =
            matcher.literals.iter().map(|literal| String::from_utf8_lossy(&literal.bytes).into_owned()).collect();
        Some(Cost { literals })
    }

    /// How the literals are searched for, for people.
    pub fn describe(&self) -> String {
        self.prefilter.describe()
    }

    /// The patterns that match a line, whoever wrote it unless the line says so itself.
    pub fn match_line(&self, line: &[u8]) -> Vec<LineMatch> {
        let clock = Clock::new(Timestamp::UNIX_EPOCH, 0);
        let mut feed = Feed::new(Unpacked::Here(Box::new(io::Cursor::new(line.to_vec()))), clock, u64::MAX);
        let mut buffer = Buffer::new();
        let mut worker = Worker::new(self);
        let mut matches = Vec::new();
        while let Some(block) = feed.next(&mut buffer) {
            for event in worker.search(buffer.bytes(), &block, None).events {
                let Some((_, Role::Pattern(index))) = self.matchers.get(event.matcher as usize) else { continue };
                let Some(pattern) = self.patterns.get(*index as usize) else { continue };
                matches.push(LineMatch {
                    rule: pattern.rule.clone(),
                    pattern: pattern.index,
                    captures: (*event.captures).clone(),
                });
            }
        }
        matches
    }

    /// Scans all logs. Logs of one program that were rotated should all be given.
    pub fn scan(&self, inputs: Vec<LogInput<'_>>, options: &ScanOptions) -> Logs {
        self.scan_events(inputs, options, None)
    }

    /// Like [`Scanner::scan`], and tells each match and each start of a program as well: those of one log in order, logs
    /// mixed.
    pub fn scan_events(&self, inputs: Vec<LogInput<'_>>, options: &ScanOptions, tell: Option<Tell<'_>>) -> Logs {
        let rotated: HashMap<String, usize> = inputs.iter().fold(HashMap::new(), |mut rotated, input| {
            let (base, is_rotated) = program::rotation_base(&input.path);
            *rotated.entry(base.to_owned()).or_default() += usize::from(is_rotated);
            rotated
        });
        let jobs: Vec<Job<'_>> = inputs
            .into_iter()
            .map(|input| {
                let (base, is_rotated) = program::rotation_base(&input.path);
                let older = rotated.get(base).copied().unwrap_or(0) > usize::from(is_rotated);
                Job::new(input, older)
            })
            .collect();
        let next = AtomicUsize::new(0);
        let shared = Shared { scanner: self, options, tell, jobs: &jobs };
        let work = || {
            let mut worker = Worker::new(self);
            let mut buffer = Buffer::new();
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(job) else { break };
                shared.work(job, &mut worker, &mut buffer);
            }
            // Nothing is left to begin: help with what the others are at.
            for job in shared.jobs {
                shared.work(job, &mut worker, &mut buffer);
            }
        };
        let threads = options.threads.clamp(1, 64);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        self.report(jobs, options.excerpt_lines)
    }

    fn report(&self, jobs: Vec<Job<'_>>, excerpt_lines: u64) -> Logs {
        let mut logs = Logs::default();
        let mut folded = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut state = lock(&job.feed);
            let done = std::mem::take(&mut *lock(&job.done));
            let mut left_out = |why: String| logs.left_out.push((job.path.clone(), why));
            match std::mem::replace(&mut *state, FeedState::Failed(String::new())) {
                FeedState::Open(feed) => {
                    if let Some(error) = &feed.error {
                        left_out(format!("read up to byte {}: {error}", feed.bytes()));
                    }
                    if feed.is_cut {
                        left_out(format!("only its first {} bytes were read", feed.bytes()));
                    }
                    logs.scanned.push(ScannedLog {
                        path: job.path.clone(),
                        bytes: feed.bytes(),
                        lines: done.lines,
                        first: feed.first.and_then(Stamp::rfc3339),
                        last: done.fold.last.and_then(Stamp::rfc3339),
                    });
                    folded.push(Folded { copy_of: copy_of(&job.path), path: job.path.clone(), fold: done.fold });
                }
                FeedState::Failed(why) => left_out(why),
                FeedState::Waiting(_) => left_out("not read".to_owned()),
            }
        }
        let is_excerpt = logs.scanned.iter().map(|log| log.lines).sum::<u64>() <= excerpt_lines;
        logs.hits = aggregate::hits(&self.patterns, &self.components, &mut folded, is_excerpt);
        logs
    }
}

/// Files that syslog and the journal write, which have lines in common.
pub(crate) fn copy_of(path: &str) -> Option<String> {
    if path.ends_with(".journal") || path.ends_with(".journal~") {
        return Some("binary journal".to_owned());
    }
    let (base, _) = program::rotation_base(path);
    let file = base.rsplit('/').next().unwrap_or(base);
    let stem = file.split('.').next().unwrap_or(file);
    let is_copy = stem.starts_with("journal")
        || matches!(stem, "messages" | "syslog" | "daemon" | "kern" | "haproxy" | "keepalived" | "dmesg");
    is_copy.then(|| stem.to_owned())
}

enum FeedState<'a> {
    Waiting(Option<Open<'a>>),
    Open(Feed),
    Failed(String),
}

/// Blocks of one log that were searched, put back in their order.
#[derive(Default)]
struct Done {
    next: u64,
    waiting: BTreeMap<u64, Found>,
    fold: LogFold,
    lines: u64,
    /// By matcher, the last line it matched: a line that is longer than a block is matched once.
    last_line: HashMap<u32, u64>,
}

/// What was found in a block.
#[derive(Default)]
pub(crate) struct Found {
    pub events: Vec<Event>,
    /// Ends of lines in it.
    pub lines: u64,
    /// Last times of programs in it.
    pub tail: Vec<(Program, Stamp)>,
}

struct Job<'a> {
    path: String,
    attribution: Option<Attribution>,
    is_numbered: bool,
    modified: Option<Timestamp>,
    /// An older part of the log is there.
    has_older: bool,
    feed: Mutex<FeedState<'a>>,
    done: Mutex<Done>,
    moved: Condvar,
}

impl<'a> Job<'a> {
    fn new(input: LogInput<'a>, has_older: bool) -> Job<'a> {
        Job {
            path: input.path,
            attribution: input.attribution,
            is_numbered: input.is_numbered,
            modified: input.modified,
            has_older,
            feed: Mutex::new(FeedState::Waiting(Some(input.open))),
            done: Mutex::default(),
            moved: Condvar::new(),
        }
    }
}

struct Shared<'a, 'i> {
    scanner: &'a Scanner,
    options: &'a ScanOptions,
    tell: Option<Tell<'a>>,
    jobs: &'a [Job<'i>],
}

impl Shared<'_, '_> {
    /// Takes blocks of the log until none is left.
    fn work(&self, job: &Job<'_>, worker: &mut Worker<'_>, buffer: &mut Buffer) {
        loop {
            let block = {
                let mut state = lock(&job.feed);
                if let FeedState::Waiting(open) = &mut *state {
                    let opened = match open.take() {
                        Some(open) => open().and_then(|log| decompress::unpack(log, self.options.threads > 1)),
                        None => Err(io::Error::other("not read")),
                    };
                    *state = match opened {
                        Ok(log) => FeedState::Open(Feed::new(log, self.clock(job), self.options.limit)),
                        Err(error) => FeedState::Failed(error.to_string()),
                    };
                }
                let FeedState::Open(feed) = &mut *state else { return };
                let Some(block) = feed.next(buffer) else { return };
                if block.number == 0 {
                    self.begin(job, feed);
                }
                block
            };
            let found = worker.search(buffer.bytes(), &block, job.attribution.as_ref());
            self.fold(job, block.number, found);
        }
    }

    fn clock(&self, job: &Job<'_>) -> Clock {
        let until = job.modified.map_or(self.options.at, |modified| modified.min(self.options.at));
        let mut clock = Clock::new(until, self.options.utc_offset);
        clock.boot = self.options.boot.map(Timestamp::as_second);
        clock
    }

    /// Notes where the log begins, before its first block is searched.
    fn begin(&self, job: &Job<'_>, feed: &Feed) {
        let mut done = lock(&job.done);
        if !job.has_older {
            done.fold.begins = feed.first;
        }
        if let Some(attribution) = &job.attribution {
            let program: Arc<str> = attribution.program.as_str().into();
            if attribution.begins_with_start && !job.has_older {
                done.fold.started(&self.scanner.patterns, &program, feed.first);
            }
            done.fold.seen(&Some(program), feed.first);
        } else {
            done.fold.seen(&None, feed.first);
        }
    }

    fn fold(&self, job: &Job<'_>, number: u64, found: Found) {
        let mut done = lock(&job.done);
        // Bounded, should the thread that has the next block be gone.
        for _ in 0..100 {
            if number <= done.next + AHEAD {
                break;
            }
            let wait = job.moved.wait_timeout(done, Duration::from_millis(100));
            done = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        done.waiting.insert(number, found);
        let done = &mut *done;
        while let Some(found) = done.waiting.remove(&done.next) {
            done.next += 1;
            for event in found.events {
                let line = event.line_start;
                if done.last_line.insert(event.matcher, line) != Some(line) {
                    self.count(job, &mut done.fold, event, done.lines);
                }
            }
            for (program, time) in found.tail {
                done.fold.seen(&program, Some(time));
            }
            done.lines += found.lines;
        }
        job.moved.notify_all();
    }

    fn count(&self, job: &Job<'_>, fold: &mut LogFold, event: Event, lines: u64) {
        let patterns = &self.scanner.patterns;
        let Some((_, role)) = self.scanner.matchers.get(event.matcher as usize) else { return };
        let since = self.options.from_time();
        let is_old =
            event.time.is_some_and(|time| time.absolute && since.is_some_and(|since| time.nanos < nanos(since)));
        let number = if job.is_numbered { lines + event.line + 1 } else { 0 };
        let line = RawLine { number, text: event.text };
        if let Role::Start(program) = role {
            let program = match event.captures.get("unit") {
                Some(unit) => program::started_unit(unit).map(|name| Arc::from(&*name)),
                None => program.clone().or(event.program),
            };
            if let Some(program) = program {
                if let Some(tell) = self.tell.filter(|_| !is_old) {
                    let (kind, program) = (EventKind::Start, Some(&program));
                    tell(LogEvent { kind, time: event.time, program, path: &job.path, line: &line });
                }
                fold.started(patterns, &program, event.time);
            }
            return;
        }
        let (Role::Pattern(index) | Role::Recovery(index)) = role else { return };
        let Some(pattern) = patterns.get(*index as usize) else { return };
        if is_old {
            return;
        }
        let found = Match { time: event.time, program: event.program, captures: event.captures, line };
        if let Role::Recovery(_) = role {
            fold.recovered(*index, pattern, &found);
            return;
        }
        if let Some(tell) = self.tell {
            tell(LogEvent {
                kind: EventKind::Message { index: *index, pattern, captures: &found.captures },
                time: found.time,
                program: found.program.as_ref(),
                path: &job.path,
                line: &found.line,
            });
        }
        fold.matched(*index, pattern, found);
    }
}

fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
