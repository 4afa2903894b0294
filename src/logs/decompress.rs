//! Compressed logs, known by their first bytes, as streams; and what else has to be turned into lines first.

use std::io::{self, BufReader, Read};

use super::format::export::{self, ExportReader};

/// What zstd may keep of a stream, as a power of two: 32 MiB. Files made with `--long` need more.
const ZSTD_WINDOW_LOG: u32 = 25;
const XZ_MEMORY: u64 = 64 << 20;
const INPUT_BUFFER: usize = 128 << 10;
const MAGIC_LENGTH: usize = 9;

/// Why a log's content can't be read as lines.
pub(crate) const BINARY_JOURNAL: &str = "a binary journal; give the output of `journalctl --file` instead";

/// A log's lines.
pub(crate) struct Unpacked {
    pub lines: Box<dyn Read + Send>,
    /// Reading them is work.
    pub is_packed: bool,
}

impl Unpacked {
    pub fn plain(lines: impl Read + Send + 'static) -> Unpacked {
        Unpacked { lines: Box::new(lines), is_packed: false }
    }
}

/// Opens a log whatever it is packed in, up to twice (an exported journal that is compressed).
pub fn open(reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    Ok(unpack(reader)?.lines)
}

/// Like [`open`], and tells whether it was packed.
pub(crate) fn unpack(reader: Box<dyn Read + Send>) -> io::Result<Unpacked> {
    let mut reader = reader;
    let mut is_packed = false;
    for _ in 0..2 {
        let (magic, whole) = peek(reader)?;
        let input = |whole| BufReader::with_capacity(INPUT_BUFFER, whole);
        reader = if magic.starts_with(&[0x1f, 0x8b, 8]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(input(whole)))
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input(whole))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        } else if magic.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            // Concatenated streams are one file to xz.
            const CONCATENATED: u32 = 0x08;
            let stream =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED).map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input(whole), stream))
        } else if magic.starts_with(export::MAGIC) {
            reader = Box::new(ExportReader::new(whole));
            break;
        } else if magic.starts_with(b"LPKSHHRH") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, BINARY_JOURNAL));
        } else {
            reader = whole;
            break;
        };
        is_packed = true;
    }
    Ok(Unpacked { lines: reader, is_packed })
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
        open(Box::new(io::Cursor::new(bytes)))?.read_to_string(&mut text)?;
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
    fn says_what_it_cannot_open() {
        assert!(text(b"LPKSHHRH\0\0\0".to_vec()).unwrap_err().to_string().contains("journal"));
        let mut cut = gz(b"a text that is cut off before its end, and so fails");
        cut.truncate(20);
        assert!(text(cut).is_err());
    }
}
