//! Recording: a host's facts are taken as `check` takes them, and whatever is asked of the source on the way goes into the
//! bundle. Logs, which are read as streams, follow one after another, the newest first.

mod output;
mod recorder;
mod source;
mod streams;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use jiff::Timestamp;

use super::manifest::{FORMAT, Head, LeftOut, Recorded};
use super::output::AtomicFile;
use super::pseudonym::{Pseudonyms, Wanted};
use super::redact::Policy;
use crate::collect::Files;
use crate::collect::host::{self, HostOptions};
use crate::logs::ScanOptions;
use crate::source::{PatientSource, SourceKind, SourceRef};
use recorder::Recorder;
pub use recorder::{Listed, Summary};
use source::RecordingSource;

#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// How far back logs are taken; as `check` reads them when not given.
    pub since: Option<Duration>,
    /// For everything; what was taken until then is a bundle that says what it lacks.
    pub timeout: Duration,
    /// Bytes of the bundle; the logs are cut to fit.
    pub max_size: Option<u64>,
    /// How long to wait for answers of sockets; none to ask nothing.
    pub probe_deadline: Option<Duration>,
    pub redact: Policy,
    /// What is replaced by pseudonyms.
    pub pseudonyms: Wanted,
    /// How many rules this release has.
    pub rules: usize,
}

impl Default for CollectOptions {
    fn default() -> CollectOptions {
        CollectOptions {
            since: None,
            timeout: Duration::from_secs(600),
            max_size: None,
            probe_deadline: Some(Duration::from_secs(5)),
            redact: Policy::default(),
            pseudonyms: Wanted::default(),
            rules: 0,
        }
    }
}

/// How long one file is waited for, within a tenth of the time for all.
const MOST_PATIENCE: Duration = Duration::from_secs(10);
const LEAST_PATIENCE: Duration = Duration::from_millis(200);

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("{path}: {why}{}", if *.keeps_old { "; what was there before is still there" } else { "" })]
    Write {
        path: String,
        why: String,
        /// Whether there was a file, which is still there.
        keeps_old: bool,
    },
}

/// Records the host behind `source` into a new file at `path`, which replaces an old one only when it is whole.
pub fn to_file(source: SourceRef, path: &Path, options: &CollectOptions) -> Result<Summary, CollectError> {
    let keeps_old = path.exists();
    let failed = |error: std::io::Error| CollectError::Write {
        path: path.display().to_string(),
        why: why(&error, path),
        keeps_old,
    };
    let file = AtomicFile::create(path).map_err(failed)?;
    let (file, summary) = to_writer(source, file, options).map_err(failed)?;
    file.commit().map_err(failed)?;
    Ok(summary)
}

fn why(error: &std::io::Error, path: &Path) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            format!("there is no directory {}", parent.unwrap_or(Path::new(".")).display())
        }
        std::io::ErrorKind::StorageFull => {
            "no space left on the disk; give -o on another one, or --max-size".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Records into a stream. The error is one of writing.
pub fn to_writer<W: Write + Send + 'static>(
    source: SourceRef,
    out: W,
    options: &CollectOptions,
) -> std::io::Result<(W, Summary)> {
    let started = crate::collect::now();
    let patience = (options.timeout / 10).clamp(LEAST_PATIENCE, MOST_PATIENCE);
    let root = match source.kind() {
        SourceKind::Live => Some("/".to_owned()),
        SourceKind::Tree => Some(source.label().to_owned()),
        _ => None,
    };
    let patient = Arc::new(PatientSource::new(source, root.as_deref(), patience));
    let source: SourceRef = Arc::clone(&patient) as SourceRef;
    let name = host::name_of(&source);
    let mut head = head(&source, &name, started, options);
    let pseudonyms = Pseudonyms::learn(&source, &options.pseudonyms)?;
    if let Some(pseudonyms) = &pseudonyms {
        head.host = pseudonyms.word(&head.host);
    }
    let recorder = Arc::new(Recorder::new(out, head, options.redact, pseudonyms, options.max_size)?);
    let (done, finished) = channel();
    let working = Arc::clone(&recorder);
    let (working_options, working_source) = (options.clone(), Arc::clone(&source));
    // On a thread of its own: a file of a hung disk is waited for forever, and we are not.
    std::thread::spawn(move || {
        work(working_source, &working, &working_options, started);
        let _ = done.send(());
    });
    let late = match finished.recv_timeout(options.timeout) {
        Ok(()) => None,
        Err(RecvTimeoutError::Timeout) => {
            Some(format!("the time limit of {} s came before its end", options.timeout.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Some("recording failed on the way; please report this".to_owned()),
    };
    let hung = patient.hung();
    if !hung.is_empty() {
        let seconds = patience.as_secs_f64();
        recorder.incomplete(format!("no answer within {seconds:.1} s, a disk hangs: {}", hung.join(", ")));
        for path in hung {
            recorder.leave_out(LeftOut { path, why: format!("its disk did not answer within {seconds:.1} s") });
        }
    }
    recorder.finish(late)
}

/// What would be taken, without content.
pub fn list(source: SourceRef, options: &CollectOptions) -> std::io::Result<Listed> {
    let started = crate::collect::now();
    let name = host::name_of(&source);
    let recorder = Arc::new(Recorder::listing(head(&source, &name, started, options))?);
    let quiet = CollectOptions { probe_deadline: None, ..options.clone() };
    work(source, &recorder, &quiet, started);
    Ok(recorder.listed())
}

fn head(source: &SourceRef, name: &str, started: Timestamp, options: &CollectOptions) -> Head {
    let recording = source.recording();
    let is_live = source.kind() == SourceKind::Live || recording.is_some_and(|found| found.of == SourceKind::Live);
    Head {
        format: FORMAT,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        rules: options.rules,
        host: name.to_owned(),
        started: recording.and_then(|found| found.at).unwrap_or(started),
        of: if is_live { Recorded::Live } else { Recorded::Tree },
        since_seconds: options.since.or(recording.and_then(|found| found.since)).map(|since| since.as_secs()),
        redacted: options.redact.secrets,
        pseudonyms: pseudonyms_of(&options.pseudonyms),
    }
}

fn pseudonyms_of(wanted: &Wanted) -> Vec<String> {
    let kinds = [(wanted.addresses, "addresses"), (wanted.hostnames, "hostnames")];
    kinds.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name.to_owned()).collect()
}

fn work<W>(source: SourceRef, recorder: &Arc<Recorder<W>>, options: &CollectOptions, started: Timestamp)
where
    W: Write + Send + 'static,
{
    let recording: SourceRef = Arc::new(RecordingSource::new(Arc::clone(&source), Arc::clone(recorder)));
    let at = source.recording().and_then(|found| found.at).unwrap_or(started);
    let scan = ScanOptions { since: options.since, at, ..ScanOptions::default() };
    let host_options = HostOptions { scan, probe_deadline: options.probe_deadline, at };
    let planned = std::sync::Mutex::new(None);
    let host = host::collect_with(recording, &host_options, |files: &Files, scan: &ScanOptions| {
        let plan = crate::collect::logs::plan(files, scan);
        *planned.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(plan);
        crate::facts::log::Logs::default()
    });
    if let Some(addresses) = crate::collect::network::addresses(&Files::new(Arc::clone(&source))) {
        recorder.addresses(addresses);
    }
    recorder.probes(&host.probes);
    let plan = planned.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Some(plan) = plan else { return };
    for (path, why) in &plan.discovered.left_out {
        recorder.not_read(LeftOut { path: path.clone(), why: why.clone() });
    }
    streams::record(&source, recorder, &plan.discovered, plan.options.from_time());
    // A bundle that is written again is no more whole than it was.
    let lacks = source.recording().and_then(|recording| recording.incomplete.clone()).or_else(|| source.late_damage());
    if let Some(why) = lacks {
        recorder.incomplete(why);
    }
}
