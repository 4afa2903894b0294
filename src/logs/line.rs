//! What a line says of itself before its message: when, and who wrote it.

use super::format::{capnslog, cri, json, klog, logrus, syslog};
use super::time::{Cursor, RawDate, RawTime};

/// A line's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'t> {
    pub time: Option<RawTime>,
    /// The program as the line names it (a syslog tag without its pid), not yet [`super::program::canonical`].
    pub program: Option<&'t [u8]>,
    /// Where the message begins.
    pub message: usize,
    /// A CRI line whose message goes on in the next one.
    pub partial: bool,
}

impl<'t> Line<'t> {
    pub(crate) fn at(time: Option<RawTime>, message: usize) -> Line<'t> {
        Line { time, program: None, message, partial: false }
    }
}

/// Reads the head of a line in any of the known formats.
///
/// klog, zap JSON, capnslog, logrus, dmesg; syslog's RFC 3164, RFC 5424 and ISO prefixes, also with Chinese month names;
/// journalctl's short formats; docker's json-file; CRI. A line of none of them has neither time nor program.
pub fn parse(line: &[u8]) -> Line<'_> {
    // What people paste may be quoted or indented.
    let lead = line.iter().take(8).take_while(|byte| matches!(byte, b' ' | b'\t' | b'>' | b'|')).count();
    let text = line.get(lead..).unwrap_or_default();
    let mut parsed = parse_trimmed(text);
    parsed.message += lead;
    parsed
}

fn parse_trimmed(text: &[u8]) -> Line<'_> {
    let none = Line::at(None, 0);
    let Some(first) = text.first() else { return none };
    match first {
        b'{' => json::parse(text).unwrap_or(none),
        b'[' => dmesg(text).or_else(|| bracketed(text)).unwrap_or(none),
        b'<' => syslog::with_priority(text).unwrap_or(none),
        b'0'..=b'9' => dated(text).or_else(|| syslog::traditional(text)).or_else(|| epoch(text)).unwrap_or(none),
        b't' if text.starts_with(b"type=") => audit(text).unwrap_or(none),
        b'I' | b'W' | b'E' | b'F' | b'D' | b'N' | b'C' => klog::parse(text)
            .or_else(|| syslog::traditional(text))
            .or_else(|| logrus::parse(text))
            .or_else(|| weekday(text))
            .unwrap_or(none),
        _ => syslog::traditional(text).or_else(|| logrus::parse(text)).or_else(|| weekday(text)).unwrap_or(none),
    }
}

/// `type=AVC msg=audit(1795257450.123:456): ...`, auditd's: the whole line is the message, as the patterns have it.
fn audit(text: &[u8]) -> Option<Line<'_>> {
    const TIME: &[u8] = b"msg=audit(";
    let head = text.get(..text.len().min(64)).unwrap_or_default();
    let at = head.windows(TIME.len()).position(|window| window == TIME)? + TIME.len();
    let mut cursor = Cursor::new(text);
    cursor.at = at;
    let time = cursor.seconds(RawDate::Epoch)?;
    cursor.take(b':')?;
    Some(Line::at(Some(time), 0))
}

/// Lines that begin with a whole date.
fn dated(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    let time = cursor.date_time()?;
    if let Some(line) = cri::after_time(text, cursor.at, time) {
        return Some(line);
    }
    if let Some(line) = capnslog::after_time(text, cursor.at, time) {
        return Some(line);
    }
    cursor.spaces();
    Some(syslog::after_time(text, cursor.at, time))
}

/// `[12345.678901] message`, the kernel's ring buffer.
fn dmesg(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    cursor.take(b'[')?;
    cursor.spaces();
    let time = cursor.seconds(RawDate::SinceBoot)?;
    cursor.take(b']')?;
    if time.digits != 6 {
        return None;
    }
    cursor.spaces();
    Some(Line { program: Some(b"kernel"), ..Line::at(Some(time), cursor.at) })
}

/// `[2026-11-21T10:35:09Z] message`, and `dmesg -T`'s `[Fri Jan 27 03:10:20 2023] message`.
fn bracketed(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    cursor.take(b'[')?;
    if let Some(time) = cursor.date_time() {
        cursor.take(b']')?;
        cursor.spaces();
        return Some(Line::at(Some(time), cursor.at));
    }
    let time = ctime(&mut cursor)?;
    cursor.take(b']')?;
    cursor.spaces();
    Some(Line { program: Some(b"kernel"), ..Line::at(Some(time), cursor.at) })
}

/// `Fri Jan 27 03:10:20 2023`
fn ctime(cursor: &mut Cursor<'_>) -> Option<RawTime> {
    day_of_week(cursor)?;
    let mut time = syslog::month_day_clock(cursor)?;
    cursor.spaces();
    let year = cursor.number(4, 4)? as i32;
    if let RawDate::Yearless { month, day } = time.date {
        time.date = RawDate::Full { year, month, day };
    }
    Some(time)
}

/// `Fri 2026-11-21 10:35:05 UTC host program[pid]: message`, journalctl's short-full.
fn weekday(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    day_of_week(&mut cursor)?;
    let mut time = cursor.date_time()?;
    cursor.spaces();
    if time.offset.is_none() {
        // A zone's abbreviation that is not UTC says nothing certain.
        if !cursor.peek().is_ascii_uppercase() {
            return None;
        }
        time.offset = (cursor.word() == b"UTC").then_some(0);
        cursor.spaces();
    }
    Some(syslog::after_time(text, cursor.at, time))
}

fn day_of_week(cursor: &mut Cursor<'_>) -> Option<()> {
    const DAYS: [&[u8]; 7] = [b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun "];
    DAYS.iter().find_map(|day| cursor.take_str(day))
}

/// `1700000000.123456 host program[pid]: message`, journalctl's short-unix.
fn epoch(text: &[u8]) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    let time = cursor.seconds(RawDate::Epoch)?;
    if time.digits != 6 || cursor.at != 17 {
        return None;
    }
    cursor.take(b' ')?;
    Some(syslog::after_time(text, cursor.at, time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::time::Clock;

    #[test]
    fn reads_each_format() {
        let clock = Clock::new("2026-11-21T10:00:00Z".parse().unwrap(), 0);
        // line, time, program, message
        let cases: &[(&str, Option<&str>, Option<&str>, &str)] = &[
            ("no format at all", None, None, "no format at all"),
            (
                "E0127 03:10:20.581730   12904 manager.go:1557] Failed to create",
                Some("2026-01-27T03:10:20.581730Z"),
                None,
                "Failed to create",
            ),
            (
                r#"{"level":"warn","ts":"2024-05-14T20:25:47.051139Z","caller":"a/b.go:1","msg":"slow fdatasync"}"#,
                Some("2024-05-14T20:25:47.051139Z"),
                None,
                r#"slow fdatasync"}"#,
            ),
            (
                r#"{"level":"info","ts":1526585787.1485257,"caller":"x.go:1","msg":"fetching"}"#,
                Some("2018-05-17T19:36:27.1485257Z"),
                None,
                r#"fetching"}"#,
            ),
            (
                "2018-03-01 03:10:20.581730 E | etcdmain: listen failed",
                Some("2018-03-01T03:10:20.581730Z"),
                None,
                "etcdmain: listen failed",
            ),
            (
                r#"time="2020-07-23T11:25:37.4967+08:00" level=error msg="cannot \"open\"""#,
                Some("2020-07-23T03:25:37.4967Z"),
                None,
                r#"cannot \"open\"""#,
            ),
            ("WARN[2020-12-04T22:33:50.43+08:00] could not", Some("2020-12-04T14:33:50.43Z"), None, "could not"),
            ("Jan  7 03:10:20 node-1 etcd[11873]: rejected", Some("2026-01-07T03:10:20Z"), Some("etcd"), "rejected"),
            (
                "Jan 27 03:10:20.123456 node-1 kubelet[1]: E0127 03:10:20.1 1 a.go:1] x",
                Some("2026-01-27T03:10:20.123456Z"),
                Some("kubelet"),
                "E0127 03:10:20.1 1 a.go:1] x",
            ),
            ("Jan 27 03:10:20 kernel: Out of memory", Some("2026-01-27T03:10:20Z"), Some("kernel"), "Out of memory"),
            ("6月 25 03:22:19 k8s dockerd[7]: no space", Some("2026-06-25T03:22:19Z"), Some("dockerd"), "no space"),
            (
                "2026-11-21T09:49:04.989221+00:00 lb systemd[1]: Started",
                Some("2026-11-21T09:49:04.989221Z"),
                Some("systemd"),
                "Started",
            ),
            ("2026-11-21T10:35:05+0800 lb kernel: Linux", Some("2026-11-21T02:35:05Z"), Some("kernel"), "Linux"),
            (
                "<34>Oct 11 22:14:15 mymachine su[7]: 'su root' failed",
                Some("2026-10-11T22:14:15Z"),
                Some("su"),
                "'su root' failed",
            ),
            (
                r#"<165>1 2003-10-11T22:14:15.003Z host etcd 99 ID47 [a@1 b="]\" c"] event"#,
                Some("2003-10-11T22:14:15.003Z"),
                Some("etcd"),
                "event",
            ),
            ("<3>1 2003-10-11T22:14:15Z host etcd - - - event", Some("2003-10-11T22:14:15Z"), Some("etcd"), "event"),
            ("2026-11-21T10:35:09.75187298Z stderr F hello", Some("2026-11-21T10:35:09.75187298Z"), None, "hello"),
            (
                r#"{"log":"E0127 03:10:20.5 1 a.go:1] x \"y\"\n","stream":"stderr","time":"2021-01-27T03:10:20.581730123Z"}"#,
                Some("2021-01-27T03:10:20.581730123Z"),
                None,
                r#"E0127 03:10:20.5 1 a.go:1] x \"y\"\n","stream":"stderr","time":"2021-01-27T03:10:20.581730123Z"}"#,
            ),
            ("[12345.678901] Out of memory", None, Some("kernel"), "Out of memory"),
            ("[Fri Jan 27 03:10:20 2023] oom", Some("2023-01-27T03:10:20Z"), Some("kernel"), "oom"),
            ("Fri 2026-11-20 10:35:05 UTC lb kubelet[3]: x", Some("2026-11-20T10:35:05Z"), Some("kubelet"), "x"),
            ("1700000000.123456 lb kubelet[3]: x", Some("2023-11-14T22:13:20.123456Z"), Some("kubelet"), "x"),
            (
                "2026/11/20 10:35:05 [error] 12#12: *1 connect() failed",
                Some("2026-11-20T10:35:05Z"),
                None,
                "[error] 12#12: *1 connect() failed",
            ),
            ("> 2019-11-20 10:35:05.1 I | etcdmain: x", Some("2019-11-20T10:35:05.1Z"), None, "etcdmain: x"),
            ("2019-11-20 10:35:05.1 [INFO][8] felix: x", Some("2019-11-20T10:35:05.1Z"), None, "[INFO][8] felix: x"),
        ];
        for (line, time, program, message) in cases {
            let parsed = parse(line.as_bytes());
            let resolved = parsed.time.and_then(|raw| clock.resolve(raw)).and_then(|stamp| stamp.rfc3339());
            assert_eq!(resolved.as_deref(), *time, "{line}");
            assert_eq!(parsed.program.map(|program| String::from_utf8_lossy(program)).as_deref(), *program, "{line}");
            assert_eq!(&line[parsed.message..], *message, "{line}");
        }
    }

    #[test]
    fn knows_partial_lines() {
        assert!(parse(b"2026-11-21T10:35:09.75187298Z stderr P hel").partial);
        assert!(!parse(b"2026-11-21T10:35:09.75187298Z stderr F hel").partial);
        assert!(parse(b"2026-11-21T10:35:09.75187298+08:00 stdout P:x hel").partial);
    }

    #[test]
    fn survives_any_prefix() {
        let lines: [&[u8]; 5] = [
            br#"{"log":"E0127 03","stream":"stderr","time":"2021-01-27T03:10:20.581730123Z"}"#,
            br#"<165>1 2003-10-11T22:14:15.003Z host etcd 99 ID47 [a@1 b="]\" c"] event"#,
            "6月 25 03:22:19 k8s dockerd[7]: no space".as_bytes(),
            b"Fri 2026-11-20 10:35:05 UTC lb kubelet[3]: x",
            br#"time="2020-07-23T11:25:37.4967+08:00" level=error msg="cannot"#,
        ];
        for line in lines {
            for end in 0..line.len() {
                assert!(parse(&line[..end]).message <= end);
                assert!(parse(&line[end..]).message <= line.len() - end);
            }
        }
    }
}
