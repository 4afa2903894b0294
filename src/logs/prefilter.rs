//! Finds where in a block one of some hundred literals stands, reading only every few bytes.
//!
//! A literal of at least `WINDOW + STRIDE - 1` bytes contains a gram of `WINDOW` bytes that begins at a multiple of `STRIDE`,
//! wherever it stands. So all grams of a chosen piece of each literal are kept, and of the text only every `STRIDE`-th gram
//! is looked up: in a bitmap, which nearly always says no, then in a table of grams, then the whole literal is compared.
//! Letters count as equal in either case. Of a literal that is one or two bytes too short, the grams that reach over its ends
//! by one byte are kept with every byte that can be there. The few that are shorter still go to a packed searcher.

mod grams;

use aho_corasick::{AhoCorasick, MatchKind, packed};

use super::literals::Literal;
use grams::{
    BITMAP_BITS, Background, FOLD, HASH, each_gram, first_bit, gram_at, hash, second_bit, shortest, word, word_of,
};

/// A literal is not longer than this.
pub(crate) const LONGEST: usize = 512;
/// Bytes past the region's end that have to be readable.
pub(crate) const SLACK: usize = 8;
/// The packed searcher takes so many pieces of literals at most.
const PACKED_LIMIT: usize = 64;
/// It looks at so many bytes before it compares; no literal is shorter.
const PIECE: usize = 4;

/// A literal that stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub start: u32,
    pub literal: u32,
}

pub(crate) struct Prefilter {
    literals: Vec<Vec<u8>>,
    /// The literals as they are in every match, where their case is fixed.
    exact: Vec<Option<Vec<u8>>>,
    stride: usize,
    window: usize,
    bitmap: Box<[u64; 1 << (BITMAP_BITS - 6)]>,
    /// Where in `uses` those begin whose gram has this hash, shifted by `shift`; and one more, where they end.
    begins: Vec<u32>,
    shift: u32,
    uses: Vec<Use>,
    short: Option<Short>,
}

/// A literal that has a gram.
#[derive(Debug, Clone, Copy)]
struct Use {
    literal: u32,
    /// The gram's place in it, -1 when it begins one byte before it.
    offset: i16,
    /// Where eight bytes of the literal that are mostly not the gram's stand, counted from the gram, and what they are.
    other: i16,
    bytes: u64,
}

enum Short {
    /// Searches for the rarest piece of each: literal, and the piece's place in it.
    Packed(packed::Searcher, Vec<(u32, usize)>),
    General(AhoCorasick, Vec<u32>),
}

impl Prefilter {
    pub fn new(literals: &[Literal]) -> Prefilter {
        // Wide grams are rarer, long strides skip more; both need longer literals. A pass of the packed searcher costs about
        // as much as the shorter stride does.
        let shorter = |least: usize| literals.iter().filter(|literal| literal.bytes.len() < least).count();
        let (window, stride) = match (shorter(shortest(8, 6)), shorter(shortest(6, 6)), shorter(shortest(6, 4))) {
            (0, _, _) => (8, 6),
            (_, 0, _) => (6, 6),
            (_, _, 0) => (6, 4),
            (_, few, _) if few <= PACKED_LIMIT => (6, 6),
            _ => (6, 4),
        };
        let background = Background::new(window);

        let mut grams: Vec<(u64, u32, i16)> = Vec::new();
        let mut short = Vec::new();
        for (index, literal) in literals.iter().enumerate() {
            let bytes = &literal.bytes;
            // Where the grams begin, for each place that the literal can have among those that are looked up.
            let begin = match bytes.len().checked_sub(shortest(window, stride)) {
                None => {
                    short.push(index as u32);
                    continue;
                }
                Some(0) => -1,
                Some(1) => 0,
                Some(_) => background.rarest(bytes, window, stride) as i16,
            };
            for offset in begin..begin + stride as i16 {
                each_gram(bytes, offset, window, |gram| grams.push((hash(gram, window), index as u32, offset)));
            }
        }
        let mut bitmap = Box::new([0u64; 1 << (BITMAP_BITS - 6)]);
        let shift = 64 - grams.len().next_power_of_two().trailing_zeros().max(1);
        for (hash, _, _) in &mut grams {
            bitmap[word_of(*hash)] |= 1 << first_bit(*hash) | 1 << second_bit(*hash);
            *hash >>= shift;
        }
        grams.sort_unstable();
        // Grams that are one but for the byte beyond the literal's end may have one place.
        grams.dedup();
        let mut begins = vec![0; (1 << (64 - shift)) + 1];
        for (place, _, _) in &grams {
            begins[*place as usize + 1] += 1;
        }
        for place in 1..begins.len() {
            begins[place] += begins[place - 1];
        }
        let uses = grams.iter().map(|(_, index, offset)| Use::new(&literals[*index as usize], *index, *offset, window));
        Prefilter {
            literals: literals.iter().map(|literal| literal.bytes.clone()).collect(),
            exact: literals.iter().map(|literal| literal.exact.clone()).collect(),
            stride,
            window,
            bitmap,
            begins,
            shift,
            uses: uses.collect(),
            short: Short::new(literals, short),
        }
    }

    /// Appends where literals stand in `buffer[from..to]`, in the order of their places. [`SLACK`] more bytes have to be
    /// in the buffer, whatever they are.
    pub fn find(&self, buffer: &[u8], from: usize, to: usize, found: &mut Vec<Candidate>) {
        let first = found.len();
        if !self.uses.is_empty() {
            match (self.window, self.stride) {
                (8, _) => self.sample::<8, 6>(buffer, from, to, found),
                (_, 6) => self.sample::<6, 6>(buffer, from, to, found),
                _ => self.sample::<6, 4>(buffer, from, to, found),
            }
        }
        if let Some(short) = &self.short {
            short.find(&self.literals, &buffer[from..to], from, found);
            found[first..].sort_unstable();
        }
    }

    #[inline(always)]
    fn sample<const WINDOW: usize, const STRIDE: usize>(
        &self,
        buffer: &[u8],
        from: usize,
        to: usize,
        found: &mut Vec<Candidate>,
    ) {
        const LANES: usize = 4;
        let text = &buffer[..(to + SLACK).min(buffer.len())];
        let bitmap = &*self.bitmap;
        let mut at = from;
        // What is not the window's is shifted out.
        let by = HASH << (64 - 8 * WINDOW);
        let known = |bytes: &[u8], offset: usize| -> u64 {
            let hash = (word(&bytes[offset..offset + 8]) | FOLD).wrapping_mul(by);
            let bits = bitmap[word_of(hash)];
            (bits >> first_bit(hash)) & (bits >> second_bit(hash))
        };
        let step = LANES * STRIDE;
        let reach = (LANES - 1) * STRIDE + 8;
        while at + reach <= text.len() && at < to {
            let bytes = &text[at..at + reach];
            let hits = [known(bytes, 0), known(bytes, STRIDE), known(bytes, 2 * STRIDE), known(bytes, 3 * STRIDE)];
            let mut lanes = hits.iter().enumerate().fold(0, |lanes, (lane, hit)| lanes | (hit & 1) << lane);
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                self.look_up::<WINDOW>(text, from, to, at + lane * STRIDE, found);
            }
            at += step;
        }
        while at < to {
            let mut word = [0u8; 8];
            let rest = &text[at..text.len().min(at + 8)];
            word[..rest.len()].copy_from_slice(rest);
            if known(&word, 0) & 1 != 0 {
                self.look_up::<WINDOW>(text, from, to, at, found);
            }
            at += STRIDE;
        }
    }

    #[cold]
    fn look_up<const WINDOW: usize>(&self, text: &[u8], from: usize, to: usize, at: usize, found: &mut Vec<Candidate>) {
        let place = (hash(gram_at(text, at, WINDOW), WINDOW) >> self.shift) as usize;
        for &Use { literal, offset, other, bytes } in
            &self.uses[self.begins[place] as usize..self.begins[place + 1] as usize]
        {
            let other = at.wrapping_add_signed(other.into());
            // Out of the text is only what a whole literal can't be in.
            let Some(here) = text.get(other..other.wrapping_add(8)) else { continue };
            if word(here) | FOLD != bytes {
                continue;
            }
            let bytes = &self.literals[literal as usize];
            let start = at.checked_add_signed(-isize::from(offset)).filter(|start| *start >= from);
            let Some(start) = start else { continue };
            let end = start + bytes.len();
            if end > to {
                continue;
            }
            let here = &text[start..end];
            let is_here = match &self.exact[literal as usize] {
                Some(exact) => here == exact.as_slice(),
                None => here.eq_ignore_ascii_case(bytes),
            };
            if is_here {
                insert(found, Candidate { start: start as u32, literal });
            }
        }
    }

    /// How this set is searched, for people.
    pub fn describe(&self) -> String {
        let short = match &self.short {
            None => "none of them short".to_owned(),
            Some(Short::Packed(_, places)) => format!("{} of them short", places.len()),
            Some(Short::General(_, ids)) => format!("{} of them short, too many for a packed search", ids.len()),
        };
        format!("window {}, stride {}, {} literals, {short}", self.window, self.stride, self.literals.len())
    }

    pub fn literal(&self, index: u32) -> &[u8] {
        self.literals.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// The literal as it stands in every match, when its case is fixed.
    pub fn exact(&self, index: u32) -> Option<&[u8]> {
        self.exact.get(index as usize)?.as_deref()
    }
}

impl Use {
    fn new(literal: &Literal, index: u32, offset: i16, window: usize) -> Use {
        let length = literal.bytes.len();
        let (before, end) = (usize::try_from(offset).unwrap_or(0), (offset + window as i16).max(0) as usize);
        let after = length.saturating_sub(end);
        let other = if after >= before { end.min(length - 8) } else { before.saturating_sub(8) };
        Use { literal: index, offset, other: other as i16 - offset, bytes: gram_at(&literal.bytes, other, 8) }
    }
}

impl Short {
    fn new(literals: &[Literal], short: Vec<u32>) -> Option<Short> {
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

    fn find(&self, literals: &[Vec<u8>], text: &[u8], base: usize, found: &mut Vec<Candidate>) {
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

/// Literals are met nearly in the order of their places.
fn insert(found: &mut Vec<Candidate>, candidate: Candidate) {
    let before = found.iter().rev().take_while(|known| **known > candidate).count();
    found.insert(found.len() - before, candidate);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Literal {
        Literal { bytes: text.to_ascii_lowercase().into_bytes(), exact: Some(text.as_bytes().to_vec()), at: None }
    }

    fn search(prefilter: &Prefilter, text: &[u8]) -> Vec<(u32, u32)> {
        let mut buffer = text.to_vec();
        buffer.extend_from_slice(&[0; SLACK]);
        let mut found = Vec::new();
        prefilter.find(&buffer, 0, text.len(), &mut found);
        found.into_iter().map(|candidate| (candidate.start, candidate.literal)).collect()
    }

    #[test]
    fn finds_each_literal_at_each_place() {
        let texts = [
            "short1",
            "Shorter-2",
            "short-2",
            "eight ch",
            "ten chars.",
            "eleven char",
            "twelve chars",
            "exactly 13 by",
            "cannot assign requested address",
            "assign requested",
        ];
        // The last setting has too many short ones for the wide window, and one whose case is not fixed.
        let mut many: Vec<Literal> = texts.iter().map(|text| literal(text)).collect();
        many.extend((0..60).map(|index| literal(&format!("filler{index:03}"))));
        many.push(Literal { bytes: b"anycase".to_vec(), exact: None, at: None });
        let few: Vec<Literal> = texts.iter().map(|text| literal(text)).collect();
        let of_length = |least: usize| few.iter().filter(|literal| literal.bytes.len() >= least).cloned().collect();
        for literals in [of_length(13), of_length(11), of_length(9), of_length(7), few.clone(), many] {
            let prefilter = Prefilter::new(&literals);
            for (index, known) in literals.iter().enumerate() {
                for before in 0..40 {
                    for after in [0, 1, 7, 9] {
                        let mut text = vec![b'x'; before];
                        text.extend_from_slice(known.exact.as_deref().unwrap_or(b"AnyCase"));
                        text.extend(vec![b'y'; after]);
                        let found = search(&prefilter, &text);
                        assert!(found.contains(&(before as u32, index as u32)), "{known:?} at {before}: {found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn long_literals_match_as_they_are_written_and_only_whole() {
        let any_case = |text| Literal { exact: None, ..literal(text) };
        let prefilter = Prefilter::new(&[literal("Cannot Assign Requested Address")]);
        assert_eq!(search(&prefilter, b"-- Cannot Assign Requested Address"), [(3, 0)]);
        assert!(search(&prefilter, b"-- CANNOT assign requested ADDRESS").is_empty());
        let prefilter = Prefilter::new(&[any_case("Cannot Assign Requested Address")]);
        assert_eq!(search(&prefilter, b"-- CANNOT assign requested ADDRESS"), [(3, 0)]);
        assert!(search(&prefilter, b"-- cannot assign requested addres").is_empty());
        assert!(search(&prefilter, b"-- cannot assign-requested address").is_empty());
        assert!(search(&prefilter, b"").is_empty());
    }
}
