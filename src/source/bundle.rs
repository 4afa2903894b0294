//! A bundle as the host that it was recorded of: every question that was asked then has the answer of then. What was not
//! asked (a newer release asks for more) is answered as far as the bundle tells: absent when the directory was listed
//! without it, else not covered.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use super::{Entry, FileKind, Metadata, READ_LIMIT, ReadError, Recording, Source, SourceKind};
use crate::bundle::archive::{Archive, FileNode};
use crate::bundle::manifest::{Answers, Refused};

pub struct BundleSource {
    label: String,
    archive: Arc<Archive>,
    /// By absolute path on the host.
    files: BTreeMap<String, FileNode>,
    answers: Answers,
    recording: Recording,
}

impl BundleSource {
    /// `files` are the archive's, by their absolute path on the host.
    pub fn new(
        label: impl Into<String>,
        archive: Arc<Archive>,
        files: BTreeMap<String, FileNode>,
        answers: Answers,
        recording: Recording,
    ) -> BundleSource {
        BundleSource { label: label.into(), archive, files, answers, recording }
    }

    /// What is to be said of a path that was not asked for.
    fn not_asked(&self, path: &str) -> ReadError {
        let owned = path.to_owned();
        let listed = path.rsplit_once('/').and_then(|(parent, name)| {
            let parent = if parent.is_empty() { "/" } else { parent };
            Some((self.answers.lists.get(parent)?, name))
        });
        match listed {
            Some((Ok(entries), name)) if !entries.iter().any(|(known, _)| known == name) => {
                ReadError::NotFound { path: owned }
            }
            Some((Err(Refused::NotFound), _)) => ReadError::NotFound { path: owned },
            _ => ReadError::NotCovered { path: owned },
        }
    }

    fn file(&self, path: &str) -> Result<&FileNode, ReadError> {
        if let Some(file) = self.files.get(path) {
            return Ok(file);
        }
        Err(match (self.answers.refused.get(path), self.answers.metadata.get(path)) {
            (Some(refused), _) | (None, Some(Err(refused))) => refused.to_error(path),
            (None, Some(Ok(found))) if FileKind::from(found.kind) != FileKind::File => {
                let kind = FileKind::from(found.kind).name();
                ReadError::WrongKind { path: path.to_owned(), kind, wanted: "file" }
            }
            // It is there, and was not read.
            (None, Some(Ok(_))) => ReadError::NotCovered { path: path.to_owned() },
            (None, None) => self.not_asked(path),
        })
    }
}

impl Source for BundleSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Bundle
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        // What was too large then was streamed, and is there.
        if let Some(refused @ Refused::TooLarge { .. }) = self.answers.refused.get(path) {
            return Err(refused.to_error(path));
        }
        let file = self.file(path)?;
        if file.size() > READ_LIMIT {
            return Err(ReadError::TooLarge { path: path.to_owned(), size: file.size(), limit: READ_LIMIT });
        }
        let mut content = Vec::new();
        let mut stream = self.archive.open(file);
        stream
            .read_to_end(&mut content)
            .map_err(|error| ReadError::Io { path: path.to_owned(), message: error.to_string() })?;
        Ok(content)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        Ok(self.archive.open(self.file(path)?))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        match self.answers.lists.get(path) {
            Some(Ok(entries)) => {
                Ok(entries.iter().map(|(name, kind)| Entry { name: name.clone(), kind: (*kind).into() }).collect())
            }
            Some(Err(refused)) => Err(refused.to_error(path)),
            None => Err(self.not_asked(path)),
        }
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        match self.answers.metadata.get(path) {
            Some(Ok(found)) => return Ok((*found).into()),
            Some(Err(refused)) => return Err(refused.to_error(path)),
            None => {}
        }
        let kind_of = |kind, size, mode| Metadata { kind, size, mode, uid: 0, gid: 0, modified: 0 };
        match (self.files.get(path), self.answers.lists.get(path)) {
            (Some(file), _) => Ok(kind_of(FileKind::File, file.size(), file.mode)),
            (None, Some(Ok(_))) => Ok(kind_of(FileKind::Directory, 0, 0o755)),
            (None, Some(Err(refused))) => Err(refused.to_error(path)),
            (None, None) => match self.answers.refused.get(path) {
                Some(refused) => Err(refused.to_error(path)),
                None => Err(self.not_asked(path)),
            },
        }
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        match self.answers.links.get(path) {
            Some(Ok(target)) => Ok(target.clone()),
            Some(Err(refused)) => Err(refused.to_error(path)),
            None => Err(self.not_asked(path)),
        }
    }

    fn recording(&self) -> Option<&Recording> {
        Some(&self.recording)
    }

    fn late_damage(&self) -> Option<String> {
        self.archive.late_damage()
    }
}
