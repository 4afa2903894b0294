//! Where in a text a line has to be looked at closely: one pass over the bytes, in which every three of them are looked up in
//! a bitmap that nearly always says no, and a close look at the few places that remain. What this passes over has no secret
//! that [`super::stream`] would find in the line.

use super::csv::Table;
use super::message::Message;
use super::value::{self, After};
#[cfg(target_arch = "x86_64")]
use super::wide;
use super::{encoded, names, shapes, state};

const BITMAP_BITS: u32 = 16;
const SLOT_BITS: u32 = 11;
const HASH: u32 = 0x9e37_79b1;
/// Sets the bit by which ASCII letters differ in case.
const FOLD: u32 = 0x0020_2020;
const GRAM: u32 = 0x00ff_ffff;
/// Texts at once, so that one branch decides about four places.
const LANES: usize = 4;

/// What a text that was met has to be to make its line worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Always, in either case of its letters.
    Any,
    /// As it is written, and not in the middle of a word.
    Word,
    /// As it is written.
    Exact,
    /// A part of a name, when a secret follows it.
    Name,
    /// `://`, with a password behind it.
    Url,
    /// The scheme of a header, with a credential behind it.
    Header,
    /// The end of a name that Secrets have their data under.
    Data,
    /// A flag that takes a user with a password.
    User,
}

struct Mark {
    /// Lower case where the case does not matter.
    text: &'static [u8],
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    gram: u32,
    from: u16,
    to: u16,
}

pub(super) struct Marks {
    marks: Vec<Mark>,
    bitmap: Box<[u64; 1 << (BITMAP_BITS - 6)]>,
    /// Open addressing; an empty slot has no uses.
    slots: Box<[Slot; 1 << SLOT_BITS]>,
    /// Mark, and the gram's place in it.
    uses: Vec<(u16, u16)>,
    #[cfg(target_arch = "x86_64")]
    wide: Option<wide::Grams>,
}

/// The line around a place.
struct Lines<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
    message: Option<Message<'t>>,
}

impl<'t> Lines<'t> {
    fn around(&mut self, at: usize) -> (&'t [u8], usize) {
        if at < self.start || at >= self.end {
            self.start = self.text.get(..at).and_then(|text| memchr::memrchr(b'\n', text)).map_or(0, |at| at + 1);
            let rest = self.text.get(at..).unwrap_or_default();
            self.end = at + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.message = None;
        }
        (self.text.get(self.start..self.end).unwrap_or_default(), self.start)
    }

    /// Whether the line, or its message behind a head, is worth a look; each is given with the place in it.
    fn any(&mut self, at: usize, is_worth: impl Fn(&[u8], usize) -> bool) -> bool {
        let (line, from) = self.around(at);
        if is_worth(line, at - from) {
            return true;
        }
        let message = self.message.get_or_insert_with(|| Message::of(line));
        !message.is_line && message.find(at - from).is_some_and(|at| is_worth(&message.text, at))
    }
}

impl Marks {
    pub fn new() -> Marks {
        let words = names::WORDS.iter().map(|text| Mark { text: text.as_bytes(), kind: Kind::Name });
        let shapes = shapes::MARKS.iter().map(|(text, kind)| Mark { text: text.as_bytes(), kind: *kind });
        let others = [
            ("private key", Kind::Any),
            (",\"system:", Kind::Any),
            ("data:", Kind::Data),
            ("data\":", Kind::Data),
            ("data\\\":", Kind::Data),
            ("data\" :", Kind::Data),
        ];
        let others = others.into_iter().map(|(text, kind)| Mark { text: text.as_bytes(), kind });
        let marks: Vec<Mark> = words.chain(shapes).chain(others).filter(|mark| mark.text.len() >= 3).collect();
        let mut grams: Vec<(u32, u16, u16)> = Vec::with_capacity(marks.len());
        for (index, mark) in marks.iter().enumerate() {
            // The rarest three bytes of it in ordinary logs.
            let rarity = |at: &usize| crate::logs::occurrences(mark.text.get(*at..at + 3).unwrap_or_default());
            let at = (0..=mark.text.len() - 3).min_by_key(rarity).unwrap_or(0);
            grams.push((gram_at(mark.text, at), index as u16, at as u16));
        }
        grams.sort_unstable();
        let mut made = Marks {
            marks,
            bitmap: Box::new([0; 1 << (BITMAP_BITS - 6)]),
            slots: Box::new([Slot::default(); 1 << SLOT_BITS]),
            uses: Vec::with_capacity(grams.len()),
            #[cfg(target_arch = "x86_64")]
            wide: wide::Wide::of_this_processor()
                .map(|wide| wide::Grams::new(grams.iter().map(|(gram, ..)| *gram).collect(), wide)),
        };
        for group in grams.chunk_by(|a, b| a.0 == b.0) {
            let Some((gram, ..)) = group.first().copied() else { continue };
            let from = made.uses.len() as u16;
            made.uses.extend(group.iter().map(|(_, mark, at)| (*mark, *at)));
            let hash = gram.wrapping_mul(HASH);
            let bit = hash >> (32 - BITMAP_BITS);
            if let Some(word) = made.bitmap.get_mut((bit >> 6) as usize) {
                *word |= 1 << (bit & 63);
            }
            let mut at = (hash >> (32 - SLOT_BITS)) as usize;
            while made.slots.get(at).is_some_and(|slot| slot.to != 0) {
                at = (at + 1) % made.slots.len();
            }
            if let Some(slot) = made.slots.get_mut(at) {
                *slot = Slot { gram, from, to: made.uses.len() as u16 };
            }
        }
        made
    }

    /// Appends places of which the lines have to be looked at, at least one for each such line, in no order.
    pub fn find(&self, text: &[u8], places: &mut Vec<usize>) {
        let mut lines = Lines { text, start: 0, end: 0, message: None };
        // What needs a line's end before it has none here.
        if text.starts_with(b"-u") {
            places.push(0);
        }
        // The end of a line that is looked at anyway.
        let mut known = 0;
        let bitmap = &*self.bitmap;
        let is_known = |gram: u32| -> u64 {
            let bit = gram.wrapping_mul(HASH) >> (32 - BITMAP_BITS);
            bitmap.get((bit >> 6) as usize).map_or(0, |word| word >> (bit & 63) & 1)
        };
        let mut at = 0;
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = &self.wide {
            at = wide.find(text, |at| {
                let gram = gram_at(text, at);
                if at >= known && is_known(gram) != 0 {
                    known = known.max(self.look_up(&mut lines, at, gram, places));
                }
            });
        }
        while let Some(Ok(bytes)) = text.get(at..at + 8).map(<[u8; 8]>::try_from) {
            let word = u64::from_le_bytes(bytes);
            let gram = |lane: usize| ((word >> (8 * lane)) as u32 | FOLD) & GRAM;
            let grams: [u32; LANES] = std::array::from_fn(gram);
            let met = grams.map(is_known);
            if met.iter().fold(0, |all, one| all | one) != 0 {
                for (lane, gram) in grams.into_iter().enumerate() {
                    if met.get(lane).is_some_and(|met| *met != 0) && at + lane >= known {
                        known = known.max(self.look_up(&mut lines, at + lane, gram, places));
                    }
                }
            }
            at += LANES;
        }
        while at + 3 <= text.len() {
            let gram = gram_at(text, at);
            if is_known(gram) != 0 && at >= known {
                known = known.max(self.look_up(&mut lines, at, gram, places));
            }
            at += 1;
        }
    }

    /// Looks at a place with a gram of a mark. Gives the end of its line when it is worth a look, else 0.
    #[cold]
    #[inline(never)]
    fn look_up(&self, lines: &mut Lines<'_>, at: usize, gram: u32, places: &mut Vec<usize>) -> usize {
        let mut slot = (gram.wrapping_mul(HASH) >> (32 - SLOT_BITS)) as usize;
        while let Some(known) = self.slots.get(slot).filter(|slot| slot.to != 0) {
            if known.gram == gram {
                let uses = self.uses.get(known.from.into()..known.to.into()).unwrap_or_default();
                for (mark, offset) in uses {
                    let Some(mark) = self.marks.get(usize::from(*mark)) else { continue };
                    let Some(start) = at.checked_sub((*offset).into()) else { continue };
                    let stands = lines.text.get(start..start + mark.text.len());
                    if stands.is_some_and(|text| text.eq_ignore_ascii_case(mark.text)) && is_worth(mark, lines, start) {
                        // A line's end may belong to the mark.
                        let start = start + usize::from(mark.text.starts_with(b"\n"));
                        places.push(start);
                        lines.around(start);
                        return lines.end;
                    }
                }
                return 0;
            }
            slot = (slot + 1) % self.slots.len();
        }
        0
    }
}

fn gram_at(text: &[u8], at: usize) -> u32 {
    let byte = |index: usize| u32::from(text.get(at + index).copied().unwrap_or_default());
    (byte(0) | byte(1) << 8 | byte(2) << 16) | FOLD
}

/// Whether the text at `start`, which is the mark in some case, makes its line worth a look.
fn is_worth(mark: &Mark, lines: &mut Lines<'_>, start: usize) -> bool {
    let text = lines.text;
    let end = start + mark.text.len();
    let is_exact = || text.get(start..end) == Some(mark.text);
    match mark.kind {
        Kind::Any => true,
        Kind::Exact => is_exact(),
        Kind::Word => {
            let before = start.checked_sub(1).and_then(|at| text.get(at));
            is_exact() && !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        }
        Kind::Header => {
            let rest = text.get(end..).unwrap_or_default();
            let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 11 | 12)).count();
            let value = rest.get(spaces..).unwrap_or_default();
            let is_value = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/_~.-".contains(byte);
            let length = value.iter().take_while(is_value).count();
            let is_word = || value.iter().take(length).all(|byte| byte.is_ascii_lowercase() || b".-_".contains(byte));
            spaces > 0 && length >= 12 && !(is_word() && value.get(length) != Some(&b'='))
        }
        Kind::Url => lines.any(start, |line, at| {
            let mut hits = Vec::new();
            shapes::url(line, at, &mut hits);
            !hits.is_empty()
        }),
        Kind::User => {
            let rest = text.get(end..).unwrap_or_default();
            let rest = rest.get(..rest.len().min(80)).unwrap_or_default();
            rest.iter().find(|byte| b":/\n".contains(byte)) == Some(&b':')
        }
        Kind::Data => lines.any(start, |line, _| state::opens_data(line)),
        Kind::Name => lines.any(start, is_name_of_secret),
    }
}

/// Whether the name around `word` is a secret's, and its value follows or may follow.
fn is_name_of_secret(line: &[u8], word: usize) -> bool {
    let (start, end) = value::name_around(line, word);
    let next = line.get(end).copied().unwrap_or(b'\n');
    // `secret/default`, `token(`: nothing follows such a name, unless it is a flag.
    let ends = next.is_ascii_whitespace() || b"\"'\\,;:=}\0".contains(&next);
    if !ends && line.get(start) != Some(&b'-') {
        return false;
    }
    let mut hits = Vec::new();
    let (_, after) = value::find(line, word, &mut hits);
    if !hits.is_empty() || after != After::Nothing {
        return true;
    }
    // What follows a name that is a value itself, or heads a column.
    if !(next.is_ascii_whitespace() || b"\"'\\,;}".contains(&next)) {
        return false;
    }
    let name = line.get(start..end).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
    (names::is_secret(name) || name == "SecretList")
        && (is_value_of_name(line, start) || Table::default().would_learn(line))
}

/// Whether `name: `, `"key": "` or the like stands right before the place.
fn is_value_of_name(line: &[u8], start: usize) -> bool {
    let before = line.get(..start).unwrap_or_default();
    let Some(colon) = before.iter().rposition(|byte| !(byte.is_ascii_whitespace() || b"\\\"'".contains(byte))) else {
        return false;
    };
    let key = before.get(..colon).unwrap_or_default();
    let key = key.get(
        ..key.iter().rposition(|byte| !(byte.is_ascii_whitespace() || b"\\\"'".contains(byte))).map_or(0, |at| at + 1),
    );
    let key = key.unwrap_or_default();
    before.get(colon) == Some(&b':')
        && ["name", "key", "label", "kind"].iter().any(|word| {
            key.len()
                .checked_sub(word.len())
                .and_then(|at| key.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
        })
}

/// Appends places of encoded text that is secret, and of bootstrap tokens.
pub(super) fn find_runs(text: &[u8], policy: super::Policy, depth: usize, places: &mut Vec<usize>) {
    let mut runs = Vec::new();
    let mut dots = Vec::new();
    first_look(text, &mut runs, &mut dots);
    for run in runs {
        // What is encoded ends with its line.
        let rest = text.get(run..).unwrap_or_default();
        let end = rest.iter().position(|byte| !encoded::is_base64(*byte) && *byte != b'=').unwrap_or(rest.len());
        let mut hits = Vec::new();
        let found = encoded::find(rest.get(..end).unwrap_or_default(), policy, depth, &mut hits);
        if found.unfinished || !hits.is_empty() {
            places.push(run);
        }
    }
    places.extend(dots.into_iter().filter(|at| may_be_token(text, *at)));
}

/// Where runs that may be encoded text begin, and dots that may be a bootstrap token's.
fn first_look(text: &[u8], runs: &mut Vec<usize>, dots: &mut Vec<usize>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(wide) = wide::Wide::of_this_processor() {
        return wide::runs(
            wide,
            text,
            |at| runs.extend(encoded::is_promising_at(text, at).then_some(at)),
            |at| dots.push(at),
        );
    }
    encoded::places(text, runs);
    dots.extend(memchr::memchr_iter(b'.', text));
}

/// Whether a bootstrap token's dot may stand here: the ends of its halves first, which seldom fit.
fn may_be_token(text: &[u8], dot: usize) -> bool {
    let small = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_small = |at: usize| text.get(at).is_some_and(small);
    let all = |from: usize, to: usize| text.get(from..to).is_some_and(|half| half.iter().all(small));
    dot >= 6
        && is_small(dot - 6)
        && is_small(dot + 16)
        && is_small(dot + 8)
        && all(dot + 1, dot + 17)
        && all(dot - 6, dot)
}
