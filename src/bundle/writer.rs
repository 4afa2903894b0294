//! Entries into a .tar.zst, and the record of each.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::manifest::{FileRecord, OWN, entry_name};

/// As `zstd -1`: the disk and the network of a broken host are slower than the difference.
const LEVEL: i32 = 1;

/// What the host's file is like, beside its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: i64,
}

/// Writes one host's archive.
pub struct BundleWriter<W: Write> {
    tar: tar::Builder<zstd::stream::write::Encoder<'static, Counted<W>>>,
    host: String,
    written: Arc<AtomicU64>,
    /// For paths that cannot be names.
    odd: usize,
}

struct Counted<W> {
    inner: W,
    written: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A host's file of which pieces are written as they come.
pub struct Open {
    record: FileRecord,
    attributes: Attributes,
    hash: PieceHash,
    name: String,
    pieces: usize,
}

/// Of a file's pieces as they are in the bundle. Whoever makes the pieces of a large file hashes them beside, while those
/// before are packed.
#[derive(Default)]
pub struct PieceHash(Sha256);

impl PieceHash {
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

impl<W: Write> BundleWriter<W> {
    /// `host` becomes the directory that all entries stand in.
    pub fn new(out: W, host: &str) -> io::Result<BundleWriter<W>> {
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: out, written: Arc::clone(&written) };
        let mut encoder = zstd::stream::write::Encoder::new(counted, LEVEL)?;
        // So that a changed bit is seen when the bundle is read.
        encoder.include_checksum(true)?;
        let mut tar = tar::Builder::new(encoder);
        tar.mode(tar::HeaderMode::Deterministic);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let host: String = host.chars().map(|c| if plain(c) { c } else { '_' }).take(200).collect();
        let host = if host.trim_matches('.').is_empty() { "host".to_owned() } else { host };
        Ok(BundleWriter { tar, host, written, odd: 0 })
    }

    /// Bytes of the archive so far, as far as they left the compressor.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// One of the bundle's own entries.
    pub fn own(&mut self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let content = serde_json::to_vec(content).map_err(io::Error::other)?;
        self.entry(&format!("{OWN}/{name}"), Attributes { mode: 0o600, ..Attributes::default() }, &content)
    }

    /// One of the bundle's own entries, as bytes.
    pub fn own_bytes(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.entry(&format!("{OWN}/{name}"), Attributes { mode: 0o600, ..Attributes::default() }, content)
    }

    /// Begins a file of the host.
    pub fn begin(&mut self, path: &str, attributes: Attributes) -> Open {
        let (name, entries) = match entry_name(path) {
            Some(name) => (name.to_owned(), Vec::new()),
            None => {
                self.odd += 1;
                let name = format!("{OWN}/odd/{}", self.odd);
                (name.clone(), vec![name])
            }
        };
        let record = FileRecord {
            path: path.to_owned(),
            entries,
            size: 0,
            sha256: String::new(),
            mode: attributes.mode,
            redactions: 0,
            truncated: None,
        };
        Open { record, attributes, hash: PieceHash::default(), name, pieces: 0 }
    }

    /// Writes the file's next piece.
    pub fn piece(&mut self, open: &mut Open, content: &[u8]) -> io::Result<()> {
        open.hash.add(content);
        self.hashed_piece(open, content)
    }

    /// Writes the file's next piece, which is in the hash that the caller ends the file with.
    pub fn hashed_piece(&mut self, open: &mut Open, content: &[u8]) -> io::Result<()> {
        open.pieces += 1;
        let name = match open.pieces {
            1 => open.name.clone(),
            number => {
                if open.record.entries.is_empty() {
                    open.record.entries.push(open.name.clone());
                }
                let name = format!("{}.part{number}", open.name);
                open.record.entries.push(name.clone());
                name
            }
        };
        open.record.size += content.len() as u64;
        self.entry(&name, open.attributes, content)
    }

    /// Ends the file and gives its record; `hash` is of pieces that came hashed.
    pub fn end(&mut self, mut open: Open, hash: Option<PieceHash>) -> io::Result<FileRecord> {
        if open.pieces == 0 {
            self.piece(&mut open, &[])?;
        }
        open.record.sha256 = hash.unwrap_or(open.hash).hex();
        Ok(open.record)
    }

    fn entry(&mut self, name: &str, attributes: Attributes, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(attributes.mode & 0o7777);
        header.set_uid(u64::from(attributes.uid));
        header.set_gid(u64::from(attributes.gid));
        header.set_mtime(u64::try_from(attributes.modified).unwrap_or_default());
        self.tar.append_data(&mut header, format!("{}/{name}", self.host), content)
    }

    /// Ends the archive, and gives the stream back with the archive's size.
    pub fn finish_counted(self) -> io::Result<(W, u64)> {
        let mut counted = self.tar.into_inner()?.finish()?;
        counted.flush()?;
        Ok((counted.inner, self.written.load(Ordering::Relaxed)))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
