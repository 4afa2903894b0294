//! The report's types. They are the program's own; what goes out as JSON has types apart (`render::json::v1`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Confidence, Risk, Severity};
use crate::origin::{Origin, Unknown};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// Configuration, a certificate, /proc, /sys.
    File,
    /// A running process' command line or sockets.
    Process,
    /// A message in a log.
    Log,
    /// An answer to a question asked live.
    Probe,
    /// Hosts compared with each other.
    Cluster,
}

/// How a log message occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Occurrences {
    pub count: u64,
    /// First and last time, RFC 3339, when the lines carry one.
    pub first: Option<String>,
    pub last: Option<String>,
    /// Whether it went on until the log's end; unknown when the log carries no times.
    pub ongoing: Option<bool>,
    /// Programs that started between first and last, with how often; `kernel` is a boot.
    pub restarted: BTreeMap<String, u64>,
    /// Seconds since the epoch in which it was seen; when there were many, the first and the last of them.
    #[serde(skip)]
    pub seconds: BTreeSet<i64>,
    /// Up to three lines as they stood, with file and line number (from 1).
    pub lines: Vec<LogLine>,
}

impl Occurrences {
    /// How often a minute, when it lasted for a minute or more.
    pub fn per_minute(&self) -> Option<f64> {
        let time = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok();
        let seconds = time(&self.last)?.duration_since(time(&self.first)?).as_secs_f64();
        // As many pauses as there are repeats.
        (self.count > 1 && seconds >= 60.0).then(|| (self.count - 1) as f64 * 60.0 / seconds)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct LogLine {
    pub path: String,
    pub line: u64,
    pub text: String,
    /// Where in the text (bytes) the words stand that made it evidence; empty when that is not known.
    #[serde(skip)]
    pub matter: Range<usize>,
}

/// One observation that supports a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    pub kind: EvidenceKind,
    pub host: String,
    /// Where it stands; the text there is underlined when it is a file's.
    pub origin: Origin,
    /// What is to be said at the underlined place: `no interface has it`. For a log, the message itself.
    pub label: String,
    pub occurrences: Option<Occurrences>,
}

impl Evidence {
    pub fn new(kind: EvidenceKind, host: impl Into<String>, origin: Origin, label: impl Into<String>) -> Evidence {
        Evidence { kind, host: host.into(), origin, label: label.into(), occurrences: None }
    }
}

/// A way to mend it, with this host's own values filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    pub risk: Risk,
    /// What the commands do, one sentence.
    pub summary: String,
    /// In order.
    pub commands: Vec<Command>,
    /// Units or static pods that have to be restarted, when the commands do not do it.
    pub restarts: Vec<String>,
}

/// A shell command, to be run as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// The host to run it on, when that is not the finding's first.
    pub host: Option<String>,
    /// One line, or several when it holds a here-document.
    pub line: String,
}

impl Fix {
    /// The commands alone.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(|command| command.line.as_str())
    }

    /// The commands in order, those that follow each other on one host together. None is the finding's first host.
    pub fn steps(&self) -> Vec<(Option<&str>, Vec<&str>)> {
        let mut steps: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
        for command in &self.commands {
            match steps.last_mut() {
                Some((host, lines)) if *host == command.host.as_deref() => lines.push(&command.line),
                _ => steps.push((command.host.as_deref(), vec![&command.line])),
            }
        }
        steps
    }
}

impl Command {
    /// Whether it starts that unit of the finding's first host anew, as `systemctl restart UNIT` does.
    pub fn restarts(&self, unit: &str) -> bool {
        let of_unit = |word: &str| word.trim_end_matches(".service") == unit.trim_end_matches(".service");
        self.host.is_none()
            && self.line.split("systemctl restart ").skip(1).any(|rest| {
                let units = rest.split([';', '&', '|', '\'', '"', '#', '\n']).next().unwrap_or_default();
                units.split_whitespace().any(of_unit)
            })
    }
}

/// The first value that a command leaves for a person to fill in, without its brackets: `<ADDRESS>`.
pub fn gap(text: &str) -> Option<&str> {
    text.split('<').skip(1).find_map(|rest| {
        let (name, _) = rest.split_once('>')?;
        let is_name = name.len() > 1 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c == '-');
        is_name.then_some(name)
    })
}

impl From<&str> for Command {
    /// On the finding's own host.
    fn from(line: &str) -> Command {
        Command { host: None, line: line.to_owned() }
    }
}

/// Why a finding is no reason to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressionKind {
    /// A waiver of the configuration.
    Waiver,
    /// A comment beside the value.
    Comment,
    /// It was there before.
    Baseline,
}

impl SuppressionKind {
    pub fn name(self) -> &'static str {
        match self {
            SuppressionKind::Waiver => "waiver",
            SuppressionKind::Comment => "comment",
            SuppressionKind::Baseline => "baseline",
        }
    }

    /// What was done with the finding, after `is`.
    pub fn done(self) -> &'static str {
        match self {
            SuppressionKind::Waiver => "waived",
            SuppressionKind::Comment => "allowed by a comment",
            SuppressionKind::Baseline => "known from the baseline",
        }
    }
}

/// Who decided that a finding is no reason to fail, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    pub kind: SuppressionKind,
    pub reason: String,
    pub owner: Option<String>,
    /// The last day, `2026-12-31`.
    pub until: Option<String>,
    /// `k8sdoctor.toml:12`, `m2:/etc/etcd.env:3`, or the baseline's file.
    pub place: String,
}

/// Something to know of the run's own configuration: a waiver that has ended or that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub place: String,
    pub message: String,
}

/// A condition that is present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: String,
    pub severity: Severity,
    pub component: String,
    /// What is wrong, with this host's names and values.
    pub title: String,
    /// The hosts it is on, most affected first.
    pub hosts: Vec<String>,
    /// What of a host it is about (an address, a file, a member): findings of one rule and host are merged when they
    /// are about the same, or when one of them does not say.
    pub subject: Option<String>,
    /// The first is the one to look at.
    pub evidence: Vec<Evidence>,
    /// What the value was compared with, and other facts worth knowing.
    pub notes: Vec<String>,
    pub fix: Option<Fix>,
    /// Commands that show that it is mended.
    pub verify: Vec<String>,
    pub confidence: Confidence,
    /// Index in [`Report::findings`] of the finding that explains this one.
    pub consequence_of: Option<usize>,
    /// What the texts were filled in with.
    pub values: BTreeMap<String, String>,
    /// Set when it is no reason to fail.
    pub suppressed: Option<Suppression>,
}

/// A rule that could not be judged on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unjudged {
    pub rule: String,
    pub host: String,
    pub unknown: Unknown,
}

/// How many rule outcomes there were of each kind; one for each rule and host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub failed: usize,
    pub passed: usize,
    pub not_applicable: usize,
    pub unknown: usize,
}

/// A host that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostSummary {
    pub name: String,
    /// The source as the user named it.
    pub source: String,
    pub kind: crate::source::SourceKind,
    /// The source was cut off, or lacks some of what it was to hold.
    pub incomplete: bool,
    /// `control-plane`, `etcd`, `worker`, `load-balancer`.
    pub roles: Vec<String>,
}

/// Something of a source that could not be read or parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub host: String,
    /// `path:line:column` when it is known.
    pub place: String,
    pub message: String,
    pub remedy: Option<String>,
}

/// A source that the user named and that could not be opened: nothing of it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unopened {
    /// As the user named it.
    pub source: String,
    /// Which path, why, and what to do.
    pub message: String,
}

/// When a certificate of a host is valid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CertificateSummary {
    pub host: String,
    /// The file, or the kubeconfig that it is embedded in.
    pub path: String,
    pub subject: String,
    /// Lower-case hex.
    pub serial: String,
    pub not_before: jiff::Timestamp,
    pub not_after: jiff::Timestamp,
}

/// A run's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The time that dates were judged against, RFC 3339.
    pub at: String,
    pub hosts: Vec<HostSummary>,
    /// Sources beside those hosts' that could not be opened; the run is incomplete without them.
    pub unopened: Vec<Unopened>,
    /// Root causes first, each followed by its consequences; then severity, host and file.
    pub findings: Vec<Finding>,
    pub unjudged: Vec<Unjudged>,
    pub problems: Vec<Problem>,
    /// What there is to say of waivers, allowing comments and the baseline.
    pub notices: Vec<Notice>,
    /// The configuration that was used, as it is shown to people.
    pub configuration: Option<String>,
    /// Every certificate that was read, by host and path, leaf first.
    pub certificates: Vec<CertificateSummary>,
    pub rules: usize,
    pub counts: Counts,
    /// Rules that passed on at least one host and failed on none, by id.
    pub passed: Vec<String>,
    /// Seconds that the run took.
    pub seconds: f64,
}
