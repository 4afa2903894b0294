//! Values of options. Each error says what was expected.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::facts::versions::newest_kubernetes;

/// A moment: RFC 3339, or a date or date and time without a zone, which are taken for UTC.
pub fn timestamp(text: &str) -> Result<Timestamp, String> {
    let expected = "a time such as 2024-05-02T10:00:00Z, or a date such as 2024-05-02 (UTC)";
    // A date and time with an offset is also a date and time without one: the exact form is tried first.
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil = match text.parse::<DateTime>() {
        Ok(civil) => civil,
        Err(_) => text.parse::<Date>().map_err(|_| format!("expected {expected}"))?.at(0, 0, 0, 0),
    };
    civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| format!("expected {expected}"))
}

/// A length of time: seconds, or with units `500ms`, `5s`, `2m`, `24h`, `7d`. Never 0.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected seconds, or a number with a unit: 500ms, 5s, 2m, 24h, 7d".to_owned();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| expected())?,
        Err(_) => {
            let span: Span = text.parse().map_err(|_| expected())?;
            let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
            Duration::try_from(signed).map_err(|_| expected())?
        }
    };
    if duration.is_zero() { Err("0 is no length of time".to_owned()) } else { Ok(duration) }
}

/// A moment, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Ago(Duration),
    Moment(Timestamp),
}

impl Since {
    /// How long before `at` it is. The error is for people.
    pub fn before(self, at: Timestamp) -> Result<Duration, String> {
        match self {
            Since::Ago(duration) => Ok(duration),
            Since::Moment(moment) => Duration::try_from(at.duration_since(moment))
                .map_err(|_| format!("{moment} is later than {at}, until which logs are read")),
        }
    }
}

/// A length of time as in [`duration`], or a moment as in [`timestamp`].
pub fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = duration(text) {
        return Ok(Since::Ago(ago));
    }
    timestamp(text)
        .map(Since::Moment)
        .map_err(|_| "expected how long ago, as 2h or 7d, or a time such as 2024-05-02T10:00:00Z".to_owned())
}

/// A number of bytes: `500000`, `20M`, `1.5G`, `64MiB`; the units are powers of 1024. Never 0.
pub fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected bytes, or a number with a unit: 500K, 20M, 1.5G".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(expected()),
    };
    let bytes = number.parse::<f64>().map_err(|_| expected())? * (1_u64 << shift) as f64;
    // Beyond it no disk reaches, and no number of bytes is exact.
    if (1.0..9e15).contains(&bytes) { Ok(bytes as u64) } else { Err(expected()) }
}

/// A Kubernetes release, as `1.34`; a leading `v` and a patch version are taken off. Releases older than all that are known
/// and far newer ones are slips.
pub fn kubernetes_version(text: &str) -> Result<String, String> {
    let (oldest, newest) = (3, newest_kubernetes());
    let expected = || format!("expected a Kubernetes release such as 1.34 (1.{oldest} to 1.{newest} are known)");
    let mut numbers = text.trim().strip_prefix('v').unwrap_or(text.trim()).split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        // What came out since is taken: nothing is known to have gone with it.
        (Some(Ok(1)), Some(Ok(minor)), None | Some(Ok(_)), None) if (oldest..=newest + 20).contains(&minor) => {
            Ok(format!("1.{minor}"))
        }
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_lengths() {
        let at: Timestamp = "2024-05-02T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2h", Some(Ok(7200))),
            ("90", Some(Ok(90))),
            ("2024-05-02T09:59:00Z", Some(Ok(60))),
            ("2024-05-02", Some(Ok(36_000))),
            ("2024-05-03", Some(Err(()))),
            ("yesterday", None),
            ("0", None),
        ] {
            let found = since(text).ok().map(|since| since.before(at).map(|ago| ago.as_secs()).map_err(|_| ()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn timestamps() {
        for (text, expected) in [
            ("2024-05-02T10:00:00Z", Some("2024-05-02T10:00:00Z")),
            ("2024-05-02T10:00:00+02:00", Some("2024-05-02T08:00:00Z")),
            ("2024-05-02 10:00:00+00:00", Some("2024-05-02T10:00:00Z")),
            ("2024-05-02T10:00:00", Some("2024-05-02T10:00:00Z")),
            ("2024-05-02 10:00:00", Some("2024-05-02T10:00:00Z")),
            ("2024-05-02", Some("2024-05-02T00:00:00Z")),
            ("2024-02-31", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text).ok().map(|moment| moment.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("5", Some(5_000)),
            ("0.5", Some(500)),
            ("5s", Some(5_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("0", None),
            ("-5", None),
            ("-5s", None),
            ("NaN", None),
            ("1e300", None),
            ("soon", None),
        ] {
            assert_eq!(duration(text).ok().map(|found| found.as_millis()), milliseconds, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("5", Some(5)),
            ("20M", Some(20 << 20)),
            ("1.5k", Some(1536)),
            ("64MiB", Some(64 << 20)),
            ("1 GB", Some(1 << 30)),
            ("0", None),
            ("-5", None),
            ("", None),
            ("M", None),
            ("5x", None),
            ("99999999T", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn versions() {
        for (text, expected) in [
            ("1.34", Some("1.34")),
            ("v1.34.2", Some("1.34")),
            ("1", None),
            ("1.x", None),
            ("1.34.2.1", None),
            ("1.40", Some("1.40")),
            ("1.340", None),
            ("1.2", None),
            ("2.0", None),
            ("latest", None),
        ] {
            assert_eq!(kubernetes_version(text).ok().as_deref(), expected, "{text}");
        }
    }
}
