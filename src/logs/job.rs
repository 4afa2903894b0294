//! One log that is scanned: its blocks, which threads take in turn, and what was found in them, folded in their order.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::aggregate::{LogFold, Match, Program, RawLine};
use super::decompress;
use super::feed::{Block, Buffer, Feed};
use super::input::{EventKind, LogEvent, LogInput, Open, ScanOptions, Tell};
use super::matching::{Event, Worker};
use super::program::{self, Attribution};
use super::ready::{Ends, Ready};
use super::scan::{Role, Scanner};
use super::time::{Clock, Stamp};

/// More blocks than this are not folded ahead of one that is still searched.
const AHEAD: u64 = 32;

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

pub(crate) enum FeedState<'a> {
    Waiting(Option<Open<'a>>),
    Open(Box<Feed>),
    /// A thread has it.
    Unpacked,
    Failed(String),
}

/// Blocks of one log that were searched, put back in their order.
#[derive(Default)]
pub(crate) struct Done {
    next: u64,
    waiting: BTreeMap<u64, Found>,
    pub fold: LogFold,
    pub lines: u64,
    /// Threads that wait until those before them are put back.
    held: usize,
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

pub(crate) struct Job<'a> {
    pub path: String,
    attribution: Option<Attribution>,
    is_numbered: bool,
    modified: Option<Timestamp>,
    /// An older part of the log is there.
    has_older: bool,
    /// One of several parts of a log.
    pub is_part: bool,
    is_packed: bool,
    pub feed: Mutex<FeedState<'a>>,
    pub done: Mutex<Done>,
    moved: Condvar,
    ready: Ready,
}

impl<'a> Job<'a> {
    pub fn new(input: LogInput<'a>, has_older: bool) -> Job<'a> {
        Job {
            path: input.path,
            attribution: input.attribution,
            is_numbered: input.is_numbered,
            modified: input.modified,
            has_older,
            is_part: input.part.is_some(),
            is_packed: input.is_packed,
            feed: Mutex::new(FeedState::Waiting(Some(input.open))),
            done: Mutex::default(),
            moved: Condvar::new(),
            ready: Ready::default(),
        }
    }
}

pub(crate) struct Shared<'a, 'i> {
    pub scanner: &'a Scanner,
    pub options: &'a ScanOptions,
    pub tell: Option<Tell<'a>>,
    pub jobs: &'a [Job<'i>],
}

impl Shared<'_, '_> {
    /// Takes blocks of the log until none is left.
    pub fn work(&self, job: &Job<'_>, worker: &mut Worker<'_>, buffer: &mut Buffer) {
        loop {
            let mut state = lock(&job.feed);
            if self.options.is_over() {
                if let FeedState::Open(feed) = &mut *state {
                    feed.stop();
                }
                return;
            }
            if let FeedState::Waiting(open) = &mut *state {
                let opened = match open.take() {
                    Some(open) => open().and_then(decompress::unpack),
                    None => Err(io::Error::other("not read")),
                };
                *state = match opened {
                    Ok(log) => {
                        let is_packed = (log.is_packed || job.is_packed) && self.options.threads > 1;
                        let mut feed = Box::new(Feed::new(log, self.clock(job), self.options.limit));
                        if is_packed {
                            *state = FeedState::Unpacked;
                            drop(state);
                            self.unpack(job, &mut feed, worker, buffer);
                            *lock(&job.feed) = FeedState::Open(feed);
                            return;
                        }
                        FeedState::Open(feed)
                    }
                    Err(error) => FeedState::Failed(error.to_string()),
                };
            }
            if let FeedState::Unpacked = &*state {
                drop(state);
                return self.help(job, worker);
            }
            let FeedState::Open(feed) = &mut *state else { return };
            let Some(block) = feed.next(buffer) else { return };
            if block.number == 0 {
                self.begin(job, feed);
            }
            drop(state);
            self.search(job, worker, buffer, &block);
        }
    }

    fn search(&self, job: &Job<'_>, worker: &mut Worker<'_>, buffer: &Buffer, block: &Block) {
        let found = worker.search(buffer.bytes(), block, job.attribution.as_ref());
        self.fold(job, block.number, found);
    }

    /// Unpacks a log, and searches what nobody else has time for. That all of it is unpacked by one thread keeps what the
    /// unpacker looks back to in one processor's caches.
    fn unpack(&self, job: &Job<'_>, feed: &mut Feed, worker: &mut Worker<'_>, buffer: &mut Buffer) {
        let _ends = Ends(&job.ready);
        loop {
            if self.options.is_over() {
                feed.stop();
                return;
            }
            let Some(block) = feed.next(buffer) else { return };
            if block.number == 0 {
                self.begin(job, feed);
            }
            if let Some(block) = job.ready.put(buffer, block) {
                self.search(job, worker, buffer, &block);
            }
        }
    }

    /// Searches what another thread unpacks.
    fn help(&self, job: &Job<'_>, worker: &mut Worker<'_>) {
        let mut spent = None;
        while let Some((buffer, block)) = job.ready.take(spent.take()) {
            self.search(job, worker, &buffer, &block);
            spent = Some(buffer);
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
            done.held += 1;
            let wait = job.moved.wait_timeout(done, Duration::from_millis(100));
            done = wait.unwrap_or_else(PoisonError::into_inner).0;
            done.held -= 1;
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
        // Telling costs time also when nobody listens.
        if done.held > 0 {
            job.moved.notify_all();
        }
    }

    fn count(&self, job: &Job<'_>, fold: &mut LogFold, event: Event, lines: u64) {
        let patterns = &self.scanner.patterns;
        let Some((_, role)) = self.scanner.matchers.get(event.matcher as usize) else { return };
        let since = self.options.from_time();
        let is_old =
            event.time.is_some_and(|time| time.absolute && since.is_some_and(|since| time.nanos < nanos(since)));
        let number = if job.is_numbered { lines + event.line + 1 } else { 0 };
        let line = RawLine { number, text: event.text, matter: event.matter };
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
