//! glog and klog: `E0127 03:10:20.581730   12904 manager.go:1557] message`.

use crate::logs::line::Line;
use crate::logs::time::{Cursor, RawDate, RawTime};

pub(crate) fn parse(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    if !matches!(cursor.peek(), b'I' | b'W' | b'E' | b'F') {
        return None;
    }
    cursor.at += 1;
    let month = cursor.number(2, 2)? as u8;
    let day = cursor.number(2, 2)? as u8;
    cursor.take(b' ')?;
    let (second, nanos, digits) = cursor.clock()?;
    let time = RawTime { date: RawDate::Yearless { month, day }, second, nanos, digits, offset: None };
    // The thread and the place in the source follow; a line without them is klog's all the same.
    let head = cursor.rest().get(..cursor.rest().len().min(160)).unwrap_or_default();
    let message = memchr::memmem::find(head, b"] ").map_or(cursor.at, |end| cursor.at + end + 2);
    Some(Line::at(Some(time), message))
}
