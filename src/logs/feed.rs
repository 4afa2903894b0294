//! Cuts a log into blocks that threads take in turn, so that the lines of a block are whole and one log can be scanned by
//! several threads, whatever it is read from.
//!
//! A block holds the rest of the block before it, so a line belongs to the block in which it ends. New bytes are always read
//! to the same, page-aligned place, in amounts of [`BLOCK`]: reading into another place of the page is several times slower.
//! A line longer than [`REST`] is given in pieces that overlap, of which each sees [`REACH`] bytes around what it looks at.

use std::io::{self, Read};
use std::sync::Arc;

use super::ahead;
use super::decompress::Unpacked;
use super::line::{self, Line};
use super::prefilter::{LONGEST, SLACK};
use super::time::{Clock, RawDate, Stamp};

/// Read at once.
pub(crate) const BLOCK: usize = 256 << 10;
/// At most this much of a block is left to the next one.
const REST: usize = 64 << 10;
/// How far around a literal a regex sees.
pub(crate) const REACH: usize = 32 << 10;
const PAGE: usize = 4096;
/// Kept of the beginning of a line that is given in pieces.
const HEAD: usize = 1024;
/// Lines at the beginning of a log in which its year and zone are looked for.
const CLOCK_LINES: usize = 400;

/// A buffer for blocks, one for each thread.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// Where new bytes are read to.
    fresh: usize,
}

impl Buffer {
    pub fn new() -> Buffer {
        let bytes = vec![0; PAGE + REST + BLOCK + SLACK];
        let to_page = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Buffer { fresh: to_page + REST, bytes }
    }

    /// One that can't hold anything.
    #[cfg(test)]
    pub fn none() -> Buffer {
        Buffer { fresh: 0, bytes: Vec::new() }
    }

    /// Where new bytes are read to, [`BLOCK`] of them.
    pub fn fresh(&self) -> &[u8] {
        self.bytes.get(self.fresh..self.fresh + BLOCK).unwrap_or_default()
    }

    pub fn fresh_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.fresh..self.fresh + BLOCK).unwrap_or_default()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The beginning of a line of which a block has a later piece.
#[derive(Debug, Clone)]
pub(crate) struct LongLine {
    /// Place of the line's first byte in the log.
    pub start: u64,
    pub head: Arc<[u8]>,
}

/// What a thread got to scan; places are in its buffer.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Counts the log's blocks from 0.
    pub number: u64,
    /// The text, with what regexes may see around what is to be searched.
    pub start: usize,
    pub end: usize,
    /// What is to be searched for literals.
    pub search_from: usize,
    pub search_to: usize,
    /// Line ends up to here are this block's.
    pub count_to: usize,
    /// Place of `start` in the log.
    pub offset: u64,
    /// The text begins within this line.
    pub long: Option<LongLine>,
    pub clock: Clock,
    pub is_last: bool,
}

/// A log that is being read.
pub(crate) struct Feed {
    log: Option<Box<dyn Read + Send>>,
    rest: Vec<u8>,
    /// Of the rest, so much was searched before.
    searched: usize,
    long: Option<LongLine>,
    number: u64,
    /// Place in the log of the byte after the last that was read.
    offset: u64,
    clock: Clock,
    /// The log's first time.
    pub first: Option<Stamp>,
    pub error: Option<io::Error>,
    limit: u64,
    pub is_cut: bool,
    /// It was ended before its end.
    pub is_stopped: bool,
}

impl Feed {
    /// A log of which at most `limit` bytes are read.
    pub fn new(log: Unpacked, clock: Clock, limit: u64) -> Feed {
        Feed {
            log: Some(log.lines),
            rest: Vec::new(),
            searched: 0,
            long: None,
            number: 0,
            offset: 0,
            clock,
            first: None,
            error: None,
            limit,
            is_cut: false,
            is_stopped: false,
        }
    }

    /// Bytes that were read so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Reads no more.
    pub fn stop(&mut self) {
        self.is_stopped |= self.log.take().is_some();
    }

    /// The next block; none when the log has ended.
    pub fn next(&mut self, buffer: &mut Buffer) -> Option<Block> {
        let (count, last) = ahead::fill(self.log.as_mut()?, buffer.fresh_mut());
        let mut ended = last.is_some();
        self.error = last.and_then(Result::err);
        let start = buffer.fresh - self.rest.len();
        buffer.bytes[start..buffer.fresh].copy_from_slice(&self.rest);
        let end = buffer.fresh + count;
        let offset = self.offset - self.rest.len() as u64;
        self.offset += (end - buffer.fresh) as u64;
        if self.offset >= self.limit && !ended {
            self.is_cut = true;
            ended = true;
        }
        let text = &buffer.bytes[start..end];
        let search_from = start + self.searched.saturating_sub(LONGEST);
        let long = self.long.take();
        if self.number == 0 {
            self.look_at_beginning(text);
        }

        let (search_to, count_to);
        if ended {
            (search_to, count_to) = (end, end);
            self.log = None;
            self.rest = Vec::new();
        } else {
            let whole = whole_lines(text);
            if text.len() - whole <= REST {
                (search_to, count_to) = (start + whole, start + whole);
                self.rest.clear();
                self.rest.extend_from_slice(&text[whole..]);
                self.searched = 0;
                // Still within the long line when no line of the block has ended.
                if whole == 0 {
                    self.long.clone_from(&long);
                }
            } else {
                // A line that is too long to be kept whole.
                let line = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
                self.long = match &long {
                    Some(known) if line == 0 => Some(known.clone()),
                    _ => Some(LongLine {
                        start: offset + line as u64,
                        head: text[line..text.len().min(line + HEAD)].into(),
                    }),
                };
                search_to = end - REACH;
                count_to = end - REST;
                self.rest.clear();
                self.rest.extend_from_slice(&text[text.len() - REST..]);
                self.searched = REST - REACH;
            }
        }
        let block = Block {
            number: self.number,
            start,
            end,
            search_from,
            search_to,
            count_to,
            offset,
            long,
            clock: self.clock,
            is_last: ended,
        };
        self.number += 1;
        Some(block)
    }

    /// Learns the log's year and zone from lines that say more than others, and its first time.
    fn look_at_beginning(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n').take(CLOCK_LINES) {
            let parsed = line::parse(line);
            let Some(raw) = parsed.time else { continue };
            if self.clock.near.is_some() && raw.offset.is_some() {
                continue;
            }
            if let Some((near, offset)) = fuller_time(line, &parsed, self.clock) {
                self.clock.near = self.clock.near.or(Some(near));
                if let Some(offset) = offset {
                    self.clock.offset = offset;
                    break;
                }
            }
        }
        let times = text.split(|byte| *byte == b'\n').take(CLOCK_LINES).filter_map(|line| line::parse(line).time);
        self.first = times.filter_map(|raw| self.clock.resolve(raw)).next();
    }
}

/// The time that a line without year or zone has once more in its message, with both: seconds since the epoch, and the zone
/// that its first time must be in.
fn fuller_time(line: &[u8], parsed: &Line<'_>, clock: Clock) -> Option<(i64, Option<i32>)> {
    let raw = parsed.time?;
    if matches!(raw.date, RawDate::Full { .. }) && raw.offset.is_some() {
        let stamp = clock.resolve(raw)?;
        return Some((stamp.nanos / 1_000_000_000, None));
    }
    let message = line.get(parsed.message..)?;
    let message = message.get(..message.len().min(512))?;
    let inner = memchr::memmem::find_iter(message, b"20").take(8).find_map(|at| {
        let mut cursor = super::time::Cursor { text: message, at };
        cursor.date_time().filter(|time| time.offset.is_some())
    })?;
    let stamp = clock.resolve(inner)?;
    let (RawDate::Yearless { month, day } | RawDate::Full { month, day, .. }) = raw.date else { return None };
    let RawDate::Full { month: inner_month, day: inner_day, .. } = inner.date else { return None };
    // The same moment: the same wall clock within two seconds, else it is another date that the message names.
    if (month, day) == (inner_month, inner_day) && raw.second.abs_diff(inner.second) <= 2 {
        return Some((stamp.nanos / 1_000_000_000, inner.offset));
    }
    let same_second = raw.second % 900;
    let is_zone_apart = same_second.abs_diff(inner.second % 900) <= 1;
    is_zone_apart.then_some((stamp.nanos / 1_000_000_000, None))
}

/// Length of the text's whole lines. Parts of a CRI line at its end are left to the next block, which has the others.
fn whole_lines(text: &[u8]) -> usize {
    let Some(mut whole) = memchr::memrchr(b'\n', text).map(|at| at + 1) else { return 0 };
    let all = whole;
    for _ in 0..8 {
        let line = memchr::memrchr(b'\n', &text[..whole - 1]).map_or(0, |at| at + 1);
        if line == 0 || text.len() - line > REST || !line::parse(&text[line..whole - 1]).partial {
            return whole;
        }
        whole = line;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::new("2026-11-21T10:00:00Z".parse().unwrap(), 0)
    }

    /// All blocks of a text: each piece that is searched, and the lines that are counted.
    fn read(text: &[u8]) -> (Vec<u8>, usize, Vec<Block>) {
        let mut feed = Feed::new(Unpacked::plain(io::Cursor::new(text.to_vec())), clock(), u64::MAX);
        let mut buffer = Buffer::new();
        let (mut searched, mut lines, mut blocks) = (Vec::new(), 0, Vec::new());
        let mut reached = 0;
        while let Some(block) = feed.next(&mut buffer) {
            let at = |place: usize| (block.offset as usize) + place - block.start;
            assert!(at(block.search_from) <= reached, "a gap");
            searched.extend_from_slice(&text[reached..at(block.search_to).max(reached)]);
            reached = reached.max(at(block.search_to));
            assert_eq!(&buffer.bytes()[block.start..block.end], &text[at(block.start)..at(block.end)]);
            lines += memchr::memchr_iter(b'\n', &buffer.bytes()[block.start..block.count_to]).count();
            blocks.push(block);
        }
        (searched, lines, blocks)
    }

    #[test]
    fn searches_everything_and_counts_each_line_once() {
        let mut long = b"first\n".to_vec();
        long.extend(vec![b'a'; 3 * BLOCK + 17]);
        long.extend_from_slice(b"\nafter\n");
        long.extend((0..9000).flat_map(|index| format!("line {index} of an ordinary log\n").into_bytes()));
        long.extend(vec![b'b'; REST + 5]);
        long.extend_from_slice(b"\n");
        long.extend(vec![b'c'; BLOCK]);
        for text in [b"".to_vec(), b"no end".to_vec(), b"one\ntwo\n".to_vec(), vec![b'x'; BLOCK], long] {
            let (searched, lines, blocks) = read(&text);
            assert!(searched == text, "{} of {}", searched.len(), text.len());
            assert_eq!(lines, memchr::memchr_iter(b'\n', &text).count());
            assert!(blocks.last().is_none_or(|block| block.is_last));
        }
    }

    #[test]
    fn says_where_a_long_line_began() {
        let mut text = b"first\n".to_vec();
        text.extend(vec![b'a'; 3 * BLOCK]);
        let (_, _, blocks) = read(&text);
        assert!(blocks[0].long.is_none());
        for block in &blocks[1..] {
            assert_eq!(block.long.as_ref().unwrap().start, 6);
        }
    }

    #[test]
    fn buffers_are_aligned() {
        let buffer = Buffer::new();
        assert_eq!(buffer.bytes[buffer.fresh..].as_ptr().align_offset(PAGE), 0);
    }

    #[test]
    fn learns_year_and_zone() {
        let text = b"Jul 23 11:25:37 k8s containerd[1]: time=\"2020-07-23T11:25:37.49+08:00\" level=info msg=x\n";
        let mut feed = Feed::new(Unpacked::plain(io::Cursor::new(text.to_vec())), clock(), u64::MAX);
        let block = feed.next(&mut Buffer::new()).unwrap();
        assert_eq!(block.clock.offset, 28800);
        assert_eq!(feed.first.and_then(Stamp::rfc3339).as_deref(), Some("2020-07-23T03:25:37Z"));
    }
}
