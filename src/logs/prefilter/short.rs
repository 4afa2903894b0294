//! The literals that are too short for grams, searched for in a pass of their own.

use aho_corasick::{AhoCorasick, MatchKind, packed};

use super::Candidate;
use super::grams::Background;
use crate::logs::literals::Literal;

/// The packed searcher takes so many pieces of literals at most.
pub(super) const PACKED_LIMIT: usize = 64;
/// It looks at so many bytes before it compares; no literal is shorter.
const PIECE: usize = 4;

pub(super) enum Short {
    /// Searches for the rarest piece of each: literal, and the piece's place in it.
    Packed(packed::Searcher, Vec<(u32, usize)>),
    General(AhoCorasick, Vec<u32>),
}

impl Short {
    pub fn new(literals: &[Literal], short: Vec<u32>) -> Option<Short> {
        if short.is_empty() {
            return None;
        }
        let background = Background::new(PIECE);
        let mut pieces = Vec::new();
        let mut places = Vec::new();
        for &index in &short {
            let literal = &literals[index as usize];
            let at = background.rarest(&literal.bytes, PIECE, 1);
            places.push((index, at));
            match &literal.exact {
                Some(exact) => pieces.push(exact[at..].to_vec()),
                None => pieces.extend(in_each_case(&literal.bytes[at..at + PIECE])),
            }
        }
        pieces.sort();
        pieces.dedup();
        if pieces.len() <= PACKED_LIMIT {
            let searcher =
                packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder().extend(pieces).build();
            if let Some(searcher) = searcher {
                return Some(Short::Packed(searcher, places));
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(short.iter().map(|index| &literals[*index as usize].bytes))
            .ok()?;
        Some(Short::General(automaton, short))
    }

    pub fn find(&self, literals: &[Vec<u8>], text: &[u8], base: usize, found: &mut Vec<Candidate>) {
        match self {
            Short::Packed(searcher, places) => {
                let mut at = 0;
                while let Some(hit) = searcher.find_in(text, aho_corasick::Span { start: at, end: text.len() }) {
                    // It tells one piece for each place; others may begin there as well.
                    for &(id, place) in places {
                        let bytes = &literals[id as usize];
                        let start = hit.start().checked_sub(place);
                        let here = start.and_then(|start| text.get(start..start + bytes.len()));
                        if let (Some(start), Some(true)) = (start, here.map(|here| here.eq_ignore_ascii_case(bytes))) {
                            found.push(Candidate { start: (base + start) as u32, literal: id });
                        }
                    }
                    at = hit.start() + 1;
                }
            }
            Short::General(automaton, ids) => {
                for hit in automaton.find_overlapping_iter(text) {
                    if let Some(id) = ids.get(hit.pattern().as_usize()) {
                        found.push(Candidate { start: (base + hit.start()) as u32, literal: *id });
                    }
                }
            }
        }
    }
}

/// All ways to write a lower-case text's letters.
fn in_each_case(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for byte in text {
        let upper = byte.to_ascii_uppercase();
        let ways = if upper == *byte { vec![*byte] } else { vec![*byte, upper] };
        all = all.iter().flat_map(|text| ways.iter().map(|byte| [text.as_slice(), &[*byte]].concat())).collect();
    }
    all
}
