//! The first look at a text, 64 bytes at a time, on processors that look up 64 bytes in a table at once (AVX-512 VBMI). It
//! tells what the loops in [`super::marks`] and [`super::encoded`] tell, and is not there on other processors.

use std::arch::x86_64::*;

/// Groups of grams, a bit each.
const GROUPS: usize = 16;
/// A byte's class, as bits.
const BASE64: u8 = 1;
const SMALL: u8 = 2;
const DOT: u8 = 4;

/// That this processor can: there is none unless it was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wide(());

impl Wide {
    pub fn of_this_processor() -> Option<Wide> {
        let can = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi");
        can.then_some(Wide(()))
    }
}

/// By the place in a gram and by its byte (of seven bits): the groups that have a gram with that byte there.
pub(super) struct Grams {
    tables: [[[u8; 128]; 3]; GROUPS / 8],
    _wide: Wide,
}

impl Grams {
    /// Of grams of three bytes, the first one lowest, with the bit set by which letters differ in case.
    pub fn new(mut grams: Vec<u32>, wide: Wide) -> Grams {
        grams.sort_unstable_by_key(|gram| gram.to_le_bytes());
        grams.dedup();
        let mut tables = [[[0u8; 128]; 3]; GROUPS / 8];
        // Grams that begin alike share a group, so that few bytes begin one of a group.
        for (group, grams) in grams.chunks(grams.len().div_ceil(GROUPS).max(1)).enumerate() {
            for gram in grams {
                for (place, byte) in gram.to_le_bytes().into_iter().take(3).enumerate() {
                    for text in 0..128u8 {
                        if text | 0x20 == byte & 0x7f {
                            tables[group / 8][place][usize::from(text)] |= 1 << (group % 8);
                        }
                    }
                }
            }
        }
        Grams { tables, _wide: wide }
    }

    /// Tells the places where a gram may begin, in their order, of all but the last bytes, and where those begin.
    pub fn find(&self, text: &[u8], mut each: impl FnMut(usize)) -> usize {
        let mut at = 0;
        let mut masks = [0u64; 32];
        while at + 66 <= text.len() {
            // SAFETY: it was made with a `Wide`, so this processor can.
            let next = unsafe { self.masks(text, at, &mut masks) };
            for (index, mask) in masks.into_iter().take((next - at) / 64).enumerate() {
                let mut mask = mask;
                while mask != 0 {
                    each(at + index * 64 + mask.trailing_zeros() as usize);
                    mask &= mask - 1;
                }
            }
            at = next;
        }
        at
    }

    /// For each 64 bytes from a place on, where grams may begin.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn masks(&self, text: &[u8], mut at: usize, masks: &mut [u64; 32]) -> usize {
        let tables = self.tables.each_ref().map(|group| group.each_ref().map(|bytes| table(bytes)));
        for mask in masks {
            let Some(bytes) = text.get(at..at + 66) else { break };
            let parts = [0, 1, 2].map(|place| load(bytes, place));
            let mut all = [_mm512_setzero_si512(); GROUPS / 8];
            for (all, tables) in all.iter_mut().zip(&tables) {
                let [first, second, third] = [0, 1, 2].map(|place: usize| look_up(&tables[place], parts[place]));
                *all = _mm512_and_si512(_mm512_and_si512(first, second), third);
            }
            let any = all.into_iter().fold(_mm512_setzero_si512(), |any, group| _mm512_or_si512(any, group));
            *mask = _mm512_test_epi8_mask(any, any);
            at += 64;
        }
        at
    }
}

/// Tells where runs of at least 20 bytes of base64 begin, and the dots that may be a bootstrap token's.
pub(super) fn runs(_: Wide, text: &[u8], mut run: impl FnMut(usize), mut dot: impl FnMut(usize)) {
    let mut masks = [Classes::default(); 33];
    let mut from = 0;
    // Whether the place before is within a run of 20 bytes that goes on for 20.
    let mut before = 0;
    while from < text.len() {
        // One more than is looked at, for what goes on in it.
        for (index, mask) in masks.iter_mut().enumerate() {
            let bytes = text.get(from + index * 64..).unwrap_or_default();
            let mut last = [0u8; 64];
            let bytes = bytes.first_chunk::<64>().unwrap_or_else(|| {
                last[..bytes.len()].copy_from_slice(bytes);
                &last
            });
            // SAFETY: there is a `Wide`, so this processor can.
            *mask = unsafe { classes(bytes) };
        }
        for (index, pair) in masks.windows(2).enumerate() {
            let [this, next] = pair else { continue };
            let at = from + index * 64;
            let long = longer(both(this.base64, next.base64), 20) as u64;
            let mut starts = long & !(long << 1 | before);
            before = long >> 63;
            while starts != 0 {
                run(at + starts.trailing_zeros() as usize);
                starts &= starts - 1;
            }
            if this.dots != 0 {
                let mut dots = this.dots & (longer(both(this.small, next.small), 16) >> 1) as u64;
                while dots != 0 {
                    dot(at + dots.trailing_zeros() as usize);
                    dots &= dots - 1;
                }
            }
        }
        from += 32 * 64;
    }
}

/// Where bytes of a class are.
#[derive(Debug, Clone, Copy, Default)]
struct Classes {
    base64: u64,
    small: u64,
    dots: u64,
}

const CLASSES: [u8; 128] = {
    let mut classes = [0; 128];
    let mut byte = 0u8;
    while byte < 128 {
        let is_small = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_base64 = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
        classes[byte as usize] =
            if is_small { SMALL } else { 0 } | if is_base64 { BASE64 } else { 0 } | if byte == b'.' { DOT } else { 0 };
        byte += 1;
    }
    classes
};

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn classes(bytes: &[u8; 64]) -> Classes {
    let bytes = load(bytes, 0);
    let ascii = !_mm512_movepi8_mask(bytes);
    let found = look_up(&table(&CLASSES), bytes);
    let mask = |class: u8| _mm512_mask_test_epi8_mask(ascii, found, _mm512_set1_epi8(class as i8));
    Classes { base64: mask(BASE64), small: mask(SMALL), dots: mask(DOT) }
}

fn both(this: u64, next: u64) -> u128 {
    u128::from(this) | u128::from(next) << 64
}

/// Where runs of so many set bits begin, or go on for so many.
fn longer(bits: u128, length: u32) -> u128 {
    let (mut all, mut known) = (bits, 1);
    while known < length {
        let more = known.min(length - known);
        all &= all >> more;
        known += more;
    }
    all
}

type Table = [__m512i; 2];

#[target_feature(enable = "avx512f")]
#[inline]
fn table(bytes: &[u8; 128]) -> Table {
    [load(bytes, 0), load(bytes, 64)]
}

/// 64 bytes from a place on.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8], at: usize) -> __m512i {
    let bytes = &bytes[at..at + 64];
    // SAFETY: 64 bytes are there.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// What the table says of the low seven bits of each byte.
#[target_feature(enable = "avx512f,avx512vbmi")]
#[inline]
fn look_up(table: &Table, bytes: __m512i) -> __m512i {
    _mm512_permutex2var_epi8(table[0], bytes, table[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same each time, and with all that matters in it.
    fn text(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                b"abcdefghijklmnop0123456789QRSTUVWXYZ+/-_abcdefghijklmnop0123456789.\xc3 "[(state >> 33) as usize % 69]
            })
            .collect()
    }

    #[test]
    fn tells_runs_and_dots() {
        let Some(wide) = Wide::of_this_processor() else {
            eprintln!("skipped: this processor has no AVX-512 VBMI");
            return;
        };
        let all = text(40_000);
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let is_small = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        for length in [0, 1, 19, 20, 21, 63, 64, 65, 128, 2047, 2048, 2049, 2112, 5000, 40_000] {
            let text = &all[..length];
            let (mut starts, mut dots) = (Vec::new(), Vec::new());
            runs(wide, text, |at| starts.push(at), |at| dots.push(at));
            let expected: Vec<usize> = (0..length)
                .filter(|at| *at == 0 || !is_base64(&text[at - 1]))
                .filter(|at| text[*at..].iter().take_while(|byte| is_base64(byte)).count() >= 20)
                .collect();
            assert_eq!(starts, expected, "{length}");
            let tokens = (0..length).filter(|at| {
                text[*at] == b'.' && text[at + 1..].iter().take_while(|byte| is_small(byte)).count() >= 16
            });
            for token in tokens {
                assert!(dots.contains(&token), "{token} of {length}");
            }
            assert!(dots.iter().all(|at| text[*at] == b'.'));
            assert!(length < 40_000 || starts.len() > 100 && dots.len() < 300, "{} {}", starts.len(), dots.len());
        }
    }

    #[test]
    fn tells_where_grams_may_be() {
        let Some(wide) = Wide::of_this_processor() else {
            eprintln!("skipped: this processor has no AVX-512 VBMI");
            return;
        };
        let grams =
            [*b"abc", *b"n0-", *b"k  ", *b"://", *b"w.x"].map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]) | 0x20_2020);
        let known = Grams::new(grams.to_vec(), wide);
        let all = text(10_000);
        for length in [0, 65, 66, 67, 130, 2114, 10_000] {
            let text = &all[..length];
            let mut places = Vec::new();
            let end = known.find(text, |at| places.push(at));
            assert!(end + 66 > length && end <= length);
            for (at, three) in text.windows(3).enumerate().take(end) {
                let gram = u32::from_le_bytes([three[0], three[1], three[2], 0]) | 0x20_2020;
                assert!(!grams.contains(&gram) || places.contains(&at), "{at} of {length}");
            }
            assert!(places.is_sorted() && places.len() <= length / 20);
        }
    }
}
