//! A host made of a map, for unit tests of what reads sources.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use super::{Entry, FileKind, Metadata, ReadError, ReadSeek, Source, SourceKind};

/// A tree held in memory: `MemorySource::new("m1").file("/etc/hostname", "m1\n")`.
#[derive(Debug, Default)]
pub struct MemorySource {
    label: String,
    files: BTreeMap<String, (Vec<u8>, u32)>,
    links: BTreeMap<String, String>,
    denied: BTreeMap<String, ()>,
    live: bool,
}

impl MemorySource {
    pub fn new(label: impl Into<String>) -> MemorySource {
        MemorySource { label: label.into(), ..MemorySource::default() }
    }

    pub fn file(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> MemorySource {
        self.files.insert(path.into(), (content.into(), 0o644));
        self
    }

    pub fn file_with_mode(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>, mode: u32) -> MemorySource {
        self.files.insert(path.into(), (content.into(), mode));
        self
    }

    pub fn link(mut self, path: impl Into<String>, target: impl Into<String>) -> MemorySource {
        self.links.insert(path.into(), target.into());
        self
    }

    /// Reading this path is refused, as without root.
    pub fn denied(mut self, path: impl Into<String>) -> MemorySource {
        self.denied.insert(path.into(), ());
        self
    }

    pub fn live(mut self) -> MemorySource {
        self.live = true;
        self
    }

    fn is_directory(&self, path: &str) -> bool {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        self.files.keys().chain(self.links.keys()).any(|known| known.starts_with(&prefix))
    }

    fn resolve(&self, path: &str) -> Result<String, ReadError> {
        let mut at = path.trim_end_matches('/').to_owned();
        if at.is_empty() {
            at = "/".to_owned();
        }
        for _ in 0..16 {
            match self.links.get(&at) {
                Some(target) if target.starts_with('/') => at = target.clone(),
                Some(target) => {
                    let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
                    at = format!("{parent}/{target}");
                }
                None if self.denied.contains_key(&at) => {
                    return Err(ReadError::PermissionDenied { path: path.to_owned() });
                }
                None => return Ok(at),
            }
        }
        Err(ReadError::LinkLoop { path: path.to_owned() })
    }
}

impl Source for MemorySource {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> SourceKind {
        if self.live { SourceKind::Live } else { SourceKind::Tree }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let at = self.resolve(path)?;
        match self.files.get(&at) {
            Some((content, _)) => Ok(content.clone()),
            None if self.is_directory(&at) => {
                Err(ReadError::WrongKind { path: path.to_owned(), kind: "directory", wanted: "file" })
            }
            None => Err(ReadError::NotFound { path: path.to_owned() }),
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        Ok(Box::new(Cursor::new(self.read(path)?)))
    }

    fn open_seek(&self, path: &str) -> Result<Box<dyn ReadSeek>, ReadError> {
        Ok(Box::new(Cursor::new(self.read(path)?)))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let at = self.resolve(path)?;
        let prefix = if at == "/" { "/".to_owned() } else { format!("{at}/") };
        let mut entries = BTreeMap::new();
        for (known, own) in self
            .files
            .keys()
            .map(|known| (known, FileKind::File))
            .chain(self.links.keys().map(|known| (known, FileKind::Link)))
        {
            if let Some(rest) = known.strip_prefix(&prefix) {
                match rest.split_once('/') {
                    Some((directory, _)) => entries.insert(directory.to_owned(), FileKind::Directory),
                    None => entries.insert(rest.to_owned(), own),
                };
            }
        }
        if entries.is_empty() {
            return Err(ReadError::NotFound { path: path.to_owned() });
        }
        Ok(entries.into_iter().map(|(name, kind)| Entry { name, kind }).collect())
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        let at = self.resolve(path)?;
        let (kind, size, mode) = match self.files.get(&at) {
            Some((content, mode)) => (FileKind::File, content.len() as u64, *mode),
            None if self.is_directory(&at) => (FileKind::Directory, 0, 0o755),
            None => return Err(ReadError::NotFound { path: path.to_owned() }),
        };
        Ok(Metadata { kind, size, mode, uid: 0, gid: 0, modified: 0 })
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        self.links.get(path).cloned().ok_or_else(|| ReadError::NotFound { path: path.to_owned() })
    }
}
