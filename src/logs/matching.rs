//! What a thread does with a block: candidates, their lines, the regexes, and the line's head.

mod around;
mod repeats;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use regex_automata::{Anchored, Input};

use around::{Bounds, Head, beginning, bounds, is_cri, known_name, read_head, time_before};
use repeats::{New, Repeat, Repeats};

use super::aggregate::{Captures, Program};
use super::feed::{Block, REACH};
use super::format::{cri, json, status};
use super::gate::{Memory, Place, Told};
use super::job::Found;
use super::line;
use super::pattern::Matcher;
use super::prefilter::Candidate;
use super::program::Attribution;
use super::scan::{Role, Scanner};
use super::time::Stamp;

/// Kept of a line that matched.
const TEXT: usize = 2000;
/// Kept of a captured value.
const VALUE: usize = 256;
/// Captured values that are remembered for each matcher and thread, and the longest match for which they are.
const REMEMBERED: usize = 128;
const REMEMBERED_LENGTH: usize = 512;
/// Lines at the end of a block that tell programs' last times.
const TAIL_LINES: usize = 16;
const LAST_TAIL_LINES: usize = 4000;
/// JSON within JSON is as deep as escapes go.
const ESCAPE_DEPTH: usize = 2;
/// A line that says no so often at a gate is given to the pattern, once.
const GATES: u8 = 16;
/// After so many of a line gates that several patterns share are left out.
const SHARED_GATES: u32 = 256;

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
    /// Where its literal stands in the text.
    pub matter: Range<usize>,
}

/// The line that candidates are in, and what was found out about it so far.
struct Current {
    bounds: Bounds,
    head: Option<Head>,
    /// A part of a container's message, or the end of one.
    is_cri: bool,
    /// What was seen of the line, and that with its escapes taken away, once and twice.
    escapes: Option<(usize, usize, Vec<Vec<u8>>)>,
    known: Known,
}

/// Whether the line was seen before.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Not looked up yet.
    Unasked,
    /// It was, and its matches are told.
    Told,
    /// It was not; its matches are those from this one on.
    New(New, usize),
    /// Not known, or not the same each time.
    No,
}

/// Up to which place a matcher is done with a line.
#[derive(Debug, Clone, Copy)]
struct Tried {
    /// The line's place in the log.
    line: u64,
    /// From here on a try is worth it again.
    next: usize,
    /// How often its gate said no.
    gates: u8,
    /// All of the line was searched with its escapes taken away.
    unescaped: bool,
}

impl Tried {
    const NOTHING: Tried = Tried { line: u64::MAX, next: 0, gates: 0, unescaped: false };
}

pub(crate) struct Worker<'s> {
    scanner: &'s Scanner,
    candidates: Vec<Candidate>,
    /// By matcher.
    tried: Vec<Tried>,
    /// By matcher: what its gate remembers.
    gates: Vec<Option<Box<Memory>>>,
    /// By literal: the same of the gate that its matchers share.
    shared_gates: Vec<Option<Box<Memory>>>,
    names: HashMap<Vec<u8>, Program>,
    /// By matcher: what it captured, by the text that matched.
    captures: Vec<HashMap<Box<[u8]>, Captures>>,
    repeats: Repeats,
}

impl<'s> Worker<'s> {
    pub fn new(scanner: &'s Scanner) -> Worker<'s> {
        Worker {
            scanner,
            candidates: Vec::new(),
            tried: vec![Tried::NOTHING; scanner.matchers.len()],
            gates: (0..scanner.matchers.len()).map(|_| None).collect(),
            shared_gates: (0..scanner.users.len()).map(|_| None).collect(),
            names: HashMap::new(),
            captures: vec![HashMap::new(); scanner.matchers.len()],
            repeats: Repeats::new(),
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
        self.repeats.begin(&hint, is_certain);
        let mut line: Option<Current> = None;
        let (mut counted, mut lines) = (block.start, 0u64);
        let mut count = |to: usize, lines: &mut u64| {
            if counted < to {
                *lines += memchr::memchr_iter(b'\n', &bytes[counted..to]).count() as u64;
                counted = to;
            }
        };
        let mut refused = 0;
        for candidate in &candidates {
            let at = candidate.start as usize;
            if !line.as_ref().is_some_and(|line| (line.bounds.from..line.bounds.to).contains(&at)) {
                if let Some(Current { known: Known::New(new, from), .. }) = line {
                    self.repeats.remember(new, &found.events[from..]);
                }
                let bounds = bounds(text, block, at);
                let is_cri = is_cri(beginning(text, block, bounds));
                line = Some(Current { bounds, head: None, is_cri, escapes: None, known: Known::Unasked });
                refused = 0;
            }
            let Some(Current { bounds, head, is_cri, escapes, known }) = &mut line else { continue };
            if matches!(known, Known::Told) {
                continue;
            }
            let length = self.scanner.prefilter.literal(candidate.literal).len();
            let exact = self.scanner.prefilter.exact(candidate.literal);
            let is_whole = bounds.to - bounds.from <= 2 * REACH;
            let (window, window_from) =
                window(&text[block.start..], bounds.moved(block.start), at - block.start, length, *is_cri);
            let place = (at - block.start).checked_sub(window_from);
            let Some(users) = self.scanner.users.get(candidate.literal as usize) else { continue };
            if let (std::borrow::Cow::Borrowed(window), Some(place), Some((gate, before))) =
                (&window, place, users.shared_gate(&self.scanner.matchers))
            {
                let memory =
                    self.shared_gates[candidate.literal as usize].get_or_insert_with(|| Box::new(gate.memory()));
                let place = Place { at: place, before, literal: candidate.literal, exact };
                if refused < SHARED_GATES && gate.tell(memory, window, place) == Told::No {
                    refused += 1;
                    continue;
                }
            }
            if matches!(known, Known::Unasked) {
                let is_line = !bounds.is_piece && block.start + window_from == bounds.from;
                let seen = match &window {
                    std::borrow::Cow::Borrowed(window) if is_line => self.repeats.look_up(window),
                    _ => Err(None),
                };
                *known = match seen {
                    Ok(matches) => {
                        if !matches.is_empty() {
                            count(bounds.from, &mut lines);
                            let head = head.get_or_insert_with(|| read_head(&mut self.names, text, block, *bounds));
                            let event = event(text, block, *bounds, head, &hint, lines);
                            found.events.extend(matches.iter().map(|Repeat { matcher, captures, matter }| Event {
                                matcher: *matcher,
                                captures: captures.clone(),
                                text: (&*window).into(),
                                matter: matter.clone(),
                                ..event.clone()
                            }));
                        }
                        Known::Told
                    }
                    Err(new) => new.map_or(Known::No, |new| Known::New(new, found.events.len())),
                };
                if matches!(known, Known::Told) {
                    continue;
                }
            }
            for &(matcher, before) in &users.matchers {
                let (Some((regex, role)), Some(tried)) =
                    (self.scanner.matchers.get(matcher as usize), self.tried.get_mut(matcher as usize))
                else {
                    continue;
                };
                if tried.line != bounds.start {
                    *tried = Tried { line: bounds.start, ..Tried::NOTHING };
                }
                if at < tried.next {
                    continue;
                }
                let told = match (&window, place, before, regex.gate()) {
                    // A joined line has other places.
                    (std::borrow::Cow::Borrowed(window), Some(place), Some(before), Some(gate))
                        if tried.gates < GATES =>
                    {
                        let memory = self.gates[matcher as usize].get_or_insert_with(|| Box::new(gate.memory()));
                        let place = Place { at: place, before: before.into(), literal: candidate.literal, exact };
                        gate.tell(memory, window, place)
                    }
                    _ => Told::Perhaps,
                };
                if told == Told::No {
                    tried.gates += 1;
                    continue;
                }
                // A match that has its literal here begins here, or at any place of the line.
                let start = match (&window, place) {
                    (std::borrow::Cow::Borrowed(_), Some(place)) => regex.beginning(place),
                    _ => None,
                };
                let is_anchored = start.is_some() && tried.gates < GATES;
                if is_anchored {
                    tried.next = at + 1;
                    tried.gates += 1;
                } else {
                    tried.next = if is_whole { usize::MAX } else { at + REACH / 2 };
                    tried.gates = 0;
                }
                let head = head.get_or_insert_with(|| read_head(&mut self.names, text, block, *bounds));
                if !is_for(self.scanner, role, head, is_certain.then_some(&hint)) {
                    continue;
                }
                let remembered = &mut self.captures[matcher as usize];
                // The line's matches before this place were tried before.
                let mut input = Input::new(&*window).range(start.unwrap_or(0)..);
                if is_anchored {
                    input = input.anchored(Anchored::Yes);
                }
                let mut captures = if told == Told::Perhaps { capture(remembered, regex, input) } else { None };
                if captures.is_none() && !tried.unescaped && regex.has_all(&window) {
                    tried.unescaped = is_whole;
                    let seen = (window_from, window_from + window.len());
                    let plain = match escapes {
                        Some((from, to, plain)) if (*from, *to) == seen => plain,
                        _ => &mut escapes.insert((seen.0, seen.1, unescaped(&window))).2,
                    };
                    captures = plain.iter().find_map(|plain| capture(remembered, regex, Input::new(plain)));
                }
                let Some(captures) = captures else { continue };
                tried.next = usize::MAX;
                count(bounds.from, &mut lines);
                let here = match (&window, place) {
                    (std::borrow::Cow::Borrowed(_), Some(place)) => Some(place),
                    _ => exact.and_then(|exact| memchr::memmem::find(&window, exact)),
                };
                let (quoted, matter) = quote(&window, here, length);
                let event = event(text, block, *bounds, head, &hint, lines);
                found.events.push(Event { matcher, captures, text: quoted, matter, ..event });
            }
        }
        if let Some(Current { known: Known::New(new, from), .. }) = line {
            self.repeats.remember(new, &found.events[from..]);
        }
        // The next block may be another log's.
        self.tried.fill(Tried::NOTHING);
        self.candidates = candidates;
        count(block.count_to, &mut lines);
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

/// What all matches of a line have in common.
fn event(text: &[u8], block: &Block, bounds: Bounds, head: &Head, hint: &Program, lines: u64) -> Event {
    Event {
        matcher: u32::MAX,
        line_start: bounds.start,
        line: lines,
        time: head.time.or_else(|| time_before(text, block.start, bounds.from, &block.clock)),
        program: head.own.clone().or_else(|| hint.clone()),
        captures: Captures::default(),
        text: Box::default(),
        matter: 0..0,
    }
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

/// What a regex sees of the line: all of it, or what is around the literal; parts of a CRI line are joined, and a
/// unit's status with its name. And where that begins.
fn window(text: &[u8], bounds: Bounds, at: usize, length: usize, is_cri: bool) -> (std::borrow::Cow<'_, [u8]>, usize) {
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
fn unescaped(line: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..ESCAPE_DEPTH {
        let Some(plain) = json::unescape(all.last().map_or(line, Vec::as_slice)) else { break };
        all.push(plain);
    }
    all
}

/// The captured values when the pattern matches what is asked of a line.
fn capture(remembered: &mut HashMap<Box<[u8]>, Captures>, matcher: &Matcher, input: Input<'_>) -> Option<Captures> {
    let line = input.haystack();
    if !matcher.has_all(line) {
        return None;
    }
    let regex = matcher.regex()?;
    if matcher.groups.is_empty() {
        return regex.is_match(input).then(Captures::default);
    }
    let found = regex.find(input)?;
    let key = line.get(found.range()).filter(|key| key.len() <= REMEMBERED_LENGTH);
    if let Some(known) = key.and_then(|key| remembered.get(key)) {
        return Some(known.clone());
    }
    let mut groups = regex.create_captures();
    regex.search_captures(&Input::new(line).span(found.span()).anchored(Anchored::Yes), &mut groups);
    let mut captures = std::collections::BTreeMap::new();
    for name in &matcher.groups {
        if let Some(value) = groups.get_group_by_name(name).and_then(|span| line.get(span.range())) {
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

/// A line as it is shown: whole, or what is around the words that mattered; and where those are in it.
fn quote(line: &[u8], at: Option<usize>, length: usize) -> (Box<[u8]>, Range<usize>) {
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
