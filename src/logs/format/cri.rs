//! Files of the container runtime interface: `2026-11-21T10:35:09.75187298Z stderr F message`. Tags are separated by
//! colons; the first is `P` for a part of a line, `F` for a full line or its last part.

use crate::logs::line::Line;
use crate::logs::time::RawTime;

pub(crate) fn after_time(text: &[u8], at: usize, time: RawTime) -> Option<Line<'_>> {
    let rest = text.get(at..)?;
    let stream = rest.strip_prefix(b" stderr ").or_else(|| rest.strip_prefix(b" stdout "))?;
    let partial = match stream.first()? {
        b'P' => true,
        b'F' => false,
        _ => return None,
    };
    let tag = memchr::memchr(b' ', stream.get(..stream.len().min(32))?)?;
    Some(Line { partial, ..Line::at(Some(time), at + 8 + tag + 1) })
}

/// The message of consecutive CRI lines, parts joined; `lines` are whole lines with their ends.
pub(crate) fn join(lines: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(lines.len());
    for line in lines.split(|byte| *byte == b'\n') {
        let head = crate::logs::line::parse(line);
        // The first keeps its head, so that what is matched is still a line of the log.
        joined.extend_from_slice(line.get(if joined.is_empty() { 0 } else { head.message }..).unwrap_or_default());
    }
    joined
}
