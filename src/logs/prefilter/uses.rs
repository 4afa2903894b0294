//! Which literals have a gram, and whether eight more bytes of theirs stand where they should.

use super::grams::{FOLD, gram_at, hash, word};
use crate::logs::literals::Literal;

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

/// The literals of all grams.
pub(super) struct Uses {
    /// Where in `all` those begin whose gram has this hash, shifted by `shift`; and one more, where they end.
    begins: Vec<u32>,
    shift: u32,
    all: Vec<Use>,
}

/// Pairs that are compared in one go.
const PAIRS: usize = 512;
/// A gram's first uses are written down whether it has as many or not.
const AT_ONCE: usize = 4;

/// Places in the text, each with the number of a use.
pub(super) struct Pairs([(u32, u32); PAIRS + AT_ONCE]);

impl Pairs {
    pub fn new() -> Pairs {
        Pairs([(0, 0); PAIRS + AT_ONCE])
    }
}

impl Uses {
    /// Of grams' hashes, the literals that have them, and where.
    pub fn new(mut grams: Vec<(u64, u32, i16)>, literals: &[Literal], window: usize) -> Uses {
        let shift = 64 - grams.len().next_power_of_two().trailing_zeros().max(1);
        for (hash, _, _) in &mut grams {
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
        Uses { begins, shift, all: uses.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tells the literals that may stand in a text, and where they would begin: none when that is before the text. The
    /// places are those of grams that may be known.
    #[inline(always)]
    pub fn look_up<const WINDOW: usize>(
        &self,
        text: &[u8],
        places: &[u32],
        pairs: &mut Pairs,
        mut tell: impl FnMut(Option<usize>, u32),
    ) {
        let pairs = &mut pairs.0;
        let mut count = 0;
        for &place in places {
            let slot = (hash(gram_at(text, place as usize, WINDOW), WINDOW) >> self.shift) as usize;
            let (mut begin, end) = (self.begins[slot], self.begins[slot + 1]);
            loop {
                for (index, pair) in pairs[count..count + AT_ONCE].iter_mut().enumerate() {
                    *pair = (place, begin + index as u32);
                }
                count += ((end - begin) as usize).min(AT_ONCE);
                if count > PAIRS - AT_ONCE {
                    self.compare(text, &mut pairs[..count], &mut tell);
                    count = 0;
                }
                begin += AT_ONCE as u32;
                if begin >= end {
                    break;
                }
            }
        }
        self.compare(text, &mut pairs[..count], &mut tell);
    }

    fn compare(&self, text: &[u8], pairs: &mut [(u32, u32)], tell: &mut impl FnMut(Option<usize>, u32)) {
        // No literal is shorter than eight bytes.
        let Some(last) = text.len().checked_sub(8) else { return };
        let mut count = 0;
        for index in 0..pairs.len() {
            let (place, number) = pairs[index];
            let known = &self.all[number as usize];
            // Out of the text is only what a whole literal can't be in.
            let other = (place as usize).wrapping_add_signed(known.other.into());
            let is_same = word(&text[other.min(last)..]) | FOLD == known.bytes;
            pairs[count] = (place, number);
            count += usize::from(is_same & (other <= last));
        }
        for &(place, number) in &pairs[..count] {
            let Use { literal, offset, .. } = self.all[number as usize];
            tell((place as usize).checked_add_signed(-isize::from(offset)), literal);
        }
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
