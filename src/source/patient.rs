//! A source on a disk that may hang (a dead NFS server, a failing drive): each question is asked by a thread of its own, and
//! not waited for forever. A thread that is stuck in the kernel is left there.

mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Entry, Metadata, ReadError, ReadSeek, Recording, Source, SourceKind, SourceRef};

/// Questions of one file system of a host's own that are left without answer before nothing more is asked of it. Of others
/// one is enough: they hang as a whole.
const OWN_LIMIT: usize = 8;
/// A busy disk answers within this time.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

pub use streams::PatientReader;
use streams::PatientSeek;

type Job = Box<dyn FnOnce() + Send>;

pub struct PatientSource {
    inner: SourceRef,
    waiting: Arc<Waiting>,
    /// Threads that wait for a question.
    idle: Mutex<Vec<Sender<Job>>>,
}

/// What did not answer.
struct Waiting {
    patience: Duration,
    /// Mount points below the source's root, as paths of the host.
    mounts: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Paths without answer.
    paths: BTreeSet<String>,
    /// By mount point, how many questions were without answer.
    counts: BTreeMap<String, usize>,
}

impl PatientSource {
    /// `root` is where on this machine the source's files stand, when they do: `/` of the live host.
    pub fn new(inner: SourceRef, root: Option<&str>, patience: Duration) -> PatientSource {
        let waiting = Waiting { patience, mounts: root.map(mounts).unwrap_or_default(), state: Mutex::default() };
        PatientSource { inner, waiting: Arc::new(waiting), idle: Mutex::default() }
    }

    /// The source, and around it somebody who does not wait forever, when its files are read where they stand.
    pub fn around(source: SourceRef, patience: Duration) -> SourceRef {
        let root = match source.kind() {
            SourceKind::Live => "/".to_owned(),
            SourceKind::Tree => source.label().to_owned(),
            SourceKind::File | SourceKind::Bundle => return source,
        };
        Arc::new(PatientSource::new(source, Some(&root), patience.max(LEAST_PATIENCE)))
    }

    /// File systems that did not answer, and paths of those that did otherwise.
    pub fn hung(&self) -> Vec<String> {
        let state = self.waiting.lock();
        let is_told = |path: &String| !state.counts.contains_key(path) || self.waiting.mount_of(path) != path;
        let mounts = state.counts.keys().filter(|mount| self.waiting.is_given_up(&state, mount)).cloned();
        let paths = state
            .paths
            .iter()
            .filter(|path| is_told(path) && !self.waiting.is_given_up(&state, self.waiting.mount_of(path)));
        mounts.chain(paths.cloned()).collect()
    }

    fn ask<T: Send + 'static>(
        &self,
        path: &str,
        question: impl FnOnce(&dyn Source) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        if self.waiting.is_hung(path) {
            return Err(self.waiting.error(path));
        }
        let (tell, answer) = sync_channel(1);
        let inner = Arc::clone(&self.inner);
        let mut job: Job = Box::new(move || {
            let _ = tell.send(question(&*inner));
        });
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = loop {
            let known = idle().pop();
            let worker = match known {
                Some(worker) => worker,
                None => match worker() {
                    Ok(worker) => worker,
                    Err(error) => return Err(ReadError::Io { path: path.to_owned(), message: error.to_string() }),
                },
            };
            match worker.send(job) {
                Ok(()) => break worker,
                // Its thread has ended, which only a panic does.
                Err(unsent) => job = unsent.0,
            }
        };
        match answer.recv_timeout(self.waiting.patience) {
            Ok(answer) => {
                idle().push(worker);
                answer
            }
            Err(RecvTimeoutError::Timeout) => {
                self.waiting.add(path);
                Err(self.waiting.error(path))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let message = "it could not be read: please report this".to_owned();
                Err(ReadError::Io { path: path.to_owned(), message })
            }
        }
    }
}

/// A thread that does what it is sent, until nobody can send any more.
fn worker() -> io::Result<Sender<Job>> {
    let (send, jobs) = channel::<Job>();
    std::thread::Builder::new().name("ask".to_owned()).spawn(move || jobs.into_iter().for_each(|job| job()))?;
    Ok(send)
}

/// Where file systems are mounted below a directory, by its own paths.
#[expect(clippy::disallowed_methods, reason = "how this machine reaches the files, which is no evidence")]
fn mounts(root: &str) -> Vec<String> {
    let root = std::fs::canonicalize(root).map_or_else(|_| root.to_owned(), |root| root.display().to_string());
    let root = root.trim_end_matches('/');
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| point.replace("\\040", " "));
    let below = points.filter_map(|point| {
        let rest = point.strip_prefix(root)?;
        (rest.starts_with('/') && rest.len() > 1).then(|| rest.to_owned())
    });
    below.collect()
}

fn is_within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file system that a path is on, as far as its links do not lead elsewhere.
    fn mount_of<'a>(&'a self, path: &str) -> &'a str {
        let within = self.mounts.iter().filter(|mount| is_within(path, mount));
        within.max_by_key(|mount| mount.len()).map_or("/", String::as_str)
    }

    fn is_given_up(&self, state: &State, mount: &str) -> bool {
        let limit = if matches!(mount, "/" | "/proc" | "/sys") { OWN_LIMIT } else { 1 };
        state.counts.get(mount).is_some_and(|count| *count >= limit)
    }

    fn is_hung(&self, path: &str) -> bool {
        let state = self.lock();
        !state.counts.is_empty() && (state.paths.contains(path) || self.is_given_up(&state, self.mount_of(path)))
    }

    fn add(&self, path: &str) {
        let mut state = self.lock();
        state.paths.insert(path.to_owned());
        *state.counts.entry(self.mount_of(path).to_owned()).or_default() += 1;
    }

    fn message(&self) -> String {
        format!("its disk did not answer within {:.1} s", self.patience.as_secs_f64())
    }

    fn error(&self, path: &str) -> ReadError {
        ReadError::Io { path: path.to_owned(), message: self.message() }
    }
}

impl Source for PatientSource {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn kind(&self) -> SourceKind {
        self.inner.kind()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let owned = path.to_owned();
        self.ask(path, move |source| source.read(&owned))
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        let owned = path.to_owned();
        let reader = self.ask(path, move |source| source.open(&owned))?;
        let waiting = Arc::clone(&self.waiting);
        let told = path.to_owned();
        let reader = PatientReader::of(reader, self.waiting.patience, move || waiting.add(&told));
        let reader = reader.map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() })?;
        Ok(Box::new(reader))
    }

    fn open_seek(&self, path: &str) -> Result<Box<dyn ReadSeek>, ReadError> {
        let owned = path.to_owned();
        let (reader, length) = self.ask(path, move |source| {
            let mut reader = source.open_seek(&owned)?;
            let length = reader.seek(SeekFrom::End(0));
            let length = length.map_err(|error| ReadError::Io { path: owned, message: error.to_string() })?;
            Ok((reader, length))
        })?;
        let waiting = Arc::clone(&self.waiting);
        let told = path.to_owned();
        let reader = PatientSeek::of(reader, length, self.waiting.patience, move || waiting.add(&told));
        let reader = reader.map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() })?;
        Ok(Box::new(reader))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let owned = path.to_owned();
        self.ask(path, move |source| source.list(&owned))
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        let owned = path.to_owned();
        self.ask(path, move |source| source.metadata(&owned))
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let owned = path.to_owned();
        self.ask(path, move |source| source.read_link(&owned))
    }

    fn recording(&self) -> Option<&Recording> {
        self.inner.recording()
    }

    fn late_damage(&self) -> Option<String> {
        self.inner.late_damage()
    }

    fn given_configuration(&self) -> Option<&str> {
        self.inner.given_configuration()
    }

    fn display_path(&self, path: &str) -> String {
        self.inner.display_path(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::MemorySource;

    /// One whose answers about some paths never come.
    struct Stuck(MemorySource);

    impl Source for Stuck {
        fn label(&self) -> &str {
            self.0.label()
        }

        fn kind(&self) -> SourceKind {
            self.0.kind()
        }

        fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
            if path.starts_with("/data") {
                loop {
                    std::thread::park();
                }
            }
            self.0.read(path)
        }

        fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
            self.0.open(path)
        }

        fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
            self.0.list(path)
        }

        fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
            self.0.metadata(path)
        }

        fn read_link(&self, path: &str) -> Result<String, ReadError> {
            self.0.read_link(path)
        }
    }

    #[test]
    fn a_question_is_not_waited_for_forever() {
        let long = "x".repeat(1 << 20);
        let files = MemorySource::new("m1").file("/etc/hostname", "m1\n").file("/var/log/messages", long.as_str());
        let source = PatientSource::new(Arc::new(Stuck(files)), None, Duration::from_millis(100));
        assert_eq!(source.read("/etc/hostname").unwrap(), b"m1\n");
        assert!(source.hung().is_empty());
        let error = source.read("/data/x").unwrap_err().to_string();
        assert_eq!(error, "/data/x: its disk did not answer within 0.1 s");
        // It is not asked again, and others are.
        assert!(source.read("/data/x").is_err());
        assert_eq!(source.read("/etc/hostname").unwrap(), b"m1\n");
        assert_eq!(source.hung(), ["/data/x"]);
        let mut text = String::new();
        source.open("/var/log/messages").unwrap().read_to_string(&mut text).unwrap();
        assert!(text == long);
        for number in 0..OWN_LIMIT {
            assert!(source.read(&format!("/data/{number}")).is_err());
        }
        assert_eq!(source.hung(), ["/"], "then nothing more is asked of that file system");
        assert!(source.read("/etc/hostname").is_err());
    }

    #[test]
    fn another_file_system_hangs_as_a_whole() {
        let waiting = Waiting {
            patience: Duration::from_secs(1),
            mounts: vec!["/data".to_owned(), "/data/inner".to_owned(), "/proc".to_owned()],
            state: Mutex::default(),
        };
        waiting.add("/data/etcd/member");
        for (path, expected) in [
            ("/data", true),
            ("/data/other", true),
            ("/database", false),
            ("/data/inner/x", false),
            ("/etc/hostname", false),
            ("/proc/1/cmdline", false),
        ] {
            assert_eq!(waiting.is_hung(path), expected, "{path}");
        }
        waiting.add("/proc/1/cmdline");
        assert!(waiting.is_hung("/proc/1/cmdline") && !waiting.is_hung("/proc/2/cmdline"));
    }
}
