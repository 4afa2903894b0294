//! Lines that were seen before, but for the time of day.
//!
//! What fails is tried again, and says the same each time: of such a line it is known what matches it.
//!
//! Nothing else may differ, not even how long the time is; and what a pattern captured may not be a time. A pattern that is after
//! certain digits of a time of day would be told as it was the first time: no fault shows in those.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use super::Event;
use crate::logs::aggregate::{Captures, Program};

/// Longer lines are not remembered.
const LONGEST: usize = 768;
/// Lines that a thread remembers, each in a place of its own.
const PLACES: usize = 256;

/// What matched a line.
#[derive(Debug, Clone)]
pub(super) struct Repeat {
    pub matcher: u32,
    pub captures: Captures,
    pub matter: Range<usize>,
}

#[derive(Debug)]
struct Seen {
    hash: u64,
    /// Without the digits of times of day.
    line: Box<[u8]>,
    matches: Box<[Repeat]>,
}

/// A place for a line that was not seen before.
#[derive(Debug, Clone, Copy)]
pub(super) struct New(u64);

/// The lines that were seen.
pub(super) struct Repeats {
    seen: Vec<Option<Seen>>,
    hasher: foldhash::fast::RandomState,
    /// The line that is looked at, as it is remembered.
    line: Vec<u8>,
    /// Whose log they stand in.
    of: Option<(Program, bool)>,
}

impl Repeats {
    pub fn new() -> Repeats {
        let seen = (0..PLACES).map(|_| None).collect();
        Repeats { seen, hasher: foldhash::fast::RandomState::default(), line: Vec::with_capacity(LONGEST), of: None }
    }

    /// Forgets what stands in other programs' logs.
    pub fn begin(&mut self, hint: &Program, is_certain: bool) {
        if !self.of.as_ref().is_some_and(|(program, certain)| program == hint && *certain == is_certain) {
            self.seen.fill_with(|| None);
            self.of = Some((hint.clone(), is_certain));
        }
    }

    /// What matched the line when it was seen before; a place for what matches when it was not, unless it is too long.
    pub fn look_up(&mut self, line: &[u8]) -> Result<&[Repeat], Option<New>> {
        if line.len() > LONGEST {
            return Err(None);
        }
        self.line.clear();
        self.line.extend_from_slice(line);
        without_times(&mut self.line);
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&self.line);
        let hash = hasher.finish();
        match self.seen.get(place(hash)) {
            Some(Some(seen)) if seen.hash == hash && *seen.line == *self.line => Ok(&seen.matches),
            _ => Err(Some(New(hash))),
        }
    }

    /// Remembers what matched the line that was looked up last, unless the time is among it.
    pub fn remember(&mut self, New(hash): New, events: &[Event]) {
        let has_time = |event: &Event| event.captures.values().any(|value| times(value.as_bytes()).next().is_some());
        if events.iter().any(has_time) {
            return;
        }
        let repeat = |event: &Event| Repeat {
            matcher: event.matcher,
            captures: event.captures.clone(),
            matter: event.matter.clone(),
        };
        if let Some(seen) = self.seen.get_mut(place(hash)) {
            *seen = Some(Seen { hash, line: (*self.line).into(), matches: events.iter().map(repeat).collect() });
        }
    }
}

fn place(hash: u64) -> usize {
    hash as usize % PLACES
}

/// Where a text has a time of day: `03:10:20`, `03:10:20.581730`.
fn times(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let two = move |at: usize| digit(at) && digit(at + 1);
    memchr::memchr_iter(b':', text).filter_map(move |colon| {
        let from = colon.checked_sub(2).filter(|from| two(*from) && two(colon + 1))?;
        if text.get(colon + 3) != Some(&b':') || !two(colon + 4) {
            return None;
        }
        let mut to = colon + 6;
        if text.get(to) == Some(&b'.') && digit(to + 1) {
            to += 1 + text[to + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        }
        Some(from..to)
    })
}

fn without_times(line: &mut [u8]) {
    // Few lines have more; those that have are not taken for repeated.
    let mut found = [const { 0..0 }; 4];
    found.iter_mut().zip(times(line)).for_each(|(place, time)| *place = time);
    for time in found {
        line[time].iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(captured: &str) -> Event {
        let captures = [("what".to_owned(), captured.to_owned())].into();
        Event {
            matcher: 7,
            line_start: 0,
            line: 0,
            time: None,
            program: None,
            captures: Captures::new(captures),
            text: Box::default(),
            matter: 3..5,
        }
    }

    /// Whether the second line is taken for the first.
    fn is_known(first: &str, second: &str, captured: &str) -> bool {
        let mut repeats = Repeats::new();
        repeats.begin(&None, false);
        let Err(Some(new)) = repeats.look_up(first.as_bytes()) else { panic!("{first} is new") };
        repeats.remember(new, &[event(captured)]);
        match repeats.look_up(second.as_bytes()) {
            Ok(matches) => {
                let [Repeat { matcher: 7, captures, matter }] = matches else { panic!("{matches:?}") };
                assert_eq!((captures["what"].as_str(), matter.clone()), (captured, 3..5));
                true
            }
            Err(new) => {
                assert!(new.is_some(), "{second} is too long");
                false
            }
        }
    }

    #[test]
    fn nothing_but_the_time_of_day_may_differ() {
        let first = "E0127 03:10:20.581730   129 a.go:1] cannot open /a/b";
        let cases = [
            (first, true),
            ("E0127 23:59:59.000000   129 a.go:1] cannot open /a/b", true),
            ("E0128 03:10:20.581730   129 a.go:1] cannot open /a/b", false),
            ("E0127 03:10:20.58173   129 a.go:1] cannot open /a/b", false),
            ("E0127 03:10:20.581730   130 a.go:1] cannot open /a/b", false),
            ("E0127 03:10:20.581730   129 a.go:1] cannot open /a/c", false),
        ];
        for (second, expected) in cases {
            assert_eq!(is_known(first, second, "/a/b"), expected, "{second}");
        }
        // What was captured would be another line's.
        assert!(!is_known("since 03:10:20 x", "since 03:10:21 x", "03:10:20"));
        assert!(!is_known("since 03:10:20 x", "since 03:10:20 x", "03:10:20"));
        assert!(is_known("a 1:10:20 x", "a 1:10:20 x", ""));
        assert!(!is_known("a 1:10:20 x", "a 1:10:21 x", ""));
        // A fifth time is a part of the line.
        let times = |last: &str| format!("{} {last}", ["03:10:20"; 4].join(" "));
        assert!(!is_known(&times("03:10:20"), &times("03:10:21"), ""));
        assert!(is_known(&times("03:10:20"), &times("03:10:20"), ""));
    }

    #[test]
    fn another_programs_log_is_another() {
        let mut repeats = Repeats::new();
        for (program, is_certain) in [(None, false), (Some("etcd".into()), false), (Some("etcd".into()), true)] {
            repeats.begin(&program, is_certain);
            let Err(Some(new)) = repeats.look_up(b"a line") else { panic!("{program:?}") };
            repeats.remember(new, &[]);
            repeats.begin(&program, is_certain);
            assert!(matches!(repeats.look_up(b"a line"), Ok([])));
        }
        assert!(matches!(repeats.look_up(&[b'x'; LONGEST + 1]), Err(None)));
    }
}
