//! capnslog, etcd's format until 3.4 and that of flannel: `2018-03-01 03:10:20.581730 E | etcdmain: message`.

use crate::logs::line::Line;
use crate::logs::time::RawTime;

pub(crate) fn after_time(text: &[u8], at: usize, time: RawTime) -> Option<Line<'_>> {
    match text.get(at..at + 5)? {
        [b' ', level, b' ', b'|', b' '] if level.is_ascii_uppercase() => Some(Line::at(Some(time), at + 5)),
        _ => None,
    }
}
