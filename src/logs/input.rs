//! What is scanned, how, and what is told of it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::aggregate::RawLine;
use super::decompress;
use super::pattern::LogPattern;
use super::program::{self, Attribution};
use super::time::Stamp;
use crate::report::LogLine;

pub(crate) type Open<'a> = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'a>;

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
    /// Which part of a log this is that is read in several, the latest first.
    pub part: Option<Part>,
    /// Reading it is work, as of what is in an archive; of a packed log that is known without being told.
    pub is_packed: bool,
    pub(crate) open: Open<'a>,
}

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It begins where the log does.
    First,
    Later,
}

impl<'a> LogInput<'a> {
    /// The reader gives the file as it is; what is packed is unpacked.
    pub fn new(path: impl Into<String>, reader: Box<dyn Read + Send>) -> LogInput<'a> {
        LogInput::lazy(path, Box::new(move || Ok(reader)))
    }

    /// Opened only when its turn comes.
    pub fn lazy(path: impl Into<String>, open: Open<'a>) -> LogInput<'a> {
        let path = path.into();
        LogInput {
            attribution: program::attribute_path(&path),
            path,
            is_numbered: true,
            modified: None,
            part: None,
            is_packed: false,
            open,
        }
    }

    /// The path and the log's lines as they are scanned: unpacked, an exported journal as text.
    pub fn into_lines(self) -> (String, io::Result<Box<dyn Read + Send>>) {
        (self.path, (self.open)().and_then(|log| decompress::open(log)))
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
    /// How long logs may be read. Who has a clock keeps to it, by `stop`.
    pub time_limit: Option<Duration>,
    /// Once it is true nothing more is read.
    pub stop: Arc<AtomicBool>,
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
            time_limit: None,
            stop: Arc::default(),
            excerpt_lines: 0,
        }
    }
}

impl ScanOptions {
    /// The earliest time of a match, when there is a limit.
    pub fn from_time(&self) -> Option<Timestamp> {
        self.at.checked_sub(self.since?).ok()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
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
    /// A pattern, by its place among those given to [`Scanner::new`](super::Scanner::new), and what it captured.
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
