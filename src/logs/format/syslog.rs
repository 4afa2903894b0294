//! syslog's prefixes: RFC 3164 and 5424, rsyslog's ISO dates, journalctl's short formats, and traditional dates in a Chinese
//! locale (`6月 25 03:22:19`).

use crate::logs::line::Line;
use crate::logs::time::{Cursor, RawDate, RawTime};

/// No program's tag is longer.
const TAG_LIMIT: usize = 64;
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `Jan 27 03:10:20 host program[pid]: message`
pub(crate) fn traditional(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    let mut time = month_day_clock(&mut cursor)?;
    // Cisco and some rsyslog templates put the year or zone here; a zone is all that is common.
    time.offset = cursor.zone();
    cursor.spaces();
    Some(after_time(text, cursor.at, time))
}

/// `Jan 27 03:10:20`, `1月 27 03:10:20`
pub(crate) fn month_day_clock(cursor: &mut Cursor<'_>) -> Option<RawTime> {
    let month = match MONTHS.iter().position(|name| cursor.take_str(name).is_some()) {
        Some(index) => index as u8 + 1,
        None => {
            cursor.spaces();
            let month = cursor.number(1, 2)?;
            cursor.take_str("月".as_bytes())?;
            month as u8
        }
    };
    if !(1..=12).contains(&month) {
        return None;
    }
    cursor.spaces();
    let day = cursor.number(1, 2)? as u8;
    let _ = cursor.take_str("日".as_bytes());
    cursor.take(b' ')?;
    let (second, nanos, digits) = cursor.clock()?;
    Some(RawTime { date: RawDate::Yearless { month, day }, second, nanos, digits, offset: None })
}

/// What follows a time: `host program[pid]: message`, or `program[pid]: message`, or a message alone.
pub(crate) fn after_time(text: &[u8], at: usize, time: RawTime) -> Line<'_> {
    let mut cursor = Cursor { text, at };
    if let Some(line) = tag(&mut cursor, time) {
        return line;
    }
    // The first word is no tag, so it may be the host.
    if host_word(&mut cursor).is_some()
        && cursor.take(b' ').is_some()
        && let Some(line) = tag(&mut cursor, time)
    {
        return line;
    }
    Line::at(Some(time), at)
}

/// The host of a line that names one between its time and its program, as syslog and journalctl's short formats do.
pub(crate) fn host_of(text: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(text);
    if month_day_clock(&mut cursor).is_none() {
        cursor = Cursor::new(text);
        cursor.date_time()?;
    }
    cursor.zone();
    cursor.spaces();
    let start = cursor.at;
    let time = RawTime { date: RawDate::Yearless { month: 1, day: 1 }, second: 0, nanos: 0, digits: 0, offset: None };
    if tag(&mut cursor, time).is_some() {
        return None;
    }
    let host = host_word(&mut Cursor { text, at: start })?;
    let mut after = Cursor { text, at: start + host.len() };
    after.take(b' ')?;
    tag(&mut after, time).map(|_| host)
}

/// A word that may be a host's name.
fn host_word<'t>(cursor: &mut Cursor<'t>) -> Option<&'t [u8]> {
    let host = cursor.word();
    let is_host = !host.is_empty()
        && host.len() <= 255
        && host.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'));
    is_host.then_some(host)
}

/// `program[pid]: `, `program: `, with the message after it.
fn tag<'t>(cursor: &mut Cursor<'t>, time: RawTime) -> Option<Line<'t>> {
    let start = cursor.at;
    let rest = cursor.rest();
    let head = rest.get(..rest.len().min(TAG_LIMIT))?;
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'@' | b'(' | b')');
    let length = head.iter().take_while(|byte| is_name(byte)).count();
    let name = head.get(..length).filter(|name| name.iter().any(u8::is_ascii_alphabetic))?;
    let mut after = Cursor { text: cursor.text, at: start + length };
    if after.take(b'[').is_some() {
        after.number(1, 10)?;
        after.take(b']')?;
    }
    after.take(b':')?;
    // `host:port` and `12:30` are no tags.
    if !matches!(after.peek(), b' ' | 0) {
        return None;
    }
    let _ = after.take(b' ');
    // PAM's module in parentheses is no part of the name.
    let end = memchr::memchr(b'(', name).filter(|end| *end > 0).unwrap_or(name.len());
    Some(Line { program: name.get(..end), ..Line::at(Some(time), after.at) })
}

/// `<34>Oct 11 22:14:15 host su: message` and `<165>1 2003-10-11T22:14:15.003Z host program pid id [data] message`
pub(crate) fn with_priority(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    cursor.take(b'<')?;
    cursor.number(1, 3)?;
    cursor.take(b'>')?;
    if cursor.take_str(b"1 ").is_none() {
        let inner = cursor.rest();
        let mut line = traditional(inner).or_else(|| {
            let mut cursor = Cursor::new(inner);
            let time = cursor.date_time()?;
            cursor.spaces();
            Some(after_time(inner, cursor.at, time))
        })?;
        line.message += cursor.at;
        return Some(line);
    }
    let time = if cursor.take(b'-').is_some() { None } else { Some(cursor.date_time()?) };
    let mut fields = [&text[..0]; 4];
    for field in &mut fields {
        cursor.take(b' ')?;
        *field = cursor.word();
    }
    cursor.take(b' ')?;
    structured_data(&mut cursor)?;
    let _ = cursor.take(b' ');
    let program = Some(fields[1]).filter(|name| *name != b"-" && !name.is_empty());
    Some(Line { program, ..Line::at(time, cursor.at) })
}

fn structured_data(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.take(b'-').is_some() {
        return Some(());
    }
    while cursor.take(b'[').is_some() {
        let mut quoted = false;
        loop {
            let byte = *cursor.text.get(cursor.at)?;
            cursor.at += 1;
            match byte {
                b'\\' if quoted => cursor.at += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
    }
    cursor.at = cursor.at.min(cursor.text.len());
    Some(())
}
