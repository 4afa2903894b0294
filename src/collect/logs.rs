//! Which logs of a host are scanned: the files of the system, of the runtime and of Kubernetes under /var/log, and on a
//! live host the journal of their units.

pub mod audit;
pub mod follow;
mod journal;
mod parts;

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Files;
use crate::facts::log::Logs;
use crate::logs::format::journal::JournalReader;
use crate::logs::{LogInput, ScanOptions, Scanner, Tell};
use crate::source::{FileKind, ReadError, Source, SourceKind};

const LOG: &str = "/var/log";
/// More logs of one host are not read.
const FILE_LIMIT: usize = 20_000;
/// A live host's logs are read back so far unless the user says otherwise.
const LIVE_SINCE: Duration = Duration::from_secs(24 * 3600);
/// A log given alone that is no longer than this is an excerpt. Every component's mere start prints more.
const EXCERPT_LINES: u64 = 20;
/// Beginnings of the names of files in /var/log that are read, with what rotation adds to them.
const NAMES: &[&str] = &[
    "messages",
    "syslog",
    "kern.log",
    "daemon.log",
    "dmesg",
    "kube",
    "etcd",
    "docker",
    "containerd",
    "crio",
    "cri-dockerd",
    "haproxy",
    "keepalived",
    "flannel",
    "journal",
    "k3s",
    "rke2",
    "apiserver",
    "controller-manager",
    "scheduler",
];
/// Directories of logs, and how deep they go.
const DIRECTORIES: &[(&str, usize)] = &[
    ("/var/log/pods", 2),
    ("/var/log/kubernetes", 3),
    ("/var/log/kube-apiserver", 1),
    ("/var/log/kubelet", 1),
    ("/var/log/etcd", 1),
    ("/var/log/containerd", 1),
    ("/var/log/crio", 0),
    ("/var/log/haproxy", 0),
    ("/var/log/keepalived", 0),
];
/// Below it start scripts write `./log/etcd.log`.
const HOME: &str = "/home/work";
const HOME_DEPTH: usize = 3;
/// Directories that are listed there.
const HOME_LIMIT: usize = 200;
/// An apiserver's audit log tells what users did, not what is wrong; what auditd writes is another matter ([`audit`]).
const IGNORED: &[&str] = &["audit", "access"];

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
        inputs.push(input);
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

/// Finds the logs; those that were last written before `from` are left out.
pub fn discover(files: &Files, from: Option<Timestamp>) -> Discovered {
    let mut found = Discovery { files, paths: BTreeSet::new(), journals: BTreeSet::new(), left_out: Vec::new() };
    if files.kind() == SourceKind::File {
        found.directory(LOG, 0, &|_| true);
    } else {
        found.directory(LOG, 0, &is_system_log);
        for (directory, depth) in DIRECTORIES {
            found.directory(directory, *depth, &is_log);
        }
        found.directory(audit::DIRECTORY, 0, &audit::is_log);
        found.directory("/var/log/nginx", 0, &|name| name.starts_with("error.log"));
        found.containers();
        found.start_scripts();
    }
    found.binary_journals();
    found.finish(from)
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

struct Discovery<'f> {
    files: &'f Files,
    paths: BTreeSet<String>,
    journals: BTreeSet<String>,
    left_out: Vec<(String, String)>,
}

impl Discovery<'_> {
    fn directory(&mut self, path: &str, depth: usize, wanted: &dyn Fn(&str) -> bool) {
        let entries = match self.files.list(path) {
            Ok(entries) => entries,
            Err(error) => {
                // Few hosts have all of them; that there is no /var/log at all is worth saying.
                if path == LOG || !matches!(error, ReadError::NotFound { .. } | ReadError::NotCovered { .. }) {
                    self.left_out.push((path.to_owned(), why(path, &error)));
                }
                return;
            }
        };
        for entry in entries.iter() {
            if self.paths.len() >= FILE_LIMIT {
                return;
            }
            let full = format!("{path}/{}", entry.name);
            // Where it stands is what counts for a link: container engines keep their logs elsewhere.
            let kind = match entry.kind {
                FileKind::Link => self.files.metadata(&full).map_or(FileKind::File, |found| found.kind),
                kind => kind,
            };
            match kind {
                FileKind::Directory if depth > 0 && entry.kind == FileKind::Directory => {
                    self.directory(&full, depth - 1, wanted);
                }
                FileKind::File if wanted(&entry.name) => {
                    self.paths.insert(full);
                }
                _ => {}
            }
        }
    }

    /// /var/log/containers has links to what /var/log/pods has; only others are read.
    fn containers(&mut self) {
        let path = "/var/log/containers";
        let Ok(entries) = self.files.list(path) else { return };
        let has_pods = self.paths.iter().any(|path| path.starts_with("/var/log/pods/"));
        for entry in entries.iter() {
            let full = format!("{path}/{}", entry.name);
            let is_copy = has_pods
                && self
                    .files
                    .read_link(&full)
                    .is_ok_and(|target| target.contains("/pods/") || target.starts_with("../pods"));
            if is_log(&entry.name) && !is_copy {
                self.paths.insert(full);
            }
        }
    }

    fn start_scripts(&mut self) {
        let mut pending = vec![(HOME.to_owned(), 0)];
        let mut listed = 0;
        while let Some((directory, depth)) = pending.pop() {
            listed += 1;
            if listed > HOME_LIMIT {
                break;
            }
            let Ok(entries) = self.files.list(&directory) else { continue };
            for entry in entries.iter().filter(|entry| entry.kind == FileKind::Directory) {
                let path = format!("{directory}/{}", entry.name);
                if matches!(entry.name.as_str(), "log" | "logs") {
                    self.directory(&path, 0, &is_system_log);
                } else if depth < HOME_DEPTH && !entry.name.starts_with('.') {
                    pending.push((path, depth + 1));
                }
            }
        }
    }

    /// systemd's own: one folder for each machine whose messages were kept there.
    fn binary_journals(&mut self) {
        for path in ["/var/log/journal", "/run/log/journal"] {
            let Ok(machines) = self.files.list(path) else { continue };
            for machine in machines.iter().filter(|entry| entry.kind == FileKind::Directory) {
                let folder = format!("{path}/{}", machine.name);
                match self.files.list(&folder) {
                    Ok(entries) => self.journals.extend(
                        entries
                            .iter()
                            // What users' own programs say is none of a node's matters.
                            .filter(|entry| entry.kind == FileKind::File && !entry.name.starts_with("user-"))
                            .filter(|entry| entry.name.ends_with(".journal") || entry.name.ends_with(".journal~"))
                            .take(FILE_LIMIT)
                            .map(|entry| format!("{folder}/{}", entry.name)),
                    ),
                    Err(error) => self.left_out.push((folder.clone(), why(&folder, &error))),
                }
            }
        }
    }

    fn finish(self, from: Option<Timestamp>) -> Discovered {
        let Discovery { files, paths, journals, mut left_out } = self;
        if paths.len() >= FILE_LIMIT {
            left_out.push((LOG.to_owned(), format!("more than {FILE_LIMIT} logs; the others are not read")));
        }
        let mut old = 0usize;
        let mut newest_first = |paths: BTreeSet<String>| {
            let mut kept: Vec<(String, i64)> = Vec::new();
            for path in paths {
                match files.metadata(&path) {
                    Ok(found) if found.size == 0 && files.kind() != SourceKind::File => {}
                    Ok(found) => {
                        // Not every source knows when a file was written.
                        let is_old = from.is_some_and(|from| found.modified > 0 && found.modified < from.as_second());
                        if is_old {
                            old += 1;
                        } else {
                            kept.push((path, found.modified));
                        }
                    }
                    Err(error) => left_out.push((path.clone(), why(&path, &error))),
                }
            }
            // Stable: paths are sorted, and those of one log are in the order of time.
            kept.sort_by_key(|(_, modified)| std::cmp::Reverse(*modified));
            kept.into_iter().map(|(path, _)| path).collect::<Vec<String>>()
        };
        let (paths, journals) = (newest_first(paths), newest_first(journals));
        if let (Some(from), true) = (from, old > 0) {
            left_out.push((LOG.to_owned(), format!("{old} logs that were last written before {from:.0}")));
        }
        Discovered { paths, journals, left_out }
    }
}

fn is_system_log(name: &str) -> bool {
    NAMES.iter().any(|known| name.starts_with(known)) && is_log(name)
}

fn is_log(name: &str) -> bool {
    !IGNORED.iter().any(|word| name.contains(word))
        && ![".journal", ".pos", ".offset", ".tar", ".tgz", ".zip", ".bz2", ".yaml", ".yml"]
            .iter()
            .any(|end| name.ends_with(end))
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
    fn finds_the_logs_that_matter() {
        let tree = [
            "/var/log/messages",
            "/var/log/messages-20261114.gz",
            "/var/log/syslog.1",
            "/var/log/kubelet.log",
            "/var/log/journal.txt",
            "/var/log/pods/kube-system_etcd-m1_1/etcd/0.log",
            "/var/log/pods/kube-system_etcd-m1_1/etcd/0.log.20261121-104256.gz",
            "/var/log/kubernetes/kube-apiserver/kube-apiserver.INFO",
            "/var/log/nginx/error.log",
            "/var/log/audit/audit.log",
            "/var/log/audit/audit.log.1",
            "/var/log/containers/web_default_web-0123.log",
            "/home/work/etcd/log/etcd.log",
            "/home/work/kubernetes/master/log/kube-apiserver.log.1",
        ];
        let not = [
            "/var/log/auth.log",
            "/var/log/kube-apiserver-audit.log",
            "/var/log/kubernetes/audit/audit.log",
            "/var/log/nginx/access.log",
            "/var/log/audit/audit.log.2.gz",
            "/home/work/web/log/access.log",
            "/home/work/etcd/etcd.log",
        ];
        let mut source = MemorySource::new("m1");
        for path in tree.iter().chain(&not) {
            source = source.file(*path, "x\n");
        }
        source =
            source.file("/var/log/kubeempty.log", "").file("/var/log/journal/0123/system.journal", "LPKSHHRH").link(
                "/var/log/containers/etcd-m1_kube-system_etcd-0.log",
                "/var/log/pods/kube-system_etcd-m1_1/etcd/0.log",
            );
        let found = discover(&files(source), None);
        let mut expected: Vec<String> = tree.iter().map(|path| (*path).to_owned()).collect();
        expected.sort();
        let mut paths = found.paths;
        paths.sort();
        assert_eq!(paths, expected);
        assert_eq!(found.journals, ["/var/log/journal/0123/system.journal"]);
        assert_eq!(found.left_out, []);
    }

    #[test]
    fn says_what_it_may_not_read() {
        let source =
            MemorySource::new("m1").file("/var/log/messages", "x").denied("/var/log/pods").denied("/var/log/syslog");
        let found = discover(&files(source), None);
        assert_eq!(found.paths, ["/var/log/messages"]);
        assert_eq!(found.left_out, [("/var/log/pods".to_owned(), "permission denied: run as root".to_owned())]);
        let found = discover(&files(MemorySource::new("m1")), None);
        assert_eq!(found.left_out.len(), 1);
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
