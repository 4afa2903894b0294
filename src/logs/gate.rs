//! What has to stand at the place of a literal, tried there and nowhere else.
//!
//! A literal that is frequent in ordinary lines is nearly always followed by something else than its pattern wants. An
//! automaton of the pattern's part from the literal on, started at its place, says so after a few bytes, where a search with
//! the whole pattern looks through the whole line.

use std::fmt;

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

pub(crate) struct Gate(DFA);

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
        DFA::builder().configure(Config::new().cache_capacity(CACHE)).build_from_nfa(nfa).ok().map(Gate)
    }

    pub fn cache(&self) -> Cache {
        self.0.create_cache()
    }

    /// Looks at the text from where the gate begins, which is `before` bytes ahead of the literal at `place`.
    pub fn tell(&self, cache: &mut Cache, text: &[u8], place: usize, before: usize) -> Told {
        let is_escaped = |from: usize, to: usize| {
            text.get(from..to.min(text.len())).is_some_and(|text| memchr::memchr(b'\\', text).is_some())
        };
        let lead = place.saturating_sub(before * ESCAPED);
        let Some(start) = place.checked_sub(before) else {
            return if is_escaped(lead, place) { Told::Escaped } else { Told::No };
        };
        let died = match self.run(cache, text, start) {
            Ok(None) => return Told::Perhaps,
            Ok(Some(died)) => died,
            Err(()) => return Told::Perhaps,
        };
        if is_escaped(lead, died + 1) { Told::Escaped } else { Told::No }
    }

    /// Where it is certain that there is no match that begins at `start`; none when there may be one.
    fn run(&self, cache: &mut Cache, text: &[u8], start: usize) -> Result<Option<usize>, ()> {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let mut state = self.0.start_state_forward(cache, &input).map_err(drop)?;
        for (at, byte) in text.iter().enumerate().skip(start).take(FAR) {
            state = self.0.next_state(cache, state, *byte).map_err(drop)?;
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
        if text.len() - start > FAR {
            return Ok(None);
        }
        let state = self.0.next_eoi_state(cache, state).map_err(drop)?;
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
        let mut cache = gate.cache();
        let mut all = Vec::new();
        for literal in parsed.required.unwrap() {
            let piece = String::from_utf8(literal.bytes).unwrap();
            for (place, _) in text.to_ascii_lowercase().match_indices(&piece) {
                all.push(gate.tell(&mut cache, text.as_bytes(), place, literal.at.unwrap().into()));
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
