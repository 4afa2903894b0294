//! What a line means because of the lines before it.

use super::json;
use super::open_value::OpenValue;
use super::value::After;
use super::{Hit, is_filled, names};

/// Lines of a private key that is cut into log lines or does not end.
const KEY_LINES: usize = 400;

/// Where in a text of several lines we are.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Lines left of a private key that began before.
    key: usize,
    /// A text that belongs to a secret's name: lines deeper than this.
    block: Option<(usize, bool)>,
    /// The data of a Secret: lines deeper than this; the depth of its keys.
    data: Option<(usize, Option<usize>)>,
    /// A secret's name was given, its `value:` follows.
    value: usize,
    /// A flag was given, its value is the next item.
    item: bool,
    /// A value's quote or bracket was not closed.
    open: OpenValue,
    /// Base64 goes on over lines.
    wrapped: bool,
    /// The text is, or holds, a Secret.
    pub secret_kind: bool,
    /// What the text is stands in lines that are not known yet: kubectl writes `kind` behind `data`.
    pub unknown_kind: bool,
}

impl State {
    /// Of a text that is known line by line.
    pub fn of_stream() -> State {
        State { unknown_kind: true, ..State::default() }
    }

    /// Whether lines have to be looked at whatever is in them.
    pub fn is_active(&self) -> bool {
        let of_name = self.block.is_some() || self.data.is_some() || self.value > 0 || self.item || self.open.is_open();
        of_name || self.key > 0 || self.wrapped
    }

    pub fn begin(&mut self, after: After) {
        match after {
            After::Nothing => {}
            After::Block { indent, literal } => self.block = Some((indent, literal)),
            After::NextItem => self.item = true,
            After::Quote { .. } | After::List => self.open.begin(after),
        }
    }

    pub fn wrapped(&mut self) {
        self.wrapped = true;
    }

    /// What of the line is secret because of those before it.
    pub fn before(&mut self, line: &[u8], hits: &mut Vec<Hit>) {
        let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let text = line.trim_ascii();
        let start = line.len() - line.trim_ascii_start().len();
        let end = start + text.len();
        self.key_lines(line, hits);
        self.open.line(line, hits);
        if self.wrapped {
            let is_run =
                !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte));
            if is_run {
                hits.push(Hit::new(start, end, "encoded-private-key"));
            }
            self.wrapped = is_run;
        }
        if let Some((depth, literal)) = self.block {
            let inside = indent > depth || text.is_empty() || (!literal && indent >= depth && text.starts_with(b"- "));
            if !inside {
                self.block = None;
            } else if literal {
                hits.push(Hit::new(start, end, "named-secret"));
            } else if let Some(item) = text.strip_prefix(b"- ") {
                if !item.contains(&b':') && !is_filled(item) {
                    hits.push(Hit::new(start + 2, end, "named-secret"));
                }
            } else if !text.contains(&b':') && !text.is_empty() && !text.starts_with(b"#") && !text.starts_with(b"-") {
                // A scalar on a line of its own.
                hits.push(Hit::new(start, end, "named-secret"));
            }
        }
        if let Some((depth, children)) = self.data {
            self.data_line(line, (depth, children), (start, end, indent), hits);
        }
        if self.value > 0 {
            self.value -= 1;
            let name = text.strip_prefix(b"- ").unwrap_or(text);
            let name = name.strip_prefix(b"\"").unwrap_or(name);
            if name.starts_with(b"value")
                && let Some(colon) = memchr::memchr(b':', line)
            {
                let rest = line.get(colon + 1..).unwrap_or_default().trim_ascii();
                let from = end - rest.len().min(end);
                if matches!(rest.first(), Some(b'|' | b'>')) {
                    self.block = Some((indent, true));
                } else if !rest.is_empty() {
                    let (from, to) = unquoted(line, from, end);
                    push(line, from, to, "named-secret", hits);
                }
                self.value = 0;
            }
        }
        if self.item {
            self.item = false;
            let item = text.strip_prefix(b"- ").unwrap_or(text);
            let from = end - item.len();
            if !item.starts_with(b"-") && !item.is_empty() {
                let word = item.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(item.len());
                let (from, to) = unquoted(line, from, if text.starts_with(b"- ") { end } else { from + word });
                push(line, from, to, "named-secret", hits);
            }
        }
    }

    fn key_lines(&mut self, line: &[u8], hits: &mut Vec<Hit>) {
        let begins = memchr::memmem::find_iter(line, b"-----BEGIN ").find(|at| {
            // Parameters may stand before the key on one line.
            let rest = line.get(*at + 11..(*at + 60).min(line.len())).unwrap_or_default();
            let rest = rest.get(..memchr::memmem::find(rest, b"-----").unwrap_or(rest.len())).unwrap_or_default();
            let is_private = memchr::memmem::find(rest, b"PRIVATE KEY").is_some();
            is_private && memchr::memmem::find(rest, b"REDACTED ").is_none()
        });
        let ends = memchr::memmem::rfind(line, b"-----END ");
        match (begins, ends) {
            // On one line, with line ends written as \n.
            (Some(begin), Some(end)) if end > begin => {
                let from = begin
                    + memchr::memmem::find(line.get(begin + 11..).unwrap_or_default(), b"-----")
                        .map_or(11, |at| at + 16);
                blank_base64(line, from.min(end), end, hits);
                self.key = 0;
            }
            (Some(begin), _) => {
                let from = begin
                    + memchr::memmem::find(line.get(begin + 11..).unwrap_or_default(), b"-----")
                        .map_or(11, |at| at + 16);
                blank_base64(line, from.min(line.len()), line.len(), hits);
                self.key = KEY_LINES;
            }
            (None, Some(end)) if self.key > 0 => {
                blank_base64(line, 0, end, hits);
                self.key = 0;
            }
            (None, None) if self.key > 0 => {
                self.key -= 1;
                let text = line.trim_ascii();
                let last =
                    text.iter().rposition(|byte| byte.is_ascii_whitespace() || *byte == b'"').map_or(0, |at| at + 1);
                let start = line.len() - line.trim_ascii_start().len();
                blank_base64(line, start + last, start + text.len(), hits);
                // Other runs of the line: a log's own words before it are short, or no base64.
                let mut runs = Vec::new();
                super::encoded::places(line.get(..start + last).unwrap_or_default(), &mut runs);
                for run in runs {
                    let rest = line.get(run..).unwrap_or_default();
                    let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+/=".contains(byte));
                    hits.push(blank(line, run, run + length.unwrap_or(rest.len())));
                }
            }
            _ => {}
        }
    }

    fn data_line(
        &mut self,
        line: &[u8],
        data: (usize, Option<usize>),
        place: (usize, usize, usize),
        hits: &mut Vec<Hit>,
    ) {
        let (depth, children) = data;
        let (start, end, indent) = place;
        let text = line.get(start..end).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        if indent <= depth {
            self.data = None;
            return;
        }
        let children = children.unwrap_or(indent);
        self.data = Some((depth, Some(children)));
        let colon = memchr::memchr(b':', text);
        match colon {
            // A key of the data, with its value on the line.
            Some(colon) if indent == children => {
                let rest = text.get(colon + 1..).unwrap_or_default();
                let from = start + colon + 1 + (rest.len() - rest.trim_ascii_start().len());
                let value = line.get(from..end).unwrap_or_default();
                if !matches!(value.first(), None | Some(b'|' | b'>')) {
                    let (from, to) = unquoted(line, from, end);
                    push(line, from, to, "kubernetes-secret", hits);
                }
            }
            _ => push(line, start, end, "kubernetes-secret", hits),
        }
    }

    /// What the line means for those after it.
    pub fn after(&mut self, line: &[u8]) {
        let text = line.trim_ascii();
        if json::is_secret_kind(line) {
            self.secret_kind = true;
        }
        let plain = text.strip_prefix(b"- ").unwrap_or(text);
        let plain = plain.strip_prefix(b"\"").unwrap_or(plain);
        let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if (self.secret_kind || self.unknown_kind) && opens_data(line) {
            self.data = Some((indent, None));
        }
        for key in ["name", "key", "Name"] {
            let Some(rest) = plain.strip_prefix(key.as_bytes()) else { continue };
            let rest = rest.strip_prefix(b"\"").unwrap_or(rest).trim_ascii_start();
            let Some(name) = rest.strip_prefix(b":") else { continue };
            let name = String::from_utf8_lossy(name).trim().trim_matches(['"', '\'', ',']).to_owned();
            if !name.contains(' ') && names::is_secret(&name) {
                self.value = 2;
            }
        }
    }
}

/// Whether the data of a Secret, if it is one, begins with the next line.
pub(super) fn opens_data(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    let plain = text.strip_prefix(b"- ").unwrap_or(text);
    let plain = plain.strip_prefix(b"\"").unwrap_or(plain);
    ["data", "stringData", "binaryData"].iter().any(|key| opens(plain, key))
}

/// `data:` or `"data": {` with nothing after it.
fn opens(text: &[u8], key: &str) -> bool {
    let Some(rest) = text.strip_prefix(key.as_bytes()) else { return false };
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest).trim_ascii();
    matches!(rest, b":" | b": {" | b":{")
}

/// The value's place without its quotes, a comma after it, and a comment.
fn unquoted(line: &[u8], start: usize, end: usize) -> (usize, usize) {
    let value = line.get(start..end).unwrap_or_default();
    for quote in [b'"', b'\''] {
        if value.first() == Some(&quote)
            && let Some(close) = memchr::memrchr(quote, value).filter(|close| *close > 0)
        {
            return (start + 1, start + close);
        }
    }
    let end = if value.ends_with(b",") { end - 1 } else { end };
    (start, end)
}

fn push(line: &[u8], start: usize, end: usize, rule: &'static str, hits: &mut Vec<Hit>) {
    let value = line.get(start..end).unwrap_or_default();
    let is_syntax = matches!(value, b"{" | b"}" | b"[" | b"]" | b"}," | b"]," | b"{}" | b"null" | b"\"\"" | b"");
    if !is_syntax && !is_filled(value) {
        hits.push(Hit::new(start, end, rule));
    }
}

/// Replaces base64 by base64 that says nothing, and leaves other characters: what was wrong with it stays wrong.
fn blank(line: &[u8], start: usize, end: usize) -> Hit {
    let mut out = Vec::new();
    let body = line.get(start..end).unwrap_or_default();
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        // A line's end as it is quoted is kept.
        if *byte == b'\\' {
            out.extend(body.get(at..(at + 2).min(body.len())).unwrap_or_default());
            at += 2;
            continue;
        }
        out.push(if byte.is_ascii_alphanumeric() || b"+/".contains(byte) { b'A' } else { *byte });
        at += 1;
    }
    Hit { start, end, rule: "private-key", text: Some(out) }
}

fn blank_base64(line: &[u8], start: usize, end: usize, hits: &mut Vec<Hit>) {
    let body = line.get(start..end).unwrap_or_default();
    let text = body.trim_ascii();
    // `Proc-Type: 4,ENCRYPTED` and the like say how it is encrypted.
    let is_header = text.starts_with(b"Proc-Type:") || text.starts_with(b"DEK-Info:");
    if !text.is_empty() && !is_header && text.iter().any(|byte| byte.is_ascii_alphanumeric() && *byte != b'A') {
        hits.push(blank(line, start, end));
    }
}
