//! Times of log lines: as written, and resolved to UTC with the year and zone that the log's neighbours show.

use jiff::Timestamp;

const DAY: i64 = 86_400;

/// A time as a line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTime {
    pub date: RawDate,
    /// Seconds of the day, leap second as 60.
    pub second: u32,
    pub nanos: u32,
    /// Digits of the fraction that were written.
    pub digits: u8,
    /// Seconds east of UTC.
    pub offset: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawDate {
    Full {
        year: i32,
        month: u8,
        day: u8,
    },
    /// Without a year: klog, RFC 3164.
    Yearless {
        month: u8,
        day: u8,
    },
    /// Days since the epoch, for numbers of seconds since then.
    Epoch(i64),
    /// Days since boot: the kernel's ring buffer.
    SinceBoot(i64),
}

/// A resolved time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Nanoseconds since the epoch, or since boot when not `absolute`.
    pub nanos: i64,
    pub digits: u8,
    pub absolute: bool,
}

impl Stamp {
    pub fn seconds_since(self, earlier: Stamp) -> i64 {
        self.nanos.saturating_sub(earlier.nanos) / 1_000_000_000
    }

    /// None for a time since boot.
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(self.nanos.into()).ok().filter(|_| self.absolute)
    }

    /// RFC 3339 in UTC with the log's own precision; none for a time since boot.
    pub fn rfc3339(self) -> Option<String> {
        let time = self.timestamp()?;
        Some(format!("{time:.*}", usize::from(self.digits.min(9))))
    }
}

/// What resolves the times of one log.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// A time that the log's own lines show with a year, seconds since the epoch.
    pub near: Option<i64>,
    /// No line is later than this, seconds since the epoch.
    pub until: i64,
    /// Seconds east of UTC of times without zone.
    pub offset: i32,
    /// When the host started, seconds since the epoch, for the kernel's times.
    pub boot: Option<i64>,
}

impl Clock {
    pub fn new(until: Timestamp, offset: i32) -> Clock {
        Clock { near: None, until: until.as_second(), offset, boot: None }
    }

    pub fn resolve(&self, raw: RawTime) -> Option<Stamp> {
        let offset = i64::from(raw.offset.unwrap_or(self.offset));
        let second = i64::from(raw.second);
        let (seconds, absolute) = match raw.date {
            RawDate::Full { year, month, day } => (days(year, month, day)? * DAY + second - offset, true),
            RawDate::Epoch(days) => (days.checked_mul(DAY)? + second, true),
            RawDate::SinceBoot(days) => {
                let since = days.checked_mul(DAY)? + second;
                (since + self.boot.unwrap_or(0), self.boot.is_some())
            }
            RawDate::Yearless { month, day } => {
                let at = |year| days(year, month, day).map(|days| days * DAY + second - offset);
                let reference = self.near.unwrap_or(self.until);
                let year = i32::from(Timestamp::from_second(reference).ok()?.to_zoned(jiff::tz::TimeZone::UTC).year());
                let seconds = match self.near {
                    // The log's beginning shows the year; the log goes on from there.
                    Some(near) => (year - 1..=year + 1).filter_map(at).find(|time| *time >= near - 30 * DAY)?,
                    // 29 February may be some years back.
                    None => (0..8).filter_map(|back| at(year + 1 - back)).find(|time| *time <= self.until + DAY)?,
                };
                (seconds, true)
            }
        };
        let nanos = seconds.checked_mul(1_000_000_000)?.checked_add(raw.nanos.into())?;
        Some(Stamp { nanos, digits: raw.digits, absolute })
    }
}

/// Days from the epoch to a date of the Gregorian calendar.
fn days(year: i32, month: u8, day: u8) -> Option<i64> {
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > length || !(1970..=2200).contains(&year) {
        return None;
    }
    // Counted from March, so that the leap day is the year's last.
    let year = i64::from(year) - i64::from(month <= 2);
    let era_year = year.rem_euclid(400);
    let month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    Some(year.div_euclid(400) * 146_097 + era_year * 365 + era_year / 4 - era_year / 100 + day_of_year - 719_468)
}

/// Reads a piece of text from its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'t> {
    pub text: &'t [u8],
    pub at: usize,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t [u8]) -> Cursor<'t> {
        Cursor { text, at: 0 }
    }

    pub fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    pub fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == byte && self.at < self.text.len()).then(|| self.at += 1)
    }

    pub fn take_str(&mut self, text: &[u8]) -> Option<()> {
        self.rest().starts_with(text).then(|| self.at += text.len())
    }

    pub fn spaces(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    /// A number of `from..=to` digits.
    pub fn number(&mut self, from: usize, to: usize) -> Option<u64> {
        let start = self.at;
        let mut value = 0u64;
        while self.at - start < to && self.peek().is_ascii_digit() {
            value = value.checked_mul(10)?.checked_add(u64::from(self.peek() - b'0'))?;
            self.at += 1;
        }
        (self.at - start >= from).then_some(value)
    }

    /// A word up to the next space.
    pub fn word(&mut self) -> &'t [u8] {
        let rest = self.rest();
        let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// `03:10:20`, with a fraction if there is one: seconds of the day, nanoseconds, digits.
    pub fn clock(&mut self) -> Option<(u32, u32, u8)> {
        let hour = self.number(2, 2)?;
        self.take(b':')?;
        let minute = self.number(2, 2)?;
        self.take(b':')?;
        let second = self.number(2, 2)?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (nanos, digits) = match self.peek() {
            b'.' | b',' if self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) => {
                self.at += 1;
                self.fraction()?
            }
            _ => (0, 0),
        };
        Some(((hour * 3600 + minute * 60 + second) as u32, nanos, digits))
    }

    fn fraction(&mut self) -> Option<(u32, u8)> {
        let start = self.at;
        let value = self.number(1, 9)?;
        let digits = (self.at - start) as u8;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Some(((value * 10u64.pow(9 - u32::from(digits))) as u32, digits))
    }

    /// `Z`, `+08:00`, `+0800`, ` +0000 UTC`; none leaves the place as it was.
    pub fn zone(&mut self) -> Option<i32> {
        let start = self.at;
        if self.take(b'Z').is_some() {
            return Some(0);
        }
        if self.peek() == b' ' && matches!(self.text.get(self.at + 1), Some(b'+' | b'-')) {
            self.at += 1;
        }
        if self.take_str(b" UTC").is_some() || self.take_str(b" GMT").is_some() {
            return Some(0);
        }
        let sign = match self.peek() {
            b'+' => 1,
            b'-' => -1,
            _ => {
                self.at = start;
                return None;
            }
        };
        self.at += 1;
        let zone = (|| {
            let hours = self.number(2, 2)?;
            let _ = self.take(b':');
            let minutes = self.number(2, 2)?;
            (hours <= 15 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as i32)
        })();
        if zone.is_none() {
            self.at = start;
        }
        zone
    }

    /// `2026-11-21T10:35:09.75+08:00` in its variants: a space for `T`, `/` for `-`, no fraction, no zone.
    pub fn date_time(&mut self) -> Option<RawTime> {
        let year = self.number(4, 4)?;
        let separator = self.peek();
        if separator != b'-' && separator != b'/' {
            return None;
        }
        self.at += 1;
        let month = self.number(2, 2)?;
        self.take(separator)?;
        let day = self.number(2, 2)?;
        if !matches!(self.peek(), b'T' | b' ' | b't') || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        self.at += 1;
        let (second, nanos, digits) = self.clock()?;
        let offset = self.zone();
        let date = RawDate::Full { year: year as i32, month: month as u8, day: day as u8 };
        Some(RawTime { date, second, nanos, digits, offset })
    }

    /// Seconds with a fraction, as a date of `kind`.
    pub fn seconds(&mut self, kind: fn(i64) -> RawDate) -> Option<RawTime> {
        let seconds = self.number(1, 11)?;
        let (nanos, digits) = match self.peek() {
            b'.' => {
                self.at += 1;
                self.fraction()?
            }
            _ => (0, 0),
        };
        let date = kind((seconds / DAY as u64) as i64);
        Some(RawTime { date, second: (seconds % DAY as u64) as u32, nanos, digits, offset: Some(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(clock: Clock, text: &str) -> Option<String> {
        clock.resolve(Cursor::new(text.as_bytes()).date_time()?)?.rfc3339()
    }

    fn clock() -> Clock {
        Clock::new("2026-11-21T10:00:00Z".parse().unwrap(), 0)
    }

    #[test]
    fn reads_dates() {
        let cases = [
            ("2026-11-21T10:35:09.75187298Z", Some("2026-11-21T10:35:09.75187298Z")),
            ("2026-11-21 10:35:09.123 +0800 x", Some("2026-11-21T02:35:09.123Z")),
            ("2026-11-21T10:35:09-0330", Some("2026-11-21T14:05:09Z")),
            ("2016/12/23 05:21:10 x", Some("2016-12-23T05:21:10Z")),
            ("2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00Z")),
            ("2023-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-12-01T25:00:00Z", None),
            ("99", None),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(clock(), text).as_deref(), expected, "{text}");
        }
        assert_eq!(
            resolve(Clock { offset: 28800, ..clock() }, "2026-11-21 10:00:00").as_deref(),
            Some("2026-11-21T02:00:00Z")
        );
    }

    #[test]
    fn finds_the_year() {
        let raw = |month, day| RawTime {
            date: RawDate::Yearless { month, day },
            second: 3600,
            nanos: 0,
            digits: 0,
            offset: None,
        };
        let year = |clock: Clock, month, day| clock.resolve(raw(month, day)).and_then(Stamp::rfc3339);
        assert_eq!(year(clock(), 11, 21).as_deref(), Some("2026-11-21T01:00:00Z"));
        assert_eq!(year(clock(), 12, 31).as_deref(), Some("2025-12-31T01:00:00Z"));
        assert_eq!(year(clock(), 2, 29).as_deref(), Some("2024-02-29T01:00:00Z"));
        let near = Clock { near: Some("2019-12-30T00:00:00Z".parse::<Timestamp>().unwrap().as_second()), ..clock() };
        assert_eq!(year(near, 12, 31).as_deref(), Some("2019-12-31T01:00:00Z"));
        assert_eq!(year(near, 1, 1).as_deref(), Some("2020-01-01T01:00:00Z"));
    }

    #[test]
    fn survives_nonsense_dates() {
        let absurd = Clock { near: Some(i64::MAX / 4), until: i64::MAX / 4, offset: 0, boot: Some(i64::MAX / 2) };
        let raw =
            RawTime { date: RawDate::Yearless { month: 1, day: 1 }, second: 0, nanos: 0, digits: 0, offset: None };
        assert_eq!(absurd.resolve(raw), None);
        assert_eq!(absurd.resolve(RawTime { date: RawDate::SinceBoot(9), ..raw }), None);
    }
}
