//! What a thread does with a block: candidates, their lines, the regexes, and the line's head.

mod around;
mod repeats;
mod sight;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use regex_automata::{Anchored, Input};

use around::{Bounds, Head, known_name, read_head, time_before};
use repeats::{Repeat, Repeats};
use sight::{Current, Known, Sight, Within, quote, unescaped};

use super::aggregate::{Captures, Program};
use super::feed::{Block, REACH};
use super::gate::{Memory, Told};
use super::job::Found;
use super::line;
use super::pattern::Matcher;
use super::prefilter::Candidate;
use super::program::Attribution;
use super::scan::{Role, Scanner};
use super::time::Stamp;

/// Kept of a captured value.
const VALUE: usize = 256;
/// Captured values that are remembered for each matcher and thread, and the longest match for which they are.
const REMEMBERED: usize = 128;
const REMEMBERED_LENGTH: usize = 512;
/// Lines at the end of a block that tell programs' last times.
const TAIL_LINES: usize = 16;
const LAST_TAIL_LINES: usize = 4000;
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

/// Newlines of a block, counted as far as was asked for.
struct Newlines {
    to: usize,
    count: u64,
}

impl Newlines {
    fn before(&mut self, bytes: &[u8], to: usize) -> u64 {
        if self.to < to {
            self.count += memchr::memchr_iter(b'\n', &bytes[self.to..to]).count() as u64;
            self.to = to;
        }
        self.count
    }
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

        let hint: Program = attribution.map(|attribution| attribution.program.as_str().into());
        let is_certain = attribution.is_some_and(|attribution| attribution.certain);
        self.repeats.begin(&hint, is_certain);
        let within = Within { bytes, text: &bytes[..block.end], block, hint: &hint, is_certain };
        let mut newlines = Newlines { to: block.start, count: 0 };
        let mut line: Option<Current> = None;
        for candidate in &candidates {
            let at = candidate.start as usize;
            let line = match &mut line {
                Some(line) if line.has(at) => line,
                line => {
                    self.end(line.as_ref(), &found);
                    line.insert(Current::at(at, within))
                }
            };
            if !matches!(line.known, Known::Told) {
                self.look_at(candidate, line, within, &mut newlines, &mut found.events);
            }
        }
        self.end(line.as_ref(), &found);
        // The next block may be another log's.
        self.tried.fill(Tried::NOTHING);
        self.candidates = candidates;
        found.lines = newlines.before(bytes, block.count_to);
        if block.is_last && block.end > block.start && bytes.get(block.end - 1) != Some(&b'\n') {
            found.lines += 1;
        }
        self.tail(within.text, block, hint.as_ref(), &mut found);
        found
    }

    /// Remembers a line's matches for when it comes again.
    fn end(&mut self, line: Option<&Current>, found: &Found) {
        if let Some(Current { known: Known::New(new, from), .. }) = line {
            self.repeats.remember(*new, &found.events[*from..]);
        }
    }

    /// What matches a line with a literal at its place.
    fn look_at(
        &mut self,
        candidate: &Candidate,
        line: &mut Current,
        within: Within<'_>,
        newlines: &mut Newlines,
        events: &mut Vec<Event>,
    ) {
        let scanner = self.scanner;
        let Some(users) = scanner.users.get(candidate.literal as usize) else { return };
        let sight = Sight::of(candidate, line, within, scanner);
        if line.refused < SHARED_GATES
            && let Some((gate, before)) = users.shared_gate(&scanner.matchers)
            && sight.tell(gate, &mut self.shared_gates[candidate.literal as usize], before) == Told::No
        {
            line.refused += 1;
            return;
        }
        if matches!(line.known, Known::Unasked) {
            self.look_up(&sight, line, within, newlines, events);
            if matches!(line.known, Known::Told) {
                return;
            }
        }
        for &(matcher, before) in &users.matchers {
            let Some(captures) = self.matched(matcher, before, &sight, line, within) else { continue };
            let here = sight.place.or_else(|| memchr::memmem::find(&sight.window, sight.exact?));
            let (text, matter) = quote(&sight.window, here, sight.length);
            let event = event(&mut self.names, line, within, newlines);
            events.push(Event { matcher, captures, text, matter, ..event });
        }
    }

    /// Tells the matches of a line that was seen before.
    fn look_up(
        &mut self,
        sight: &Sight<'_>,
        line: &mut Current,
        within: Within<'_>,
        newlines: &mut Newlines,
        events: &mut Vec<Event>,
    ) {
        let is_line = !line.bounds.is_piece && within.block.start + sight.from == line.bounds.from;
        let seen = match &sight.window {
            Cow::Borrowed(window) if is_line => self.repeats.look_up(window),
            _ => Err(None),
        };
        line.known = match seen {
            Ok(matches) => {
                if !matches.is_empty() {
                    let event = event(&mut self.names, line, within, newlines);
                    events.extend(matches.iter().map(|Repeat { matcher, captures, matter }| Event {
                        matcher: *matcher,
                        captures: captures.clone(),
                        text: (&*sight.window).into(),
                        matter: matter.clone(),
                        ..event.clone()
                    }));
                }
                Known::Told
            }
            Err(new) => new.map_or(Known::No, |new| Known::New(new, events.len())),
        };
    }

    /// What a matcher captures of a line, when it matches.
    fn matched(
        &mut self,
        matcher: u32,
        before: Option<u16>,
        sight: &Sight<'_>,
        line: &mut Current,
        within: Within<'_>,
    ) -> Option<Captures> {
        let index = matcher as usize;
        let (regex, role) = self.scanner.matchers.get(index)?;
        let tried = self.tried.get_mut(index)?;
        if tried.line != line.bounds.start {
            *tried = Tried { line: line.bounds.start, ..Tried::NOTHING };
        }
        if sight.at < tried.next {
            return None;
        }
        let told = match (before, regex.gate()) {
            (Some(before), Some(gate)) if tried.gates < GATES => {
                sight.tell(gate, &mut self.gates[index], before.into())
            }
            _ => Told::Perhaps,
        };
        if told == Told::No {
            tried.gates += 1;
            return None;
        }
        // A match that has its literal here begins here, or at any place of the line.
        let start = sight.place.and_then(|place| regex.beginning(place));
        let is_anchored = start.is_some() && tried.gates < GATES;
        if is_anchored {
            tried.next = sight.at + 1;
            tried.gates += 1;
        } else {
            tried.next = if line.is_whole() { usize::MAX } else { sight.at + REACH / 2 };
            tried.gates = 0;
        }
        let head = line.head.get_or_insert_with(|| read_head(&mut self.names, within.text, within.block, line.bounds));
        if !is_for(self.scanner, role, head, within.is_certain.then_some(within.hint)) {
            return None;
        }
        let remembered = &mut self.captures[index];
        // The line's matches before this place were tried before.
        let mut input = Input::new(&*sight.window).range(start.unwrap_or(0)..);
        if is_anchored {
            input = input.anchored(Anchored::Yes);
        }
        let mut captures = if told == Told::Perhaps { capture(remembered, regex, input) } else { None };
        if captures.is_none() && !tried.unescaped && regex.has_all(&sight.window) {
            tried.unescaped = line.is_whole();
            let seen = (sight.from, sight.from + sight.window.len());
            let plain = match &mut line.escapes {
                Some((from, to, plain)) if (*from, *to) == seen => plain,
                escapes => &mut escapes.insert((seen.0, seen.1, unescaped(&sight.window))).2,
            };
            captures = plain.iter().find_map(|plain| capture(remembered, regex, Input::new(plain)));
        }
        if captures.is_some() {
            tried.next = usize::MAX;
        }
        captures
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
fn event(
    names: &mut HashMap<Vec<u8>, Program>,
    line: &mut Current,
    within: Within<'_>,
    newlines: &mut Newlines,
) -> Event {
    let Within { bytes, text, block, hint, .. } = within;
    let Bounds { from, start, .. } = line.bounds;
    let head = line.head.get_or_insert_with(|| read_head(names, text, block, line.bounds));
    Event {
        matcher: u32::MAX,
        line_start: start,
        line: newlines.before(bytes, from),
        time: head.time.or_else(|| time_before(text, block.start, from, &block.clock)),
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
