//! What the scanner found in a host's logs: one entry for each rule's pattern and captured subject.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::report::{LogLine, Occurrences};

#[derive(Debug, Clone, Default, Serialize)]
pub struct Logs {
    pub hits: Vec<LogHit>,
    /// The files and streams that were scanned.
    pub scanned: Vec<ScannedLog>,
    /// What was left out, with why.
    pub left_out: Vec<(String, String)>,
    /// Those of them that would have been read (on) had there been time.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unfinished: BTreeSet<String>,
    /// When the host was looked at; none for a tree, which does not say.
    pub looked_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScannedLog {
    pub path: String,
    pub bytes: u64,
    pub lines: u64,
    /// First and last time found in it, RFC 3339.
    pub first: Option<String>,
    pub last: Option<String>,
}

/// A message that stayed away for so many seconds may be over.
pub const QUIET: i64 = 60;

/// All lines that one pattern of one rule matched with the same captured values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogHit {
    pub rule: String,
    /// Index of the pattern in its card.
    pub pattern: usize,
    /// Which program wrote it: `etcd`, `kubelet`, `kernel`; none when nothing says so.
    pub component: Option<String>,
    /// Named captures of the first line.
    pub captures: BTreeMap<String, String>,
    pub count: u64,
    /// RFC 3339 with the log's own precision, UTC.
    pub first: Option<String>,
    pub last: Option<String>,
    /// Whether lines of the same program went on after the last match for long enough to say that it ended.
    pub ongoing: Option<bool>,
    /// The longest pause between two matches of the last series, in seconds; none when there are too few to tell.
    pub pause: Option<i64>,
    /// Times that the program started between first and last.
    pub restarts: u64,
    /// Programs of a node that started between first and last, with how often; `kernel` is a boot.
    pub restarted: BTreeMap<String, u64>,
    /// Seconds since the epoch in which it was seen; when there were many, the first and the last of them.
    pub seconds: BTreeSet<i64>,
    /// Up to three.
    pub lines: Vec<LogLine>,
    /// In an excerpt, which can't show that it goes on for as long or occurs as often as the rule demands.
    pub brief: bool,
}

impl LogHit {
    /// Seconds from its last match to when the host was looked at, or to the last line of any of its logs where that is not
    /// known.
    pub fn quiet_seconds(&self, logs: &Logs) -> Option<i64> {
        let time = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok();
        let end = logs.scanned.iter().filter_map(|log| time(&log.last)).max().max(logs.looked_at)?;
        Some(end.duration_since(time(&self.last)?).as_secs())
    }

    /// Seconds that its last series of matches took, those without a pause of more than [`QUIET`] between.
    pub fn last_series_seconds(&self) -> Option<i64> {
        let last = *self.seconds.last()?;
        let mut first = last;
        for second in self.seconds.iter().rev() {
            if first - second > QUIET {
                break;
            }
            first = *second;
        }
        Some(last - first)
    }

    /// What a finding's evidence says of it.
    pub fn occurrences(&self) -> Occurrences {
        Occurrences {
            count: self.count,
            first: self.first.clone(),
            last: self.last.clone(),
            ongoing: self.ongoing,
            restarted: self.restarted.clone(),
            seconds: self.seconds.clone(),
            lines: self.lines.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_series() {
        let cases: [(&[i64], Option<i64>); 5] = [
            (&[], None),
            (&[100], Some(0)),
            (&[100, 130, 190], Some(90)),
            (&[100, 1000, 1030], Some(30)),
            (&[100, 161, 170], Some(9)),
        ];
        for (seconds, expected) in cases {
            let hit = LogHit {
                rule: String::new(),
                pattern: 0,
                component: None,
                captures: BTreeMap::new(),
                count: 0,
                first: None,
                last: None,
                ongoing: None,
                pause: None,
                restarts: 0,
                restarted: BTreeMap::new(),
                seconds: seconds.iter().copied().collect(),
                lines: Vec::new(),
                brief: false,
            };
            assert_eq!(hit.last_series_seconds(), expected, "{seconds:?}");
        }
    }
}
