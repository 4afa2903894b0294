//! Lines that are JSON objects: zap's (`ts`, `msg`), others' (`time`, `@timestamp`, `message`), and docker's json-file, whose
//! `log` is the line and whose `time` comes last.

use memchr::memmem;

use crate::logs::line::Line;
use crate::logs::time::{Cursor, RawDate, RawTime};

/// How far keys are looked for from either end.
const REACH: usize = 4096;

pub(crate) fn parse(text: &[u8]) -> Option<Line<'_>> {
    if text.starts_with(br#"{"log":""#) {
        let tail = text.get(text.len().saturating_sub(REACH)..)?;
        let time = memmem::rfind(tail, br#""time":""#).and_then(|at| Cursor { text: tail, at: at + 8 }.date_time());
        return Some(Line::at(time, 8));
    }
    let head = text.get(..text.len().min(REACH))?;
    let time = [r#""ts":"#, r#""time":"#, r#""timestamp":"#, r#""@timestamp":"#]
        .iter()
        .find_map(|key| time(head, memmem::find(head, key.as_bytes())? + key.len()));
    let message = [r#""msg":""#, r#""message":""#]
        .iter()
        .find_map(|key| Some(memmem::find(head, key.as_bytes())? + key.len()))
        .unwrap_or(0);
    Some(Line::at(time, message))
}

fn time(text: &[u8], at: usize) -> Option<RawTime> {
    let mut cursor = Cursor { text, at };
    cursor.spaces();
    if cursor.take(b'"').is_some() {
        return cursor.date_time();
    }
    // Milliseconds are what klog's JSON writes.
    let milliseconds = text.get(cursor.at..cursor.at + 13).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    if milliseconds {
        let millis = cursor.number(13, 13)?;
        let seconds = millis / 1000;
        return Some(RawTime {
            date: RawDate::Epoch((seconds / 86_400) as i64),
            second: (seconds % 86_400) as u32,
            nanos: (millis % 1000 * 1_000_000) as u32,
            digits: 3,
            offset: Some(0),
        });
    }
    cursor.seconds(RawDate::Epoch)
}

/// The line with one level of JSON's escapes taken away; none when it has none but of backslashes. What is no valid escape
/// is kept.
pub(crate) fn unescape(line: &[u8]) -> Option<Vec<u8>> {
    let first = memchr::memchr(b'\\', line)?;
    if !line.get(first..)?.windows(2).any(|pair| matches!(pair, [b'\\', b'"' | b'n' | b't' | b'u' | b'/'])) {
        return None;
    }
    let mut plain = Vec::with_capacity(line.len());
    plain.extend_from_slice(line.get(..first)?);
    let mut rest = line.get(first..)?;
    loop {
        rest = match rest {
            [b'\\', byte @ (b'"' | b'\\' | b'/'), after @ ..] => {
                plain.push(*byte);
                after
            }
            [b'\\', b'n' | b'r' | b't', after @ ..] => {
                plain.push(b' ');
                after
            }
            [b'\\', b'u', b'0', b'0', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                match u8::from_str_radix(&String::from_utf8_lossy(&[*high, *low]), 16) {
                    Ok(byte) if byte.is_ascii() && byte >= b' ' => plain.push(byte),
                    _ => plain.push(b' '),
                }
                after
            }
            [byte, after @ ..] => {
                plain.push(*byte);
                after
            }
            [] => return Some(plain),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes_one_level() {
        let cases = [
            (r#"a \"b\" \\ \u003c\u00e9 \n"#, Some(r#"a "b" \ <   "#)),
            ("plain", None),
            (r"end \", None),
            (r"C:\\dir\\x", None),
            (r"\u00 \", Some(r"\u00 \")),
            (r#"msg=\"x \\\"y\\\"\""#, Some(r#"msg="x \"y\"""#)),
        ];
        for (line, expected) in cases {
            let plain = unescape(line.as_bytes()).map(|plain| String::from_utf8(plain).unwrap());
            assert_eq!(plain.as_deref(), expected, "{line}");
        }
    }
}
