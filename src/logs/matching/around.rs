//! The line around a candidate: where it begins and ends, when it was written, and by whom.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;

use crate::logs::aggregate::Program;
use crate::logs::feed::Block;
use crate::logs::line;
use crate::logs::program;
use crate::logs::time::{Clock, Stamp};

/// Names of programs that are remembered.
const NAMES: usize = 4096;
/// Lines before one without time in which a time is looked for.
const LOOK_BACK: usize = 8;

/// The line that candidates are in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub from: usize,
    pub to: usize,
    /// Place of its first byte in the log.
    pub start: u64,
    /// Its beginning is in another block.
    pub is_piece: bool,
}

impl Bounds {
    /// The same in a text that begins so many bytes later.
    pub fn moved(self, by: usize) -> Bounds {
        Bounds { from: self.from - by, to: self.to - by, ..self }
    }
}

/// A line's time and program.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub time: Option<Stamp>,
    /// As the line itself says.
    pub own: Program,
    /// The line names its program, even if by a name that could be anyone's.
    pub is_named: bool,
}

pub(super) fn bounds(text: &[u8], block: &Block, at: usize) -> Bounds {
    let newline = memchr::memrchr(b'\n', &text[block.start..at]).map(|newline| block.start + newline + 1);
    let from = newline.unwrap_or(block.start);
    let to = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
    let offset = block.offset + (from - block.start) as u64;
    match &block.long {
        Some(long) if newline.is_none() => Bounds { from, to, start: long.start, is_piece: true },
        _ => Bounds { from, to, start: offset, is_piece: false },
    }
}

pub(super) fn known_name(names: &mut HashMap<Vec<u8>, Program>, name: &[u8]) -> Program {
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    let program: Program = std::str::from_utf8(name).ok().and_then(program::canonical).map(|name| Arc::from(&*name));
    if names.len() < NAMES {
        names.insert(name.to_vec(), program.clone());
    }
    program
}

/// The line's first bytes, which may have been in another block.
pub(super) fn beginning<'t>(text: &'t [u8], block: &'t Block, bounds: Bounds) -> &'t [u8] {
    match &block.long {
        Some(long) if bounds.is_piece => &long.head,
        _ => &text[bounds.from..bounds.to],
    }
}

pub(super) fn is_cri(beginning: &[u8]) -> bool {
    static STREAMS: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| [Finder::new(b" stderr "), Finder::new(b" stdout ")]);
    // It begins with a date, and may be quoted.
    let first = beginning.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'>' | b'|'));
    first.is_some_and(u8::is_ascii_digit)
        && beginning
            .get(..64.min(beginning.len()))
            .is_some_and(|head| STREAMS.iter().any(|stream| stream.find(head).is_some()))
}

pub(super) fn read_head(names: &mut HashMap<Vec<u8>, Program>, text: &[u8], block: &Block, bounds: Bounds) -> Head {
    let parsed = line::parse(beginning(text, block, bounds));
    // The daemon of old, or the client that runs somebody's container in a unit.
    let own = parsed.program.filter(|name| *name != b"docker").and_then(|name| known_name(names, name));
    let time = parsed.time.and_then(|raw| block.clock.resolve(raw));
    Head { time, own, is_named: parsed.program.is_some() }
}

/// The time of the nearest line before that has one.
pub(super) fn time_before(text: &[u8], start: usize, from: usize, clock: &Clock) -> Option<Stamp> {
    let mut end = from;
    for _ in 0..LOOK_BACK {
        let before = text.get(start..end.checked_sub(1)?)?;
        let line = start + memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        if let Some(time) = line::parse(&text[line..end - 1]).time.and_then(|raw| clock.resolve(raw)) {
            return Some(time);
        }
        end = line;
        if end <= start {
            break;
        }
    }
    None
}
