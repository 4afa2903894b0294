//! Which of a text's sampled grams may be a literal's: a look into a bitmap for each, and nothing that depends on the answer,
//! so that the processor need not guess it.

use super::grams::{BITMAP_BITS, FOLD, HASH, first_bit, second_bit, word, word_of};

pub(super) type Bitmap = [u64; 1 << (BITMAP_BITS - 6)];

/// Grams that are looked at in one go.
pub(super) const GRAMS: usize = 1024;
/// Grams of one step.
const LANES: usize = 8;

/// The places of one go: those that are found first, and room for what a step writes past them.
pub(super) struct Places {
    all: [u32; GRAMS + LANES],
    count: usize,
}

impl Places {
    pub fn new() -> Places {
        Places { all: [0; GRAMS + LANES], count: 0 }
    }

    pub fn found(&self) -> &[u32] {
        &self.all[..self.count]
    }
}

/// How the bitmap is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampler {
    Portable,
    /// Eight grams at once.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

/// That this processor can: there is none unless it was asked.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx512(());

impl Sampler {
    /// The fastest that this processor has.
    pub fn best() -> Sampler {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("popcnt")
        {
            return Sampler::Avx512(Avx512(()));
        }
        Sampler::Portable
    }

    /// Puts into `places` where between `from` and `to` a gram that is looked at may be known, in their order, and tells
    /// where the next one is to be looked at. At most [`GRAMS`] of them are looked at, each `STRIDE` bytes after the one
    /// before.
    pub fn next<const WINDOW: usize, const STRIDE: usize>(
        self,
        bitmap: &Bitmap,
        text: &[u8],
        from: usize,
        to: usize,
        places: &mut Places,
    ) -> usize {
        places.count = 0;
        let to = to.min(from + GRAMS * STRIDE);
        let at = match self {
            Sampler::Portable => from,
            // SAFETY: there is an `Avx512`, so this processor can.
            #[cfg(target_arch = "x86_64")]
            Sampler::Avx512(_) => unsafe { avx512::<WINDOW, STRIDE>(bitmap, text, from, to, places) },
        };
        portable::<WINDOW, STRIDE>(bitmap, text, at, to, places)
    }
}

/// What is not the window's is shifted out.
const fn multiplier(window: usize) -> u64 {
    HASH << (64 - 8 * window)
}

#[inline(always)]
fn portable<const WINDOW: usize, const STRIDE: usize>(
    bitmap: &Bitmap,
    text: &[u8],
    from: usize,
    to: usize,
    places: &mut Places,
) -> usize {
    const STEP: usize = 4;
    let known = |bytes: &[u8], offset: usize| -> u64 {
        let hash = (word(&bytes[offset..offset + 8]) | FOLD).wrapping_mul(multiplier(WINDOW));
        let bits = bitmap[word_of(hash)];
        (bits >> first_bit(hash)) & (bits >> second_bit(hash)) & 1
    };
    let mut at = from;
    let mut count = places.count;
    let reach = (STEP - 1) * STRIDE + 8;
    while at + reach <= text.len() && at < to && count + STEP <= places.all.len() {
        let bytes = &text[at..at + reach];
        let hits = [known(bytes, 0), known(bytes, STRIDE), known(bytes, 2 * STRIDE), known(bytes, 3 * STRIDE)];
        let mut lanes = hits.iter().enumerate().fold(0, |lanes, (lane, hit)| lanes | hit << lane);
        while lanes != 0 {
            let place = at + lanes.trailing_zeros() as usize * STRIDE;
            lanes &= lanes - 1;
            // The step may reach past the end.
            if place < to {
                places.all[count] = place as u32;
                count += 1;
            }
        }
        at += STEP * STRIDE;
    }
    while at < to && count < places.all.len() {
        let mut word = [0u8; 8];
        let rest = &text[at..text.len().min(at + 8)];
        word[..rest.len()].copy_from_slice(rest);
        if known(&word, 0) != 0 {
            places.all[count] = at as u32;
            count += 1;
        }
        at += STRIDE;
    }
    places.count = count;
    at
}

/// All whole steps of eight grams.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt")]
fn avx512<const WINDOW: usize, const STRIDE: usize>(
    bitmap: &Bitmap,
    text: &[u8],
    from: usize,
    to: usize,
    places: &mut Places,
) -> usize {
    use std::arch::x86_64::*;

    const { assert!(STRIDE <= 8, "eight grams have to be in 64 bytes") };
    let one = _mm512_set1_epi64(1);
    let low = _mm512_set1_epi64(63);
    let fold = _mm512_set1_epi64(FOLD as i64);
    let multiplier = _mm512_set1_epi64(multiplier(WINDOW) as i64);
    // Byte i of gram g is the text's byte g * STRIDE + i.
    let spread: [u8; 64] = std::array::from_fn(|byte| (byte / 8 * STRIDE + byte % 8) as u8);
    let steps: [u32; LANES] = std::array::from_fn(|lane| (lane * STRIDE) as u32);
    // SAFETY: both arrays are as long as what is loaded.
    let (spread, steps) =
        unsafe { (_mm512_loadu_si512(spread.as_ptr().cast()), _mm256_loadu_si256(steps.as_ptr().cast())) };
    let mut at = from;
    let mut count = places.count;
    while at + LANES * STRIDE <= to {
        let (Some(bytes), Some(room)) =
            (text.get(at..).and_then(|text| text.first_chunk::<64>()), places.all.get_mut(count..count + LANES))
        else {
            break;
        };
        // SAFETY: 64 bytes are there.
        let bytes = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
        let grams = _mm512_or_si512(_mm512_permutexvar_epi8(spread, bytes), fold);
        let hash = _mm512_mullo_epi64(grams, multiplier);
        let mut words = [0u64; LANES];
        // SAFETY: the array is as long as what is stored.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), _mm512_srli_epi64::<{ 64 - BITMAP_BITS + 6 }>(hash)) };
        // Eight loads are faster than one instruction that gathers them.
        let look = |lane: usize| bitmap[words[lane] as usize % bitmap.len()] as i64;
        let bits = _mm512_setr_epi64(look(0), look(1), look(2), look(3), look(4), look(5), look(6), look(7));
        let first = _mm512_and_si512(_mm512_srli_epi64::<{ 64 - BITMAP_BITS }>(hash), low);
        let second = _mm512_and_si512(_mm512_srli_epi64::<{ 64 - BITMAP_BITS - 6 }>(hash), low);
        let both = _mm512_and_si512(_mm512_srlv_epi64(bits, first), _mm512_srlv_epi64(bits, second));
        let hits = _mm512_test_epi64_mask(both, one);
        let here = _mm256_add_epi32(steps, _mm256_set1_epi32(at as i32));
        // SAFETY: there is room for eight places.
        unsafe { _mm256_storeu_si256(room.as_mut_ptr().cast(), _mm256_maskz_compress_epi32(hits, here)) };
        count += hits.count_ones() as usize;
        at += LANES * STRIDE;
    }
    places.count = count;
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::prefilter::grams::{gram_at, hash};

    #[test]
    fn tells_what_a_look_at_each_gram_tells() {
        let text: Vec<u8> =
            (0..20_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8 % 23 + b'a').collect();
        let mut bitmap = Box::new([0u64; 1 << (BITMAP_BITS - 6)]);
        for at in (0..15_000).step_by(37) {
            let hash = hash(gram_at(&text, at, 6), 6);
            bitmap[word_of(hash)] |= 1 << first_bit(hash) | 1 << second_bit(hash);
        }
        let is_known = |at: usize| {
            let hash = hash(gram_at(&text, at, 6), 6);
            let bits = bitmap[word_of(hash)];
            bits >> first_bit(hash) & bits >> second_bit(hash) & 1 == 1
        };
        for sampler in [Sampler::Portable, Sampler::best()] {
            for (from, to) in [(0, text.len()), (5, 6), (7, 7), (3, 61), (100, 13_001), (19_900, 20_000)] {
                let mut all = Vec::new();
                let mut places = Places::new();
                let mut at = from;
                while at < to {
                    at = sampler.next::<6, 6>(&bitmap, &text, at, to, &mut places);
                    all.extend_from_slice(places.found());
                }
                // A gram that the text's end cuts is not compared: what is beyond it counts as nothing.
                let expected: Vec<u32> = (from..to)
                    .step_by(6)
                    .filter(|at| at + 8 <= text.len() && is_known(*at))
                    .map(|at| at as u32)
                    .collect();
                all.retain(|at| *at as usize + 8 <= text.len());
                assert_eq!(all, expected, "{sampler:?} {from} {to}");
                let looked_at = (to - from).div_ceil(6);
                assert!(looked_at < 1000 || (looked_at / 100..looked_at).contains(&expected.len()), "{from} {to}");
            }
        }
    }
}
