//! Logs into the bundle: piece by piece, redacted on the way, the newest log first. Two at a time, each from its reading to its
//! packing on one thread; who has no log any more packs pieces of the other's.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::output::{Ended, Output, outputs};
use super::recorder::Recorder;
use crate::bundle::archive::read_some;
use crate::bundle::manifest::LeftOut;
use crate::bundle::pseudonym::Lines;
use crate::bundle::redact::Stream;
use crate::bundle::writer::{BundleWriter, Open, PieceHash};
use crate::collect::logs::{Discovered, audit};
use crate::source::{Metadata, SourceKind, SourceRef};

/// Bytes of an entry; a log takes as many entries as it needs.
pub(super) const PIECE: usize = 4 << 20;
const READ: usize = 256 << 10;
/// How much smaller a log is in the bundle, at the least to be expected.
const PACKED: u64 = 6;
/// Where logs that are no files stand in the bundle.
const STREAMS: &str = "/var/log/k8sdoctor";

/// Records the logs at these paths, what was opened besides, and the live host's journal.
pub fn record<W: Write + Send>(source: &SourceRef, recorder: &Recorder<W>, logs: &Discovered, from: Option<Timestamp>) {
    // What has to fit is written in order, and so is what gets its pseudonyms in order.
    let in_order = recorder.max_size.is_some() || recorder.pseudonyms.is_some() || recorder.lists_only;
    // Logs take the longest, and cut off among them a bundle has all else.
    recorder.write_with(BundleWriter::write_out);
    let (mut output, mut second) = outputs(recorder);
    let wanted = recorder.streams_wanted();
    let paths: Vec<&String> = wanted.iter().chain(&logs.paths).collect();
    let next = AtomicUsize::new(0);
    let files = |output: &mut Output<'_, W>| {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !recorder.is_closed()) {
            file(source, recorder, output, path);
        }
    };
    std::thread::scope(|scope| {
        if in_order {
            drop(second);
        } else {
            let files = &files;
            let both = move || {
                files(&mut second);
                second.help();
            };
            // Without a thread it is done by one.
            let _ = std::thread::Builder::new().name("collect".to_owned()).spawn_scoped(scope, both);
        }
        no_files(source, recorder, &mut output, logs, from);
        files(&mut output);
        output.help();
    });
}

/// Logs that are no files of the host.
fn no_files<W: Write + Send>(
    source: &SourceRef,
    recorder: &Recorder<W>,
    output: &mut Output<'_, W>,
    logs: &Discovered,
    from: Option<Timestamp>,
) {
    if source.kind() == SourceKind::Live {
        journal(recorder, output, from);
    } else if source.recording().is_none() {
        journal_files(source, recorder, output, &logs.journals, from);
    }
    let Some(recording) = source.recording() else { return };
    for (path, why) in &recording.streams_left_out {
        recorder.leave_out_stream(LeftOut { path: path.clone(), why: why.clone() });
    }
    for (name, path) in &recording.streams {
        recorder.stream(name, path);
        file(source, recorder, output, path);
    }
}

fn journal<W: Write + Send>(recorder: &Recorder<W>, output: &mut Output<'_, W>, from: Option<Timestamp>) {
    if recorder.lists_only {
        recorder.note("journalctl --output=export (kubelet, container runtime, etcd, kernel, ...)", 0);
        return;
    }
    let (streams, left_out) = crate::collect::logs::journal_streams(from);
    for (path, why) in left_out {
        recorder.leave_out_stream(LeftOut { path, why });
    }
    for (number, (name, reader)) in streams.into_iter().enumerate() {
        let path = format!("{STREAMS}/journal-{number}.txt");
        match reader {
            Ok(reader) => {
                recorder.stream(&name, &path);
                copy(recorder, output, &path, None, reader, None);
            }
            Err(error) => recorder.leave_out_stream(LeftOut { path: name, why: error.to_string() }),
        }
    }
}

/// A tree's binary journals, as the lines that are read of them: nothing could be taken out of their own format.
fn journal_files<W: Write + Send>(
    source: &SourceRef,
    recorder: &Recorder<W>,
    output: &mut Output<'_, W>,
    paths: &[String],
    from: Option<Timestamp>,
) {
    for (number, journal) in paths.iter().enumerate() {
        if recorder.is_closed() {
            return;
        }
        if recorder.lists_only {
            recorder.note(journal, source.metadata(journal).map_or(0, |found| found.size));
            continue;
        }
        let path = format!("{STREAMS}/journal-{number}.txt");
        match crate::collect::logs::journal_lines(&**source, journal, from) {
            Ok(reader) => {
                recorder.stream(journal, &path);
                copy(recorder, output, &path, None, reader, None);
            }
            Err(error) => recorder.leave_out_stream(LeftOut { path: journal.clone(), why: error.to_string() }),
        }
    }
}

fn file<W: Write + Send>(source: &SourceRef, recorder: &Recorder<W>, output: &mut Output<'_, W>, path: &str) {
    if !recorder.claim(path) {
        return;
    }
    let found = source.metadata(path);
    recorder.metadata(path, &found);
    let found = found.ok();
    if recorder.lists_only {
        recorder.note(path, found.map_or(0, |found| found.size));
        return;
    }
    match source.open(path) {
        // Only the records that are judged: the others tell who did what.
        Ok(reader) if audit::is_path(path) => {
            copy(recorder, output, path, found.as_ref(), Box::new(audit::Denials::new(reader)), None);
        }
        Ok(reader) => copy(recorder, output, path, found.as_ref(), reader, Some(source)),
        Err(error) => recorder.refused(path, &error),
    }
}

/// One log. `source` is where it can be opened again.
fn copy<W: Write + Send>(
    recorder: &Recorder<W>,
    output: &mut Output<'_, W>,
    path: &str,
    found: Option<&Metadata>,
    mut reader: Box<dyn Read + Send>,
    source: Option<&SourceRef>,
) {
    let leave_out = |why: String| recorder.leave_out(LeftOut { path: path.to_owned(), why });
    let mut magic = [0; 6];
    let known = match read_some(&mut reader, &mut magic) {
        Ok(known) => known,
        Err(error) => return leave_out(error.to_string()),
    };
    let head = magic.get(..known).unwrap_or_default().to_vec();
    let packing = Packing::of(&head);
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(reader));
    let lines = if packing == Packing::None { Ok(whole) } else { crate::logs::open_packed(whole) };
    let mut lines = match lines {
        Ok(lines) => lines,
        Err(error) => return leave_out(error.to_string()),
    };

    let mut truncated = None;
    if let Some(room) = recorder.room() {
        let size = found.map_or(0, |found| found.size);
        let fits = room.saturating_mul(if packing == Packing::None { PACKED } else { 1 });
        if fits < PIECE as u64 / 8 {
            recorder.incomplete("the size limit was reached; older logs are left out".to_owned());
            return leave_out("the bundle's size limit was reached".to_owned());
        }
        if size > fits && packing == Packing::None && source.is_some() {
            // The newest lines are at its end.
            let skipped = size - fits;
            if let Err(error) = skip_lines(&mut lines, skipped) {
                return leave_out(error.to_string());
            }
            truncated = Some(format!("its first {skipped} bytes are left out: the bundle's size limit was reached"));
            recorder.incomplete("the size limit was reached; logs are cut".to_owned());
        }
    }

    let Some(open) = recorder.begin(path, found) else { return };
    let stream = Stream::new(path, recorder.redact);
    let job = Job { lines, stream, packing, pseudonyms: recorder.pseudonyms.as_ref().map(Lines::new) };
    if let Some(mut ended) = job.run(open, output) {
        ended.truncated = ended.truncated.or(truncated);
        output.end(ended);
    }
}

/// One log on its way to the bundle.
struct Job<'p> {
    lines: Box<dyn Read + Send>,
    stream: Stream,
    packing: Packing,
    pseudonyms: Option<Lines<'p>>,
}

impl Job<'_> {
    /// Gives the log away in pieces; none when nobody takes them any more.
    fn run<W: Write + Send>(mut self, mut open: Open, output: &mut Output<'_, W>) -> Option<Ended> {
        let mut hash = PieceHash::default();
        let mut truncated = None;
        let first = output.begin(&open)?;
        let mut headers = first.len();
        let mut out = self.packing.writer(first);
        let mut buffer = vec![0; READ];
        let mut redacted = Vec::with_capacity(READ + READ / 8);
        loop {
            let count = match self.lines.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    truncated = Some(format!("it could not be read to its end: {error}"));
                    0
                }
            };
            redacted.clear();
            match buffer.get(..count).filter(|read| !read.is_empty()) {
                Some(read) => self.stream.push(read, &mut redacted),
                None => self.stream.finish(&mut redacted),
            }
            if let Some(pseudonyms) = &mut self.pseudonyms {
                pseudonyms.push(&mut redacted, count == 0);
            }
            if let Err(error) = out.write_all(&redacted) {
                truncated = Some(error.to_string());
                break;
            }
            if count == 0 {
                break;
            }
            if out.packed().len() >= PIECE + headers {
                let piece = std::mem::take(out.packed());
                hash.add(piece.get(headers..).unwrap_or_default());
                if !output.give(&mut open, piece, headers) {
                    return None;
                }
                *out.packed() = output.begin(&open)?;
                headers = out.packed().len();
            }
        }
        match out.finish() {
            Ok(rest) => {
                let content = rest.get(headers..).unwrap_or_default();
                hash.add(content);
                if !content.is_empty() && !output.give(&mut open, rest, headers) {
                    return None;
                }
            }
            Err(error) => truncated = Some(error.to_string()),
        }
        Some(Ended { open, hash, records: self.stream.into_records(), truncated })
    }
}

/// Reads past so many bytes, and to the end of the line they end in.
fn skip_lines(reader: &mut Box<dyn Read + Send>, bytes: u64) -> io::Result<()> {
    io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())?;
    let mut byte = [0];
    // A line without an end is not looked for any longer.
    for _ in 0..1 << 20 {
        if reader.read(&mut byte)? == 0 || byte == *b"\n" {
            break;
        }
    }
    Ok(())
}

/// What a rotated log is packed in; it is packed the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
    Xz,
}

impl Packing {
    fn of(head: &[u8]) -> Packing {
        if head.starts_with(&[0x1f, 0x8b]) {
            Packing::Gzip
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Packing::Zstd
        } else if head.starts_with(b"\xfd7zXZ\0") {
            Packing::Xz
        } else {
            Packing::None
        }
    }

    /// Packs into `out`, behind what is in it.
    fn writer(self, out: Vec<u8>) -> Packer {
        match self {
            Packing::None => Packer::None(out),
            Packing::Gzip => Packer::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::fast())),
            // Its only failure is one of memory.
            Packing::Zstd => match zstd::stream::write::Encoder::new(Vec::new(), 1) {
                Ok(mut encoder) => {
                    *encoder.get_mut() = out;
                    Packer::Zstd(encoder)
                }
                Err(_) => Packer::None(out),
            },
            Packing::Xz => Packer::Xz(liblzma::write::XzEncoder::new(out, 1)),
        }
    }
}

/// Packs into memory, from where it is taken piece by piece.
enum Packer {
    None(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Xz(liblzma::write::XzEncoder<Vec<u8>>),
}

impl Packer {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Packer::None(out) => out.write_all(bytes),
            Packer::Gzip(out) => out.write_all(bytes),
            Packer::Zstd(out) => out.write_all(bytes),
            Packer::Xz(out) => out.write_all(bytes),
        }
    }

    fn packed(&mut self) -> &mut Vec<u8> {
        match self {
            Packer::None(out) => out,
            Packer::Gzip(out) => out.get_mut(),
            Packer::Zstd(out) => out.get_mut(),
            Packer::Xz(out) => out.get_mut(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Packer::None(out) => Ok(out),
            Packer::Gzip(out) => out.finish(),
            Packer::Zstd(out) => out.finish(),
            Packer::Xz(out) => out.finish(),
        }
    }
}
