//! Why what the user named cannot be a source.

use rustix::io::Errno;

use super::{ReadError, handle};

/// The message names the path, says what is wrong with it and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("{path}: no such file or directory; check the path, or leave it out to look at this host")]
    NotFound { path: String },
    #[error("{path}: permission denied; run as root, or copy it to where you can read it")]
    PermissionDenied { path: String },
    #[error("{path} is a {kind}, which is not read; pipe its content in and give `-` instead")]
    Special { path: String, kind: &'static str },
    #[error("{path} is empty; give a file with content, or leave it out to look at this host")]
    Empty { path: String },
    /// A directory without what a host's root has.
    #[error("{path} does not look like a host's root directory ({lacks}); {remedy}")]
    NotATree { path: String, lacks: &'static str, remedy: String },
    /// A file that is none of those that can be judged alone.
    #[error("{path} is not understood: {looks}; {remedy}")]
    Unrecognized { path: String, looks: String, remedy: String },
    #[error(
        "{path} looks like {what}, but is larger than the {limit} bytes that are read of one; check that it is the right file"
    )]
    TooLarge { path: String, what: &'static str, limit: u64 },
    #[error("{path}: {message}; check the disk or copy the file elsewhere")]
    Io { path: String, message: String },
}

impl SourceError {
    pub(super) fn refused(path: &str, errno: Errno) -> SourceError {
        SourceError::from_read(handle::refusal(path, errno))
    }

    pub(super) fn from_read(error: ReadError) -> SourceError {
        let path = error.path().to_owned();
        match error {
            ReadError::NotFound { .. } | ReadError::NotCovered { .. } => SourceError::NotFound { path },
            ReadError::PermissionDenied { .. } => SourceError::PermissionDenied { path },
            ReadError::WrongKind { kind, .. } => SourceError::Special { path, kind },
            ReadError::TooLarge { limit, .. } => SourceError::TooLarge { path, what: "a file", limit },
            ReadError::LinkLoop { .. } => SourceError::Io { path, message: "symbolic links go in a circle".to_owned() },
            ReadError::Io { message, .. } => SourceError::Io { path, message },
        }
    }
}
