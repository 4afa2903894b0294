//! Finds where in a block one of some hundred literals stands, reading only every few bytes.
//!
//! A literal of at least `WINDOW + STRIDE - 1` bytes contains a gram of `WINDOW` bytes that begins at a multiple of `STRIDE`,
//! wherever it stands. So all grams of a chosen piece of each literal are kept, and of the text only every `STRIDE`-th gram
//! is looked up: in a bitmap, which nearly always says no ([`sample`]), then in a table of grams, then the whole literal is
//! compared ([`uses`]). What is left of one step goes to the next in batches, each a loop without a branch to guess.
//! Letters count as equal in either case. Of a literal that is one or two bytes too short, the grams that reach over its ends
//! by one byte are kept with every byte that can be there. The few that are shorter still go to a packed searcher.

mod grams;
mod sample;
mod short;
mod uses;

use super::literals::Literal;
use grams::{BITMAP_BITS, Background, each_gram, first_bit, hash, second_bit, shortest, word_of};
use sample::{Bitmap, Places, Sampler};
use short::{PACKED_LIMIT, Short};
use uses::{Pairs, Uses};

/// A literal is not longer than this.
pub(crate) const LONGEST: usize = 512;
/// Bytes past the region's end that have to be readable.
pub(crate) const SLACK: usize = 8;

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
    bitmap: Box<Bitmap>,
    sampler: Sampler,
    uses: Uses,
    short: Option<Short>,
}

impl Prefilter {
    pub fn new(literals: &[Literal]) -> Prefilter {
        // Wide grams are rarer, long strides skip more; both need longer literals. A pass of the packed searcher costs about
        // as much as the shorter stride does.
        let shorter = |least: usize| literals.iter().filter(|literal| literal.bytes.len() < least).count();
        let settings = [(8, 8), (6, 8), (6, 6)];
        let fit = settings.iter().find(|(window, stride)| shorter(shortest(*window, *stride)) == 0);
        let (window, stride) = fit.copied().unwrap_or_else(|| {
            let few = shorter(shortest(6, 6)) <= PACKED_LIMIT && shorter(shortest(6, 4)) > 0;
            (6, if few { 6 } else { 4 })
        });
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
        for (hash, _, _) in &grams {
            bitmap[word_of(*hash)] |= 1 << first_bit(*hash) | 1 << second_bit(*hash);
        }
        Prefilter {
            literals: literals.iter().map(|literal| literal.bytes.clone()).collect(),
            exact: literals.iter().map(|literal| literal.exact.clone()).collect(),
            stride,
            window,
            bitmap,
            sampler: Sampler::best(),
            uses: Uses::new(grams, literals, window),
            short: Short::new(literals, short),
        }
    }

    /// Appends where literals stand in `buffer[from..to]`, in the order of their places. [`SLACK`] more bytes have to be
    /// in the buffer, whatever they are.
    pub fn find(&self, buffer: &[u8], from: usize, to: usize, found: &mut Vec<Candidate>) {
        let first = found.len();
        if !self.uses.is_empty() {
            match (self.window, self.stride) {
                (8, _) => self.sample::<8, 8>(buffer, from, to, found),
                (_, 8) => self.sample::<6, 8>(buffer, from, to, found),
                (_, 6) => self.sample::<6, 6>(buffer, from, to, found),
                _ => self.sample::<6, 4>(buffer, from, to, found),
            }
        }
        if let Some(short) = &self.short {
            short.find(&self.literals, &buffer[from..to], from, found);
            found[first..].sort_unstable();
        }
    }

    fn sample<const WINDOW: usize, const STRIDE: usize>(
        &self,
        buffer: &[u8],
        from: usize,
        to: usize,
        found: &mut Vec<Candidate>,
    ) {
        let text = &buffer[..(to + SLACK).min(buffer.len())];
        let (mut places, mut pairs) = (Places::new(), Pairs::new());
        let mut at = from;
        while at < to {
            at = self.sampler.next::<WINDOW, STRIDE>(&self.bitmap, text, at, to, &mut places);
            self.uses.look_up::<WINDOW>(text, places.found(), &mut pairs, |start, literal| {
                let Some(start) = start.filter(|start| *start >= from) else { return };
                let bytes = &self.literals[literal as usize];
                let end = start + bytes.len();
                if end > to {
                    return;
                }
                let here = &text[start..end];
                let is_here = match &self.exact[literal as usize] {
                    Some(exact) => here == exact.as_slice(),
                    None => here.eq_ignore_ascii_case(bytes),
                };
                if is_here {
                    insert(found, Candidate { start: start as u32, literal });
                }
            });
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

/// Literals are met nearly in the order of their places.
fn insert(found: &mut Vec<Candidate>, candidate: Candidate) {
    let before = found.iter().rev().take_while(|known| **known > candidate).count();
    found.insert(found.len() - before, candidate);
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
