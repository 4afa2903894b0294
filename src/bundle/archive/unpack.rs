//! From a file of this machine to an archive: what it is packed in is known by its first bytes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frames::Frames;
use super::{Archive, Limits, tar_file, zip_file};
use crate::logs::Ahead;

/// What zstd may keep of a stream, as a power of two: 128 MiB, what `zstd --ultra` and `--long=27` need.
pub(super) const ZSTD_WINDOW_LOG: u32 = 27;
const XZ_MEMORY: u64 = 128 << 20;
/// Archives within archives (a .tar.gz that was compressed again) that are opened.
const LAYERS: usize = 3;

/// Reads an archive: .tar, packed with gzip, zstd, xz or bzip2 or not at all, or .zip. The error says why it is none;
/// what is wrong further on is in [`Archive::damage`].
pub fn open_file(mut file: File, limits: Limits) -> io::Result<Archive> {
    let mut magic = [0; 4];
    let known = read_some(&mut file, &mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    if known == 4 && magic == *b"PK\x03\x04" {
        return zip_file::read(file, limits);
    }
    if known == 4
        && magic == *b"\x28\xb5\x2f\xfd"
        && let Some(frames) = Frames::of(file.try_clone()?, limits)?
        && let Ok(archive) = tar_file::read_frames(frames, limits)
    {
        return Ok(archive);
    }
    let consumed = Arc::new(AtomicU64::new(0));
    let counted = Counted { inner: file, consumed: Arc::clone(&consumed) };
    let mut reader: Box<dyn Read + Send> = Box::new(BufReader::with_capacity(128 << 10, counted));
    let mut is_packed = false;
    for _ in 0..LAYERS {
        match layer(reader)? {
            (next, true) => (reader, is_packed) = (next, true),
            (plain, false) => {
                reader = plain;
                break;
            }
        }
    }
    let guarded = Guarded { inner: reader, produced: 0, consumed, limits, too_much: false };
    // What is packed is unpacked on a thread of its own, while what came of it is put away.
    if is_packed { tar_file::read(Ahead::of(Box::new(guarded))?, limits) } else { tar_file::read(guarded, limits) }
}

/// The stream inside of what is packed (true), or the stream as it is.
fn layer(mut reader: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let mut magic = [0; 6];
    let known = read_some(&mut reader, &mut magic)?;
    let head = magic.get(..known).unwrap_or_default().to_vec();
    let whole = io::Cursor::new(head.clone()).chain(reader);
    Ok(if head.starts_with(&[0x1f, 0x8b, 8]) {
        (Box::new(flate2::read::MultiGzDecoder::new(whole)), true)
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::stream::read::Decoder::new(whole)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        (Box::new(decoder), true)
    } else if head.starts_with(b"\xfd7zXZ\0") {
        const CONCATENATED: u32 = 0x08;
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED).map_err(io::Error::other)?;
        (Box::new(liblzma::read::XzDecoder::new_stream(whole, stream)), true)
    } else if head.starts_with(b"BZh") {
        (Box::new(bzip2::read::MultiBzDecoder::new(whole)), true)
    } else {
        (Box::new(whole), false)
    })
}

/// As many bytes as there are, up to the buffer's length.
pub fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut known = 0;
    while let Some(rest) = buffer.get_mut(known..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => known += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

/// Counts what was read of the archive itself.
struct Counted {
    inner: File,
    consumed: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.consumed.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Ends a stream that grows out of all proportion to what it is made of.
struct Guarded {
    inner: Box<dyn Read + Send>,
    produced: u64,
    consumed: Arc<AtomicU64>,
    limits: Limits,
    too_much: bool,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.too_much {
            return Err(io::Error::other("its content is out of all proportion to its size"));
        }
        let count = self.inner.read(buffer)?;
        self.produced += count as u64;
        let consumed = self.consumed.load(Ordering::Relaxed).max(1);
        self.too_much = self.produced > self.limits.free && self.produced / consumed > self.limits.ratio
            || self.produced > self.limits.total;
        Ok(count)
    }
}
