//! A .tar.zst of many zstd frames, as `collect` writes it: a large entry that has a frame of its own is left where it is and
//! unpacked when it is read, each as often as it is. Where a frame begins and how much is in it the frames say themselves
//! (RFC 8878); an archive of which one does not is read as any other.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use zstd::stream::raw::{self, Operation};

use super::Limits;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of a frame's beginning as much as its header can take.
const HEADER: usize = 18;
/// Smaller entries are unpacked when the archive is opened.
const LARGE: u64 = 64 << 10;
/// What may stand in a frame beside its large entry: the entry's headers and what fills its last block.
const BESIDE: u64 = 16 << 10;
const INPUT: usize = 64 << 10;

/// An entry's content that is the better part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedPiece {
    frame: usize,
    /// Bytes of the frame before it.
    skip: u64,
    pub length: u64,
}

/// A frame: where it is in the file, and where its content in all that is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    at: u64,
    packed: u64,
    start: u64,
    length: u64,
}

/// The archive's file, and what is known of its frames.
pub struct Frames {
    file: File,
    frames: Vec<Frame>,
    /// Those that were unpacked to their end, where a checksum is.
    sound: Vec<AtomicBool>,
    /// The first thing that was wrong with one.
    damage: OnceLock<String>,
}

impl Frames {
    /// None when the file is anything but whole frames that tell their size, and when there is more in them than an archive
    /// may hold.
    pub fn of(file: File, limits: Limits) -> io::Result<Option<Frames>> {
        let size = file.metadata()?.len();
        let (mut frames, mut at, mut start) = (Vec::new(), 0, 0_u64);
        while at < size {
            let Some((packed, length)) = frame(&file, at)? else { return Ok(None) };
            frames.push(Frame { at, packed, start, length });
            at = at.saturating_add(packed);
            start = start.saturating_add(length);
            if frames.len() > limits.entries {
                return Ok(None);
            }
        }
        let is_too_much = start > limits.total || (start > limits.free && start / size.max(1) > limits.ratio);
        if at != size || is_too_much || frames.len() < 2 {
            return Ok(None);
        }
        let sound = frames.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Some(Frames { file, frames, sound, damage: OnceLock::new() }))
    }

    fn length(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.start + frame.length)
    }

    /// The content from `at` on, `length` bytes of all that is unpacked, when it is large and has a frame of its own.
    pub fn piece(&self, at: u64, length: u64) -> Option<PackedPiece> {
        let number = self.frames.partition_point(|frame| frame.start + frame.length <= at);
        let frame = self.frames.get(number)?;
        let skip = at.checked_sub(frame.start)?;
        let end = skip.checked_add(length)?;
        let has_it = length >= LARGE && end <= frame.length && frame.length - length <= BESIDE;
        has_it.then_some(PackedPiece { frame: number, skip, length })
    }

    /// What is wrong with the archive, as far as that is known only by unpacking all of it: what nobody read is unpacked for
    /// that.
    pub fn damage(self: &Arc<Frames>) -> Option<String> {
        let mut unpack: Option<Unpack> = None;
        for number in 0..self.frames.len() {
            if self.damage.get().is_some() {
                break;
            }
            if self.sound.get(number).is_some_and(|sound| sound.load(Ordering::Relaxed)) {
                continue;
            }
            let ends = match &mut unpack {
                Some(unpack) => unpack.begin(number),
                none => Unpack::new(self, number).map(|new| *none = Some(new)),
            };
            if let Err(error) = ends.and_then(|()| unpack.as_mut().map_or(Ok(()), Unpack::drain)) {
                self.note(number, &error);
            }
        }
        self.damage.get().cloned()
    }

    fn note(&self, number: usize, error: &io::Error) {
        let at = self.frames.get(number).map_or(0, |frame| frame.at);
        let _ = self.damage.set(format!("{error} at byte {at} or after it"));
    }
}

/// Of the frame at a place its bytes, and how many are unpacked of it; none when it is cut off, does not tell, or is none.
fn frame(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let mut header = [0; HEADER];
    let known = read_at(file, at, &mut header)?;
    let Some((length, header_length, has_checksum)) = header.get(..known).and_then(frame_header) else {
        return Ok(None);
    };
    let mut next = at.saturating_add(header_length);
    // Of honest archives a block unpacks to 128 KiB.
    for _ in 0..1000 + length / 16384 {
        let mut block = [0; 4];
        if read_at(file, next, &mut block[..3])? < 3 {
            return Ok(None);
        }
        let block = u32::from_le_bytes(block);
        let size = match block >> 1 & 3 {
            0 | 2 => u64::from(block >> 3),
            1 => 1,
            _ => return Ok(None),
        };
        next = next.saturating_add(3 + size);
        if block & 1 == 1 {
            next = next.saturating_add(if has_checksum { 4 } else { 0 });
            return Ok(Some((next - at, length)));
        }
    }
    Ok(None)
}

/// How much a frame unpacks to, the length of its header, and whether a checksum ends it.
fn frame_header(bytes: &[u8]) -> Option<(u64, u64, bool)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (descriptor, rest) = rest.split_first()?;
    let is_single = descriptor & 0x20 != 0;
    let window = usize::from(!is_single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match (descriptor >> 6, is_single) {
        (0, false) => return None,
        (0, true) => 1,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    let from = window + dictionary;
    let told = rest.get(from..from + size)?;
    let mut length = [0; 8];
    length.get_mut(..size)?.copy_from_slice(told);
    let length = u64::from_le_bytes(length).checked_add(if size == 2 { 256 } else { 0 })?;
    Some((length, (MAGIC.len() + 1 + from + size) as u64, descriptor & 4 != 0))
}

/// As many bytes as there are from a place on.
fn read_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut known = 0;
    while let Some(rest) = buffer.get_mut(known..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(known as u64)) {
            Ok(0) => break,
            Ok(count) => known += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

/// One frame after another, each from its beginning.
pub struct Unpack {
    frames: Arc<Frames>,
    decoder: raw::Decoder<'static>,
    input: Vec<u8>,
    /// What of the input was not unpacked yet.
    from: usize,
    to: usize,
    number: usize,
    /// Bytes of the frame that were read of the file.
    packed: u64,
    produced: u64,
    ended: bool,
}

impl Unpack {
    fn new(frames: &Arc<Frames>, number: usize) -> io::Result<Unpack> {
        let mut decoder = raw::Decoder::new()?;
        decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(super::unpack::ZSTD_WINDOW_LOG))?;
        let input = vec![0; INPUT];
        let frames = Arc::clone(frames);
        Ok(Unpack { frames, decoder, input, from: 0, to: 0, number, packed: 0, produced: 0, ended: false })
    }

    fn begin(&mut self, number: usize) -> io::Result<()> {
        (self.from, self.to, self.number, self.packed, self.produced, self.ended) = (0, 0, number, 0, 0, false);
        self.decoder.reinit()
    }

    /// Bytes of the frame; none at its end.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.more(out) {
            Ok(count) => Ok(count),
            Err(error) => {
                self.ended = true;
                self.frames.note(self.number, &error);
                Err(error)
            }
        }
    }

    fn more(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = self.frames.frames.get(self.number).copied() else { return Ok(0) };
        while !self.ended {
            if self.from == self.to && self.packed < frame.packed {
                let room = usize::try_from(frame.packed - self.packed).unwrap_or(INPUT).min(self.input.len());
                let Some(room) = self.input.get_mut(..room) else { break };
                (self.from, self.to) = (0, read_at(&self.frames.file, frame.at + self.packed, room)?);
                self.packed += self.to as u64;
            }
            let status = self.decoder.run_on_buffers(self.input.get(self.from..self.to).unwrap_or_default(), out)?;
            self.from += status.bytes_read;
            self.produced += status.bytes_written as u64;
            if status.remaining == 0 {
                self.ended = true;
                if self.produced != frame.length || self.from != self.to || self.packed != frame.packed {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as large as it says"));
                }
                if let Some(sound) = self.frames.sound.get(self.number) {
                    sound.store(true, Ordering::Relaxed);
                }
            }
            if status.bytes_written > 0 {
                return Ok(status.bytes_written);
            }
            if !self.ended && status.bytes_read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
            }
        }
        Ok(0)
    }

    /// Reads past so many bytes.
    fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        let mut buffer = [0; 8 << 10];
        while bytes > 0 {
            let room = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
            match self.read(&mut buffer[..room])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => bytes -= count as u64,
            }
        }
        Ok(())
    }

    /// Reads to the frame's end, where its checksum is.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 128 << 10];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }
}

/// Reads pieces, one after another; unpacking goes on with what it has allocated.
pub struct PackedReader {
    frames: Arc<Frames>,
    unpack: Option<Unpack>,
    /// Of the piece that is read.
    left: u64,
}

impl PackedReader {
    pub fn new(frames: &Arc<Frames>) -> PackedReader {
        PackedReader { frames: Arc::clone(frames), unpack: None, left: 0 }
    }

    /// Begins a piece.
    pub fn begin(&mut self, piece: PackedPiece) -> io::Result<()> {
        let unpack = match &mut self.unpack {
            Some(unpack) => {
                unpack.begin(piece.frame)?;
                unpack
            }
            none => none.insert(Unpack::new(&self.frames, piece.frame)?),
        };
        unpack.skip(piece.skip)?;
        self.left = piece.length;
        Ok(())
    }
}

impl Read for PackedReader {
    /// Bytes of the piece; none at its end.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(unpack) = self.unpack.as_mut().filter(|_| self.left > 0) else { return Ok(0) };
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let Some(out) = out.get_mut(..room).filter(|out| !out.is_empty()) else { return Ok(0) };
        let count = unpack.read(out)?;
        self.left -= count as u64;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.left == 0 {
            unpack.drain()?;
        }
        Ok(count)
    }
}

/// All that is unpacked as one stream, of which parts can be passed over without unpacking them.
pub struct Cursor {
    frames: Arc<Frames>,
    unpack: Option<Unpack>,
    at: u64,
}

impl Cursor {
    pub fn new(frames: &Arc<Frames>) -> Cursor {
        Cursor { frames: Arc::clone(frames), unpack: None, at: 0 }
    }
}

impl Read for Cursor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.frames.length() || out.is_empty() {
            // The checksum.
            match &mut self.unpack {
                Some(unpack) if unpack.is_all_produced() => unpack.drain()?,
                _ => {}
            }
            return Ok(0);
        }
        let number = self.frames.frames.partition_point(|frame| frame.start + frame.length <= self.at);
        let Some(frame) = self.frames.frames.get(number).copied() else { return Ok(0) };
        let into = self.at - frame.start;
        let unpack = match &mut self.unpack {
            Some(unpack) => {
                if unpack.number != number || unpack.produced > into {
                    if unpack.number != number && unpack.is_all_produced() {
                        unpack.drain()?;
                    }
                    unpack.begin(number)?;
                }
                unpack
            }
            none => none.insert(Unpack::new(&self.frames, number)?),
        };
        unpack.skip(into.saturating_sub(unpack.produced))?;
        let count = unpack.read(out)?;
        self.at += count as u64;
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }
}

impl Unpack {
    fn is_all_produced(&self) -> bool {
        self.frames.frames.get(self.number).is_some_and(|frame| frame.length == self.produced)
    }
}

impl Seek for Cursor {
    /// Onwards only.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.frames.length().checked_add_signed(by),
        };
        self.at = to
            .filter(|to| (self.at..=self.frames.length()).contains(to))
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"))?;
        Ok(self.at)
    }
}
