//! A long log in parts, the latest first, for when there may be no time for all of it.

use std::io::{self, Read, Seek, SeekFrom};

use super::{modified, why};
use crate::collect::Files;
use crate::logs::{LogInput, Part};
use crate::source::{ReadSeek, SourceKind};

/// A part of a log. Its last line may go on beyond it.
const LENGTH: u64 = 64 << 20;
/// First bytes by which what is packed is known.
const PACKED: [&[u8]; 3] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X', b'Z']];

/// A log as it is scanned: whole, or, where the latest lines have to come first, in parts.
pub(super) fn inputs<'f>(files: &'f Files, path: &'f str, latest_first: bool) -> Vec<LogInput<'f>> {
    let input = |open: Open<'f>| {
        let mut input = LogInput::lazy(files.source().display_path(path), open);
        input.modified = modified(files, path);
        input.is_packed = files.kind() == SourceKind::Bundle;
        input
    };
    let length = if latest_first { length(files, path) } else { None };
    let Some(length) = length.filter(|length| *length > LENGTH) else {
        return vec![input(Box::new(|| files.open(path).map_err(|error| io::Error::other(why(path, &error)))))];
    };
    let part = |number: u64| {
        let from = number * LENGTH;
        let open = move || {
            let log = files.source().open_seek(path).map_err(|error| io::Error::other(why(path, &error)))?;
            Ok(Box::new(Lines::new(log, from, from + LENGTH)?) as Box<dyn Read + Send>)
        };
        let mut input = input(Box::new(open));
        // Lines before it are not counted.
        input.is_numbered = false;
        input.part = Some(if from == 0 { Part::First } else { Part::Later });
        input
    };
    (0..length.div_ceil(LENGTH)).rev().map(part).collect()
}

type Open<'f> = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'f>;

/// Of a log that can be read from any place on; none of others.
fn length(files: &Files, path: &str) -> Option<u64> {
    let size = files.metadata(path).ok()?.size;
    if size <= LENGTH {
        return None;
    }
    let mut first = [0; 5];
    files.source().open_seek(path).ok()?.read_exact(&mut first).ok()?;
    (!PACKED.iter().any(|magic| first.starts_with(magic))).then_some(size)
}

/// The lines that begin at a place or after it and before another.
struct Lines {
    log: Box<dyn ReadSeek>,
    at: u64,
    to: u64,
    /// The beginning of the first line was not met yet.
    is_before: bool,
    ended: bool,
}

impl Lines {
    fn new(mut log: Box<dyn ReadSeek>, from: u64, to: u64) -> io::Result<Lines> {
        // From the byte before on: where that ends a line, the next one begins here.
        let at = from.saturating_sub(1);
        log.seek(SeekFrom::Start(at))?;
        Ok(Lines { log, at, to, is_before: from > 0, ended: false })
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !into.is_empty() {
            let count = self.log.read(into)?;
            let Some(bytes) = into.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            let place = self.at;
            self.at += count as u64;
            // The last line is the one that has the byte before the end.
            let last = usize::try_from((self.to - 1).saturating_sub(place)).unwrap_or(usize::MAX);
            let end = bytes.get(last..).and_then(|rest| memchr::memchr(b'\n', rest)).map(|at| last + at + 1);
            self.ended = end.is_some();
            let end = end.unwrap_or(count);
            let mut begin = 0;
            if self.is_before {
                match memchr::memchr(b'\n', &bytes[..end]) {
                    // A line that is longer than a part is no line of this one.
                    Some(at) if place + (at as u64) < self.to - 1 => begin = at + 1,
                    Some(_) => {
                        self.ended = true;
                        break;
                    }
                    None if self.at >= self.to => {
                        self.ended = true;
                        break;
                    }
                    None => continue,
                }
                self.is_before = false;
            }
            into.copy_within(begin..end, 0);
            if end > begin {
                return Ok(end - begin);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a few bytes at a time.
    struct Slow(io::Cursor<Vec<u8>>, usize);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = into.len().min(self.1);
            self.0.read(&mut into[..count])
        }
    }

    impl Seek for Slow {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn each_line_is_in_one_part() {
        let texts = [
            "",
            "\n",
            "one\ntwo\nthree\nfour\n",
            "a line without end",
            "\n\n\nx\n\n",
            "one\na much longer line\nb\n\nc",
        ];
        for text in texts {
            for length in 1..12u64 {
                for at_once in [1, 2, 5, 100] {
                    let parts = (text.len() as u64).div_ceil(length).max(1);
                    let read = |number: u64| {
                        let log = Slow(io::Cursor::new(text.as_bytes().to_vec()), at_once);
                        let mut part = String::new();
                        let mut lines = Lines::new(Box::new(log), number * length, (number + 1) * length).unwrap();
                        lines.read_to_string(&mut part).unwrap();
                        part
                    };
                    let parts: Vec<String> = (0..parts).map(read).collect();
                    assert_eq!(parts.concat(), text, "{length} {at_once} {parts:?}");
                    let whole = |part: &&String| !part.is_empty();
                    let last = parts.iter().rposition(|part| !part.is_empty()).unwrap_or(0);
                    let broken = parts[..last].iter().filter(whole).find(|part| !part.ends_with('\n'));
                    assert_eq!(broken, None, "{length} {parts:?}");
                }
            }
        }
    }
}
