//! What becomes of a log on its way into an issue, a chat or a mail, taken back: colours, HTML entities, typographic
//! quotes, and lines that a terminal or a form broke.
//!
//! Only a short text that is given alone is looked at. A line is changed when it then says something to a pattern that it
//! does not say as it stands, and lines are joined when the joined one does: what was understood stays as it was written.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};

use super::line;
use super::scan::Scanner;

/// Longer ones are logs, not what somebody pasted.
const BYTES: usize = 64 << 10;
const LINES: usize = 400;
/// Pieces that one line is broken into at most.
const PIECES: usize = 8;
/// A piece that goes on in the next line has at least so many characters.
const PIECE: usize = 45;
/// The widths of terminals and of what is recorded in them; others end in 0.
const WIDTHS: [usize; 6] = [72, 76, 79, 132, 158, 238];
/// HTML within HTML.
const ENTITY_DEPTH: usize = 3;
const ENTITIES: [(&str, &str); 12] = [
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&#x22;", "\""),
    ("&apos;", "'"),
    ("&#39;", "'"),
    ("&#x27;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", " "),
    ("&#x2F;", "/"),
    ("&#47;", "/"),
    ("&amp;", "&"),
];

/// The matchers that each line has.
type Said = Vec<BTreeSet<u32>>;

/// A reader of a log that is given alone: with its lines as their components wrote them when somebody pasted it, else as
/// it is. The number of lines stays.
pub fn open<'a>(scanner: &Scanner, mut log: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut begin = Vec::new();
    log.by_ref().take(BYTES as u64 + 1).read_to_end(&mut begin)?;
    if begin.len() > BYTES {
        return Ok(Box::new(Cursor::new(begin).chain(log)));
    }
    let mended = mend(scanner, &begin);
    Ok(Box::new(Cursor::new(mended.unwrap_or(begin))))
}

/// The text as it was before it was pasted; none when nothing is to be changed.
fn mend(scanner: &Scanner, text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
    let raw: Vec<&str> = text.lines().collect();
    if raw.len() > LINES {
        return None;
    }
    let mut lines: Vec<Cow<'_, str>> = raw.iter().map(|line| uncoloured(line)).collect();
    let mut said = said(scanner, &lines);
    for respell in [plain as fn(&str) -> String, spelled] {
        respelled(scanner, &mut lines, &mut said, respell);
    }
    join(scanner, &mut lines, &mut said);
    let is_changed = lines.iter().zip(&raw).any(|(line, raw)| line != raw);
    is_changed.then(|| [lines.join("\n").as_str(), "\n"].concat().into_bytes())
}

/// What each of the lines says.
fn said(scanner: &Scanner, lines: &[Cow<'_, str>]) -> Said {
    let mut said = vec![BTreeSet::new(); lines.len()];
    for (line, matcher) in scanner.match_lines(lines.join("\n").as_bytes()) {
        if let Some(said) = said.get_mut(line) {
            said.insert(matcher);
        }
    }
    said
}

/// Spells those lines otherwise that then say more.
fn respelled(scanner: &Scanner, lines: &mut [Cow<'_, str>], known: &mut Said, respell: fn(&str) -> String) {
    let others: Vec<Cow<'_, str>> = lines.iter().map(|line| Cow::Owned(respell(line))).collect();
    if others.iter().zip(&*lines).all(|(other, line)| other == line) {
        return;
    }
    let said = said(scanner, &others);
    for (((line, other), known), said) in lines.iter_mut().zip(others).zip(known).zip(said) {
        if said.len() > known.len() && known.is_subset(&said) {
            *line = Cow::Owned(other.into_owned());
            *known = said;
        }
    }
}

/// Joins lines that were one when together they say what none of them says.
fn join(scanner: &Scanner, lines: &mut [Cow<'_, str>], said_alone: &mut Said) {
    if lines.len() < 2 {
        return;
    }
    let goes_on: Vec<bool> = lines.iter().map(|line| is_continuation(line)).collect();
    for count in 2..=PIECES.min(lines.len()) {
        // Each place's joined line where there may be one, with what is between the pieces.
        let joined = |between: &str| -> Vec<Cow<'_, str>> {
            (0..lines.len())
                .map(|at| {
                    let pieces = lines.get(at..at + count).unwrap_or_default();
                    let is_one = goes_on.get(at + 1..at + count).is_some_and(|goes_on| goes_on.iter().all(|on| *on));
                    if is_one && fits(pieces) { Cow::Owned(one(pieces, between)) } else { Cow::Borrowed("") }
                })
                .collect()
        };
        let spellings = [joined(""), joined(" ")];
        if spellings.iter().flatten().all(|line| line.is_empty()) {
            continue;
        }
        let said = spellings.each_ref().map(|lines| said(scanner, lines));
        let mut chosen: Vec<(usize, String)> = Vec::new();
        let mut at = 0;
        while at + count <= lines.len() {
            let known: BTreeSet<u32> = said_alone[at..at + count].iter().flatten().copied().collect();
            // What a later beginning says as well does not need this one.
            let says_more = |said: &Said| {
                said[at].difference(&known).any(|matcher| !said.get(at + 1).is_some_and(|next| next.contains(matcher)))
            };
            let more = said.each_ref().map(says_more);
            let pick = match more {
                [false, false] => None,
                [true, true] => Some(usize::from(!is_cut_at_width(&lines[at..at + count]))),
                [first, _] => Some(usize::from(!first)),
            };
            let Some(pick) = pick else {
                at += 1;
                continue;
            };
            if let (Some(line), Some(said)) = (spellings.get(pick), said.get(pick)) {
                chosen.push((at, line[at].clone().into_owned()));
                said_alone[at] = said[at].clone();
                said_alone[at + 1..at + count].fill(BTreeSet::new());
            }
            at += count;
        }
        drop(spellings);
        for (mut at, mut line) in chosen {
            let end = at + count;
            // What is before them has the line's head.
            while at > 0 && goes_on[at] && fits(&lines[at - 1..end]) {
                at -= 1;
                let between = if is_cut_at_width(&lines[at..end]) { "" } else { " " };
                line = one(&[lines[at].clone(), Cow::Owned(line)], between);
                said_alone[at] = said_alone[at..end].iter().flatten().copied().collect();
                said_alone[at + 1..end].fill(BTreeSet::new());
            }
            lines[at] = Cow::Owned(line);
            lines[at + 1..end].fill(Cow::Borrowed(""));
        }
    }
}

/// Whether a line may be the rest of the one before it: it has no head of its own.
fn is_continuation(line: &str) -> bool {
    let trimmed = inner(line);
    let begins = |what: &[&str]| what.iter().any(|what| trimmed.starts_with(what));
    let parsed = line::parse(trimmed.as_bytes());
    !trimmed.is_empty()
        && parsed.time.is_none()
        && parsed.program.is_none()
        && !begins(&[
            "[ERROR ",
            "[WARNING ",
            "[preflight",
            "[kubelet",
            "level=",
            "time=",
            "{\"",
            "$ ",
            "# ",
            "● ",
            "- ",
            "* ",
        ])
        && !trimmed.starts_with("goroutine ")
}

/// Without what quotes or indents it.
fn inner(line: &str) -> &str {
    line.trim_start_matches([' ', '\t', '>', '|'])
}

/// Whether the lines may be pieces of one that was broken at one width.
fn fits(pieces: &[Cow<'_, str>]) -> bool {
    let Some((last, full)) = pieces.split_last() else { return false };
    let widths = full.iter().map(|piece| piece.chars().count());
    let (Some(widest), Some(narrowest)) = (widths.clone().max(), widths.min()) else { return false };
    narrowest >= PIECE && narrowest >= widest / 2 && last.chars().count() <= widest + PIECE / 2
}

/// Whether they were broken at a width, within words, rather than between words.
fn is_cut_at_width(pieces: &[Cow<'_, str>]) -> bool {
    let widths: BTreeSet<usize> = pieces.iter().rev().skip(1).map(|piece| piece.chars().count()).collect();
    match (widths.first(), pieces.len()) {
        (Some(width), 2) => width % 10 == 0 || WIDTHS.contains(width),
        _ => widths.len() == 1,
    }
}

fn one(pieces: &[Cow<'_, str>], between: &str) -> String {
    let mut line = String::new();
    for piece in pieces {
        if line.is_empty() {
            line.push_str(piece);
            continue;
        }
        if !between.is_empty() {
            line.truncate(line.trim_end().len());
            line.push_str(between);
        }
        line.push_str(inner(piece));
    }
    line
}

/// Without the codes of colours, also where the first character of them was lost or is written out, and without
/// characters that nobody sees.
fn uncoloured(line: &str) -> Cow<'_, str> {
    const ESCAPES: [&str; 7] = ["\u{1b}", "#033", "^[", "\\u001b", "\\x1b", "\\033", "\\e"];
    const UNSEEN: [char; 4] = ['\u{200b}', '\u{feff}', '\u{200e}', '\r'];
    let is_code = |text: &str| code(text).is_some();
    let may_be =
        line.contains(UNSEEN) || line.contains('\u{1b}') || line.match_indices('[').any(|(at, _)| is_code(&line[at..]));
    if !may_be {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let escape = ESCAPES.iter().find(|escape| rest.starts_with(**escape)).map_or(0, |escape| escape.len());
        if let Some(length) = code(&rest[escape..]) {
            rest = &rest[escape + length..];
            continue;
        }
        if !UNSEEN.contains(&first) && first != '\u{1b}' {
            plain.push(first);
        }
        rest = &rest[first.len_utf8()..];
    }
    Cow::Owned(plain)
}

/// The length of a colour's code, as `[1;31m`.
fn code(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let digits = inside.bytes().take(12).take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    let ends = matches!(inside.as_bytes().get(digits), Some(b'm' | b'K'));
    (ends && digits > 0 || inside.starts_with("m\u{1b}")).then_some(digits + 2)
}

/// Without HTML's entities, typographic quotes and spaces that are not a space.
fn plain(line: &str) -> String {
    let mut plain: String = line
        .chars()
        .map(|char| match char {
            '“' | '”' | '„' | '‟' | '″' | '＂' | '«' | '»' => '"',
            '‘' | '’' | '‚' | '′' | '´' => '\'',
            '\u{a0}' | '\u{2002}' | '\u{2003}' | '\u{2009}' | '\u{202f}' | '\u{3000}' => ' ',
            '：' => ':',
            '（' => '(',
            '）' => ')',
            _ => char,
        })
        .collect();
    for _ in 0..ENTITY_DEPTH {
        let before = plain.len();
        for (entity, meant) in ENTITIES {
            if plain.contains(entity) {
                plain = plain.replace(entity, meant);
            }
        }
        if plain.len() == before {
            break;
        }
    }
    plain
}

/// With quotes where a form or YAML has made something else of them, one escape less, and single spaces.
fn spelled(line: &str) -> String {
    let plain = plain(line).replace("\\\\\\\"", "\\\"").replace("''", "'").replace('`', "\"");
    plain.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::pattern::LogPattern;
    use super::*;

    fn scanner() -> Scanner {
        let pattern = |pattern: &str| LogPattern { pattern: pattern.to_owned(), ..LogPattern::default() };
        let patterns = [
            r"cannot begin with file (?P<file>\S+): (?:no such file|it is gone)",
            r#"flag ["'](?P<flag>[^ -~]\S+)["'] is not known"#,
            r#"cannot find "(?P<what>[^"]+)" anywhere"#,
            r"nothing works",
        ];
        Scanner::new(patterns.map(pattern).to_vec()).unwrap()
    }

    fn mended(text: &str) -> String {
        let mut read = String::new();
        open(&scanner(), Box::new(text.as_bytes())).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read.lines().count(), text.lines().count(), "{text}");
        read
    }

    #[test]
    fn joins_what_was_one_line() {
        const HEAD: &str = "E0801 10:00:00.000000    1234 begin.go:92] The program n1";
        let whole = format!("{HEAD} cannot begin with file /etc/kubernetes/admin.conf: no such file");
        let hard = |at: usize| format!("{}\n{}", &whole[..at], &whole[at..]);
        let joined = format!("{whole}\n\n");
        for (text, expected) in [
            // At a width, in the midst of a word and of a value; and between words.
            (hard(80), &joined),
            (hard(90), &joined),
            (format!("{HEAD} cannot begin\nwith file /etc/kubernetes/admin.conf: no such file"), &joined),
            (format!("{HEAD} cannot begin \nwith file /etc/kubernetes/admin.conf: no such file"), &joined),
            (
                format!("> {HEAD} cannot begin\n> with file /etc/kubernetes/admin.conf: no such file"),
                &format!("> {joined}"),
            ),
            // Into three.
            (format!("{}\n{}\n{}", &whole[..50], &whole[50..100], &whole[100..]), &format!("{joined}\n")),
            // Another line between, a line with a head, a line that is short.
            (format!("{HEAD} cannot begin\n\nwith file /a: it is gone"), &String::new()),
            (format!("{HEAD} cannot begin\nI0801 10:00:00.000000  1 a.go:1] with file /a: it is gone"), &String::new()),
            ("It cannot begin\nwith file /a: it is gone".to_owned(), &String::new()),
            // Nothing comes of it.
            (format!("{HEAD} cannot begin\nwith file /a: or does it"), &String::new()),
            // Each says what it says already.
            (format!("{HEAD} nothing works today or ever\nas nothing works"), &String::new()),
            (format!("{HEAD} nothing works today or ever\nas I said before"), &String::new()),
        ] {
            let expected = if expected.is_empty() { &text } else { expected };
            assert_eq!(mended(&text), *expected);
        }
    }

    #[test]
    fn takes_back_what_pasting_did() {
        let gone = "cannot begin with file /a: it is gone";
        let found = "cannot find \"x\" anywhere";
        for (text, expected) in [
            (format!("\u{1b}[31mcannot\u{1b}[0m begin with file /a: it is gone\r\n"), gone),
            ("[1;31mcannot[0m begin with file /a: it is gone\n".to_owned(), gone),
            ("#033[31mcannot#033[0m begin with file /a: it is gone\n".to_owned(), gone),
            ("cannot begin with file /\u{200b}a: it is gone\n".to_owned(), gone),
            (gone.replace(' ', "\u{a0}"), gone),
            (gone.replace(' ', "  "), gone),
            (found.replace('"', "&quot;"), found),
            (found.replace('"', "&amp;quot;"), found),
            (found.replace('"', "”"), found),
            (found.replace('"', "`"), found),
        ] {
            assert_eq!(mended(&text).trim_end(), expected);
        }
        // What is understood, or what is not however it is written.
        for text in ["flag '“x' is not known", "it&#39;s  no [matter] &amp; “so”", "[m is no colour", "a\0&quot;"]
        {
            assert_eq!(mended(text), text);
        }
    }

    #[test]
    fn leaves_what_is_no_excerpt() {
        for text in ["cannot \u{1b}[0mbegin\n".repeat(LINES + 1), "\u{1b}[0m x\n".repeat(BYTES / 4), String::new()] {
            assert!(mended(&text) == text);
        }
        let latin = b"\xe9 cannot&nbsp;begin with file /a: it is gone";
        let mut read = Vec::new();
        open(&scanner(), Box::new(latin.as_slice())).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, latin);
    }
}
