//! A host's files in an archive: names are looked up, links are followed within the archive, and nothing is extracted.
//!
//! As with an extracted tree, what the archive lacks in a directory that it has is absent, and what it lacks altogether is
//! not covered. Of an archive whose maker picks single files ([`ArchiveSource::picked`]) nothing is ever known to be absent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Cursor, Read};
use std::sync::Arc;

use super::tree::SOCKET_LIST;
use super::{Entry, FileKind, Metadata, READ_LIMIT, ReadError, Recording, Source, SourceKind};
use crate::bundle::archive::{Archive, FileNode, Node};
use crate::bundle::foreign::merged;

/// As many as Linux follows in one path.
const LINK_LIMIT: usize = 40;
const DEPTH_LIMIT: usize = 128;

/// What stands in for a file that the archive has elsewhere, or that is made of something in it.
#[derive(Debug, Clone)]
pub enum Stand {
    /// A file of the archive, by its name there.
    Entry(String),
    /// A part of a file of the archive: its first byte and how many.
    Part {
        entry: String,
        from: u64,
        length: u64,
    },
    Content(Arc<[u8]>),
    /// Of a journal of several hosts, the lines of this one; `length` are their bytes.
    Lines {
        entry: String,
        host: String,
        length: u64,
    },
}

/// One host of an archive.
pub struct ArchiveSource {
    label: String,
    archive: Arc<Archive>,
    /// The directory of the archive that is the host's root; empty for the archive's own.
    root: String,
    /// By absolute path on the host, what stands there.
    stands: BTreeMap<String, Stand>,
    /// Sockets of [`SOCKET_LIST`], and the directories on the way to them.
    stated: BTreeMap<String, FileKind>,
    has_socket_list: bool,
    picked: bool,
    /// Directories that such a maker takes whole, when it takes them.
    whole: &'static [&'static str],
    recording: Recording,
}

/// What a path leads to.
enum Found<'a> {
    File(&'a FileNode),
    Part(&'a FileNode, u64, u64),
    Content(&'a Arc<[u8]>),
    /// The entry, the host, and the bytes of its lines.
    Lines(&'a str, &'a str, u64),
    /// The resolved path, and what the archive says of it.
    Directory(String, Option<&'a FileNode>),
    Link(&'a str),
    Special(FileKind),
}

impl ArchiveSource {
    pub fn new(label: impl Into<String>, archive: Arc<Archive>, root: impl Into<String>) -> ArchiveSource {
        let mut source = ArchiveSource {
            label: label.into(),
            archive,
            root: root.into(),
            stands: BTreeMap::new(),
            stated: BTreeMap::from([("/dev/null".to_owned(), FileKind::Device)]),
            has_socket_list: false,
            picked: false,
            whole: &[],
            recording: Recording::unknown(),
        };
        source.read_socket_list();
        source
    }

    /// The archive's maker took single files: that one is not there says nothing of the host.
    pub fn picked(mut self) -> ArchiveSource {
        self.picked = true;
        self
    }

    /// Directories that the archive's maker took whole, when they are there: what is not in them was not on the host.
    pub fn with_whole(mut self, directories: &'static [&'static str]) -> ArchiveSource {
        self.whole = directories;
        self
    }

    fn is_in_whole(&self, path: &str) -> bool {
        self.whole.iter().any(|directory| {
            let inside = path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
            inside && matches!(self.archive.nodes.get(&self.name_of(directory)), Some(Node::Directory(_)))
        })
    }

    /// What stands at these paths of the host, beside what the archive has there itself.
    pub fn with_stands(mut self, stands: BTreeMap<String, Stand>) -> ArchiveSource {
        for path in stands.keys() {
            self.state_parents(path);
        }
        self.stands = stands;
        self
    }

    pub fn with_recording(mut self, recording: Recording) -> ArchiveSource {
        self.recording = recording;
        self
    }

    fn read_socket_list(&mut self) {
        let Some(file) = self.archive.file(&self.name_of(&format!("/{SOCKET_LIST}"))) else { return };
        let Some(list) = self.archive.head(file, 4 << 20) else { return };
        self.has_socket_list = true;
        let mut sockets = BTreeSet::new();
        for line in String::from_utf8_lossy(&list).lines().map(str::trim).take(20_000) {
            if line.starts_with('/') && !line.contains("..") {
                let names = line.split('/').filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/");
                sockets.insert(match names.strip_prefix("var/run/") {
                    Some(rest) => format!("/run/{rest}"),
                    None => format!("/{names}"),
                });
            }
        }
        for socket in sockets {
            self.state_parents(&socket);
            self.stated.insert(socket, FileKind::Socket);
        }
    }

    fn state_parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            if let Some(parent) = path.get(..at) {
                self.stated.entry(parent.to_owned()).or_insert(FileKind::Directory);
            }
        }
    }

    /// The archive's name of an absolute path.
    fn name_of(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        match (self.root.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => self.root.clone(),
            (false, false) => format!("{}/{path}", self.root),
        }
    }

    fn node(&self, resolved: &str) -> Option<Found<'_>> {
        if resolved == "/" {
            return Some(Found::Directory(resolved.to_owned(), None));
        }
        match self.stands.get(resolved) {
            Some(Stand::Entry(name)) => return self.archive.file(name).map(Found::File),
            Some(Stand::Part { entry, from, length }) => {
                return self.archive.file(entry).map(|file| Found::Part(file, *from, *length));
            }
            Some(Stand::Content(content)) => return Some(Found::Content(content)),
            Some(Stand::Lines { entry, host, length }) => return Some(Found::Lines(entry, host, *length)),
            None => {}
        }
        match self.archive.nodes.get(&self.name_of(resolved)) {
            Some(Node::File(file)) => Some(Found::File(file)),
            Some(Node::Directory(directory)) => Some(Found::Directory(resolved.to_owned(), Some(directory))),
            Some(Node::Link(target)) => Some(Found::Link(target)),
            Some(Node::Special(kind)) => Some(Found::Special(*kind)),
            None => match self.stated.get(resolved)? {
                FileKind::Directory => Some(Found::Directory(resolved.to_owned(), None)),
                kind => Some(Found::Special(*kind)),
            },
        }
    }

    fn find(&self, path: &str, follow: bool) -> Result<Found<'_>, ReadError> {
        if !path.starts_with('/') || path.contains('\0') {
            return Err(ReadError::Io { path: path.to_owned(), message: "not an absolute path".to_owned() });
        }
        let names = |path: &str| -> Vec<String> {
            path.split('/').filter(|name| !name.is_empty() && *name != ".").map(str::to_owned).collect()
        };
        let mut pending: VecDeque<String> = names(path).into();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            if at.len() >= DEPTH_LIMIT {
                let message = format!("more than {DEPTH_LIMIT} directories deep");
                return Err(ReadError::Io { path: path.to_owned(), message });
            }
            let is_process = at.len() >= 2
                && at.first().is_some_and(|first| first == "proc")
                && at.get(1).is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
            let is_top = at.is_empty();
            at.push(name);
            let resolved = format!("/{}", at.join("/"));
            match self.node(&resolved) {
                Some(found @ Found::Directory(..)) if pending.is_empty() => return Ok(found),
                Some(Found::Directory(..)) => {}
                Some(Found::Link(target)) if follow || !pending.is_empty() => {
                    // Such a link leads into a container's file system.
                    if is_process {
                        return Err(ReadError::NotCovered { path: path.to_owned() });
                    }
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(ReadError::LinkLoop { path: path.to_owned() });
                    }
                    if target.starts_with('/') {
                        at.clear()
                    } else {
                        at.truncate(at.len().saturating_sub(1))
                    }
                    for name in names(target).into_iter().rev() {
                        pending.push_front(name);
                    }
                }
                Some(found) if pending.is_empty() => return Ok(found),
                Some(_) => return Err(ReadError::NotFound { path: path.to_owned() }),
                None => {
                    let rest: Vec<&str> = pending.iter().map(String::as_str).collect();
                    let whole = [resolved.as_str()].into_iter().chain(rest).collect::<Vec<_>>().join("/");
                    if let Some(kind) = self.stated.get(&whole) {
                        return Ok(Found::Special(*kind));
                    }
                    // The list is of all sockets, three levels below /run at the most.
                    let listed = self.has_socket_list
                        && whole.starts_with("/run/")
                        && whole.ends_with(".sock")
                        && whole.matches('/').count() <= 4;
                    let picked = self.picked && !self.is_in_whole(&whole);
                    let beyond = picked || is_top || (links > 0 && !pending.is_empty());
                    return Err(if beyond && !listed {
                        ReadError::NotCovered { path: path.to_owned() }
                    } else {
                        ReadError::NotFound { path: path.to_owned() }
                    });
                }
            }
        }
        Ok(Found::Directory(format!("/{}", at.join("/")), None))
    }

    fn wrong_kind(path: &str, found: &Found<'_>, wanted: &'static str) -> ReadError {
        let kind = match found {
            Found::File(_) | Found::Part(..) | Found::Content(_) | Found::Lines(..) => FileKind::File,
            Found::Directory(..) => FileKind::Directory,
            Found::Link(_) => FileKind::Link,
            Found::Special(kind) => *kind,
        };
        ReadError::WrongKind { path: path.to_owned(), kind: kind.name(), wanted }
    }
}

impl Source for ArchiveSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Bundle
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        match self.find(path, true)? {
            Found::Content(content) => Ok(content.to_vec()),
            Found::File(file) if file.size() > READ_LIMIT => {
                Err(ReadError::TooLarge { path: path.to_owned(), size: file.size(), limit: READ_LIMIT })
            }
            Found::Part(_, _, size) | Found::Lines(_, _, size) if size > READ_LIMIT => {
                Err(ReadError::TooLarge { path: path.to_owned(), size, limit: READ_LIMIT })
            }
            Found::File(_) | Found::Part(..) | Found::Lines(..) => {
                let mut content = Vec::new();
                // A file beside the archive may have grown.
                let mut stream = self.open(path)?.take(READ_LIMIT);
                stream
                    .read_to_end(&mut content)
                    .map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() })?;
                Ok(content)
            }
            other => Err(ArchiveSource::wrong_kind(path, &other, "file")),
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        match self.find(path, true)? {
            Found::Content(content) => Ok(Box::new(Cursor::new(Arc::clone(content)))),
            Found::File(file) => Ok(self.archive.open(file)),
            Found::Part(file, from, length) => {
                let mut whole = self.archive.open(file);
                std::io::copy(&mut whole.by_ref().take(from), &mut std::io::sink())
                    .map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() })?;
                Ok(Box::new(whole.take(length)))
            }
            Found::Lines(entry, host, _) => merged::lines(&self.archive, entry, host)
                .map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() }),
            other => Err(ArchiveSource::wrong_kind(path, &other, "file")),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let resolved = match self.find(path, true)? {
            Found::Directory(resolved, _) => resolved,
            other => return Err(ArchiveSource::wrong_kind(path, &other, "directory")),
        };
        let mut entries: BTreeMap<String, FileKind> = BTreeMap::new();
        for (name, node) in self.archive.children(&self.name_of(&resolved)) {
            let kind = match node {
                Node::File(_) => FileKind::File,
                Node::Directory(_) => FileKind::Directory,
                Node::Link(_) => FileKind::Link,
                Node::Special(kind) => *kind,
            };
            entries.insert(name.to_owned(), kind);
        }
        let prefix = if resolved == "/" { resolved } else { format!("{resolved}/") };
        let made = self.stands.keys().map(|path| (path, FileKind::File));
        for (path, kind) in made.chain(self.stated.iter().map(|(path, kind)| (path, *kind))) {
            let is_null = path == "/dev/null";
            if let Some(name) = path.strip_prefix(&prefix).filter(|name| !name.contains('/') && !is_null) {
                entries.entry(name.to_owned()).or_insert(kind);
            }
        }
        Ok(entries.into_iter().map(|(name, kind)| Entry { name, kind }).collect())
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        let plain = |kind, size| Metadata { kind, size, mode: 0o755, uid: 0, gid: 0, modified: 0 };
        Ok(match self.find(path, true)? {
            Found::File(file) => Metadata {
                kind: FileKind::File,
                size: file.size(),
                mode: file.mode,
                uid: file.uid,
                gid: file.gid,
                modified: file.modified,
            },
            Found::Part(file, _, length) => Metadata {
                kind: FileKind::File,
                size: length,
                mode: file.mode,
                uid: file.uid,
                gid: file.gid,
                modified: file.modified,
            },
            Found::Content(content) => plain(FileKind::File, content.len() as u64),
            Found::Lines(_, _, length) => plain(FileKind::File, length),
            Found::Directory(_, Some(directory)) => Metadata {
                kind: FileKind::Directory,
                size: 0,
                mode: directory.mode,
                uid: directory.uid,
                gid: directory.gid,
                modified: directory.modified,
            },
            Found::Directory(_, None) => plain(FileKind::Directory, 0),
            Found::Link(_) => plain(FileKind::Link, 0),
            Found::Special(kind) => plain(kind, 0),
        })
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        match self.find(path, false)? {
            Found::Link(target) => Ok(target.to_owned()),
            other => Err(ArchiveSource::wrong_kind(path, &other, "symbolic link")),
        }
    }

    fn recording(&self) -> Option<&Recording> {
        Some(&self.recording)
    }

    fn late_damage(&self) -> Option<String> {
        self.archive.late_damage()
    }
}
