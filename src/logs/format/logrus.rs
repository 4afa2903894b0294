//! logrus and other logfmt writers: `time="..." level=error msg="..."`, `ts=... level=info`, and logrus on a terminal:
//! `WARN[2020-12-04T22:33:50.432804342+08:00] message`, `ERRO[0001] message`.

use memchr::memmem;

use crate::logs::line::Line;
use crate::logs::time::Cursor;

/// The head of a line, within which the keys are looked for.
const HEAD: usize = 512;

pub(crate) fn parse(text: &[u8]) -> Option<Line<'_>> {
    let head = text.get(..text.len().min(HEAD))?;
    if let Some(line) = terminal(text) {
        return Some(line);
    }
    let key = ["time=", "ts=", "t="].iter().find_map(|key| {
        let at = memmem::find(head, key.as_bytes())?;
        (at == 0 || head.get(at - 1) == Some(&b' ')).then_some(at + key.len())
    })?;
    let mut cursor = Cursor { text, at: key };
    let _ = cursor.take(b'"');
    let time = cursor.date_time()?;
    let message = match memmem::find(head, b"msg=") {
        Some(at) if head.get(at + 4) == Some(&b'"') => at + 5,
        Some(at) => at + 4,
        None => cursor.at,
    };
    Some(Line::at(Some(time), message))
}

fn terminal(text: &[u8]) -> Option<Line<'_>> {
    const LEVELS: [&[u8]; 7] = [b"DEBU[", b"INFO[", b"WARN[", b"ERRO[", b"FATA[", b"PANI[", b"TRAC["];
    let mut cursor = Cursor::new(text);
    LEVELS.iter().find_map(|level| cursor.take_str(level))?;
    // Without a date it counts seconds since the program's start.
    let time = match cursor.date_time() {
        Some(time) => Some(time),
        None => {
            cursor.number(4, 9)?;
            None
        }
    };
    cursor.take(b']')?;
    cursor.spaces();
    Some(Line::at(time, cursor.at))
}
