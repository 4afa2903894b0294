//! What has to stand at the place of a literal, tried there and nowhere else.
//!
//! A literal that is frequent in ordinary lines is nearly always followed by something else than its pattern wants. An
//! automaton of the pattern's part from the literal on, started at its place, says so after a few bytes, where a search with
//! the whole pattern looks through the whole line.

use std::fmt;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

/// The automaton of a gate may use this much memory for each thread.
const CACHE: usize = 64 << 10;
const SIZE_LIMIT: usize = 256 << 10;
/// What is not decided after so many bytes is left to the pattern.
const FAR: usize = 512;
/// A character of a text is written as up to so many bytes in JSON within JSON.
const ESCAPED: usize = 4;

pub(crate) struct Gate {
    automaton: DFA,
    /// What is before its beginning makes no difference.
    is_free: bool,
}

/// What a thread remembers of a gate.
pub(crate) struct Memory {
    cache: Cache,
    /// The literal that was met last at the gate's beginning, the state after it, and how often the cache was cleared before.
    after: Option<(u32, LazyStateID, usize)>,
}

/// The literal whose place is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'l> {
    pub literal: u32,
    /// The literal as it stands in every match, when it does.
    pub exact: Option<&'l [u8]>,
    /// Where it stands.
    pub at: usize,
    /// How far before it the gate begins.
    pub before: usize,
}

/// What a gate says of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// No match of the pattern has this place.
    No,
    /// Neither, unless there is one when escapes are taken away.
    Escaped,
    Perhaps,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// None when it would be too large.
    pub fn new(hir: &Hir) -> Option<Gate> {
        let config = thompson::Config::new()
            .utf8(false)
            .which_captures(thompson::WhichCaptures::None)
            .nfa_size_limit(Some(SIZE_LIMIT));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir).ok()?;
        let automaton = DFA::builder().configure(Config::new().cache_capacity(CACHE)).build_from_nfa(nfa).ok()?;
        Some(Gate { automaton, is_free: hir.properties().look_set_prefix_any().is_empty() })
    }

    pub fn memory(&self) -> Memory {
        Memory { cache: self.automaton.create_cache(), after: None }
    }

    /// Looks at the text from where the gate begins.
    pub fn tell(&self, memory: &mut Memory, text: &[u8], place: Place<'_>) -> Told {
        let is_escaped = |from: usize, to: usize| {
            text.get(from..to.min(text.len())).is_some_and(|text| memchr::memchr(b'\\', text).is_some())
        };
        let lead = place.at.saturating_sub(place.before * ESCAPED);
        let Some(start) = place.at.checked_sub(place.before) else {
            return if is_escaped(lead, place.at) { Told::Escaped } else { Told::No };
        };
        let died = match self.run(memory, text, start, place) {
            Ok(None) => return Told::Perhaps,
            Ok(Some(died)) => died,
            Err(()) => return Told::Perhaps,
        };
        if is_escaped(lead, died + 1) { Told::Escaped } else { Told::No }
    }

    /// Where it is certain that there is no match that begins at `start`; none when there may be one.
    fn run(&self, memory: &mut Memory, text: &[u8], start: usize, place: Place<'_>) -> Result<Option<usize>, ()> {
        // What the literal leads to is the same each time.
        let known = place.exact.filter(|_| self.is_free && place.before == 0);
        if let (Some(exact), Some((literal, state, cleared))) = (known, memory.after)
            && (literal, cleared) == (place.literal, memory.cache.clear_count())
        {
            return self.walk(&mut memory.cache, text, start + exact.len(), state);
        }
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let state = self.automaton.start_state_forward(&mut memory.cache, &input).map_err(drop)?;
        let told = self.walk(&mut memory.cache, text, start, state);
        memory.after = known.and_then(|exact| self.after(&mut memory.cache, exact, &input, place.literal));
        told
    }

    /// The state after a literal, unless something is decided within it.
    fn after(
        &self,
        cache: &mut Cache,
        exact: &[u8],
        input: &Input<'_>,
        literal: u32,
    ) -> Option<(u32, LazyStateID, usize)> {
        let cleared = cache.clear_count();
        let mut state = self.automaton.start_state_forward(cache, input).ok()?;
        for byte in exact {
            state = self.automaton.next_state(cache, state, *byte).ok().filter(|state| !state.is_tagged())?;
        }
        (cache.clear_count() == cleared).then_some((literal, state, cleared))
    }

    /// The rest of the way, from a place and the automaton's state there.
    fn walk(&self, cache: &mut Cache, text: &[u8], from: usize, mut state: LazyStateID) -> Result<Option<usize>, ()> {
        for (at, byte) in text.iter().enumerate().skip(from).take(FAR) {
            state = self.automaton.next_state(cache, state, *byte).map_err(drop)?;
            if state.is_tagged() {
                if state.is_match() {
                    return Ok(None);
                }
                if state.is_dead() {
                    return Ok(Some(at));
                }
                if state.is_quit() {
                    return Err(());
                }
            }
        }
        if text.len().saturating_sub(from) > FAR {
            return Ok(None);
        }
        let state = self.automaton.next_eoi_state(cache, state).map_err(drop)?;
        Ok((!state.is_match()).then_some(text.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::literals;
    use super::*;

    /// What the gate of a pattern says at each place of its literals in a text.
    fn told(pattern: &str, text: &str) -> Vec<Told> {
        let parsed = literals::parse(pattern).unwrap();
        let range = parsed.gate.expect("a gate");
        let gate = Gate::new(&literals::gate(pattern, &range).unwrap()).unwrap();
        let mut all = Vec::new();
        for (index, literal) in parsed.required.unwrap().into_iter().enumerate() {
            let mut memory = gate.memory();
            let piece = String::from_utf8(literal.bytes).unwrap();
            for (at, _) in text.to_ascii_lowercase().match_indices(&piece) {
                let exact = literal.exact.as_deref().filter(|exact| text.as_bytes()[at..].starts_with(exact));
                let place = Place { literal: index as u32, exact, at, before: literal.at.unwrap().into() };
                let told = gate.tell(&mut memory, text.as_bytes(), place);
                // What it remembers changes nothing.
                assert_eq!(gate.tell(&mut memory, text.as_bytes(), place), told, "{pattern} in {text}");
                all.push(told);
            }
        }
        all
    }

    #[test]
    fn says_what_follows() {
        use Told::{Escaped, No, Perhaps};
        let took = r#"request took too long","took":"(?P<took>\d+ms)""#;
        let cases: [(&str, &str, &[Told]); 12] = [
            (took, r#"x request took too long","took":"12ms","#, &[Perhaps]),
            (took, r#"x request took too long","took":"12us","#, &[No]),
            (took, r#"x \"request took too long\",\"took\":\"12ms\""#, &[Escaped]),
            (took, "x request took too long", &[No]),
            (took, "request took too long; request took too long", &[No, No]),
            // From the literal on, whatever is before it.
            (r"\S+ failed to bind port \d", "x failed to bind port 1 failed to bind port x", &[Perhaps, No]),
            (r"(?:un|dis)connected from peer \d", "disconnected from peer 3", &[Perhaps]),
            (r"(?:un|dis)connected from peer \d", "reconnected from peer 3", &[]),
            // Anything may follow: only what comes before that is asked for.
            (r"cannot begin: .{0,300}(?:refused)", "cannot begin: it will", &[Perhaps]),
            (r"cannot begin: .{0,300}(?:refused)", "cannot Begin: it will", &[No]),
            (r#""code":"cannot begin""#, r#"{\"code\":\"cannot begin\"}"#, &[Escaped]),
            (r"cannot begin$", "cannot begin", &[Perhaps]),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(told(pattern, text), expected, "{pattern} in {text}");
        }
    }
}
