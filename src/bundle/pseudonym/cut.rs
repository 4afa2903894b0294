//! Names and addresses that a container runtime cut into two lines: the second part is moved to the first, so that they are
//! found. What the lines say together stays the same.

use std::borrow::Cow;
use std::ops::Range;

use crate::bundle::redact::pieces;

/// A name is not longer.
const LONGEST: usize = 255;
/// What is held back for a message's next piece; beyond it nobody knows what is cut.
const HELD: usize = 1 << 20;

/// Where cuts are, from one part of a text to the next.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Whether the next piece of the channel begins with the rest of what was given away without it.
    blank: [bool; 2],
}

/// A piece whose message goes on: where its line begins, and the cut.
#[derive(Debug, Clone, Copy)]
struct Open {
    line: usize,
    cut: usize,
}

impl Cuts {
    /// Whole lines, with what is cut in two put together where `concerns` says so; and where in them begins what has to
    /// wait for more lines.
    pub fn mend<'t>(
        &mut self,
        lines: &'t [u8],
        is_last: bool,
        concerns: impl Fn(&[u8]) -> bool,
    ) -> (Cow<'t, [u8]>, usize) {
        if !pieces::are_of_container(lines) {
            return (Cow::Borrowed(lines), lines.len());
        }
        let mut open: [Option<Open>; 2] = [None, None];
        // What goes where: a place, what is taken out there, and what is put in.
        let mut edits: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        let mut at = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let start = at;
            at += line.len();
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let Some(piece) = pieces::piece(text.strip_suffix(b"\r").unwrap_or(text)) else { continue };
            let channel = piece.channel as usize;
            let (Some(before), Some(blank)) = (open.get_mut(channel), self.blank.get_mut(channel)) else { continue };
            let message = start + piece.message.start..start + piece.message.end;
            let rest = message.start..message.start + head(lines.get(message.clone()).unwrap_or_default());
            if std::mem::take(blank) {
                edits.push((rest.clone(), vec![crate::bundle::redact::FILL; rest.len()]));
            } else if let Some(Open { line, cut }) = before.take() {
                let first = tail(lines.get(line..cut).unwrap_or_default());
                let second = lines.get(rest.clone()).unwrap_or_default();
                let both = [lines.get(cut - first..cut).unwrap_or_default(), second].concat();
                if first > 0 && !rest.is_empty() && concerns(&both) {
                    edits.push((cut..cut, second.to_vec()));
                    edits.push((rest, Vec::new()));
                }
            }
            *before = (!piece.ends).then_some(Open { line: start, cut: message.end });
        }
        let mut end = lines.len();
        if !is_last {
            let waits = open.iter().flatten().map(|open| open.line).min().unwrap_or(end);
            if end - waits <= HELD {
                end = waits;
            } else {
                for (open, blank) in open.iter().zip(&mut self.blank) {
                    let Some(Open { line, cut }) = *open else { continue };
                    let first = tail(lines.get(line..cut).unwrap_or_default());
                    edits.push((cut - first..cut, vec![crate::bundle::redact::FILL; first]));
                    *blank = true;
                }
            }
        }
        if edits.is_empty() {
            return (Cow::Borrowed(lines), end);
        }
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut mended = Vec::with_capacity(lines.len() + LONGEST);
        let mut done = 0;
        let mut mended_end = None;
        for (range, text) in edits {
            if range.start >= end && mended_end.is_none() {
                mended_end = Some(mended.len() + end.saturating_sub(done));
            }
            mended.extend_from_slice(lines.get(done..range.start).unwrap_or_default());
            mended.extend_from_slice(&text);
            done = range.end.max(done);
        }
        let mended_end = mended_end.unwrap_or(mended.len() + end.saturating_sub(done));
        mended.extend_from_slice(lines.get(done..).unwrap_or_default());
        (Cow::Owned(mended), mended_end)
    }
}

/// What names and addresses are made of.
fn is_part(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b".:-_".contains(byte)
}

/// How long the beginning of a message is that may belong to what was cut before it.
fn head(message: &[u8]) -> usize {
    message.iter().take(LONGEST).take_while(|byte| is_part(byte)).count()
}

/// How long the end of a message is that may go on behind the cut.
fn tail(message: &[u8]) -> usize {
    let length = message.iter().rev().take(LONGEST).take_while(|byte| is_part(byte)).count();
    length - super::escape_at(message, message.len() - length).min(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRI: &str = "2026-11-21T10:00:00.000000000Z stderr ";

    const OTHER: &str = "2026-11-21T10:00:00.000000000Z stdout F ";

    fn mended(parts: &[&str]) -> String {
        let mut cuts = Cuts::default();
        let (mut rest, mut out) = (Vec::new(), Vec::new());
        for (index, part) in parts.iter().enumerate() {
            rest.extend_from_slice(part.as_bytes());
            let concerns = |text: &[u8]| memchr::memmem::find(text, b"master-01").is_some();
            let (mended, end) = cuts.mend(&rest, index + 1 == parts.len(), concerns);
            let mut mended = mended.into_owned();
            rest = mended.split_off(end);
            out.extend(mended);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_cut_is_put_together() {
        let docker = |message: &str, end: &str| {
            format!("{{\"log\":\"{message}{end}\",\"stream\":\"stdout\",\"time\":\"2026-11-21T10:00:00Z\"}}\n")
        };
        for (parts, expected) in [
            (
                vec![format!("{CRI}P dial mast\n"), format!("{CRI}F er-01.lab: refused\n")],
                format!("{CRI}P dial master-01.lab:\n{CRI}F  refused\n"),
            ),
            // Another channel's line stands between.
            (
                vec![
                    format!("{CRI}P mast\n{OTHER}er-01\n"),
                    format!("{CRI}P er-01 mas\n"),
                    format!("{CRI}F ter-01 x\n"),
                ],
                format!("{CRI}P master-01\n{OTHER}er-01\n{CRI}P  master-01\n{CRI}F  x\n"),
            ),
            // Nothing that concerns anybody.
            (
                vec![format!("{CRI}P dial exam\n{CRI}F ple: refused\n")],
                format!("{CRI}P dial exam\n{CRI}F ple: refused\n"),
            ),
            (
                vec![docker("a\\nmaster-", ""), docker("01 x", "\\n")],
                format!("{}{}", docker("a\\nmaster-01", ""), docker(" x", "\\n")),
            ),
            ("a b\nmaster-01\n".split_inclusive(' ').map(str::to_owned).collect(), "a b\nmaster-01\n".to_owned()),
        ] {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            assert_eq!(mended(&parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn what_waits_too_long_is_blanked() {
        let first = format!("{CRI}P {} mast\n", "y".repeat(HELD));
        let out = mended(&[&first, &format!("{CRI}F er-01 x\n")]);
        assert!(out.ends_with(&format!(" xxxx\n{CRI}F xxxxx x\n")), "{}", &out[out.len() - 120..]);
    }
}
