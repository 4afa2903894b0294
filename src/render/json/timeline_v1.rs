//! Version 1 of the JSON timeline; docs/schema/timeline-v1.json describes it. Fields may be added within version 1, with the
//! schema; none is removed, renamed or given another meaning.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::timeline;
use crate::logs::Stamp;

use super::v1::Tool;

#[derive(Debug, Serialize)]
pub struct Timeline {
    pub version: u32,
    pub tool: Tool,
    /// The latest time that a line can have, RFC 3339.
    pub at: String,
    pub hosts: Vec<Host>,
    /// By time; those whose time is not known at the end.
    pub events: Vec<Event>,
}

#[derive(Debug, Serialize)]
pub struct Host {
    pub name: String,
    pub source: String,
    pub logs: usize,
    pub bytes: u64,
    pub lines: u64,
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug, Serialize)]
pub struct LeftOut {
    pub path: String,
    pub why: String,
}

#[derive(Debug, Serialize)]
pub struct Event {
    pub host: String,
    pub program: Option<String>,
    /// `message` or `start`.
    pub kind: &'static str,
    /// RFC 3339 in UTC, with the log's own precision.
    pub first: Option<String>,
    pub last: Option<String>,
    pub count: u64,
    pub rule: Option<String>,
    pub severity: Option<&'static str>,
    pub title: Option<String>,
    pub values: BTreeMap<String, String>,
    /// True for what is no finding because it is normal while starting, or was soon over.
    pub normal: bool,
    pub path: String,
    /// From 1; 0 when it is not known.
    pub line: u64,
    pub text: String,
}

impl Timeline {
    pub fn new(timeline: &timeline::Timeline) -> Timeline {
        let host = |host: &timeline::TimelineHost| Host {
            name: host.name.clone(),
            source: host.source.clone(),
            logs: host.logs,
            bytes: host.bytes,
            lines: host.lines,
            left_out: host
                .left_out
                .iter()
                .map(|(path, why)| LeftOut { path: path.clone(), why: why.clone() })
                .collect(),
        };
        Timeline {
            version: 1,
            tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            at: timeline.at.to_string(),
            hosts: timeline.hosts.iter().map(host).collect(),
            events: timeline.events.iter().map(Event::new).collect(),
        }
    }

    /// Ends in a line end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Event {
    pub fn new(event: &timeline::Event) -> Event {
        let time = |stamp: Option<Stamp>| stamp.and_then(Stamp::rfc3339);
        let base = Event {
            host: event.host.clone(),
            program: event.program.clone(),
            kind: "start",
            first: time(event.first),
            last: time(event.last),
            count: event.count,
            rule: None,
            severity: None,
            title: None,
            values: BTreeMap::new(),
            normal: false,
            path: event.line.path.clone(),
            line: event.line.line,
            text: event.line.text.clone(),
        };
        match &event.kind {
            timeline::EventKind::Start => base,
            timeline::EventKind::Message { rule, severity, title, values, counts } => Event {
                kind: "message",
                rule: Some(rule.clone()),
                severity: Some(severity.name()),
                title: Some(title.clone()),
                values: values.clone(),
                normal: !counts,
                ..base
            },
        }
    }

    /// One line, with its end: what `--follow` prints of each event.
    pub fn to_json_line(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}
