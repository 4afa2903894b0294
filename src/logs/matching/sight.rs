//! What is looked at of a line: the line that candidates are in, and what stands around a literal.

use std::borrow::Cow;
use std::ops::Range;

use super::around::{Bounds, Head, beginning, bounds, is_cri};
use super::repeats::New;
use crate::logs::aggregate::Program;
use crate::logs::feed::{Block, REACH};
use crate::logs::format::{cri, json, status};
use crate::logs::gate::{Gate, Memory, Place, Told};
use crate::logs::line;
use crate::logs::prefilter::Candidate;
use crate::logs::scan::Scanner;

/// Kept of a line that matched.
const TEXT: usize = 2000;
/// JSON within JSON is as deep as escapes go.
const ESCAPE_DEPTH: usize = 2;

/// The block that is searched, and whose log it is of.
#[derive(Clone, Copy)]
pub(super) struct Within<'b> {
    pub bytes: &'b [u8],
    /// The bytes up to the block's end.
    pub text: &'b [u8],
    pub block: &'b Block,
    pub hint: &'b Program,
    pub is_certain: bool,
}

/// The line that candidates are in, and what was found out about it so far.
pub(super) struct Current {
    pub bounds: Bounds,
    pub head: Option<Head>,
    /// A part of a container's message, or the end of one.
    pub is_cri: bool,
    /// What was seen of the line, and that with its escapes taken away, once and twice.
    pub escapes: Option<(usize, usize, Vec<Vec<u8>>)>,
    pub known: Known,
    /// How often gates that several patterns share said no.
    pub refused: u32,
}

impl Current {
    pub fn at(at: usize, within: Within<'_>) -> Current {
        let bounds = bounds(within.text, within.block, at);
        let is_cri = is_cri(beginning(within.text, within.block, bounds));
        Current { bounds, head: None, is_cri, escapes: None, known: Known::Unasked, refused: 0 }
    }

    pub fn has(&self, at: usize) -> bool {
        (self.bounds.from..self.bounds.to).contains(&at)
    }

    /// Not only a part of it is ever looked at.
    pub fn is_whole(&self) -> bool {
        self.bounds.to - self.bounds.from <= 2 * REACH
    }
}

/// A literal, and what is looked at around it.
pub(super) struct Sight<'w> {
    pub literal: u32,
    pub length: usize,
    pub exact: Option<&'w [u8]>,
    /// Its place in the block's bytes.
    pub at: usize,
    pub window: Cow<'w, [u8]>,
    /// Where the window begins in the block.
    pub from: usize,
    /// The literal's place in the window; a joined line has other places.
    pub place: Option<usize>,
}

impl<'w> Sight<'w> {
    pub fn of(candidate: &Candidate, line: &Current, within: Within<'w>, scanner: &'w Scanner) -> Sight<'w> {
        let Block { start, .. } = *within.block;
        let at = candidate.start as usize;
        let length = scanner.prefilter.literal(candidate.literal).len();
        let (window, from) = window(&within.text[start..], line.bounds.moved(start), at - start, length, line.is_cri);
        let place = if matches!(window, Cow::Borrowed(_)) { (at - start).checked_sub(from) } else { None };
        let exact = scanner.prefilter.exact(candidate.literal);
        Sight { literal: candidate.literal, length, exact, at, window, from, place }
    }

    /// Whether a gate lets it through that begins so far before it.
    pub fn tell(&self, gate: &Gate, memory: &mut Option<Box<Memory>>, before: usize) -> Told {
        let Some(at) = self.place else { return Told::Perhaps };
        let memory = memory.get_or_insert_with(|| Box::new(gate.memory()));
        gate.tell(memory, &self.window, Place { at, before, literal: self.literal, exact: self.exact })
    }
}

/// Whether the line was seen before.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// Not looked up yet.
    Unasked,
    /// It was, and its matches are told.
    Told,
    /// It was not; its matches are those from this one on.
    New(New, usize),
    /// Not known, or not the same each time.
    No,
}

/// What a regex sees of the line: all of it, or what is around the literal; parts of a CRI line are joined, and a
/// unit's status with its name. And where that begins.
fn window(text: &[u8], bounds: Bounds, at: usize, length: usize, is_cri: bool) -> (Cow<'_, [u8]>, usize) {
    let mut from = bounds.from.max(at.saturating_sub(REACH));
    let mut to = bounds.to.min(at + length + REACH);
    let mut parts = 1;
    if is_cri && !bounds.is_piece {
        let partial = |from: usize, to: usize| text.get(from..to).is_some_and(|line| line::parse(line).partial);
        // Forward while lines are parts, backward while the one before is one.
        let mut end = (bounds.from, bounds.to);
        while partial(end.0, end.1) && end.1 < text.len() && end.1 - bounds.from < 2 * REACH {
            let next = end.1 + 1;
            let stop = memchr::memchr(b'\n', &text[next..]).map_or(text.len(), |stop| next + stop);
            end = (next, stop);
            to = stop;
            parts += 1;
        }
        while from > 0 && bounds.to - from < 2 * REACH {
            let before = memchr::memrchr(b'\n', &text[..from - 1]).map_or(0, |start| start + 1);
            if !partial(before, from - 1) {
                break;
            }
            from = before;
            parts += 1;
        }
    }
    if !is_cri
        && !bounds.is_piece
        && let Some(status) = status::of_unit(text, bounds.from, bounds.to)
    {
        return (status.into(), bounds.from);
    }
    let line = text[from..to].strip_suffix(b"\r").unwrap_or(&text[from..to]);
    (if parts > 1 { cri::join(line).into() } else { line.into() }, from)
}

/// The line with its escapes taken away, once, twice, as far as it has any.
pub(super) fn unescaped(line: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..ESCAPE_DEPTH {
        let Some(plain) = json::unescape(all.last().map_or(line, Vec::as_slice)) else { break };
        all.push(plain);
    }
    all
}

/// A line as it is shown: whole, or what is around the words that mattered; and where those are in it.
pub(super) fn quote(line: &[u8], at: Option<usize>, length: usize) -> (Box<[u8]>, Range<usize>) {
    let matter = at.map_or(0..0, |at| at..at + length);
    if line.len() <= TEXT {
        return (line.into(), matter);
    }
    let from = matter.start.min(line.len()).saturating_sub(TEXT / 2).min(line.len() - TEXT);
    let mut text = Vec::with_capacity(TEXT + 8);
    if from > 0 {
        text.extend_from_slice("…".as_bytes());
    }
    let moved = |place: usize| (place + text.len()).saturating_sub(from);
    let matter = moved(matter.start)..moved(matter.end);
    text.extend_from_slice(&line[from..from + TEXT]);
    if from + TEXT < line.len() {
        text.extend_from_slice("…".as_bytes());
    }
    (text.into(), if at.is_some() { matter } else { 0..0 })
}
