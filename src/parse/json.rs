//! JSON as scalars by their path, with spans: docker's daemon.json and CNI configurations. As strict as the programs that
//! read them: a comment, a trailing comma or a key given twice is a problem (the last one: Go takes the last value
//! silently, docker does not tell).

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::words::{Spans, join_key};
use crate::origin::Span;

const DEPTH_LIMIT: usize = 64;

/// Scalars as text by their path (`exec-opts.0`), strings without quotes and escapes, each with the span of its text.
/// Nothing after the first error that leaves the structure unclear.
pub fn flatten(text: &str) -> (BTreeMap<String, (String, Span)>, Vec<Problem>) {
    let mut reader = Reader { text, at: 0, spans: Spans::new(text), values: BTreeMap::new(), problems: Vec::new() };
    if reader.text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    reader.space();
    let read = reader.value(String::new(), 0);
    reader.space();
    if read.is_ok() && reader.at < text.len() {
        reader.problem("more text after the end of the document".to_owned());
    }
    (reader.values, reader.problems)
}

/// The rest of the document cannot be made sense of.
struct Stop;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    spans: Spans<'a>,
    values: BTreeMap<String, (String, Span)>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Notes a problem at the present place.
    fn problem(&mut self, message: String) {
        let end = self.text.get(self.at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let span = self.spans.span(self.at, self.at + end);
        self.problems.push(Problem::new(Some(span), message));
    }

    fn expected(&mut self, what: &str) -> Stop {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => "the end of the file".to_owned(),
            Some(_) if self.text[self.at..].starts_with("//") || self.text[self.at..].starts_with("/*") => {
                "a comment, which JSON has not".to_owned()
            }
            Some(letter @ ('“' | '”' | '‘' | '’')) => format!("the typographic quote {letter}"),
            Some(letter) if letter.is_control() => format!("`{}`", letter.escape_default()),
            Some(letter) => format!("`{letter}`"),
        };
        self.problem(format!("expected {what}, found {found}"));
        Stop
    }

    fn value(&mut self, path: String, depth: usize) -> Result<(), Stop> {
        if depth > DEPTH_LIMIT {
            self.problem(format!("nested more than {DEPTH_LIMIT} deep"));
            return Err(Stop);
        }
        match self.peek() {
            Some(b'{') => self.object(&path, depth),
            Some(b'[') => self.array(&path, depth),
            Some(b'"') => {
                let (text, start, end) = self.string()?;
                self.keep(path, text, start, end);
                Ok(())
            }
            _ => {
                let start = self.at;
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
                    self.at += 1;
                }
                let word = &self.text[start..self.at];
                let number = || serde_json::from_str::<serde_json::Number>(word).is_ok();
                if matches!(word, "true" | "false" | "null") || number() {
                    let word = word.to_owned();
                    self.keep(path, word, start, self.at);
                    return Ok(());
                }
                self.at = start;
                Err(self.expected("a value"))
            }
        }
    }

    fn keep(&mut self, path: String, text: String, start: usize, end: usize) {
        let span = self.spans.span(start, end);
        self.values.insert(path, (text, span));
    }

    fn object(&mut self, path: &str, depth: usize) -> Result<(), Stop> {
        self.at += 1;
        let mut keys = BTreeSet::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'}') if keys.is_empty() => break,
                Some(b'"') => {}
                _ => {
                    return Err(self.expected(if keys.is_empty() {
                        "a key in quotes or `}`"
                    } else {
                        "a key in quotes"
                    }));
                }
            }
            let (key, start, end) = self.string()?;
            if !keys.insert(key.clone()) {
                let span = self.spans.span(start, end);
                self.problems.push(Problem::new(Some(span), format!("key \"{key}\" is given twice")));
            }
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.expected("`:`"));
            }
            self.at += 1;
            self.space();
            self.value(join_key(path, &key), depth + 1)?;
            self.space();
            match self.peek() {
                Some(b'}') => break,
                Some(b',') => self.comma(b'}')?,
                _ => return Err(self.expected("`,` or `}`")),
            }
            if self.peek() == Some(b'}') {
                break;
            }
        }
        self.at += 1;
        Ok(())
    }

    fn array(&mut self, path: &str, depth: usize) -> Result<(), Stop> {
        self.at += 1;
        let mut index = 0;
        loop {
            self.space();
            if self.peek() == Some(b']') && index == 0 {
                break;
            }
            self.value(format!("{path}.{index}"), depth + 1)?;
            index += 1;
            self.space();
            match self.peek() {
                Some(b']') => break,
                Some(b',') => self.comma(b']')?,
                _ => return Err(self.expected("`,` or `]`")),
            }
            if self.peek() == Some(b']') {
                break;
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a comma; one before the end is a problem, but what was meant is clear.
    fn comma(&mut self, close: u8) -> Result<(), Stop> {
        let comma = self.at;
        self.at += 1;
        self.space();
        if self.peek() == Some(close) {
            let span = self.spans.span(comma, comma + 1);
            self.problems.push(Problem::new(Some(span), format!("comma before `{}`", close as char)));
        }
        Ok(())
    }

    /// A string's content and where it stands between the quotes.
    fn string(&mut self) -> Result<(String, usize, usize), Stop> {
        let open = self.at;
        let start = open + 1;
        let mut at = start;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                None | Some(b'\n') => {
                    self.problem("string without closing quote".to_owned());
                    return Err(Stop);
                }
                Some(_) => at += 1,
            }
        }
        let raw = self.text.get(open..=at).unwrap_or("");
        match serde_json::from_str::<String>(raw) {
            Ok(text) => {
                self.at = at + 1;
                Ok((text, start, at))
            }
            Err(_) => {
                self.problem("string with a control character or an escape that JSON does not have".to_owned());
                Err(Stop)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_paths_and_spans() {
        let text = "{\n  \"exec-opts\": [\"native.cgroupdriver=systemd\"],\n  \"live-restore\": true, \"n\": -1.5e3, \"o\": \
                    null,\n  \"runtimes\": {\"io.x\": {\"é\": \"a\\\"b\"}}, \"e\": [], \"f\": {}\n}\n";
        let (values, problems) = flatten(text);
        assert_eq!(problems, []);
        for (path, expected, raw) in [
            ("exec-opts.0", "native.cgroupdriver=systemd", "native.cgroupdriver=systemd"),
            ("live-restore", "true", "true"),
            ("n", "-1.5e3", "-1.5e3"),
            ("o", "null", "null"),
            ("runtimes.\"io.x\".é", "a\"b", "a\\\"b"),
        ] {
            let (value, span) = &values[path];
            assert_eq!(value, expected, "{path}");
            assert_eq!(&text[span.start..span.end], raw, "{path}");
            assert_eq!(*span, Span::of(text, span.start, span.end), "{path}");
        }
        assert_eq!(values.len(), 5);
    }

    #[test]
    fn broken_files_say_where_and_keep_the_rest() {
        for (text, place, message, kept) in [
            ("{\"a\": 1,\n}", (1, 8), "comma before `}`", 1),
            ("{\"a\": [1,\n 2,]}", (2, 3), "comma before `]`", 2),
            ("{\"a\": 1,\n\"a\": 2}", (2, 2), "key \"a\" is given twice", 1),
            ("{\"a\": 1\n\"b\": 2}", (2, 1), "expected `,` or `}`, found `\"`", 1),
            ("{\"a\": x}", (1, 7), "expected a value, found `x`", 0),
            ("{\"a\" 1}", (1, 6), "expected `:`, found `1`", 0),
            ("{a: 1}", (1, 2), "expected a key in quotes or `}`, found `a`", 0),
            ("{“a”: 1}", (1, 2), "expected a key in quotes or `}`, found the typographic quote “", 0),
            ("{\"a\": \"x\n}", (1, 7), "string without closing quote", 0),
            ("{\"a\": \"\\", (1, 7), "string without closing quote", 0),
            ("{\"a\": \"\\q\"}", (1, 7), "string with a control character or an escape that JSON does not have", 0),
            ("{} {}", (1, 4), "more text after the end of the document", 0),
            ("{\"a\": 1, // x\n}", (1, 10), "expected a key in quotes, found a comment, which JSON has not", 1),
            ("", (1, 1), "expected a value, found the end of the file", 0),
            ("{\"a\": 01}", (1, 7), "expected a value, found `0`", 0),
        ] {
            let (values, problems) = flatten(text);
            let span = problems[0].span.unwrap();
            assert_eq!((span.line, span.column), place, "{text}");
            assert_eq!(problems[0].message, message, "{text}");
            assert_eq!(values.len(), kept, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        for text in ["[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)] {
            assert!(flatten(&text).1[0].message.contains("deep"));
        }
    }
}
