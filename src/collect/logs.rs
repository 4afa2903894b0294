//! Which logs of a host are scanned: the files of the system, of the runtime and of Kubernetes under /var/log, and on a
//! live host the journal of their units.

pub mod audit;
mod discover;
pub mod follow;
mod journal;
mod parts;

pub use discover::discover;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Files;
use crate::facts::log::Logs;
use crate::logs::format::journal::JournalReader;
use crate::logs::{LogInput, ScanOptions, Scanner, Tell, pasted};
use crate::source::{ReadError, Source, SourceKind};

/// A live host's logs are read back so far unless the user says otherwise.
const LIVE_SINCE: Duration = Duration::from_secs(24 * 3600);
/// A log given alone that is no longer than this is an excerpt. Every component's mere start prints more.
const EXCERPT_LINES: u64 = 20;

/// The logs that a source has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Absolute paths on the host, those of one log newest first.
    pub paths: Vec<String>,
    /// Binary journals, likewise.
    pub journals: Vec<String>,
    /// What is there and is not read, with why.
    pub left_out: Vec<(String, String)>,
}

/// Which logs are to be read, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    pub options: ScanOptions,
    pub discovered: Discovered,
}

/// Looks for the host's logs, and for what their lines' times need to be understood.
pub fn plan(files: &Files, options: &ScanOptions) -> Plan {
    let options = host_options(files, options);
    let discovered = discover(files, options.from_time());
    Plan { options, discovered }
}

/// Scans the host's logs.
pub fn collect(files: &Files, scanner: &Scanner, options: &ScanOptions) -> Logs {
    if scanner.is_empty() {
        return Logs::default();
    }
    collect_events(files, scanner, options, None)
}

/// Scans the host's logs and tells each event.
pub fn collect_events(files: &Files, scanner: &Scanner, options: &ScanOptions, tell: Option<Tell<'_>>) -> Logs {
    let Plan { options, discovered } = plan(files, options);
    let clock = Clock::start(&options);
    let mut inputs: Vec<LogInput<'_>> = Vec::new();
    let mut left_out = discovered.left_out;
    let streams = files.source().recording().map_or(&[][..], |recording| &recording.streams);
    // On the live host journalctl knows best what is to be read; what it said then is in its recording. It has begun to write,
    // and does not wait for ever.
    let has_journal = streams.is_empty()
        && files.is_live()
        && journal::inputs(options.from_time(), options.time_limit, &mut inputs, &mut left_out);
    for path in &discovered.paths {
        inputs.extend(parts::inputs(files, path, options.time_limit.is_some()));
    }
    if streams.is_empty() && !has_journal {
        if files.is_live() && discovered.journals.is_empty() {
            left_out.push(("journal".to_owned(), journal::NO_JOURNALCTL.to_owned()));
        }
        let from = options.from_time();
        inputs.extend(discovered.journals.iter().map(|path| {
            let open = move || journal_lines(files.source(), path, from);
            let mut input = LogInput::lazy(files.source().display_path(path), Box::new(open));
            input.attribution = None;
            input.is_numbered = false;
            input
        }));
    }
    left_out.extend(files.source().recording().iter().flat_map(|recording| recording.streams_left_out.clone()));
    for (name, path) in streams {
        let open = move || files.open(path).map_err(|error| io::Error::other(why(path, &error)));
        let mut input = LogInput::lazy(name.clone(), Box::new(open));
        input.attribution = None;
        input.is_packed = true;
        inputs.push(input);
    }
    if options.excerpt_lines > 0 {
        for input in &mut inputs {
            let open = std::mem::replace(&mut input.open, Box::new(|| Err(io::ErrorKind::NotFound.into())));
            input.open = Box::new(move || pasted::open(scanner, open()?));
        }
    }
    let mut logs = scanner.scan_events(inputs, &options, tell);
    drop(clock);
    left_out.append(&mut logs.left_out);
    logs.left_out = left_out;
    logs
}

/// Tells the scanner when the time for reading logs is over.
struct Clock {
    /// Dropped when nobody waits any more.
    _waits: Option<mpsc::Sender<()>>,
}

impl Clock {
    fn start(options: &ScanOptions) -> Clock {
        let start = |limit| {
            let (waits, ends) = mpsc::channel::<()>();
            let stop = Arc::clone(&options.stop);
            std::thread::spawn(move || {
                if ends.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                    stop.store(true, Ordering::Relaxed);
                }
            });
            waits
        };
        Clock { _waits: options.time_limit.map(start) }
    }
}

/// When a log was written last. Archives that were made to be the same each time give all files one date of long ago, which
/// is none.
fn modified(files: &Files, path: &str) -> Option<Timestamp> {
    const KUBERNETES: i64 = 1_402_000_000; // June 2014: no log of it is older
    let modified = files.metadata(path).ok()?.modified;
    Timestamp::from_second(modified).ok().filter(|_| modified > KUBERNETES)
}

/// The options with what the host itself says of times.
pub fn host_options(files: &Files, options: &ScanOptions) -> ScanOptions {
    // Each host's logs have their own time.
    let mut options = ScanOptions { stop: Arc::default(), ..options.clone() };
    options.since = options.since.or(files.source().recording().and_then(|recording| recording.since));
    if files.is_of_live_host() {
        options.since = options.since.or(Some(LIVE_SINCE));
    }
    if files.kind() == SourceKind::File {
        options.excerpt_lines = EXCERPT_LINES;
    } else {
        options.utc_offset = utc_offset(files, options.at).unwrap_or(options.utc_offset);
        options.boot = options.boot.or_else(|| boot(files));
    }
    options
}

/// The entries of a binary journal as lines of `journalctl -o export`.
pub fn journal_lines(source: &dyn Source, path: &str, from: Option<Timestamp>) -> io::Result<Box<dyn io::Read + Send>> {
    let units = (source.kind() != SourceKind::File).then_some(journal::UNITS);
    let file = source.open_seek(path).map_err(|error| io::Error::other(why(path, &error)))?;
    Ok(Box::new(JournalReader::open(file, units, from)?))
}

/// The live host's journal as streams of lines, each with what it is called, and why there is none.
#[expect(clippy::type_complexity, reason = "two lists of pairs")]
pub fn journal_streams(
    from: Option<Timestamp>,
) -> (Vec<(String, io::Result<Box<dyn io::Read + Send>>)>, Vec<(String, String)>) {
    let mut left_out = Vec::new();
    let mut inputs = Vec::new();
    journal::inputs(from, None, &mut inputs, &mut left_out);
    (inputs.into_iter().map(LogInput::into_lines).collect(), left_out)
}

/// The refusal without the path, with what can be done.
fn why(path: &str, error: &ReadError) -> String {
    let unknown = error.unknown();
    match unknown.remedy {
        Some(remedy) => format!("{}: {remedy}", unknown.why),
        None => unknown.why.strip_prefix(path).map_or(unknown.why.clone(), str::to_owned),
    }
}

/// Seconds east of UTC that the host's zone had at that time.
fn utc_offset(files: &Files, at: Timestamp) -> Option<i32> {
    let zone = TimeZone::tzif("local", &files.bytes("/etc/localtime").ok()?).ok()?;
    Some(zone.to_offset(at).seconds())
}

/// When the host started, as its kernel says.
fn boot(files: &Files) -> Option<Timestamp> {
    let stat = files.text("/proc/stat").ok()?;
    let seconds = stat.text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::logs::LogPattern;
    use crate::source::MemorySource;

    fn files(source: MemorySource) -> Files {
        Files::new(Arc::new(source))
    }

    #[test]
    fn scans_a_tree() {
        let pattern = LogPattern {
            rule: "disk-full".to_owned(),
            pattern: "no space left on device".to_owned(),
            components: vec!["etcd".to_owned()],
            ..LogPattern::default()
        };
        let line = "Nov 21 17:59:00 m1 etcd[9]: no space left on device\n";
        let source =
            MemorySource::new("m1").file("/var/log/messages", line).file("/proc/stat", "cpu 1\nbtime 1700000000\n");
        let options = ScanOptions { at: "2026-11-21T12:00:00Z".parse().unwrap(), ..ScanOptions::default() };
        let logs = collect(&files(source), &Scanner::new(vec![pattern]).unwrap(), &options);
        assert_eq!(logs.hits[0].component.as_deref(), Some("etcd"));
        assert_eq!(logs.scanned[0].lines, 1);
        assert_eq!(logs.hits[0].first.as_deref(), Some("2026-11-21T17:59:00Z"));
    }

    #[test]
    fn knows_when_the_host_started() {
        let source = MemorySource::new("m1").file("/proc/stat", "cpu 1\nbtime 1700000000\nprocesses 2\n");
        assert_eq!(boot(&files(source)).map(|time| time.as_second()), Some(1_700_000_000));
    }
}
