//! Entries into a .tar.zst, and the record of each.
//!
//! The archive is many zstd frames, each of whole entries and with its size and a checksum: small entries share one, each piece
//! of a log has one of its own. So pieces can be packed side by side, and a log be found and unpacked without all that is
//! before it.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::manifest::{FileRecord, OWN, entry_name};

/// As `zstd -1`: the disk and the network of a broken host are slower than the difference.
const LEVEL: i32 = 1;
/// Bytes of small entries that are packed together.
const FRAME: usize = 1 << 20;
/// Of tar.
const BLOCK: usize = 512;

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
    out: W,
    /// Bytes that were given to `out`.
    written: u64,
    /// Entries that were not packed yet.
    small: Vec<u8>,
    packer: FramePacker,
    host: String,
    /// For paths that cannot be names.
    odd: usize,
}

struct Counted<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Packs entries into frames.
pub struct FramePacker {
    compressor: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
}

impl FramePacker {
    pub fn new() -> io::Result<FramePacker> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        // So that a changed bit is seen when the bundle is read.
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        Ok(FramePacker { compressor, frame: Vec::new() })
    }

    /// The frame of these entries, until the next one is made.
    pub fn pack(&mut self, entries: &[u8]) -> io::Result<&[u8]> {
        self.frame.clear();
        self.frame.reserve(zstd::zstd_safe::compress_bound(entries.len()));
        self.compressor.compress_to_buffer(entries, &mut self.frame)?;
        Ok(&self.frame)
    }
}

/// A host's file of which pieces are written as they come.
pub struct Open {
    record: FileRecord,
    attributes: Attributes,
    /// The directory that all entries stand in, and the name in it.
    host: String,
    name: String,
    pieces: usize,
}

impl Open {
    /// The next piece, with room for its headers. It is made in `room`.
    pub fn begin_piece(&self, room: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut piece = room;
        piece.clear();
        let name = piece_name(&self.name, self.pieces + 1);
        append(&mut piece, &format!("{}/{name}", self.host), self.attributes, 0)?;
        Ok(piece)
    }

    /// Makes an entry of what was written behind the headers, which took `headers` bytes.
    pub fn end_piece(&mut self, piece: &mut Vec<u8>, headers: usize) -> io::Result<()> {
        let size = piece.len().saturating_sub(headers) as u64;
        self.fill_headers(piece, size)?;
        piece.resize(piece.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// Writes the headers, now that the content's size is known.
    fn fill_headers(&mut self, piece: &mut [u8], size: u64) -> io::Result<()> {
        self.pieces += 1;
        let name = piece_name(&self.name, self.pieces);
        if self.pieces == 2 {
            self.record.entries = vec![self.name.clone()];
        }
        if self.pieces > 1 {
            self.record.entries.push(name.clone());
        }
        let mut headers = Vec::with_capacity(4 * BLOCK);
        append(&mut headers, &format!("{}/{name}", self.host), self.attributes, size)?;
        if let Some(room) = piece.get_mut(..headers.len()) {
            room.copy_from_slice(&headers);
        }
        self.record.size += size;
        Ok(())
    }

    /// The file's record, with the hash of all its pieces.
    pub fn end(mut self, hash: PieceHash) -> FileRecord {
        self.record.sha256 = hash.hex();
        self.record
    }

    /// Whether there is no piece yet.
    pub fn is_empty(&self) -> bool {
        self.pieces == 0
    }
}

/// A piece's name; the first is called as the file.
fn piece_name(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}.part{number}") }
}

/// The headers of an entry.
fn append(out: &mut Vec<u8>, path: &str, attributes: Attributes, size: u64) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(attributes.mode & 0o7777);
    header.set_uid(u64::from(attributes.uid));
    header.set_gid(u64::from(attributes.gid));
    header.set_mtime(u64::try_from(attributes.modified).unwrap_or_default());
    let mut tar = tar::Builder::new(std::mem::take(out));
    tar.append_data(&mut header, path, io::empty())?;
    *out = std::mem::take(tar.get_mut());
    Ok(())
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
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let host: String = host.chars().map(|c| if plain(c) { c } else { '_' }).take(200).collect();
        let host = if host.trim_matches('.').is_empty() { "host".to_owned() } else { host };
        let small = Vec::new();
        Ok(BundleWriter { out, written: 0, small, packer: FramePacker::new()?, host, odd: 0 })
    }

    /// Bytes of the archive so far, with a guess at what is not packed yet.
    pub fn written(&self) -> u64 {
        self.written + self.small.len() as u64 / 2
    }

    /// One of the bundle's own entries.
    pub fn own(&mut self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let content = serde_json::to_vec(content).map_err(io::Error::other)?;
        self.own_bytes(name, &content)
    }

    /// One of the bundle's own entries, as bytes.
    pub fn own_bytes(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let attributes = Attributes { mode: 0o600, ..Attributes::default() };
        let start = self.small.len();
        append(&mut self.small, &format!("{}/{OWN}/{name}", self.host), attributes, content.len() as u64)?;
        self.small.extend_from_slice(content);
        let length = self.small.len() - start;
        self.small.resize(start + length.next_multiple_of(BLOCK), 0);
        self.pack_small(FRAME)
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
        Open { record, attributes, host: self.host.clone(), name, pieces: 0 }
    }

    /// Writes a file's content, all of it.
    pub fn whole(&mut self, open: &mut Open, content: &[u8]) -> io::Result<()> {
        let size = content.len();
        let mut headers = open.begin_piece(Vec::new())?;
        open.fill_headers(&mut headers, size as u64)?;
        let fill = vec![0; size.next_multiple_of(BLOCK) - size];
        if size < FRAME {
            self.small.extend_from_slice(&headers);
            self.small.extend_from_slice(content);
            self.small.extend_from_slice(&fill);
            return self.pack_small(FRAME);
        }
        // Without another copy of it.
        let mut encoder = zstd::stream::write::Encoder::new(Counted { inner: &mut self.out, count: 0 }, LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some((headers.len() + size + fill.len()) as u64))?;
        for part in [&headers, content, &fill] {
            encoder.write_all(part)?;
        }
        self.written += encoder.finish()?.count;
        Ok(())
    }

    /// Writes a piece, of [`Open::end_piece`], together with others.
    pub fn piece(&mut self, piece: &[u8]) -> io::Result<()> {
        self.small.extend_from_slice(piece);
        self.pack_small(FRAME)
    }

    /// Writes a frame that was packed elsewhere.
    pub fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.written += frame.len() as u64;
        self.out.write_all(frame)
    }

    /// Writes what waits for more to be packed with, so that it is there should the archive be cut off.
    pub fn write_out(&mut self) -> io::Result<()> {
        self.pack_small(0)
    }

    fn pack_small(&mut self, at_least: usize) -> io::Result<()> {
        if self.small.len() < at_least.max(1) {
            return Ok(());
        }
        let frame = self.packer.pack(&self.small)?;
        self.written += frame.len() as u64;
        self.out.write_all(frame)?;
        self.small.clear();
        Ok(())
    }

    /// Ends the archive, and gives the stream back with the archive's size.
    pub fn finish_counted(mut self) -> io::Result<(W, u64)> {
        // Two empty blocks are a tar archive's end.
        self.small.resize(self.small.len() + 2 * BLOCK, 0);
        self.pack_small(0)?;
        self.out.flush()?;
        Ok((self.out, self.written))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
