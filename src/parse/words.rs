//! Words of a configuration file with their spans, found in one pass.

use crate::origin::Span;

/// A word without its quotes; the span is that of the text between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub span: Span,
}

/// Makes spans in ascending order without counting lines from the beginning each time.
pub(crate) struct Spans<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Spans<'a> {
    pub(crate) fn new(text: &'a str) -> Spans<'a> {
        Spans { text, at: 0, line: 1, column: 1 }
    }

    /// The span of `start..end`; an earlier start than the last one costs a count from the beginning.
    pub(crate) fn span(&mut self, start: usize, end: usize) -> Span {
        if start < self.at {
            *self = Spans::new(self.text);
        }
        for letter in self.text.get(self.at..start).unwrap_or("").chars() {
            if letter == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at = start;
        Span { start, end: end.max(start), line: self.line, column: self.column }
    }
}

/// A key on a path of keys: quoted when it holds a dot, so that paths can be told apart.
pub(crate) fn join_key(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && !key.contains(['.', '"', ' ']);
    let key = if plain { key.to_owned() } else { format!("\"{}\"", key.replace('"', "\\\"")) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A duration such as `1h30m`, `10m` or `500ms` in seconds; `unit` is that of a bare number, in seconds.
pub(crate) fn seconds(text: &str, unit: f64) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: f64 = rest.get(..digits)?.parse::<u32>().ok()?.into();
        rest = rest.get(digits..)?;
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        total += number
            * match rest.get(..letters)? {
                "" => unit,
                "us" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                "w" => 604_800.0,
                "M" => 2_592_000.0,
                "y" => 31_536_000.0,
                _ => return None,
            };
        rest = rest.get(letters..)?.trim_start();
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, unit, expected) in [
            ("10m", 1.0, Some(600.0)),
            ("5000", 1e-3, Some(5.0)),
            ("60", 1.0, Some(60.0)),
            ("1h 30m", 1.0, Some(5400.0)),
            ("500ms", 1.0, Some(0.5)),
            ("1x", 1.0, None),
            ("", 1.0, None),
            ("m", 1.0, None),
            ("99999999999999999999", 1.0, None),
        ] {
            assert_eq!(seconds(text, unit), expected, "{text}");
        }
    }

    #[test]
    fn spans_are_those_that_counting_gives() {
        let text = "a é\nbb\n\ncc";
        let mut spans = Spans::new(text);
        for (start, end) in [(0, 1), (2, 4), (5, 7), (9, 11), (5, 6)] {
            assert_eq!(spans.span(start, end), Span::of(text, start, end));
        }
    }
}
