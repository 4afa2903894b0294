//! What a log's line says behind its head, as the program wrote it: with its indentation, and without docker's escapes. What
//! spans lines (a block of YAML, a quote, a table) only shows there.

use std::borrow::Cow;

use super::{Hit, pieces};

/// Longer than any head.
const HEAD: usize = 512;

/// A line's message.
#[derive(Debug)]
pub(super) struct Message<'t> {
    pub text: Cow<'t, [u8]>,
    /// Where it begins in the line.
    from: usize,
    /// Where each byte of the text, and its end, stand in the line, counted from `from`; empty when nothing was escaped.
    places: Vec<u32>,
    /// Whether it is the whole line.
    pub is_line: bool,
}

impl<'t> Message<'t> {
    /// The message of a line without its end: the whole of it when it has no head as container runtimes or syslog write it.
    pub fn of(line: &'t [u8]) -> Message<'t> {
        if let Some(piece) = pieces::piece(line) {
            let from = piece.message.start;
            let text = line.get(piece.message).unwrap_or_default();
            if line.first() != Some(&b'{') {
                return Message { text: Cow::Borrowed(text), from, places: Vec::new(), is_line: false };
            }
            let text = if piece.ends { text.strip_suffix(b"\\n").unwrap_or(text) } else { text };
            if !text.contains(&b'\\') {
                return Message { text: Cow::Borrowed(text), from, places: Vec::new(), is_line: false };
            }
            let (text, places) = unescaped(text);
            return Message { text: Cow::Owned(text), from, places, is_line: false };
        }
        let head = crate::logs::line::parse(line.get(..line.len().min(HEAD)).unwrap_or_default());
        if head.time.is_none() || head.program.is_none() || line.first() == Some(&b'{') {
            return Message { text: Cow::Borrowed(line), from: 0, places: Vec::new(), is_line: true };
        }
        // One space belongs to the head, the others to the message.
        let head = head.message.min(line.len());
        let from = (line.get(..head).unwrap_or_default().trim_ascii_end().len() + 1).min(head);
        let text = line.get(from..).unwrap_or_default();
        Message { text: Cow::Borrowed(text), from, places: Vec::new(), is_line: false }
    }

    /// A hit of the message as one of the line.
    pub fn in_line(&self, hit: Hit) -> Hit {
        let place = |at: usize| {
            let at = if self.places.is_empty() { at } else { self.places.get(at).map_or(at, |at| *at as usize) };
            at.saturating_add(self.from)
        };
        let has_escapes = !self.places.is_empty() && place(hit.end) - place(hit.start) != hit.end - hit.start;
        Hit { start: place(hit.start), end: place(hit.end), rule: hit.rule, text: hit.text.filter(|_| !has_escapes) }
    }

    /// Where a place of the line is in the message.
    pub fn find(&self, at: usize) -> Option<usize> {
        let at = at.checked_sub(self.from)?;
        let at = if self.places.is_empty() { at } else { self.places.partition_point(|place| (*place as usize) < at) };
        (at < self.text.len()).then_some(at)
    }
}

/// JSON's escapes undone, with the places that the bytes had.
fn unescaped(text: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let mut plain = Vec::with_capacity(text.len());
    let mut places = Vec::with_capacity(text.len() + 1);
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let (byte, length) = match (byte, text.get(at + 1)) {
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'u')) => match ascii(text.get(at + 2..at + 6)) {
                Some(byte) => (byte, 6),
                None => (b'\\', 1),
            },
            (b'\\', Some(byte)) => (*byte, 2),
            (byte, _) => (*byte, 1),
        };
        plain.push(byte);
        places.push(at as u32);
        at += length;
    }
    places.push(text.len() as u32);
    (plain, places)
}

fn ascii(digits: Option<&[u8]>) -> Option<u8> {
    let digits = std::str::from_utf8(digits?).ok()?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_the_program_wrote() {
        for (line, expected) in [
            ("2026-11-21T10:00:00.000000000Z stderr F   value: x", "  value: x"),
            ("2026-11-21T10:00:00.000000000+08:00 stdout P -u a:b", "-u a:b"),
            ("Jan  1 00:00:00 m1 kubelet[1]:   value: x", "  value: x"),
            ("{\"log\":\"a \\\"b\\\" \\u0026c\\n\",\"stream\":\"stderr\",\"time\":\"x\"}", "a \"b\" &c"),
            ("{\"level\":\"info\",\"msg\":\"x\"}", "{\"level\":\"info\",\"msg\":\"x\"}"),
            ("  value: x", "  value: x"),
            ("I1121 10:00:00.000000       1 main.go:1] x", "I1121 10:00:00.000000       1 main.go:1] x"),
        ] {
            let message = Message::of(line.as_bytes());
            assert_eq!(String::from_utf8_lossy(&message.text), expected);
            let last = expected.rfind(|c: char| c.is_alphanumeric()).unwrap();
            let hit = message.in_line(Hit::new(last, last + 1, "x"));
            assert_eq!(line.get(hit.start..hit.end), expected.get(last..last + 1), "{line}");
            assert_eq!(message.find(hit.start), Some(last), "{line}");
        }
    }
}
