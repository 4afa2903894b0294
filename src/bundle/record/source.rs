//! The source that `check` reads by, with a recorder listening.

use std::io::{Read, Write};
use std::sync::Arc;

use super::recorder::Recorder;
use crate::source::{Entry, Metadata, ReadError, Recording, Source, SourceKind, SourceRef};

/// Passes questions on, and questions with their answers to the recorder.
pub struct RecordingSource<W: Write> {
    inner: SourceRef,
    recorder: Arc<Recorder<W>>,
}

impl<W: Write> RecordingSource<W> {
    pub fn new(inner: SourceRef, recorder: Arc<Recorder<W>>) -> RecordingSource<W> {
        RecordingSource { inner, recorder }
    }
}

impl<W: Write + Send + 'static> Source for RecordingSource<W> {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn kind(&self) -> SourceKind {
        self.inner.kind()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let answer = self.inner.read(path);
        match &answer {
            Ok(content) => self.recorder.content(path, content, self.inner.metadata(path).ok()),
            Err(error) => self.recorder.refused(path, error),
        }
        answer
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        let answer = self.inner.open(path);
        match &answer {
            Ok(_) => self.recorder.to_stream(path),
            Err(error) => self.recorder.refused(path, error),
        }
        answer
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let answer = self.inner.list(path);
        self.recorder.list(path, &answer);
        answer
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        let answer = self.inner.metadata(path);
        self.recorder.metadata(path, &answer);
        answer
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let answer = self.inner.read_link(path);
        self.recorder.link(path, &answer);
        answer
    }

    fn recording(&self) -> Option<&Recording> {
        self.inner.recording()
    }

    fn late_damage(&self) -> Option<String> {
        self.inner.late_damage()
    }

    fn display_path(&self, path: &str) -> String {
        self.inner.display_path(path)
    }
}
