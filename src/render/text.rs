//! Text that came from a host, made fit for a terminal: nothing in it moves the cursor or reorders what is beside it, and
//! it is no wider than asked.

use std::borrow::Cow;

use crate::report::gap;

/// Evidence longer than this, in columns, is cut around what matters.
pub const LONG: usize = 300;

/// What stands for what was cut.
pub const ELLIPSIS: &str = "…";

/// A time as it is written, without fractions of a second; what is no such time stays as it is.
pub fn to_second(time: &str) -> String {
    let Some((second, rest)) = time.split_once('.') else { return time.to_owned() };
    let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let whole = format!("{second}{zone}");
    if whole.parse::<jiff::Timestamp>().is_ok() { whole } else { time.to_owned() }
}

/// How a character has to be written, when it cannot stand as it is.
///
/// Escaped are C0 and C1 controls, which terminals obey, and the invisible and direction-changing characters of Unicode,
/// which make a line read as something that it is not.
pub fn escape_char(character: char) -> Option<String> {
    match character {
        '\n' => Some("\\n".to_owned()),
        '\r' => Some("\\r".to_owned()),
        '\t' => Some(" ".to_owned()),
        '\u{0}'..='\u{1f}' | '\u{7f}' => Some(format!("\\x{:02x}", character as u32)),
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => Some(format!("\\u{{{:x}}}", character as u32)),
        _ => None,
    }
}

/// A command to be copied. One with a value left for the reader, `<ADDRESS>`, is made a comment that says so: pasted as it
/// stands it would be something else to a shell.
pub fn to_complete<'a>(command: &'a str, fill_in: &str) -> Cow<'a, str> {
    let is_comment = command.trim_start().starts_with('#');
    match gap(command).filter(|_| !is_comment && !command.contains('\n')) {
        Some(name) => Cow::Owned(format!("# {fill_in} {name}: {command}")),
        None => Cow::Borrowed(command),
    }
}

/// One line that can be printed: see [`escape_char`].
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match escape_char(character) {
            Some(written) => escaped.push_str(&written),
            None => escaped.push(character),
        }
    }
    escaped
}

/// A source line that can be printed, with one character for each of its own, so that columns stay what they are: controls
/// as their pictures, what is invisible or changes direction as U+FFFD. Tabs are kept.
pub fn visible(line: &str) -> String {
    let picture = |character: char| match character {
        '\t' => '\t',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + character as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        _ if escape_char(character).is_some() => char::REPLACEMENT_CHARACTER,
        _ => character,
    };
    line.chars().map(picture).collect()
}

/// Several lines that can be printed: line ends stay, the rest is as in [`escape`].
pub fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// The columns that a character takes on a terminal: 2 for those of Chinese, Japanese and Korean and for emoji, 0 for those
/// that combine with the one before.
pub fn columns_of(character: char) -> usize {
    match character as u32 {
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f | 0x20d0..=0x20ff => 0,
        0xfe00..=0xfe0f | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The columns that a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The text in lines of at most `width` columns, broken at spaces and, where a line of Chinese gets full, between its
/// characters. A word that is longer than a line (a path, a URL) stays in one piece. Line ends of the text are kept.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(20);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for (gap, word) in words(paragraph) {
            let wide = columns(word);
            if used > 0 && used + gap + wide > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.extend(std::iter::repeat_n(' ', gap));
                used += gap;
            }
            line.push_str(word);
            used += wide;
        }
        lines.push(line);
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// The pieces between which a line may be broken, each with the number of spaces before it (0 within Chinese).
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    for (index, word) in text.split_whitespace().enumerate() {
        let mut gap = usize::from(index > 0);
        let mut start = 0;
        let mut before: Option<char> = None;
        for (at, character) in word.char_indices() {
            let breakable = before
                .is_some_and(|before| (columns_of(before) == 2 || columns_of(character) == 2) && !hangs(character));
            if breakable {
                pieces.push((gap, &word[start..at]));
                gap = 0;
                start = at;
            }
            before = Some(character);
        }
        pieces.push((gap, &word[start..]));
    }
    pieces
}

/// Punctuation that never begins a line.
fn hangs(character: char) -> bool {
    matches!(
        character,
        '，' | '。'
            | '、'
            | '；'
            | '：'
            | '！'
            | '？'
            | '）'
            | '」'
            | '』'
            | '》'
            | '”'
            | ','
            | '.'
            | ';'
            | ':'
            | ')'
    )
}

/// At most `limit` characters of the text that have `interesting` (a range of bytes) among them; what was left out at either
/// side is an ellipsis. Also returned: where the interesting part is now.
pub fn cut_around(text: &str, interesting: std::ops::Range<usize>, limit: usize) -> (String, std::ops::Range<usize>) {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(interesting.start);
    let end = floor(interesting.end).max(start);
    if text.len() <= limit || text.chars().count() <= limit {
        return (text.to_owned(), start..end);
    }
    let inner = text[start..end].chars().count();
    // A third of what is left goes before, two thirds after: a message's reason follows its subject.
    let spare = limit.saturating_sub(inner);
    let before = text[..start].char_indices().rev().take(spare / 3).last().map_or(start, |(at, _)| at);
    let unused = spare / 3 - text[before..start].chars().count();
    let after = spare - spare / 3 + unused;
    let stop = if inner > limit { nth_boundary(text, start, limit) } else { nth_boundary(text, end, after) };
    let missing = after.saturating_sub(text[end.min(stop)..stop].chars().count());
    let before = text[..before].char_indices().rev().take(missing).last().map_or(before, |(at, _)| at);
    let mut cut = String::new();
    if before > 0 {
        cut.push_str(ELLIPSIS);
    }
    let shift = cut.len();
    cut.push_str(&text[before..stop]);
    if stop < text.len() {
        cut.push_str(ELLIPSIS);
    }
    (cut, start - before + shift..end.min(stop) - before + shift)
}

fn nth_boundary(text: &str, from: usize, characters: usize) -> usize {
    text[from..].char_indices().nth(characters).map_or(text.len(), |(at, _)| from + at)
}

/// A log message of at most [`LONG`] characters, cut around the words that matter (a range of bytes) and the first of `values`
/// that it names, as far as both have room; else around what it says about an error, else at its end.
pub fn cut_message(message: &str, values: &[&str], matter: std::ops::Range<usize>) -> String {
    const REASONS: [&str; 7] = ["\"error\":", "\"err\":", "err=\"", "err=", "error", "failed", "Error"];
    let find = |wanted: &str| message.find(wanted).map(|at| at..at + wanted.len());
    let value = values.iter().filter(|value| value.len() > 2).find_map(|value| find(value));
    let around = match value {
        Some(value) if matter.is_empty() => value,
        Some(value) if value.end.max(matter.end) - value.start.min(matter.start) <= LONG / 3 * 2 => {
            value.start.min(matter.start)..value.end.max(matter.end)
        }
        _ if !matter.is_empty() => matter,
        _ => REASONS.into_iter().find_map(find).unwrap_or(0..0),
    };
    cut_around(message, around, LONG).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_completed_is_no_command() {
        for (command, expected) in [
            ("systemctl restart etcd", "systemctl restart etcd"),
            ("nc -vz <MASTER> 6443", "# fill in MASTER: nc -vz <MASTER> 6443"),
            ("# on <MASTER>", "# on <MASTER>"),
            ("tr a b < /f > /g", "tr a b < /f > /g"),
            ("cat > /f <<'EOF'\n<NAME>\nEOF", "cat > /f <<'EOF'\n<NAME>\nEOF"),
        ] {
            assert_eq!(to_complete(command, "fill in"), expected);
        }
    }

    #[test]
    fn times_lose_their_fractions() {
        for (time, expected) in [
            ("2026-11-21T22:00:49.132926618Z", "2026-11-21T22:00:49Z"),
            ("2026-11-21T22:00:49.1+08:00", "2026-11-21T22:00:49+08:00"),
            ("2026-11-21T22:00:49Z", "2026-11-21T22:00:49Z"),
            ("1.5", "1.5"),
            ("a.1b", "a.1b"),
        ] {
            assert_eq!(to_second(time), expected);
        }
    }

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        for (text, expected) in [
            ("plain 中文 ünïcode 🙂", "plain 中文 ünïcode 🙂"),
            ("\x1b[2J\x1b[1;1Hgone", "\\x1b[2J\\x1b[1;1Hgone"),
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            ("one\rtwo\nthree\tfour", "one\\rtwo\\nthree four"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("abc\u{202e}cba\u{200b}", "abc\\u{202e}cba\\u{200b}"),
            ("del\u{7f}", "del\\x7f"),
        ] {
            assert_eq!(escape(text), expected, "{text:?}");
        }
        assert_eq!(escape_lines("a\x1b\nb"), "a\\x1b\nb");
        assert_eq!(visible("\ta\x1b[1m\r\u{9b}\u{202e}\u{7f}é"), "\ta␛[1m␍\u{fffd}\u{fffd}␡é");
    }

    #[test]
    fn wraps_at_spaces_and_within_chinese() {
        for (text, width, expected) in [
            ("", 20, vec![""]),
            ("one two", 20, vec!["one two"]),
            ("alpha beta gamma delta", 20, vec!["alpha beta gamma", "delta"]),
            (
                "see /a/path/that/is/longer/than/a/line now",
                20,
                vec!["see", "/a/path/that/is/longer/than/a/line", "now"],
            ),
            ("first\nsecond", 20, vec!["first", "second"]),
            ("证书已经过期，请尽快更换这个证书。", 20, vec!["证书已经过期，请尽快", "更换这个证书。"]),
        ] {
            assert_eq!(wrap(text, width), expected, "{text:?}");
        }
    }

    #[test]
    fn cuts_around_what_matters() {
        let long = format!("{}NEEDLE{}", "a".repeat(400), "b".repeat(400));
        let (cut, range) = cut_around(&long, 400..406, 60);
        assert_eq!(cut.chars().count(), 62);
        assert_eq!(&cut[range], "NEEDLE");
        assert!(cut.starts_with(ELLIPSIS) && cut.ends_with(ELLIPSIS));

        let (cut, range) = cut_around("short", 1..3, 60);
        assert_eq!((cut.as_str(), range), ("short", 1..3));

        // At the end of the text the room that is not needed behind is used before.
        let late = format!("{}NEEDLE", "é".repeat(400));
        let (cut, range) = cut_around(&late, 800..806, 60);
        assert_eq!((cut.chars().count(), &cut[range]), (61, "NEEDLE"));

        // Offsets inside of a character and past the end are moved back, not refused.
        let (_, range) = cut_around("é", 1..99, 60);
        assert_eq!(range, 0..2);

        let (cut, range) = cut_around(&"x".repeat(500), 0..500, 100);
        assert_eq!((cut.chars().count(), range), (101, 0..100));
    }

    #[test]
    fn cuts_a_message_around_a_value_or_its_reason() {
        let padding = "x".repeat(500);
        let words = 503..515;
        for (message, values, matter, kept) in [
            (format!("{padding} 10.0.0.1 {padding}"), vec!["10.0.0.1"], 0..0, "10.0.0.1"),
            (format!("{padding} \"error\":\"EOF\" {padding}"), vec![], 0..0, "\"error\":\"EOF\""),
            (format!("start {padding}"), vec![], 0..0, "start"),
            (format!("error {padding}bind refused {padding}"), vec![], words.clone(), "bind refused"),
            (format!("10.0.0.1{padding}bind refused {padding}"), vec!["10.0.0.1"], words.clone(), "bind refused"),
            (
                format!("{padding}   bind refused by 10.0.0.1 {padding}"),
                vec!["10.0.0.1"],
                words,
                "bind refused by 10.0.0.1",
            ),
        ] {
            let cut = cut_message(&message, &values, matter);
            assert!(cut.contains(kept), "{cut}");
            assert!(cut.chars().count() <= LONG + 2);
        }
    }
}
