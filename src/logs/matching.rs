//! What a thread does with a block: candidates, their lines, the regexes, and the line's head.

use std::collections::HashMap;
use std::sync::Arc;

use super::aggregate::{Captures, Program};
use super::feed::{Block, REACH};
use super::format::{cri, json};
use super::line;
use super::pattern::Matcher;
use super::prefilter::Candidate;
use super::program::{self, Attribution};
use super::scan::{Found, Role, Scanner};
use super::time::{Clock, Stamp};

/// Kept of a line that matched.
const TEXT: usize = 2000;
/// Kept of a captured value.
const VALUE: usize = 256;
/// Captured values that are remembered for each matcher and thread, and the longest match for which they are.
const REMEMBERED: usize = 128;
/// Names of programs that are remembered.
const NAMES: usize = 4096;
const REMEMBERED_LENGTH: usize = 512;
/// Lines before one without time in which a time is looked for.
const LOOK_BACK: usize = 8;
/// Lines at the end of a block that tell programs' last times.
const TAIL_LINES: usize = 16;
const LAST_TAIL_LINES: usize = 4000;
/// JSON within JSON is as deep as escapes go.
const ESCAPE_DEPTH: usize = 2;

/// A line that a matcher matched.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub matcher: u32,
    /// Place of the line's first byte in the log.
    pub line_start: u64,
    /// Lines of the block before it.
    pub line: u64,
    pub time: Option<Stamp>,
    pub program: Program,
    pub captures: Captures,
    pub text: Box<[u8]>,
}

/// The line that candidates are in.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    from: usize,
    to: usize,
    /// Place of its first byte in the log.
    start: u64,
    /// Its beginning is in another block.
    is_piece: bool,
}

impl Bounds {
    /// The same in a text that begins so many bytes later.
    fn moved(self, by: usize) -> Bounds {
        Bounds { from: self.from - by, to: self.to - by, ..self }
    }
}

/// A line's time and program.
#[derive(Debug, Clone, Default)]
struct Head {
    time: Option<Stamp>,
    /// As the line itself says.
    own: Program,
    /// The line names its program, even if by a name that could be anyone's.
    is_named: bool,
    /// A part of a message, or the end of one.
    is_cri: bool,
}

pub(crate) struct Worker<'s> {
    scanner: &'s Scanner,
    candidates: Vec<Candidate>,
    /// By matcher: the line that it was last tried on, and from which place on in it a try is worth it again.
    tried: Vec<(u64, usize)>,
    names: HashMap<Vec<u8>, Program>,
    /// By matcher: what it captured, by the text that matched.
    captures: Vec<HashMap<Box<[u8]>, Captures>>,
}

impl<'s> Worker<'s> {
    pub fn new(scanner: &'s Scanner) -> Worker<'s> {
        Worker {
            scanner,
            candidates: Vec::new(),
            tried: vec![(u64::MAX, 0); scanner.matchers.len()],
            names: HashMap::new(),
            captures: vec![HashMap::new(); scanner.matchers.len()],
        }
    }

    /// All matches in a block of a log.
    pub fn search(&mut self, bytes: &[u8], block: &Block, attribution: Option<&Attribution>) -> Found {
        let mut found = Found::default();
        self.candidates.clear();
        let mut candidates = std::mem::take(&mut self.candidates);
        self.scanner.prefilter.find(bytes, block.search_from, block.search_to, &mut candidates);

        let text = &bytes[..block.end];
        let hint: Program = attribution.map(|attribution| attribution.program.as_str().into());
        let is_certain = attribution.is_some_and(|attribution| attribution.certain);
        let mut line: Option<(Bounds, Option<Head>)> = None;
        let (mut counted, mut lines) = (block.start, 0u64);
        for candidate in &candidates {
            let at = candidate.start as usize;
            if !line.as_ref().is_some_and(|(bounds, _)| (bounds.from..bounds.to).contains(&at)) {
                line = Some((bounds(text, block, at), None));
            }
            let Some((bounds, head)) = &mut line else { continue };
            let length = self.scanner.prefilter.literal(candidate.literal).len();
            let whole = bounds.to - bounds.from <= 2 * REACH;
            let users = self.scanner.users.get(candidate.literal as usize);
            for &matcher in users.into_iter().flatten() {
                let (Some((regex, role)), Some(tried)) =
                    (self.scanner.matchers.get(matcher as usize), self.tried.get_mut(matcher as usize))
                else {
                    continue;
                };
                if tried.0 == bounds.start && at < tried.1 {
                    continue;
                }
                *tried = (bounds.start, if whole { usize::MAX } else { at + REACH / 2 });
                let head = head.get_or_insert_with(|| read_head(&mut self.names, text, block, *bounds));
                if !is_for(self.scanner, role, head, is_certain.then_some(&hint)) {
                    continue;
                }
                let window = window(&text[block.start..], bounds.moved(block.start), at - block.start, length, head);
                let remembered = &mut self.captures[matcher as usize];
                let Some(captures) = capture(remembered, regex, &window) else { continue };
                tried.1 = usize::MAX;
                if counted < bounds.from {
                    lines += memchr::memchr_iter(b'\n', &bytes[counted..bounds.from]).count() as u64;
                    counted = bounds.from;
                }
                found.events.push(Event {
                    matcher,
                    line_start: bounds.start,
                    line: lines,
                    time: head.time.or_else(|| time_before(text, block.start, bounds.from, &block.clock)),
                    program: head.own.clone().or_else(|| hint.clone()),
                    captures,
                    text: quote(&window, at.saturating_sub(bounds.from)),
                });
            }
        }
        // The next block may be another log's.
        self.tried.iter_mut().for_each(|tried| tried.0 = u64::MAX);
        self.candidates = candidates;
        if counted < block.count_to {
            lines += memchr::memchr_iter(b'\n', &bytes[counted..block.count_to]).count() as u64;
        }
        if block.is_last && block.end > block.start && bytes.get(block.end - 1) != Some(&b'\n') {
            lines += 1;
        }
        found.lines = lines;
        self.tail(text, block, hint.as_ref(), &mut found);
        found
    }

    /// Last times of the programs at the block's end.
    fn tail(&mut self, text: &[u8], block: &Block, hint: Option<&Arc<str>>, found: &mut Found) {
        let mut end = block.count_to;
        let most = if block.is_last { LAST_TAIL_LINES } else { TAIL_LINES };
        for _ in 0..most {
            if end <= block.start {
                break;
            }
            let before = text.get(block.start..end - 1).unwrap_or_default();
            let from = memchr::memrchr(b'\n', before).map_or(block.start, |at| block.start + at + 1);
            if end - from <= 2 * REACH {
                let parsed = line::parse(&text[from..end]);
                if let Some(time) = parsed.time.and_then(|raw| block.clock.resolve(raw)) {
                    let program = match parsed.program {
                        Some(name) => known_name(&mut self.names, name),
                        None => hint.cloned(),
                    };
                    if !found.tail.iter().any(|(known, _)| *known == program) {
                        found.tail.push((program, time));
                    }
                }
            }
            end = from;
        }
    }
}

fn bounds(text: &[u8], block: &Block, at: usize) -> Bounds {
    let newline = memchr::memrchr(b'\n', &text[block.start..at]).map(|newline| block.start + newline + 1);
    let from = newline.unwrap_or(block.start);
    let to = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
    let offset = block.offset + (from - block.start) as u64;
    match &block.long {
        Some(long) if newline.is_none() => Bounds { from, to, start: long.start, is_piece: true },
        _ => Bounds { from, to, start: offset, is_piece: false },
    }
}

fn known_name(names: &mut HashMap<Vec<u8>, Program>, name: &[u8]) -> Program {
    if let Some(known) = names.get(name) {
        return known.clone();
    }
    let program: Program = std::str::from_utf8(name).ok().and_then(program::canonical).map(|name| Arc::from(&*name));
    if names.len() < NAMES {
        names.insert(name.to_vec(), program.clone());
    }
    program
}

fn read_head(names: &mut HashMap<Vec<u8>, Program>, text: &[u8], block: &Block, bounds: Bounds) -> Head {
    let beginning = match &block.long {
        Some(long) if bounds.is_piece => &*long.head,
        _ => &text[bounds.from..bounds.to],
    };
    let parsed = line::parse(beginning);
    // The daemon of old, or the client that runs somebody's container in a unit.
    let own = parsed.program.filter(|name| *name != b"docker").and_then(|name| known_name(names, name));
    let is_cri = beginning.get(..64.min(beginning.len())).is_some_and(|head| {
        memchr::memmem::find(head, b" stderr ").or_else(|| memchr::memmem::find(head, b" stdout ")).is_some()
    });
    let time = parsed.time.and_then(|raw| block.clock.resolve(raw));
    Head { time, own, is_named: parsed.program.is_some(), is_cri }
}

/// The time of the nearest line before that has one.
fn time_before(text: &[u8], start: usize, from: usize, clock: &Clock) -> Option<Stamp> {
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

/// Whether a line's program is one that the matcher is for. A line that does not say so is for all, unless it stands in a
/// container's log.
fn is_for(scanner: &Scanner, role: &Role, head: &Head, certain: Option<&Program>) -> bool {
    let program = match (&head.own, certain) {
        (Some(own), _) => own,
        (None, Some(Some(certain))) if !head.is_named => certain,
        _ => return true,
    };
    match role {
        Role::Pattern(index) | Role::Recovery(index) => {
            let wanted = scanner.components.get(*index as usize);
            wanted.is_none_or(|wanted| wanted.is_empty() || wanted.iter().any(|name| **name == **program))
        }
        Role::Start(of) => of.as_ref().is_none_or(|of| of == program),
    }
}

/// What a regex sees of the line: all of it, or what is around the literal; parts of a CRI line are joined.
fn window<'t>(text: &'t [u8], bounds: Bounds, at: usize, length: usize, head: &Head) -> std::borrow::Cow<'t, [u8]> {
    let mut from = bounds.from.max(at.saturating_sub(REACH));
    let mut to = bounds.to.min(at + length + REACH);
    let mut parts = 1;
    if head.is_cri && !bounds.is_piece {
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
    let line = text[from..to].strip_suffix(b"\r").unwrap_or(&text[from..to]);
    if parts > 1 { cri::join(line).into() } else { line.into() }
}

/// Tries the regex on the line as it stands, then with its escapes taken away; the captured values when it matches.
fn capture(remembered: &mut HashMap<Box<[u8]>, Captures>, matcher: &Matcher, line: &[u8]) -> Option<Captures> {
    if let Some(captures) = capture_plain(remembered, matcher, line) {
        return Some(captures);
    }
    let mut escaped = std::borrow::Cow::Borrowed(line);
    for _ in 0..ESCAPE_DEPTH {
        escaped = json::unescape(&escaped)?.into();
        if let Some(captures) = capture_plain(remembered, matcher, &escaped) {
            return Some(captures);
        }
    }
    None
}

fn capture_plain(remembered: &mut HashMap<Box<[u8]>, Captures>, matcher: &Matcher, line: &[u8]) -> Option<Captures> {
    let regex = matcher.regex()?;
    if matcher.groups.is_empty() {
        return regex.is_match(line).then(Captures::default);
    }
    let found = regex.find(line)?;
    let key = Some(found.as_bytes()).filter(|key| key.len() <= REMEMBERED_LENGTH);
    if let Some(known) = key.and_then(|key| remembered.get(key)) {
        return Some(known.clone());
    }
    let groups = regex.captures_at(line, found.start())?;
    let mut captures = std::collections::BTreeMap::new();
    for name in &matcher.groups {
        if let Some(value) = groups.name(name) {
            let value = value.as_bytes();
            let value = String::from_utf8_lossy(&value[..value.len().min(VALUE)]);
            captures.insert(name.clone(), super::redact::redact(value));
        }
    }
    let captures = Captures::new(captures);
    if let Some(key) = key {
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key.into(), captures.clone());
    }
    Some(captures)
}

/// A line as it is shown: whole, or what is around the place that mattered.
fn quote(line: &[u8], at: usize) -> Box<[u8]> {
    if line.len() <= TEXT {
        return line.into();
    }
    let from = at.min(line.len()).saturating_sub(TEXT / 2).min(line.len() - TEXT);
    let mut text = Vec::with_capacity(TEXT + 8);
    if from > 0 {
        text.extend_from_slice("…".as_bytes());
    }
    text.extend_from_slice(&line[from..from + TEXT]);
    if from + TEXT < line.len() {
        text.extend_from_slice("…".as_bytes());
    }
    text.into()
}
