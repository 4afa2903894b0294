//! What a bundle says of itself. `head.json` is its first entry, `manifest.json` its last: a bundle without a manifest was
//! interrupted. Between them stand the host's files, `answers.json` (what was asked of the host beside the content of files,
//! with what it answered: that a path is absent or refused is an answer), `probes.json` and `redactions.json`.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::source::{Entry, FileKind, Metadata, ReadError};

/// The directory of a bundle's host in which its own entries stand.
pub const OWN: &str = ".k8sdoctor";
/// Bundles of a later format are refused.
pub const FORMAT: u32 = 1;

/// What is known when recording begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub format: u32,
    /// `0.1.0`.
    pub tool_version: String,
    pub rules: usize,
    pub host: String,
    pub started: Timestamp,
    /// What was recorded.
    pub of: Recorded,
    /// How far back logs were taken, in seconds.
    pub since_seconds: Option<u64>,
    /// Whether secrets were replaced. Private keys are in no bundle.
    pub redacted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    Live,
    Tree,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(flatten)]
    pub head: Head,
    pub finished: Timestamp,
    /// Why something is missing that was to be recorded: the time or the size was not enough.
    pub incomplete: Option<String>,
    pub files: Vec<FileRecord>,
    pub left_out: Vec<LeftOut>,
    /// Logs that are there and that `check` does not read either.
    #[serde(default)]
    pub not_read: Vec<LeftOut>,
    /// Why there are no streams where there should be some.
    #[serde(default)]
    pub streams_left_out: Vec<LeftOut>,
    /// Logs that are no files of the host: the journal. By what they are called, the path that they have in the bundle.
    pub streams: Vec<(String, String)>,
    /// What getifaddrs answered.
    pub addresses: Option<BTreeMap<String, Vec<IpNet>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Absolute path on the host.
    pub path: String,
    /// The entries that hold it, without the host's directory; none when it is one entry of the path's own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// Bytes in the bundle.
    pub size: u64,
    /// Of what is in the bundle, lower-case hex.
    pub sha256: String,
    /// Permission bits on the host.
    pub mode: u32,
    /// How many places of it were redacted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: u64,
    /// Why it is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is on the host and not in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftOut {
    pub path: String,
    pub why: String,
}

/// What was replaced in one file by one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactionRecord {
    pub path: String,
    pub rule: String,
    pub count: u64,
    /// The first of the lines, from 1.
    pub lines: Vec<u64>,
}

/// Questions and their answers, by path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Files that could not be read.
    pub refused: BTreeMap<String, Refused>,
    pub lists: BTreeMap<String, Result<Vec<(String, Kind)>, Refused>>,
    pub metadata: BTreeMap<String, Result<Stat, Refused>>,
    pub links: BTreeMap<String, Result<String, Refused>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Device,
}

impl From<FileKind> for Kind {
    fn from(kind: FileKind) -> Kind {
        match kind {
            FileKind::File => Kind::File,
            FileKind::Directory => Kind::Directory,
            FileKind::Link => Kind::Link,
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => Kind::Socket,
            FileKind::Device => Kind::Device,
        }
    }
}

impl From<Kind> for FileKind {
    fn from(kind: Kind) -> FileKind {
        match kind {
            Kind::File => FileKind::File,
            Kind::Directory => FileKind::Directory,
            Kind::Link => FileKind::Link,
            Kind::Fifo => FileKind::Fifo,
            Kind::Socket => FileKind::Socket,
            Kind::Device => FileKind::Device,
        }
    }
}

/// [`Metadata`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: i64,
}

impl From<&Metadata> for Stat {
    fn from(found: &Metadata) -> Stat {
        let Metadata { kind, size, mode, uid, gid, modified } = *found;
        Stat { kind: kind.into(), size, mode, uid, gid, modified }
    }
}

impl From<Stat> for Metadata {
    fn from(found: Stat) -> Metadata {
        let Stat { kind, size, mode, uid, gid, modified } = found;
        Metadata { kind: kind.into(), size, mode, uid, gid, modified }
    }
}

/// [`ReadError`], whose path is the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Refused {
    NotFound,
    NotCovered,
    PermissionDenied,
    WrongKind { kind: Kind, wanted: Wanted },
    TooLarge { size: u64, limit: u64 },
    LinkLoop,
    Other { message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    File,
    Directory,
    Link,
}

impl From<&ReadError> for Refused {
    fn from(error: &ReadError) -> Refused {
        const KINDS: [FileKind; 6] =
            [FileKind::File, FileKind::Directory, FileKind::Link, FileKind::Fifo, FileKind::Socket, FileKind::Device];
        match error {
            ReadError::NotFound { .. } => Refused::NotFound,
            ReadError::NotCovered { .. } => Refused::NotCovered,
            ReadError::PermissionDenied { .. } => Refused::PermissionDenied,
            ReadError::WrongKind { kind, wanted, .. } => Refused::WrongKind {
                kind: KINDS.into_iter().find(|known| known.name() == *kind).unwrap_or(FileKind::File).into(),
                wanted: match *wanted {
                    "directory" => Wanted::Directory,
                    "symbolic link" => Wanted::Link,
                    _ => Wanted::File,
                },
            },
            ReadError::TooLarge { size, limit, .. } => Refused::TooLarge { size: *size, limit: *limit },
            ReadError::LinkLoop { .. } => Refused::LinkLoop,
            ReadError::Io { message, .. } => Refused::Other { message: message.clone() },
        }
    }
}

impl Refused {
    /// The error as it was, for the path that was asked for.
    pub fn to_error(&self, path: &str) -> ReadError {
        let path = path.to_owned();
        match self {
            Refused::NotFound => ReadError::NotFound { path },
            Refused::NotCovered => ReadError::NotCovered { path },
            Refused::PermissionDenied => ReadError::PermissionDenied { path },
            Refused::WrongKind { kind, wanted } => {
                let wanted = match wanted {
                    Wanted::File => FileKind::File,
                    Wanted::Directory => FileKind::Directory,
                    Wanted::Link => FileKind::Link,
                };
                ReadError::WrongKind { path, kind: FileKind::from(*kind).name(), wanted: wanted.name() }
            }
            Refused::TooLarge { size, limit } => ReadError::TooLarge { path, size: *size, limit: *limit },
            Refused::LinkLoop => ReadError::LinkLoop { path },
            Refused::Other { message } => ReadError::Io { path, message: message.clone() },
        }
    }
}

impl Answers {
    pub fn add_list(&mut self, path: &str, answer: &Result<Vec<Entry>, ReadError>) {
        let answer = match answer {
            Ok(entries) => Ok(entries.iter().map(|entry| (entry.name.clone(), entry.kind.into())).collect()),
            Err(error) => Err(error.into()),
        };
        self.lists.entry(path.to_owned()).or_insert(answer);
    }
}

/// The name that a path has in a bundle, without the host's directory; none for a path that cannot be a name as it is.
pub fn entry_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part != OWN;
    let plain = name.len() <= 1000 && name.split('/').all(is_plain) && !name.chars().any(char::is_control);
    plain.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_back_as_they_were() {
        let path = || "/x".to_owned();
        for error in [
            ReadError::NotFound { path: path() },
            ReadError::NotCovered { path: path() },
            ReadError::PermissionDenied { path: path() },
            ReadError::WrongKind { path: path(), kind: "FIFO", wanted: "file" },
            ReadError::WrongKind { path: path(), kind: "directory", wanted: "symbolic link" },
            ReadError::TooLarge { path: path(), size: 5, limit: 3 },
            ReadError::LinkLoop { path: path() },
            ReadError::Io { path: path(), message: "é".to_owned() },
        ] {
            let json = serde_json::to_string(&Refused::from(&error)).unwrap();
            let back: Refused = serde_json::from_str(&json).unwrap();
            assert_eq!(back.to_error("/x"), error, "{json}");
        }
    }

    #[test]
    fn only_plain_paths_are_names() {
        for (path, expected) in [
            ("/etc/hosts", Some("etc/hosts")),
            ("/etc/a b", Some("etc/a b")),
            ("/etc/../x", None),
            ("/etc//x", None),
            ("/", None),
            ("etc", None),
            ("/a\nb", None),
            ("/.k8sdoctor/manifest.json", None),
        ] {
            assert_eq!(entry_name(path), expected, "{path}");
        }
    }
}
