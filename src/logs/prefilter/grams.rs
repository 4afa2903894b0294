//! Grams: a few bytes of a text as a number, their hashes, and how often they are met.

use crate::logs::background;

pub(super) const BITMAP_BITS: u32 = 19;
pub(super) const HASH: u64 = 0x9e37_79b9_7f4a_7c15;
/// Sets the bit by which ASCII letters differ in case, in each byte.
pub(super) const FOLD: u64 = 0x2020_2020_2020_2020;

/// The first eight bytes.
#[inline(always)]
pub(super) fn word(bytes: &[u8]) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

/// What is not the window's has no part in it.
pub(super) fn hash(gram: u64, window: usize) -> u64 {
    gram.wrapping_mul(HASH << (64 - 8 * window))
}

/// A gram has two bits in one word of the bitmap: one bit alone says yes ten times as often to what is not there.
pub(super) fn word_of(hash: u64) -> usize {
    (hash >> (64 - BITMAP_BITS + 6)) as usize
}

pub(super) fn first_bit(hash: u64) -> u32 {
    (hash >> (64 - BITMAP_BITS)) as u32 & 63
}

pub(super) fn second_bit(hash: u64) -> u32 {
    (hash >> (64 - BITMAP_BITS - 6)) as u32 & 63
}

/// Shorter literals have no gram that is known but for one byte wherever they stand, or no eight bytes to compare.
pub(super) const fn shortest(window: usize, stride: usize) -> usize {
    let known = window + stride - 3;
    if known < 8 { 8 } else { known }
}

/// The gram at a place of a literal, or all that it can be when one byte of it is outside.
pub(super) fn each_gram(bytes: &[u8], offset: i16, window: usize, mut each: impl FnMut(u64)) {
    let known = |from: usize| gram_at(bytes, from, window);
    // Bytes count as equal when they differ in the bit of letters' case.
    let others = || (0..=u8::MAX).filter(|byte| byte & 0x20 != 0).map(u64::from);
    match usize::try_from(offset) {
        Err(_) => {
            let rest = known(0) << 8 & mask(window);
            others().for_each(|other| each(rest | other));
        }
        Ok(from) if from + window > bytes.len() => {
            let rest = known(from) & mask(bytes.len() - from);
            others().for_each(|other| each(rest | other << ((bytes.len() - from) * 8)));
        }
        Ok(from) => each(known(from)),
    }
}

pub(super) fn mask(window: usize) -> u64 {
    if window >= 8 { u64::MAX } else { (1 << (window * 8)) - 1 }
}

pub(super) fn gram_at(bytes: &[u8], offset: usize, window: usize) -> u64 {
    let rest = bytes.get(offset..).unwrap_or_default();
    let all = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut all = [0; 8];
        all[..rest.len()].copy_from_slice(rest);
        all
    });
    (u64::from_le_bytes(all) | FOLD) & mask(window.min(rest.len()))
}

/// How often grams occur in ordinary logs, by a hash of them: two that share one count as more frequent than they are.
pub(super) struct Background(Vec<u16>);

const COUNT_BITS: u32 = 16;

impl Background {
    pub fn new(window: usize) -> Background {
        let mut counts = vec![0u16; 1 << COUNT_BITS];
        for gram in background::LINES.as_bytes().windows(window) {
            let count = &mut counts[Background::place(gram_at(gram, 0, window))];
            *count = count.saturating_add(1);
        }
        Background(counts)
    }

    fn place(gram: u64) -> usize {
        (gram.wrapping_mul(HASH) >> (64 - COUNT_BITS)) as usize
    }

    fn count(&self, gram: u64) -> u32 {
        self.0[Background::place(gram)].into()
    }

    /// Where the piece of `window + stride - 1` bytes begins whose grams are met least.
    pub fn rarest(&self, literal: &[u8], window: usize, stride: usize) -> usize {
        let counts: Vec<u32> =
            (0..=literal.len() - window).map(|offset| self.count(gram_at(literal, offset, window))).collect();
        let last = literal.len() + 1 - window - stride;
        let costs = counts.windows(stride).map(|counts| counts.iter().sum::<u32>());
        // The middle of a text is more its own than its ends.
        let best = costs.enumerate().min_by_key(|(begin, cost)| (*cost, begin.abs_diff(last / 2)));
        best.map_or(0, |(begin, _)| begin)
    }
}
