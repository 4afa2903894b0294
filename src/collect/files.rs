//! What was read of a source, each file once: facts keep shared texts, findings underline them later, and a bundle is the
//! list of what was asked here.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex};

use crate::origin::Span;
use crate::source::{Entry, FileKind, Metadata, ReadError, Source, SourceKind, SourceRef};

/// A text file of the host, as read.
#[derive(Debug, PartialEq, Eq)]
pub struct TextFile {
    /// Absolute path on the host; of a single file that was given, what the user called it, so that origins and commands
    /// name what the user can open.
    pub path: Arc<str>,
    /// Content. Bytes that are no UTF-8 are replaced by U+FFFD, and `lossy` says so.
    pub text: String,
    pub lossy: bool,
}

impl TextFile {
    /// The span of `start..end` in bytes of `text`.
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span::of(&self.text, start, end)
    }

    /// The span of a whole line, without its end, counted from 1.
    pub fn line(&self, number: u32) -> Option<Span> {
        let mut start = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            if index as u32 + 1 == number {
                return Some(Span::of(&self.text, start, start + line.trim_end_matches(['\n', '\r']).len()));
            }
            start += line.len();
        }
        None
    }
}

type Cached<T> = Mutex<BTreeMap<String, Result<Arc<T>, ReadError>>>;

/// A source with memory. Every question is asked of the source once; the answers, refusals too, are kept.
pub struct Files {
    source: SourceRef,
    raw: Cached<Vec<u8>>,
    texts: Cached<TextFile>,
    lists: Cached<Vec<Entry>>,
    stats: Cached<Metadata>,
    /// Streams that could not be opened.
    closed: Mutex<BTreeMap<String, ReadError>>,
}

impl Files {
    pub fn new(source: SourceRef) -> Files {
        Files {
            source,
            raw: Mutex::default(),
            texts: Mutex::default(),
            lists: Mutex::default(),
            stats: Mutex::default(),
            closed: Mutex::default(),
        }
    }

    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    pub fn kind(&self) -> SourceKind {
        self.source.kind()
    }

    pub fn is_live(&self) -> bool {
        self.kind() == SourceKind::Live
    }

    /// Whether the answers are those of a live kernel: of this host's, or of a recording of one. What is not there was
    /// not there then.
    pub fn is_of_live_host(&self) -> bool {
        self.is_live() || self.source.recording().is_some_and(|recording| recording.of == SourceKind::Live)
    }

    /// Whether the folder of a path that is not there is: a source that holds nothing of it may be one that was made
    /// without it, unless it is the live host.
    pub fn folder_is_there(&self, path: &str) -> bool {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.is_of_live_host() || folder.is_empty() || self.exists(folder) == Ok(true)
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &str) -> Result<Arc<Vec<u8>>, ReadError> {
        cached(&self.raw, path, || self.source.read(path).map(Arc::new))
    }

    /// A file's text, for files that people write and for /proc.
    pub fn text(&self, path: &str) -> Result<Arc<TextFile>, ReadError> {
        cached(&self.texts, path, || {
            let bytes = self.source.read(path)?;
            let (text, lossy) = match String::from_utf8(bytes) {
                Ok(text) => (text, false),
                Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
            };
            Ok(Arc::new(TextFile { path: self.source.display_path(path).into(), text, lossy }))
        })
    }

    /// A one-line file's content, trimmed: most of /sys and /proc/sys.
    pub fn line(&self, path: &str) -> Result<String, ReadError> {
        self.text(path).map(|file| file.text.trim().to_owned())
    }

    /// A directory's entries, sorted by name.
    pub fn list(&self, path: &str) -> Result<Arc<Vec<Entry>>, ReadError> {
        cached(&self.lists, path, || self.source.list(path).map(Arc::new))
    }

    /// What stands at the path, links followed.
    pub fn metadata(&self, path: &str) -> Result<Arc<Metadata>, ReadError> {
        cached(&self.stats, path, || self.source.metadata(path).map(Arc::new))
    }

    /// Whether something stands at the path; an error when that is not known.
    pub fn exists(&self, path: &str) -> Result<bool, ReadError> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an executable regular file stands at the path.
    pub fn is_executable(&self, path: &str) -> Result<bool, ReadError> {
        match self.metadata(path) {
            Ok(found) => Ok(found.kind == FileKind::File && found.mode & 0o111 != 0),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn read_link(&self, path: &str) -> Result<String, ReadError> {
        self.source.read_link(path)
    }

    /// A file as a stream, for logs; not kept.
    pub fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        self.source.open(path).inspect_err(|error| {
            let mut closed = self.closed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            closed.entry(path.to_owned()).or_insert_with(|| error.clone());
        })
    }

    /// The texts that were read so far, by the path that their origins give, for underlining.
    pub fn texts_read(&self) -> BTreeMap<String, Arc<TextFile>> {
        let texts = self.texts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        texts.values().filter_map(|text| text.as_ref().ok()).map(|text| (text.path.to_string(), text.clone())).collect()
    }

    /// Texts with bytes that are no UTF-8, with where the first such byte stands. What the kernel says is left out: the
    /// names in it are whatever somebody chose.
    pub fn not_utf8(&self) -> Vec<(Arc<TextFile>, Span)> {
        let texts = self.texts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        texts
            .iter()
            .filter(|(path, _)| !path.starts_with("/proc/") && !path.starts_with("/sys/"))
            .filter_map(|(_, text)| text.as_ref().ok().filter(|text| text.lossy))
            .map(|text| {
                let at = text.text.find(char::REPLACEMENT_CHARACTER).unwrap_or_default();
                (text.clone(), text.span(at, at))
            })
            .collect()
    }

    /// What was asked for and is there but could not be read, sorted by path.
    pub fn refused(&self) -> Vec<ReadError> {
        let mut refused = BTreeMap::new();
        let closed = self.closed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let read = errors(&self.raw).into_iter().chain(errors(&self.texts)).chain(errors(&self.lists));
        // Links in a circle are met before anything is read.
        let circles = errors(&self.stats).into_iter().filter(|(_, error)| matches!(error, ReadError::LinkLoop { .. }));
        for (path, error) in read.chain(closed).chain(circles) {
            if !matches!(error, ReadError::NotFound { .. } | ReadError::NotCovered { .. }) {
                refused.entry(path).or_insert(error);
            }
        }
        refused.into_values().collect()
    }
}

fn cached<T>(
    cache: &Cached<T>,
    path: &str,
    read: impl FnOnce() -> Result<Arc<T>, ReadError>,
) -> Result<Arc<T>, ReadError> {
    if let Some(known) = cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(path) {
        return known.clone();
    }
    // Read without the lock: other threads read other files meanwhile. Two that want the same one keep the first answer.
    let answer = read();
    cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).entry(path.to_owned()).or_insert(answer).clone()
}

fn errors<T>(cache: &Cached<T>) -> Vec<(String, ReadError)> {
    let cache = cache.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    cache.iter().filter_map(|(path, answer)| Some((path.clone(), answer.as_ref().err()?.clone()))).collect()
}
