//! What a rule says of a host: any number of drafts of findings, passes and unknowns. A detector looks at all of its
//! subjects and says one of these of each; the outcome of the rule is the gravest.

use std::collections::BTreeMap;

use crate::origin::{Origin, Unknown};
use crate::report::{Confidence, Evidence, EvidenceKind, Severity};

/// A rule's outcome on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Failed,
    Passed,
    NotApplicable,
    Unknown(Unknown),
}

/// A finding before its card has given it the texts.
#[derive(Debug, Clone)]
pub struct Draft {
    pub subject: Option<String>,
    /// The card's message that makes the title; the card's title without one.
    pub message: Option<String>,
    /// A title template that stands for `message`.
    pub title: Option<String>,
    pub values: BTreeMap<String, String>,
    pub evidence: Vec<Evidence>,
    pub notes: Vec<String>,
    /// Other hosts than the judged one, most affected first; empty for the judged one.
    pub hosts: Vec<String>,
    pub severity: Option<Severity>,
    pub confidence: Option<Confidence>,
    /// Known from messages that have ended only: worth telling, no alarm.
    pub over: bool,
    /// Known only from an excerpt's messages that would have to go on or recur: no finding beside what is certain.
    pub brief: bool,
    /// Known only from what any message may end with: no finding beside any other.
    pub last_resort: bool,
}

impl Draft {
    pub fn new() -> Draft {
        Draft {
            subject: None,
            message: None,
            title: None,
            values: BTreeMap::new(),
            evidence: Vec::new(),
            notes: Vec::new(),
            hosts: Vec::new(),
            severity: None,
            confidence: None,
            over: false,
            brief: false,
            last_resort: false,
        }
    }

    /// What of the host it is about: an address, a file, a member.
    pub fn subject(mut self, subject: impl Into<String>) -> Draft {
        self.subject = Some(subject.into());
        self
    }

    /// The name of the card's message for the title.
    pub fn message(mut self, name: &str) -> Draft {
        self.message = Some(name.to_owned());
        self
    }

    pub fn value(mut self, name: &str, value: impl ToString) -> Draft {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn maybe_value(self, name: &str, value: Option<impl ToString>) -> Draft {
        match value {
            Some(value) => self.value(name, value),
            None => self,
        }
    }

    pub fn evidence(mut self, evidence: Evidence) -> Draft {
        self.evidence.push(evidence);
        self
    }

    /// Evidence at a place of configuration, /proc or a process.
    pub fn at(self, host: &str, origin: &Origin, label: impl Into<String>) -> Draft {
        let kind = match origin.place {
            crate::origin::Place::Process { .. } => EvidenceKind::Process,
            crate::origin::Place::Answer { .. } => EvidenceKind::Probe,
            _ => EvidenceKind::File,
        };
        self.evidence(Evidence::new(kind, host, origin.clone(), label))
    }

    pub fn note(mut self, note: impl Into<String>) -> Draft {
        self.notes.push(note.into());
        self
    }

    pub fn hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Draft {
        self.hosts = hosts.into_iter().map(Into::into).collect();
        self
    }

    pub fn severity(mut self, severity: Severity) -> Draft {
        self.severity = Some(severity);
        self
    }

    pub fn confidence(mut self, confidence: Confidence) -> Draft {
        self.confidence = Some(confidence);
        self
    }
}

impl Default for Draft {
    fn default() -> Draft {
        Draft::new()
    }
}

/// Collects what a rule says of one host.
#[derive(Debug, Default)]
pub struct Verdict {
    pub drafts: Vec<Draft>,
    pub passes: usize,
    pub unknowns: Vec<Unknown>,
    /// Messages that are evidence of a fault that another message of the same second tells.
    pub beside: Vec<Evidence>,
}

impl Verdict {
    pub fn fail(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    pub fn pass(&mut self) {
        self.passes += 1;
    }

    pub fn unknown(&mut self, unknown: Unknown) {
        self.unknowns.push(unknown);
    }

    /// The fact's value, or none after noting that it is not known.
    pub fn known<'a, T>(&mut self, fact: &'a Result<T, Unknown>) -> Option<&'a T> {
        match fact {
            Ok(value) => Some(value),
            Err(unknown) => {
                self.unknown(unknown.clone());
                None
            }
        }
    }

    /// Nothing said means that there was nothing to judge.
    pub fn outcome(&self) -> Outcome {
        if !self.drafts.is_empty() {
            Outcome::Failed
        } else if let Some(unknown) = self.unknowns.first() {
            Outcome::Unknown(unknown.clone())
        } else if self.passes > 0 {
            Outcome::Passed
        } else {
            Outcome::NotApplicable
        }
    }
}
