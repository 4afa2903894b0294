//! Which texts a match of a regex has to contain, worked out from its syntax tree.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use serde::{Deserialize, Serialize};

use super::background::COMMON;

/// Depth of groups in a pattern; deeper ones are refused.
pub(crate) const NEST_LIMIT: u32 = 50;
/// A piece of a pattern that stands for more texts than this is not followed further.
const MAX_TEXTS: usize = 16;
/// At most this many texts of which one is in each match.
const MAX_ALTERNATIVES: usize = 64;
const MAX_LENGTH: usize = 128;
/// Besides the required literals so many sets are told of which each match has one as well.
const MAX_ALSO: usize = 3;
/// Shorter texts are in most lines anyway.
const ALSO_LENGTH: usize = 4;
/// The search for shorter texts costs about as much as that for all others.
const CHEAP: usize = 11;
/// A repetition of nearly any byte that may be longer than this ends a gate.
const WIDE: u32 = 16;

/// A text that matches contain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Literal {
    /// In lower case (ASCII).
    pub bytes: Vec<u8>,
    /// The text as it is in every match, when its case is fixed.
    pub exact: Option<Vec<u8>>,
    /// Where it stands in what the gate matches; none when that varies.
    pub at: Option<u16>,
}

impl Literal {
    fn empty() -> Literal {
        Literal { bytes: Vec::new(), exact: Some(Vec::new()), at: Some(0) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parsed {
    /// Every match contains at least one of these; none when no such set is known.
    pub required: Option<Vec<Literal>>,
    /// The parts of the pattern from the one with the literal on, up to where anything may follow. A literal that is not
    /// at its place in a match of them is in no match of the pattern.
    pub gate: Option<Range<u32>>,
    /// Sets of texts, of each of which a match contains one too, in the case in which they are written here.
    pub also: Vec<Vec<Vec<u8>>>,
    /// Names of the named groups.
    pub groups: Vec<String>,
}

/// The literals of a pattern, the rarest set.
pub(crate) fn parse(pattern: &str) -> Result<Parsed, String> {
    let hir = syntax_tree(pattern)?;
    let mut groups = Vec::new();
    names(&hir, &mut groups);
    let mut parts = Vec::new();
    flatten(&hir, &mut parts);
    // Escaped is what stands within a line of another format; that does not begin the line.
    let escapes = if is_at_beginning(&parts) { Escapes::None } else { Escapes::Json };
    let (known, mut sets) = know_parts(&parts, escapes);
    if let Some(texts) = known.texts.and_then(|texts| usable(texts, escapes)) {
        sets.insert(0, Set { literals: texts, from: 0 });
    }
    let Some(best) = best(&sets) else { return Ok(Parsed { required: None, gate: None, also: Vec::new(), groups }) };
    let also = sets.iter().enumerate().filter(|(index, _)| *index != best).filter_map(|(_, set)| also(set));
    let mut also: Vec<Vec<Vec<u8>>> = also.collect();
    also.sort_by_key(|texts| std::cmp::Reverse(texts.iter().map(|text| rarity(text)).min()));
    also.truncate(MAX_ALSO);
    let Set { mut literals, from } = sets.swap_remove(best);
    literals.sort();
    literals.dedup();
    let gate = literals.iter().all(|literal| literal.at.is_some()).then(|| {
        let rest = parts.get(from..).unwrap_or_default();
        let length = rest.iter().position(|part| is_wide(part)).unwrap_or(rest.len());
        from as u32..(from + length) as u32
    });
    Ok(Parsed { required: Some(literals), gate: gate.filter(|gate| !gate.is_empty()), also, groups })
}

/// What `gate` of [`Parsed`] says, as a syntax tree of its own.
pub(crate) fn gate(pattern: &str, range: &Range<u32>) -> Option<Hir> {
    let hir = syntax_tree(pattern).ok()?;
    let mut parts = Vec::new();
    flatten(&hir, &mut parts);
    Some(Hir::concat(parts.get(range.start as usize..range.end as usize)?.iter().copied().cloned().collect()))
}

fn syntax_tree(pattern: &str) -> Result<Hir, String> {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).nest_limit(NEST_LIMIT).build();
    parser.parse(pattern).map_err(|error| error.to_string())
}

/// What follows each other in a pattern, groups opened.
fn flatten<'h>(hir: &'h Hir, parts: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Concat(all) => all.iter().for_each(|part| flatten(part, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        _ => parts.push(hir),
    }
}

/// Names of the named groups in their order.
fn names(hir: &Hir, groups: &mut Vec<String>) {
    match hir.kind() {
        HirKind::Capture(capture) => {
            groups.extend(capture.name.as_deref().map(str::to_owned));
            names(&capture.sub, groups);
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().for_each(|part| names(part, groups)),
        HirKind::Repetition(repetition) => names(&repetition.sub, groups),
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => {}
    }
}

/// Whether matches begin where the line does, and not with what begins a line of JSON.
fn is_at_beginning(parts: &[&Hir]) -> bool {
    matches!(parts.first().map(|part| part.kind()), Some(HirKind::Look(Look::Start)))
        && !matches!(parts.get(1).map(|part| part.kind()), Some(HirKind::Literal(text)) if text.0.starts_with(b"{"))
}

/// Bytes that can stand in a line otherwise than in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    /// What JSON and logrus escape.
    Json,
}

/// Whether a part matches long texts of nearly any bytes.
fn is_wide(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_wide(&capture.sub),
        HirKind::Repetition(repetition) => {
            let is_long = repetition.max.is_none_or(|max| max > WIDE);
            let is_any = match repetition.sub.kind() {
                HirKind::Class(Class::Bytes(class)) => {
                    class.ranges().iter().map(|range| range.len()).sum::<usize>() > 224
                }
                _ => false,
            };
            is_long && is_any
        }
        _ => false,
    }
}

/// The texts of a set as they are written in every match, when each has some.
fn also(set: &Set) -> Option<Vec<Vec<u8>>> {
    let mut texts = Vec::with_capacity(set.literals.len());
    for literal in &set.literals {
        texts.push(literal.exact.clone().filter(|text| text.len() >= ALSO_LENGTH)?);
    }
    texts.sort();
    texts.dedup();
    Some(texts)
}

/// Texts of which each match has one, and the part of the pattern that their places count from.
struct Set {
    literals: Vec<Literal>,
    from: usize,
}

/// What is known of the matches of a part.
struct Known {
    /// All texts that the part matches.
    texts: Option<Vec<Literal>>,
    /// Texts of which each match has one.
    best: Option<Vec<Literal>>,
}

impl Known {
    fn nothing() -> Known {
        Known { texts: None, best: None }
    }

    fn empty() -> Known {
        Known { texts: Some(vec![Literal::empty()]), best: None }
    }

    fn settle(self, escapes: Escapes) -> Option<Vec<Literal>> {
        better(self.texts.and_then(|texts| usable(texts, escapes)), self.best)
    }
}

fn know(hir: &Hir, escapes: Escapes) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::empty(),
        HirKind::Literal(literal) => {
            let bytes = literal.0.to_ascii_lowercase();
            Known { texts: Some(vec![Literal { bytes, exact: Some(literal.0.to_vec()), at: Some(0) }]), best: None }
        }
        HirKind::Class(class) => Known { texts: class_texts(class), best: None },
        HirKind::Capture(capture) => know(&capture.sub, escapes),
        HirKind::Repetition(repetition) => {
            let sub = know(&repetition.sub, escapes);
            if let (Some(texts), Some(max)) = (&sub.texts, repetition.max)
                && let Some(texts) = repeated(texts, repetition.min, max)
            {
                return Known { texts: Some(texts), best: None };
            }
            match repetition.min {
                0 => Known::nothing(),
                _ => Known { texts: None, best: sub.settle(escapes).map(anywhere) },
            }
        }
        HirKind::Concat(parts) => {
            let (known, mut sets) = know_parts(&parts.iter().collect::<Vec<_>>(), escapes);
            let best = best(&sets).map(|index| sets.swap_remove(index));
            let best = best.map(|set| if set.from == 0 { set.literals } else { anywhere(set.literals) });
            Known { texts: known.texts, best }
        }
        HirKind::Alternation(parts) => {
            let parts: Vec<Known> = parts.iter().map(|part| know(part, escapes)).collect();
            if parts.iter().all(|part| part.texts.is_some()) {
                let texts: Vec<Literal> = parts.iter().filter_map(|part| part.texts.clone()).flatten().collect();
                if texts.len() <= MAX_TEXTS {
                    return Known { texts: Some(texts), best: None };
                }
            }
            let mut best = Vec::new();
            for part in parts {
                match part.settle(escapes) {
                    Some(texts) if best.len() + texts.len() <= MAX_ALTERNATIVES => best.extend(texts),
                    _ => return Known::nothing(),
                }
            }
            Known { texts: None, best: Some(best) }
        }
    }
}

/// All texts of a repetition, when there are few.
fn repeated(texts: &[Literal], min: u32, max: u32) -> Option<Vec<Literal>> {
    let mut all = Vec::new();
    let mut run = vec![Literal::empty()];
    for count in 0..=max {
        if count > 0 {
            if run.len() * texts.len() > MAX_TEXTS {
                return None;
            }
            run = product(&run, texts);
        }
        if count >= min {
            all.extend(run.iter().cloned());
        }
        if all.len() > MAX_TEXTS || run.iter().any(|text| text.bytes.len() > MAX_LENGTH) {
            return None;
        }
    }
    Some(all)
}

/// Of parts that follow each other: all texts when there are few, and each set of which a match has one.
fn know_parts(parts: &[&Hir], escapes: Escapes) -> (Known, Vec<Set>) {
    let nothing = || vec![Literal::empty()];
    let (mut run, mut run_from) = (nothing(), 0);
    let mut sets: Vec<Set> = Vec::new();
    let mut add = |literals: Option<Vec<Literal>>, from: usize| {
        sets.extend(literals.map(|literals| Set { literals, from }));
    };
    let mut whole = true;
    for (index, part) in parts.iter().enumerate() {
        let part = know(part, escapes);
        add(part.best, index);
        match part.texts {
            Some(texts) if run.len() * texts.len() <= MAX_TEXTS => run = product(&run, &texts),
            texts => {
                whole = false;
                add(usable(run, escapes), run_from);
                run_from = if texts.is_some() { index } else { index + 1 };
                run = texts.unwrap_or_else(nothing);
            }
        }
        if run.iter().any(|text| text.bytes.len() > MAX_LENGTH) {
            whole = false;
            add(usable(std::mem::replace(&mut run, nothing()), escapes), run_from);
            run_from = index + 1;
        }
    }
    if whole {
        (Known { texts: Some(run), best: None }, sets)
    } else {
        add(usable(run, escapes), run_from);
        (Known::nothing(), sets)
    }
}

/// The set whose least rare member is rarest; the first of equals.
fn best(sets: &[Set]) -> Option<usize> {
    let worst = |set: &Set| set.literals.iter().map(|literal| rarity(&literal.bytes)).min().unwrap_or(0);
    (0..sets.len()).min_by_key(|index| (std::cmp::Reverse(worst(&sets[*index])), *index))
}

/// The same where its place is not known.
fn anywhere(mut literals: Vec<Literal>) -> Vec<Literal> {
    literals.iter_mut().for_each(|literal| literal.at = None);
    literals
}

/// A class of a few characters: `[Ee]` is `e` in either case.
fn class_texts(class: &Class) -> Option<Vec<Literal>> {
    let mut bytes = Vec::new();
    match class {
        Class::Bytes(class) => {
            for range in class.ranges() {
                bytes.extend(range.start()..=range.end());
                if bytes.len() > 8 {
                    return None;
                }
            }
        }
        Class::Unicode(class) => {
            for range in class.ranges() {
                if !range.end().is_ascii() {
                    return None;
                }
                bytes.extend(range.start() as u8..=range.end() as u8);
                if bytes.len() > 8 {
                    return None;
                }
            }
        }
    }
    let mut texts: Vec<Literal> = Vec::new();
    for byte in bytes {
        let lower = vec![byte.to_ascii_lowercase()];
        match texts.iter_mut().find(|known| known.bytes == lower) {
            Some(known) => known.exact = None,
            None => texts.push(Literal { bytes: lower, exact: Some(vec![byte]), at: Some(0) }),
        }
    }
    (!texts.is_empty() && texts.len() <= 4).then_some(texts)
}

fn product(left: &[Literal], right: &[Literal]) -> Vec<Literal> {
    let join = |a: &[u8], b: &[u8]| [a, b].concat();
    let mut all = Vec::with_capacity(left.len() * right.len());
    for a in left {
        for b in right {
            let exact = match (&a.exact, &b.exact) {
                (Some(x), Some(y)) => Some(join(x, y)),
                _ => None,
            };
            all.push(Literal { bytes: join(&a.bytes, &b.bytes), exact, at: Some(0) });
        }
    }
    all
}

/// The rarest piece of each text without the bytes that JSON and logrus escape, so that a literal is also found in a line
/// whose quotes are escaped.
fn usable(texts: Vec<Literal>, escapes: Escapes) -> Option<Vec<Literal>> {
    let mut pieces = Vec::with_capacity(texts.len());
    for text in texts {
        let mut best: Option<(u32, Literal)> = None;
        let mut start = 0;
        let escaped =
            |byte: &u8| escapes == Escapes::Json && matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0..=31);
        for piece in text.bytes.split(escaped) {
            let range = start..start + piece.len();
            start = range.end + 1;
            let rank = rarity(piece);
            if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                let at = u16::try_from(range.start).ok();
                let exact = text.exact.as_ref().and_then(|exact| exact.get(range)).map(<[u8]>::to_vec);
                best = Some((rank, Literal { bytes: piece.to_vec(), exact, at }));
            }
        }
        pieces.push(best?.1);
    }
    (!pieces.iter().any(|piece| piece.bytes.is_empty())).then_some(pieces)
}

/// The set whose least rare member is rarer.
fn better(left: Option<Vec<Literal>>, right: Option<Vec<Literal>>) -> Option<Vec<Literal>> {
    let worst = |set: &[Literal]| set.iter().map(|literal| rarity(&literal.bytes)).min().unwrap_or(0);
    match (left, right) {
        (Some(left), Some(right)) => Some(if worst(&right) > worst(&left) { right } else { left }),
        (left, right) => left.or(right),
    }
}

/// How rare a text is in logs, larger is rarer. Grows with the length, less what stands in nearly every log, and less what
/// shorter texts cost (`prefilter`).
pub(crate) fn rarity(text: &[u8]) -> u32 {
    static FINDERS: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| COMMON.iter().map(Finder::new).collect());
    let mut rank = (text.len() as u32).min(32) * 4;
    for common in FINDERS.iter().filter(|common| common.needle().len() <= text.len()) {
        if common.find(text).is_some() {
            rank = rank.saturating_sub(common.needle().len() as u32 * 3);
        }
    }
    if text.len() < CHEAP { rank / 4 } else { rank }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(pattern: &str) -> Option<Vec<String>> {
        let parsed = parse(pattern).unwrap();
        parsed.required.map(|set| set.iter().map(|literal| String::from_utf8_lossy(&literal.bytes).into()).collect())
    }

    #[test]
    fn finds_what_every_match_contains() {
        let cases: [(&str, Option<&[&str]>); 12] = [
            ("No Such Image", Some(&["no such image"])),
            (
                r"dial tcp \S+: bind: cannot assign requested address",
                Some(&[": bind: cannot assign requested address"]),
            ),
            (r"(?i)(kubelet) stopped", Some(&["kubelet stopped"])),
            (r"(read|write) timed out waiting", Some(&["read timed out waiting", "write timed out waiting"])),
            (r"colou?rful thing", Some(&["colorful thing", "colourful thing"])),
            (r"\d+", None),
            (r"(abcdefgh)*", None),
            (r"(abcdefgh)+", Some(&["abcdefgh"])),
            (r"(?:abcdefgh|.*)", None),
            (r#"msg="starting up quickly" pod="x""#, Some(&["starting up quickly"])),
            (r"x(?P<a>\d+)yyyyyyyyy|zzzzzzzzz", Some(&["yyyyyyyyy", "zzzzzzzzz"])),
            (r"^$", None),
        ];
        for (pattern, expected) in cases {
            let expected = expected.map(|set| set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            assert_eq!(required(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn keeps_the_case_where_it_is_fixed() {
        let parsed = parse("Image [Nn]ot found").unwrap().required.unwrap();
        assert_eq!(parsed[0].exact, None);
        let parsed = parse("Image Not found").unwrap().required.unwrap();
        assert_eq!(parsed[0].exact.as_deref(), Some(b"Image Not found".as_slice()));
    }

    #[test]
    fn names_groups() {
        assert_eq!(parse(r"address (?P<address>\S+) of (?<member>\w+)").unwrap().groups, ["address", "member"]);
    }
}
