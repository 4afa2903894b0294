//! Where a value came from. Every fact that a rule may name in a finding carries one of these.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A piece of one text file: a half-open range of bytes, and where it begins for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First byte, counted from the file's beginning.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Line of `start`, from 1.
    pub line: u32,
    /// Column of `start` in characters, from 1.
    pub column: u32,
}

impl Span {
    /// The span of `start..end` in `text`; offsets past the end or inside a character are moved back to a boundary.
    pub fn of(text: &str, start: usize, end: usize) -> Span {
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(start);
        let end = floor(end).max(start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Span {
            start,
            end,
            line: memchr::memchr_iter(b'\n', before.as_bytes()).count() as u32 + 1,
            column: text[line_start..start].chars().count() as u32 + 1,
        }
    }

    /// A part of this span, given in bytes relative to its start. Only right when the span is within one line.
    pub fn part(self, from: usize, to: usize) -> Span {
        Span { start: self.start + from, end: self.start + to, line: self.line, column: self.column + from as u32 }
    }
}

/// What a value was read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Place {
    /// A file of the host, by its absolute path there (`/etc/etcd.env`), and where in it when that is known.
    File {
        path: Arc<str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span: Option<Span>,
    },
    /// A running process' command line; `argument` counts from 0, which is the program.
    Process {
        pid: u32,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        argument: Option<usize>,
    },
    /// The program's own default, since nothing sets it: `etcd 3.5`.
    Default { of: String },
    /// An answer to something that was asked live: `getifaddrs`, `TLS handshake with 10.0.0.1:6443`.
    Answer { to: String },
}

/// Where a value came from, with the way it took: `$ETCD_IP` in a unit was filled in from an environment file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    #[serde(flatten)]
    pub place: Place,
    /// The place that supplied the text at `place`, when that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Box<Origin>>,
}

impl Origin {
    pub fn file(path: impl Into<Arc<str>>, span: Option<Span>) -> Origin {
        Origin { place: Place::File { path: path.into(), span }, via: None }
    }

    pub fn process(pid: u32, name: impl Into<String>, argument: Option<usize>) -> Origin {
        Origin { place: Place::Process { pid, name: name.into(), argument }, via: None }
    }

    pub fn default_of(of: impl Into<String>) -> Origin {
        Origin { place: Place::Default { of: of.into() }, via: None }
    }

    pub fn answer(to: impl Into<String>) -> Origin {
        Origin { place: Place::Answer { to: to.into() }, via: None }
    }

    pub fn with_via(mut self, via: Origin) -> Origin {
        self.via = Some(Box::new(via));
        self
    }

    /// The file's path, when the value stands in a file.
    pub fn path(&self) -> Option<&str> {
        match &self.place {
            Place::File { path, .. } => Some(path),
            _ => None,
        }
    }

    pub fn span(&self) -> Option<Span> {
        match &self.place {
            Place::File { span, .. } => *span,
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, span: Some(span) } => write!(f, "{path}:{}:{}", span.line, span.column)?,
            Place::File { path, span: None } => write!(f, "{path}")?,
            Place::Process { pid, name, .. } => write!(f, "process {pid} ({name})")?,
            Place::Default { of } => write!(f, "default of {of}")?,
            Place::Answer { to } => write!(f, "{to}")?,
        }
        if let Some(via) = &self.via {
            write!(f, " through {via}")?;
        }
        Ok(())
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Sourced<T> {
    pub fn new(value: T, origin: Origin) -> Sourced<T> {
        Sourced { value, origin }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Sourced<U> {
        Sourced { value: f(self.value), origin: self.origin }
    }
}

/// Why something is not known. Never to be taken for "is not so".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Unknown {
    /// What was wanted: `routes`, `/etc/kubernetes/pki/ca.key`.
    pub what: String,
    /// Why it is not there: `permission denied`.
    pub why: String,
    /// What the operator can do about it: `run as root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Unknown {
    /// Why something is not known that the source does not hold.
    pub const NOT_COVERED: &str = "not part of this source";
    /// Why a card's condition could not be judged for want of a fact.
    pub const NO_FACT: &str = "is not known of this host";
    /// Why there is no answer of a socket.
    pub const NOT_ASKED: &str = "no probe was taken";

    /// Whether it lies outside of what a source without a host can show at all.
    pub fn needs_a_host(&self) -> bool {
        // `df's output is not part of this source` as well.
        [Unknown::NO_FACT, Unknown::NOT_ASKED].contains(&self.why.as_str()) || self.why.ends_with(Unknown::NOT_COVERED)
    }

    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Unknown {
        Unknown { what: what.into(), why: why.into(), remedy: None }
    }

    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Unknown {
        self.remedy = Some(remedy.into());
        self
    }
}

/// A fact, or why it is not known.
pub type Fact<T> = Result<T, Unknown>;
