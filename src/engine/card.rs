//! A rule's card: front matter for the machine, prose for the reader. rules/README.md describes the format for authors.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::report::{Confidence, Risk, Severity};

/// How a condition can be detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detect {
    Files,
    Live,
    Log,
    Cluster,
}

impl Detect {
    pub fn name(self) -> &'static str {
        match self {
            Detect::Files => "files",
            Detect::Live => "live",
            Detect::Log => "log",
            Detect::Cluster => "cluster",
        }
    }
}

/// When in a host's life a rule has something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before kubeadm or anything else has made a node of it.
    Preflight,
    Runtime,
}

/// Whether findings of several hosts are one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CardScope {
    #[default]
    Host,
    Cluster,
}

/// Where a rule's knowledge comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    pub title: String,
    #[serde(default)]
    pub url: Option<String>,
}

/// A message that means the condition, in one wording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRule {
    /// Rust `regex` syntax, ASCII classes; named captures become values.
    pub pattern: String,
    /// Programs that write it; empty for any.
    #[serde(default)]
    pub components: Vec<String>,
    /// The finding's title; else the card's `messages.log`, else its title.
    #[serde(default)]
    pub title: Option<String>,
    /// The value (a capture's name) that the finding is about; findings with different subjects stay apart.
    #[serde(default)]
    pub subject: Option<String>,
    /// Values beside the captures.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    #[serde(default)]
    pub severity: Option<Severity>,
    #[serde(default)]
    pub confidence: Option<Confidence>,
    /// CEL over `captures`, `host` and `log`: true means that the message is no evidence here.
    #[serde(default)]
    pub unless: Option<String>,
    /// Seconds that it must go on for.
    #[serde(default)]
    pub persist: Option<u64>,
    /// Seconds after the program's start within which it is normal.
    #[serde(default, rename = "after-start")]
    pub after_start: Option<u64>,
    #[serde(default, rename = "min-count")]
    pub min_count: Option<u64>,
    /// A message of the same program that says that it is over.
    #[serde(default, rename = "ended-by")]
    pub ended_by: Option<String>,
    /// Seconds within which it is normal when `ended-by` follows.
    #[serde(default, rename = "ended-within")]
    pub ended_within: Option<u64>,
    /// Seconds within which a program that runs writes it again for as long as it is so.
    #[serde(default)]
    pub repeats: Option<u64>,
    /// The state that it tells of outlasts the message (a damaged disk): it stays a finding when nothing repeats it.
    #[serde(default)]
    pub lasting: bool,
    /// What a command printed, or an effect of many faults: taken for evidence only in a log that is given alone, when its
    /// lines say nothing more certain.
    #[serde(default)]
    pub hint: bool,
    /// What any message may end with (a refused connection to a known port): taken for evidence only in an excerpt of
    /// which nothing else is known, hints neither.
    #[serde(default, rename = "last-resort")]
    pub last_resort: bool,
    /// It tells of an effect and of no cause: no finding, but evidence beside the message of the same second that says why.
    #[serde(default)]
    pub beside: bool,
    /// Whole lines as the component wrote them.
    pub examples: Vec<String>,
    /// Lines that look alike and must not match.
    #[serde(default)]
    pub counterexamples: Vec<String>,
}

/// A judgement in CEL over the facts document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A list to judge each item of, as `it`; without it the host is judged once.
    #[serde(default)]
    pub each: Option<String>,
    /// Whether there is anything to judge.
    #[serde(default)]
    pub applies: Option<String>,
    /// True when the condition is present.
    pub fail: String,
    /// The finding's title; else the card's.
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub subject: Option<String>,
    /// Values for the texts, in CEL.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// An origin of the facts document, or a path, in CEL: where the evidence stands.
    #[serde(default)]
    pub at: Option<String>,
    /// What is said at the evidence.
    #[serde(default)]
    pub label: Option<String>,
}

/// A way to mend it. The first whose `when` holds and whose values are all known is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixTemplate {
    /// CEL over `values`.
    #[serde(default)]
    pub when: Option<String>,
    pub risk: Risk,
    pub summary: String,
    #[serde(default)]
    pub commands: Vec<CommandTemplate>,
    #[serde(default)]
    pub restarts: Vec<String>,
}

/// A command of a fix: its text, or with the host it is for where that is not the finding's own (`{ host: '{peer}', run: ... }`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandOnHost {
    pub host: Option<String>,
    pub run: String,
}

/// As a card writes it. The compiled cards hold no other form than [`CommandOnHost`]: they do not describe themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CommandTemplate(pub CommandOnHost);

impl<'de> Deserialize<'de> for CommandTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CommandTemplate, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Here(String),
            There(CommandOnHost),
        }
        if !deserializer.is_human_readable() {
            return CommandOnHost::deserialize(deserializer).map(CommandTemplate);
        }
        Ok(CommandTemplate(match Written::deserialize(deserializer)? {
            Written::Here(run) => CommandOnHost { host: None, run },
            Written::There(command) => command,
        }))
    }
}

impl CommandTemplate {
    /// Every text with values in it.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        self.0.host.iter().chain(std::iter::once(&self.0.run))
    }
}

/// The front matter of `<id>.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    pub id: String,
    /// The fault, named in one line without a host's values.
    pub title: String,
    pub severity: Severity,
    pub component: String,
    pub detect: Vec<Detect>,
    #[serde(default = "both_phases")]
    pub phases: Vec<Phase>,
    #[serde(default)]
    pub scope: CardScope,
    /// Ids of conditions that this one causes: on the same host, or `id@cluster` on any; `id#value` when it speaks of
    /// the same value.
    #[serde(default)]
    pub explains: Vec<String>,
    /// For which releases it holds, when not for all.
    #[serde(default)]
    pub versions: Option<String>,
    pub sources: Vec<Citation>,
    #[serde(default)]
    pub logs: Vec<LogRule>,
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Titles by name, for detectors that tell several cases apart: `messages.log` is for logs.
    #[serde(default)]
    pub messages: BTreeMap<String, String>,
    pub fix: Vec<FixTemplate>,
    #[serde(default)]
    pub verify: Vec<String>,
}

fn both_phases() -> Vec<Phase> {
    vec![Phase::Preflight, Phase::Runtime]
}

/// The front matter of `<id>.zh.md`: the texts alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranslatedFrontMatter {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub messages: BTreeMap<String, String>,
    /// The summaries of the fixes, in the English card's order.
    #[serde(default)]
    pub fix: Vec<String>,
}

/// A card as loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Card {
    #[serde(flatten)]
    pub front: FrontMatter,
    /// Markdown below the front matter.
    pub prose: String,
    /// `rules/etcd/etcd-address-not-local.md`, or the file of a user's own card.
    pub path: String,
    /// Lines of the front matter's keys and of the items beneath them (`logs.0`), from 1.
    #[serde(skip)]
    pub lines: BTreeMap<String, u32>,
    /// Whether the user said which severity its findings have: a detector's own measure then counts no more.
    #[serde(skip)]
    pub severity_is_set: bool,
}

impl Card {
    /// Gives all findings of the rule this severity; what is over stays information.
    pub fn set_severity(&mut self, severity: Severity) {
        self.front.severity = severity;
        self.severity_is_set = true;
    }

    /// The line of a front matter key, for messages about it.
    pub fn line_of(&self, key: &str) -> u32 {
        let of = |key: &str| self.lines.get(key).copied();
        of(key).or_else(|| of(key.split_once('.')?.0)).unwrap_or(1)
    }
}

impl std::ops::Deref for Card {
    type Target = FrontMatter;

    fn deref(&self) -> &FrontMatter {
        &self.front
    }
}
