//! What was asked and answered, into the bundle: content as it comes, everything else at the end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard};

use ipnet::IpNet;
use serde::Serialize;

use crate::bundle::manifest::{Answers, FileRecord, Head, LeftOut, Manifest, RedactionRecord, Refused};
use crate::bundle::pseudonym::Pseudonyms;
use crate::bundle::redact::{self, Policy};
use crate::bundle::writer::{Attributes, BundleWriter, Open, PieceHash};
use crate::collect::probes::RecordedProbes;
use crate::facts::probe::Probes;
use crate::source::{Entry, Metadata, ReadError};

/// Takes part in the reading of a host from several threads. After [`Recorder::finish`] it takes nothing any more.
pub struct Recorder<W: Write> {
    state: Mutex<State<W>>,
    pub(super) redact: Policy,
    pub(super) pseudonyms: Option<Pseudonyms>,
    pub(super) max_size: Option<u64>,
    pub(super) lists_only: bool,
}

struct State<W: Write> {
    /// None when nothing is to be written, or no more.
    writer: Option<BundleWriter<W>>,
    /// The first error of writing; everything after it is in vain.
    failed: Option<io::Error>,
    head: Head,
    /// Paths whose content is in the bundle, or on its way there.
    taken: BTreeSet<String>,
    to_stream: BTreeSet<String>,
    files: Vec<FileRecord>,
    answers: Answers,
    left_out: Vec<LeftOut>,
    not_read: Vec<LeftOut>,
    streams_left_out: Vec<LeftOut>,
    redactions: Vec<RedactionRecord>,
    streams: Vec<(String, String)>,
    addresses: Option<BTreeMap<String, Vec<IpNet>>>,
    probes: Option<RecordedProbes>,
    incomplete: Option<String>,
}

/// What is in a bundle that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub host: String,
    pub files: usize,
    /// Of their content.
    pub bytes: u64,
    /// Of the bundle.
    pub written: u64,
    pub redactions: u64,
    pub left_out: Vec<LeftOut>,
    pub refused: Vec<LeftOut>,
    pub incomplete: Option<String>,
}

/// What would be in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Path and bytes.
    pub files: Vec<(String, u64)>,
    pub left_out: Vec<LeftOut>,
    pub refused: Vec<LeftOut>,
}

impl<W: Write> Recorder<W> {
    pub fn new(
        out: W,
        head: Head,
        redact: Policy,
        pseudonyms: Option<Pseudonyms>,
        max_size: Option<u64>,
    ) -> io::Result<Recorder<W>> {
        let mut writer = BundleWriter::new(out, &head.host)?;
        writer.own("head.json", &head)?;
        writer.write_out()?;
        let state = Mutex::new(State::new(Some(writer), head));
        Ok(Recorder { state, redact, pseudonyms, max_size, lists_only: false })
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A file's whole content, redacted here.
    pub fn content(&self, path: &str, content: &[u8], found: Option<Metadata>) {
        if !self.claim(path) {
            return;
        }
        let found = found.as_ref();
        if self.lists_only {
            self.lock().note(path, content.len() as u64);
            return;
        }
        let redacted = redact::content(path, content, self.redact).and_then(|redacted| match &self.pseudonyms {
            Some(pseudonyms) => Ok((pseudonyms.content(path, &redacted.content)?, redacted.records)),
            None => Ok((redacted.content, redacted.records)),
        });
        match redacted {
            Ok((content, records)) => self.write(path, found, &content, records),
            // What cannot be redacted stays where it is.
            Err(why) => {
                let mut state = self.lock();
                let message = format!("left out of the bundle: {why}");
                state.answers.refused.insert(path.to_owned(), Refused::Other { message });
                state.left_out.push(LeftOut { path: path.to_owned(), why });
            }
        }
    }

    fn write(&self, path: &str, found: Option<&Metadata>, content: &[u8], records: Vec<RedactionRecord>) {
        let mut hash = PieceHash::default();
        hash.add(content);
        let mut state = self.lock();
        let Some(mut open) = state.begin(&self.told(path), attributes(found)) else { return };
        state.write(|writer| writer.whole(&mut open, content));
        state.end(open, hash, records, None);
    }

    /// A path as the bundle has it.
    fn told<'a>(&self, path: &'a str) -> Cow<'a, str> {
        match &self.pseudonyms {
            Some(pseudonyms) => Cow::Owned(pseudonyms.word(path)),
            None => Cow::Borrowed(path),
        }
    }

    /// One of the bundle's own entries. Those of the files are written with their pseudonyms, those of others get them here.
    fn own(&self, writer: &mut BundleWriter<W>, name: &str, content: &impl Serialize) -> io::Result<()> {
        let Some(pseudonyms) = &self.pseudonyms else { return writer.own(name, content) };
        let json = serde_json::to_vec(content).map_err(io::Error::other)?;
        writer.own_bytes(name, &pseudonyms.text(&json))
    }

    /// Whether nobody has taken this path yet.
    pub fn claim(&self, path: &str) -> bool {
        self.lock().taken.insert(path.to_owned())
    }

    /// Begins a streamed file; none when nothing is written any more.
    pub fn begin(&self, path: &str, found: Option<&Metadata>) -> Option<Open> {
        self.lock().begin(&self.told(path), attributes(found))
    }

    /// Writes something; false when nothing is written any more.
    pub fn write_with(&self, write: impl FnOnce(&mut BundleWriter<W>) -> io::Result<()>) -> bool {
        self.lock().write(write)
    }

    /// Ends a file of which all pieces were written; they are in the hash.
    pub fn end(&self, open: Open, hash: PieceHash, records: Vec<RedactionRecord>, truncated: Option<String>) {
        self.lock().end(open, hash, records, truncated);
    }

    /// A stream that was opened is recorded later, by itself.
    pub fn to_stream(&self, path: &str) {
        self.lock().to_stream.insert(path.to_owned());
    }

    pub fn streams_wanted(&self) -> Vec<String> {
        let state = self.lock();
        state.to_stream.iter().filter(|path| !state.taken.contains(*path)).cloned().collect()
    }

    /// A log that is no file of the host, and the path that it has in the bundle.
    pub fn stream(&self, name: &str, path: &str) {
        self.lock().streams.push((name.to_owned(), path.to_owned()));
    }

    /// A file that would be taken.
    pub fn note(&self, path: &str, size: u64) {
        self.lock().note(path, size);
    }

    pub fn refused(&self, path: &str, error: &ReadError) {
        self.lock().answers.refused.entry(path.to_owned()).or_insert_with(|| error.into());
    }

    pub fn list(&self, path: &str, answer: &Result<Vec<Entry>, ReadError>) {
        self.lock().answers.add_list(path, answer);
    }

    pub fn metadata(&self, path: &str, answer: &Result<Metadata, ReadError>) {
        let answer = answer.as_ref().map(Into::into).map_err(Into::into);
        self.lock().answers.metadata.entry(path.to_owned()).or_insert(answer);
    }

    pub fn link(&self, path: &str, answer: &Result<String, ReadError>) {
        let answer = answer.clone().map_err(|error| Refused::from(&error));
        self.lock().answers.links.entry(path.to_owned()).or_insert(answer);
    }

    pub fn addresses(&self, addresses: BTreeMap<String, Vec<IpNet>>) {
        self.lock().addresses = Some(addresses);
    }

    pub fn probes(&self, probes: &Probes) {
        if probes.taken {
            let probes = match &self.pseudonyms {
                Some(pseudonyms) => {
                    let mut probes = probes.clone();
                    pseudonyms.served(&mut probes);
                    RecordedProbes::of(&probes)
                }
                None => RecordedProbes::of(probes),
            };
            self.lock().probes = Some(probes);
        }
    }

    pub fn leave_out(&self, what: LeftOut) {
        self.lock().left_out.push(what);
    }

    /// A log that is there and that `check` does not read either.
    pub fn not_read(&self, what: LeftOut) {
        self.lock().not_read.push(what);
    }

    /// A log that is no file of the host, and why it is not there.
    pub fn leave_out_stream(&self, what: LeftOut) {
        self.lock().streams_left_out.push(what);
    }

    /// Says that something is missing that was to be taken.
    pub fn incomplete(&self, why: String) {
        self.lock().incomplete.get_or_insert(why);
    }

    /// Bytes that the bundle may still grow by.
    pub fn room(&self) -> Option<u64> {
        let state = self.lock();
        let written = state.writer.as_ref().map_or(0, BundleWriter::written);
        self.max_size.map(|limit| limit.saturating_sub(written))
    }

    pub fn is_closed(&self) -> bool {
        self.lock().writer.is_none() && !self.lists_only
    }

    /// Whether what is made now can still be written.
    pub fn is_writing(&self) -> bool {
        let state = self.lock();
        state.writer.is_some() && state.failed.is_none()
    }

    /// Writes what is left, and gives the stream back.
    pub fn finish(&self, late: Option<String>) -> io::Result<(W, Summary)> {
        let mut state = self.lock();
        let writer = state.writer.take();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let Some(mut writer) = writer else { return Err(io::Error::other("the bundle was ended before")) };
        state.left_out.sort();
        state.left_out.dedup();
        if let Some(probes) = &state.probes {
            // Endpoints may have credentials in them, and answers may say anything.
            let json = serde_json::to_vec(probes).map_err(io::Error::other)?;
            match redact::content("/probes.json", &json, self.redact) {
                Ok(redacted) => {
                    let content = match &self.pseudonyms {
                        Some(pseudonyms) => pseudonyms.text(&redacted.content),
                        None => redacted.content,
                    };
                    writer.own_bytes("probes.json", &content)?;
                    state.redactions.extend(redacted.records);
                }
                Err(why) => state.left_out.push(LeftOut { path: "probes".to_owned(), why }),
            }
        }
        let incomplete = late.or_else(|| state.incomplete.take());
        self.own(&mut writer, "answers.json", &state.answers)?;
        self.own(&mut writer, "redactions.json", &state.redactions)?;
        let manifest = Manifest {
            head: state.head.clone(),
            finished: crate::collect::now(),
            incomplete: incomplete.clone(),
            // Their paths have their pseudonyms; a second time would give others.
            files: Vec::new(),
            left_out: state.left_out.clone(),
            not_read: state.not_read.clone(),
            streams_left_out: state.streams_left_out.clone(),
            streams: state.streams.clone(),
            addresses: state.addresses.clone(),
        };
        let manifest = Manifest {
            files: std::mem::take(&mut state.files),
            head: state.head.clone(),
            ..match &self.pseudonyms {
                Some(pseudonyms) => {
                    let json = serde_json::to_vec(&manifest).map_err(io::Error::other)?;
                    serde_json::from_slice(&pseudonyms.text(&json)).map_err(io::Error::other)?
                }
                None => manifest,
            }
        };
        writer.own("manifest.json", &manifest)?;
        let files = manifest.files.len();
        let bytes = manifest.files.iter().map(|file| file.size).sum();
        let redactions = state.redactions.iter().map(|record| record.count).sum();
        let counted = writer.finish_counted()?;
        let summary = Summary {
            host: state.head.host.clone(),
            files,
            bytes,
            written: counted.1,
            redactions,
            left_out: state.missing(),
            refused: state.refused(),
            incomplete,
        };
        Ok((counted.0, summary))
    }

    pub fn listed(&self) -> Listed {
        let state = self.lock();
        let files = state.files.iter().map(|file| (file.path.clone(), file.size)).collect();
        Listed { files, left_out: state.missing(), refused: state.refused() }
    }
}

impl Recorder<io::Sink> {
    /// One that writes nothing.
    pub fn listing(head: Head) -> io::Result<Recorder<io::Sink>> {
        let state = Mutex::new(State::new(None, head));
        Ok(Recorder { state, redact: Policy::default(), pseudonyms: None, max_size: None, lists_only: true })
    }
}

impl<W: Write> State<W> {
    fn new(writer: Option<BundleWriter<W>>, head: Head) -> State<W> {
        State {
            writer,
            failed: None,
            head,
            taken: BTreeSet::new(),
            to_stream: BTreeSet::new(),
            files: Vec::new(),
            answers: Answers::default(),
            left_out: Vec::new(),
            not_read: Vec::new(),
            streams_left_out: Vec::new(),
            redactions: Vec::new(),
            streams: Vec::new(),
            addresses: None,
            probes: None,
            incomplete: None,
        }
    }

    fn note(&mut self, path: &str, size: u64) {
        let (entries, sha256) = (Vec::new(), String::new());
        let path = path.to_owned();
        self.files.push(FileRecord { path, entries, size, sha256, mode: 0, redactions: 0, truncated: None });
    }

    fn begin(&mut self, path: &str, attributes: Attributes) -> Option<Open> {
        if self.failed.is_some() {
            return None;
        }
        Some(self.writer.as_mut()?.begin(path, attributes))
    }

    fn write(&mut self, write: impl FnOnce(&mut BundleWriter<W>) -> io::Result<()>) -> bool {
        let Some(writer) = self.writer.as_mut().filter(|_| self.failed.is_none()) else { return false };
        match write(writer) {
            Ok(()) => true,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn end(&mut self, mut open: Open, hash: PieceHash, records: Vec<RedactionRecord>, truncated: Option<String>) {
        if open.is_empty() && !self.write(|writer| writer.whole(&mut open, &[])) {
            return;
        }
        if self.writer.is_none() || self.failed.is_some() {
            return;
        }
        let mut record = open.end(hash);
        record.redactions = records.iter().map(|record| record.count).sum();
        record.truncated = truncated;
        self.files.push(record);
        self.redactions.extend(records);
    }

    fn missing(&self) -> Vec<LeftOut> {
        [&self.left_out, &self.not_read, &self.streams_left_out].into_iter().flatten().cloned().collect()
    }

    /// What is there and could not be read, by whoever collects.
    fn refused(&self) -> Vec<LeftOut> {
        let lists = self.answers.lists.iter().filter_map(|(path, answer)| Some((path, answer.as_ref().err()?)));
        let all = self.answers.refused.iter().chain(lists);
        let mut refused: Vec<LeftOut> = all
            .filter(|(_, why)| matches!(why, Refused::PermissionDenied | Refused::TooLarge { .. } | Refused::LinkLoop))
            .map(|(path, why)| {
                let error = why.to_error(path).unknown();
                let remedy = error.remedy.map(|remedy| format!(": {remedy}")).unwrap_or_default();
                LeftOut { path: path.clone(), why: format!("{}{remedy}", error.why) }
            })
            .collect();
        refused.sort();
        refused.dedup();
        refused
    }
}

fn attributes(found: Option<&Metadata>) -> Attributes {
    found.map_or(Attributes { mode: 0o600, ..Attributes::default() }, |found| Attributes {
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        modified: found.modified,
    })
}
