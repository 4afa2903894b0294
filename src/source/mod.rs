//! Where evidence comes from. A source answers for one host: its files by their absolute path on that host, and nothing
//! else; what is asked over a socket is `collect::probes`.

mod archive;
mod bundle;
mod error;
mod folder;
mod handle;
mod memory;
mod open;
mod patient;
mod recording;
mod silent_mounts;
mod single;
pub mod sniff;
mod tree;
mod with_configuration;

#[cfg(test)]
mod tests;

use std::io::{Read, Seek};
use std::sync::Arc;

pub use archive::{ArchiveSource, Stand};
pub use bundle::BundleSource;
pub use error::SourceError;
pub use memory::MemorySource;
pub use open::{answers, archive_of, kubeadm_configuration, open, open_all, open_all_within, open_path};
pub use patient::{PatientReader, PatientSource};
pub use recording::Recording;
pub use single::SingleSource;
pub use sniff::{FileIdentity, identify};
pub use tree::FsSource;
pub use with_configuration::WithConfiguration;

use crate::origin::Unknown;

/// Files larger than this are refused by [`Source::read`]; logs are streamed with [`Source::open`] instead.
pub const READ_LIMIT: u64 = 16 << 20;

/// What a source is; rules and collection differ by it only where they must (probes are for a live host).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    Live,
    Tree,
    /// One file, standard input, or a folder of files without a host: it says nothing about what else the host has.
    File,
    Bundle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Device,
}

impl FileKind {
    pub fn name(self) -> &'static str {
        match self {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Link => "symbolic link",
            FileKind::Fifo => "FIFO",
            FileKind::Socket => "socket",
            FileKind::Device => "device",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// Permission bits, `0o640`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Last modification, seconds since the epoch.
    pub modified: i64,
}

/// A directory's entry; `kind` is the entry's own, a link is not followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    pub kind: FileKind,
}

/// Why a path of a source could not be read. The message says what and why; [`ReadError::unknown`] adds what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: no such file or directory")]
    NotFound { path: String },
    /// The source does not hold this part of the host, so nothing can be said about it.
    #[error("{path}: not part of this source")]
    NotCovered { path: String },
    #[error("{path}: permission denied")]
    PermissionDenied { path: String },
    #[error("{path}: is a {kind}, not a {wanted}")]
    WrongKind { path: String, kind: &'static str, wanted: &'static str },
    #[error("{path}: {size} bytes, more than the {limit} that are read of such a file")]
    TooLarge { path: String, size: u64, limit: u64 },
    #[error("{path}: symbolic links go in a circle")]
    LinkLoop { path: String },
    #[error("{path}: {message}")]
    Io { path: String, message: String },
}

impl ReadError {
    pub fn path(&self) -> &str {
        match self {
            ReadError::NotFound { path }
            | ReadError::NotCovered { path }
            | ReadError::PermissionDenied { path }
            | ReadError::WrongKind { path, .. }
            | ReadError::TooLarge { path, .. }
            | ReadError::LinkLoop { path }
            | ReadError::Io { path, .. } => path,
        }
    }

    /// True when the file is known not to be there, as opposed to not known to be there.
    pub fn is_absent(&self) -> bool {
        matches!(self, ReadError::NotFound { .. })
    }

    pub fn unknown(&self) -> Unknown {
        let message = self.to_string();
        let why = message.strip_prefix(self.path()).and_then(|m| m.strip_prefix(": ")).unwrap_or(&message);
        let unknown = Unknown::new(self.path(), why);
        match self {
            ReadError::PermissionDenied { .. } => unknown.with_remedy("run as root"),
            ReadError::NotCovered { .. } => unknown.with_remedy("give a source that holds it"),
            ReadError::TooLarge { .. } | ReadError::WrongKind { .. } | ReadError::LinkLoop { .. } => {
                unknown.with_remedy("look at what stands there")
            }
            _ => unknown,
        }
    }
}

/// A file that can be read from any place on.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// One host's evidence. Paths are absolute on that host. Nothing outside of the source is ever opened: symbolic links are
/// followed inside of it, and opening never blocks (a FIFO is [`ReadError::WrongKind`]).
pub trait Source: Send + Sync {
    /// The source as the user named it: `this host`, `evidence/m2`, `-`.
    fn label(&self) -> &str;

    fn kind(&self) -> SourceKind;

    /// A regular file's content, at most [`READ_LIMIT`] bytes. Files of /proc and /sys, whose size says 0, are read to
    /// their end within the same limit.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// A regular file as a stream.
    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError>;

    /// A regular file that can be read from any place on, for binary journals. Not every source can give one.
    fn open_seek(&self, path: &str) -> Result<Box<dyn ReadSeek>, ReadError> {
        self.metadata(path)?;
        Err(ReadError::Io { path: path.to_owned(), message: "can only be read from its beginning on".to_owned() })
    }

    /// A directory's entries, sorted by name.
    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError>;

    /// What stands at the path, links followed.
    fn metadata(&self, path: &str) -> Result<Metadata, ReadError>;

    /// Where a symbolic link points, as written.
    fn read_link(&self, path: &str) -> Result<String, ReadError>;

    /// What was recorded beside files, of a bundle; of other archives when they were made, and what is wrong with them.
    fn recording(&self) -> Option<&Recording> {
        None
    }

    /// What of an archive turned out to be damaged after it was opened. Asked when everything was read: what was not is read
    /// for this.
    fn late_damage(&self) -> Option<String> {
        None
    }

    /// Where the kubeadm configuration is that the user gave for this host, beside what the host holds.
    fn given_configuration(&self) -> Option<&str> {
        None
    }

    /// The path as the user can open it, for messages: a single file is called what the user called it.
    fn display_path(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// A shared source.
pub type SourceRef = Arc<dyn Source>;
