//! Compressed logs, known by their first bytes, as streams; and what else has to be turned into lines first.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::format::export::{self, ExportReader};

/// What zstd may keep of a stream, as a power of two: 32 MiB. Files made with `--long` need more.
const ZSTD_WINDOW_LOG: u32 = 25;
const XZ_MEMORY: u64 = 64 << 20;
const INPUT_BUFFER: usize = 128 << 10;
const MAGIC_LENGTH: usize = 9;

/// Why a log's content can't be read as lines.
pub(crate) const BINARY_JOURNAL: &str = "a binary journal; give the output of `journalctl --file` instead";

/// Opens a log whatever it is packed in, up to twice (an exported journal that is compressed).
/// With `ahead` a packed log is unpacked by a thread of its own.
pub fn open(reader: Box<dyn Read + Send>, ahead: bool) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = reader;
    for packed in [false, true] {
        let (magic, whole) = peek(reader)?;
        reader = if magic.starts_with(&[0x1f, 0x8b, 8]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(INPUT_BUFFER, whole)))
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(INPUT_BUFFER, whole))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        } else if magic.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            // Concatenated streams are one file to xz.
            const CONCATENATED: u32 = 0x08;
            let stream =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED).map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(BufReader::with_capacity(INPUT_BUFFER, whole), stream))
        } else if magic.starts_with(export::MAGIC) {
            reader = Box::new(ExportReader::new(whole));
            return Ok(if packed && ahead { Box::new(Ahead::of(reader)?) } else { reader });
        } else if magic.starts_with(b"LPKSHHRH") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, BINARY_JOURNAL));
        } else {
            return Ok(if packed && ahead { Box::new(Ahead::of(whole)?) } else { whole });
        };
    }
    Ok(reader)
}

/// Unpacks on a thread of its own, a few blocks ahead of who reads: unpacking is slower than searching, so it had better
/// not wait for it, and what it has in the processor's caches stays there.
pub(crate) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// Blocks to be filled again.
    spent: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    read: usize,
    /// The log's end was met, not a failure.
    ended: bool,
}

const AHEAD_BLOCK: usize = 256 << 10;
const AHEAD_BLOCKS: usize = 4;

impl Ahead {
    /// An error when there can be no thread.
    pub fn of(mut reader: Box<dyn Read + Send>) -> io::Result<Ahead> {
        let (full, blocks) = sync_channel(AHEAD_BLOCKS);
        let (spent, empty) = sync_channel(AHEAD_BLOCKS + 2);
        let fill = move || {
            // Ends when the log does, or when nobody reads it any more.
            loop {
                let mut block: Vec<u8> = empty.try_recv().unwrap_or_default();
                block.resize(AHEAD_BLOCK, 0);
                let mut end = 0;
                let mut last = None;
                while end < block.len() {
                    match reader.read(&mut block[end..]) {
                        Ok(0) => {
                            last = Some(Ok(Vec::new()));
                            break;
                        }
                        Ok(count) => end += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            last = Some(Err(error));
                            break;
                        }
                    }
                }
                block.truncate(end);
                if !block.is_empty() && full.send(Ok(block)).is_err() {
                    return;
                }
                if let Some(last) = last {
                    let _ = full.send(last);
                    return;
                }
            }
        };
        std::thread::Builder::new().name("unpack".to_owned()).spawn(fill)?;
        Ok(Ahead { blocks, spent, block: Vec::new(), read: 0, ended: false })
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.block.len() {
            let spent = std::mem::take(&mut self.block);
            self.read = 0;
            if spent.capacity() > 0 {
                // With more than enough of them this one is let go.
                let _ = self.spent.try_send(spent);
            }
            match self.blocks.recv() {
                Ok(block) => {
                    self.block = block?;
                    self.ended |= self.block.is_empty();
                }
                Err(_) if self.ended => return Ok(0),
                Err(_) => return Err(io::Error::other("unpacking broke off")),
            }
        }
        let rest = &self.block[self.read..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

/// The first bytes, and a reader of the whole.
fn peek(mut reader: Box<dyn Read + Send>) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut magic = vec![0; MAGIC_LENGTH];
    let mut known = 0;
    while known < magic.len() {
        match reader.read(&mut magic[known..]) {
            Ok(0) => break,
            Ok(count) => known += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    magic.truncate(known);
    let whole = Box::new(io::Cursor::new(magic.clone()).chain(reader));
    Ok((magic, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        open(Box::new(io::Cursor::new(bytes.clone())), false)?.read_to_string(&mut text)?;
        let mut ahead = String::new();
        open(Box::new(io::Cursor::new(bytes)), true)?.read_to_string(&mut ahead)?;
        assert_eq!(text, ahead);
        Ok(text)
    }

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn opens_what_rotation_makes() {
        assert_eq!(text(b"plain".to_vec()).unwrap(), "plain");
        assert_eq!(text(Vec::new()).unwrap(), "");
        assert_eq!(text([gz(b"one "), gz(b"two")].concat()).unwrap(), "one two");
        assert_eq!(text(zstd::encode_all(b"packed".as_slice(), 1).unwrap()).unwrap(), "packed");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"xz text").unwrap();
        assert_eq!(text(xz.finish().unwrap()).unwrap(), "xz text");
        assert_eq!(text(gz(b"__CURSOR=a\nMESSAGE=b\n\n")).unwrap(), "- unknown: b\n");
    }

    #[test]
    fn unpacks_ahead_of_who_reads() {
        let long: Vec<u8> = (0..3_000_000u32).flat_map(|number| number.to_le_bytes()).collect();
        let mut read = Vec::new();
        open(Box::new(io::Cursor::new(gz(&long))), true).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == long, "{} of {}", read.len(), long.len());
        // What was unpacked before the damage is read, and the damage is told.
        let mut cut = gz(&long);
        cut.truncate(cut.len() / 2);
        read.clear();
        assert!(open(Box::new(io::Cursor::new(cut)), true).unwrap().read_to_end(&mut read).is_err());
        assert!(read.len() > 1 << 20 && long.starts_with(&read));
        // Who stops reading leaves no thread behind that waits.
        let mut reader = open(Box::new(io::Cursor::new(gz(&long))), true).unwrap();
        reader.read_exact(&mut [0; 10]).unwrap();
        drop(reader);
    }

    #[test]
    fn says_what_it_cannot_open() {
        assert!(text(b"LPKSHHRH\0\0\0".to_vec()).unwrap_err().to_string().contains("journal"));
        let mut cut = gz(b"a text that is cut off before its end, and so fails");
        cut.truncate(20);
        assert!(text(cut).is_err());
    }
}
