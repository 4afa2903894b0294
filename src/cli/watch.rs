//! `check --watch`: judged again when files change or time has passed, with what is new and what is gone.
#![expect(clippy::disallowed_methods, reason = "whether files have changed is asked beside the evidence")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::check::{self, Arguments, Checked};
use super::error::CliError;
use super::exit::Exit;
use super::output;
use super::terminal::Terminal;
use crate::engine::Language;
use crate::engine::run::Run;
use crate::render::ci::fingerprint;
use crate::render::human;
use crate::render::json::v1;
use crate::render::text::escape;
use crate::source::SourceKind;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of a finding once its run is gone.
type Seen = BTreeMap<String, String>;

/// Never ends but by an error at the start, or when nobody reads any more.
pub fn run(arguments: &Arguments, language: Language, terminal: Terminal) -> Result<Exit, CliError> {
    if arguments.sources.iter().any(|source| source == "-") {
        return Err(CliError::usage("--watch: standard input is there only once; give a file or a folder"));
    }
    let mut checked = whole(check::once(arguments, language, terminal)?)?;
    let text = human::render(&checked.run.report, &checked.run.texts, options(&checked));
    let mut seen = findings(&checked.run);
    if !output::print_or_gone(&text)? {
        return Ok(checked.exit);
    }
    loop {
        wait(&checked.run, arguments);
        checked = match check::once(arguments, language, terminal).and_then(whole) {
            Ok(checked) => checked,
            Err(error) => {
                // A file that is being written is whole again a moment later.
                output::error(&error.message);
                std::thread::sleep(LOOK);
                continue;
            }
        };
        let now = findings(&checked.run);
        let text = changes(&seen, &now, &checked);
        seen = now;
        if !text.is_empty() && !output::print_or_gone(&text)? {
            return Ok(checked.exit);
        }
    }
}

/// Files that are to follow each change have to be written.
fn whole(mut checked: Checked) -> Result<Checked, CliError> {
    match checked.unwritten.take() {
        Some(error) => Err(error),
        None => Ok(checked),
    }
}

fn options(checked: &Checked) -> human::Options {
    let look = checked.look;
    human::Options {
        width: look.terminal.width,
        colour: look.terminal.colour,
        verbose: look.verbose,
        language: look.language,
        hidden: look.hidden,
    }
}

/// Findings that are open, by fingerprint and severity.
fn findings(run: &Run) -> Seen {
    let report = v1::Report::new(&run.report, &run.texts);
    let open = report.findings.iter().filter(|finding| finding.suppressed.is_none());
    open.map(|finding| (key(finding), format!("{}[{}]: {}", finding.severity, finding.rule, finding.title))).collect()
}

fn key(finding: &v1::Finding) -> String {
    format!("{} {}", fingerprint(finding), finding.severity)
}

fn changes(before: &Seen, now: &Seen, checked: &Checked) -> String {
    let report = v1::Report::new(&checked.run.report, &checked.run.texts);
    let is_new: Vec<bool> = report
        .findings
        .iter()
        .map(|finding| finding.suppressed.is_none() && !before.contains_key(&key(finding)))
        .collect();
    let gone: Vec<&String> = before.iter().filter(|(key, _)| !now.contains_key(*key)).map(|(_, text)| text).collect();
    if gone.is_empty() && !is_new.contains(&true) {
        return String::new();
    }
    let at = crate::collect::now().strftime("%Y-%m-%d %H:%M:%S UTC");
    let new = is_new.iter().filter(|is_new| **is_new).count();
    let mut out = format!("{at}: {new} new, {} gone, {} in all\n", gone.len(), now.len());
    for text in gone {
        out.push_str(&format!("gone: {}\n", escape(text)));
    }
    let new = |index: usize| is_new.get(index).copied().unwrap_or(false);
    out.push_str(&human::render_some(&checked.run.report, &checked.run.texts, options(checked), new));
    out
}

/// Until a file that was read changes, or another comes to a folder of theirs, at most the interval.
fn wait(run: &Run, arguments: &Arguments) {
    let files = files(run);
    let stamps = stamps(&files);
    let start = Instant::now();
    while start.elapsed() < arguments.interval {
        std::thread::sleep(LOOK.min(arguments.interval.saturating_sub(start.elapsed())));
        if self::stamps(&files) != stamps {
            return;
        }
    }
}

/// The files that texts were read from, where they are on this machine, and their folders.
fn files(run: &Run) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for host in &run.report.hosts {
        for path in run.texts.get(&host.name).into_iter().flat_map(|files| files.keys()) {
            // What the kernel makes up has a new time whenever one looks.
            if path.starts_with("/proc/") || path.starts_with("/sys/") {
                continue;
            }
            let file = match host.kind {
                SourceKind::Live | SourceKind::File => PathBuf::from(path),
                SourceKind::Tree => Path::new(&host.source).join(path.trim_start_matches('/')),
                SourceKind::Bundle => continue,
            };
            found.extend(file.parent().map(Path::to_owned));
            found.push(file);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Time, size and number of each file; none for one that is gone.
fn stamps(files: &[PathBuf]) -> Vec<Option<(i64, i64, u64, u64)>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::symlink_metadata(file).ok()?;
        Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino()))
    };
    files.iter().map(stamp).collect()
}
