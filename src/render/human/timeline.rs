//! The timeline for people: an event a line, under its day.

use super::words::Words;
use crate::engine::Language;
use crate::engine::timeline::{Event, EventKind, Timeline};
use crate::logs::Stamp;
use crate::render::paint::Paint;
use crate::render::text::{columns, cut_message, escape, wrap};

/// Columns that a host's or program's name takes at most before the texts.
const NAME: usize = 24;

/// How the timeline is to look.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Columns that texts are wrapped to.
    pub width: usize,
    pub colour: bool,
    /// The lines themselves too.
    pub verbose: bool,
    pub language: Language,
}

/// Prints events one after the other; a new day is announced.
#[derive(Debug)]
pub struct Printer {
    options: Options,
    paint: Paint,
    words: Words,
    host_width: usize,
    program_width: usize,
    day: Option<String>,
}

impl Printer {
    pub fn new(options: Options) -> Printer {
        Printer {
            options,
            paint: Paint { colour: options.colour },
            words: Words { language: options.language },
            host_width: 0,
            program_width: 0,
            day: None,
        }
    }

    /// The events as lines, in their order. Columns never get narrower, so that those of later events align.
    pub fn events(&mut self, events: &[Event]) -> String {
        for event in events {
            self.host_width = self.host_width.max(columns(&escape(&event.host))).min(NAME);
            self.program_width = self.program_width.max(columns(&escape(program(event)))).min(NAME);
        }
        let mut out = String::new();
        for event in events {
            self.event(event, &mut out);
        }
        out
    }

    fn event(&mut self, event: &Event, out: &mut String) {
        let words = self.words;
        let first = event.first.and_then(Stamp::rfc3339);
        let day = match &first {
            Some(time) => time.get(..10).unwrap_or_default().to_owned(),
            None => words.pick("time not known", "时间未知").to_owned(),
        };
        if self.day.as_ref() != Some(&day) {
            let heading = if first.is_some() { format!("{day} UTC") } else { day.clone() };
            out.push_str(&format!("{}\n", self.paint.heading(&heading)));
            self.day = Some(day.clone());
        }
        let time = first.as_deref().and_then(|time| time.get(11..19)).unwrap_or("-");
        let host = pad(&escape(&event.host), self.host_width);
        let name = pad(&escape(program(event)), self.program_width);
        out.push_str(&format!("  {} {host} {name} ", pad(time, 8)));
        let indent = 2 + 8 + 1 + self.host_width + 1 + self.program_width + 1;
        let room = self.options.width.saturating_sub(indent).max(40);
        let (text, what) = self.what(event);
        let lines = wrap(&text, room);
        let margin = format!("\n{}", " ".repeat(indent));
        out.push_str(&what.paint(&self.paint, &lines.join(&margin)));
        let mut facts = Vec::new();
        facts.extend(self.repeats(event, &day));
        if matches!(event.kind, EventKind::Message { counts: false, .. }) {
            facts.push(
                words
                    .pick("normal here: it ended, or it is only starting", "此处属正常：已结束，或仅在启动期间")
                    .to_owned(),
            );
        }
        facts.push(match event.line.line {
            0 => escape(&event.line.path),
            number => format!("{}:{number}", escape(&event.line.path)),
        });
        let facts = wrap(&facts.join(words.comma()), room);
        out.push_str(&format!("{margin}{}", self.paint.faint(&facts.join(&margin))));
        if self.options.verbose {
            let values: Vec<&str> = match &event.kind {
                EventKind::Message { values, .. } => values.values().map(String::as_str).collect(),
                EventKind::Start => Vec::new(),
            };
            let quoted = wrap(&escape(&cut_message(&event.line.text, &values, event.line.matter.clone())), room);
            out.push_str(&format!("{margin}{}", self.paint.faint(&quoted.join(&margin))));
        }
        out.push('\n');
    }

    fn what(&self, event: &Event) -> (String, What) {
        match &event.kind {
            EventKind::Start => (self.words.pick("starts", "启动").to_owned(), What::Start),
            EventKind::Message { rule, severity, title, counts, .. } => {
                let text = format!("{}: {} [{}]", severity.name(), escape(title), escape(rule));
                (text, if *counts { What::Message(*severity) } else { What::Normal })
            }
        }
    }

    fn repeats(&self, event: &Event, day: &str) -> Option<String> {
        if event.count < 2 {
            return None;
        }
        let times = self.words.count(event.count.try_into().unwrap_or(usize::MAX), "time", "times", "次");
        let last = event.last.and_then(Stamp::rfc3339).filter(|_| event.last != event.first);
        let Some(last) = last else { return Some(times) };
        let shown = if last.starts_with(day) { last.get(11..19) } else { last.get(..19) }.unwrap_or(&last);
        let shown = shown.replace('T', " ");
        Some(if self.words.chinese() {
            format!("{times}，最近一次 {shown}")
        } else {
            format!("{times} until {shown}")
        })
    }

    /// What was read and what was not, after the events.
    pub fn summary(&self, timeline: &Timeline) -> String {
        let words = self.words;
        let mut out = String::new();
        if timeline.events.is_empty() {
            let none = words.pick("no event that a rule knows", "没有规则认识的事件");
            out.push_str(&format!("{}\n", self.paint.strong(none)));
        }
        out.push('\n');
        for host in &timeline.hosts {
            let logs = words.count(host.logs, "log", "logs", "份日志");
            let size = host.bytes as f64 / 1e6;
            let name = escape(&host.name);
            out.push_str(&if words.chinese() {
                format!("{name}：读取了 {logs}，{} 行，{size:.1} MB\n", host.lines)
            } else {
                format!("{name}: read {logs}, {} lines, {size:.1} MB\n", host.lines)
            });
            for (path, why) in &host.left_out {
                let text = format!("{}: {}", escape(path), escape(why));
                let text = format!("{}{text}", words.pick("left out: ", "未读取："));
                let text = wrap(&text, self.options.width.saturating_sub(4)).join("\n      ");
                out.push_str(&format!("  - {text}\n"));
            }
        }
        out
    }
}

/// What an event is, for its colour.
enum What {
    Message(crate::report::Severity),
    Normal,
    Start,
}

impl What {
    fn paint(&self, paint: &Paint, text: &str) -> String {
        match self {
            // Only the word is coloured: titles are read.
            What::Message(severity) => match text.split_once(':') {
                Some((word, rest)) => format!("{}:{rest}", paint.severity(*severity, word)),
                None => text.to_owned(),
            },
            What::Normal => paint.faint(text),
            What::Start => paint.good(text),
        }
    }
}

fn program(event: &Event) -> &str {
    event.program.as_deref().unwrap_or("-")
}

fn pad(text: &str, width: usize) -> String {
    let used = columns(text);
    format!("{text}{}", " ".repeat(width.saturating_sub(used)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::timeline::TimelineHost;
    use crate::report::{LogLine, Severity};
    use crate::source::SourceKind;

    fn stamp(seconds: i64) -> Option<Stamp> {
        Some(Stamp { nanos: (1_700_000_000 + seconds) * 1_000_000_000, digits: 0, absolute: true })
    }

    fn event(kind: EventKind, first: Option<Stamp>, last: Option<Stamp>, count: u64) -> Event {
        let line =
            LogLine { path: "/var/log/syslog".to_owned(), line: 7, text: "raw \x1b[2Jline".to_owned(), matter: 0..0 };
        Event { host: "m1".to_owned(), program: Some("etcd".to_owned()), kind, first, last, count, line }
    }

    fn message(title: &str, counts: bool) -> EventKind {
        EventKind::Message {
            rule: "etcd-x".to_owned(),
            severity: Severity::Error,
            title: title.to_owned(),
            values: BTreeMap::new(),
            counts,
        }
    }

    fn printer(verbose: bool) -> Printer {
        Printer::new(Options { width: 100, colour: false, verbose, language: Language::English })
    }

    #[test]
    fn shows_days_repeats_and_places() {
        let events = [
            event(EventKind::Start, stamp(0), stamp(0), 1),
            event(message("etcd cannot listen", true), stamp(10), stamp(60), 5),
            event(message("odd\u{202e} title", false), stamp(90_000), stamp(90_000), 1),
            event(message("late", true), None, None, 2),
        ];
        let expected = "2023-11-14 UTC\n  22:13:20 m1 etcd starts\n                   /var/log/syslog:7\n  \
             22:13:30 m1 etcd error: etcd cannot listen [etcd-x]\n                   5 times until 22:14:20, /var/log/syslog:7\n\
             2023-11-15 UTC\n  23:13:20 m1 etcd error: odd\\u{202e} title [etcd-x]\n                   \
             normal here: it ended, or it is only starting, /var/log/syslog:7\n\
             time not known\n  -        m1 etcd error: late [etcd-x]\n                   2 times, /var/log/syslog:7\n";
        assert_eq!(printer(false).events(&events), expected);
    }

    #[test]
    fn quotes_lines_without_what_terminals_obey() {
        let text = printer(true).events(&[event(message("x", true), stamp(0), stamp(0), 1)]);
        assert!(text.contains("raw \\x1b[2Jline"), "{text}");
    }

    #[test]
    fn says_what_was_left_out_and_that_nothing_was_found() {
        let host = TimelineHost {
            name: "m1".to_owned(),
            source: "m1".to_owned(),
            kind: SourceKind::Tree,
            logs: 2,
            bytes: 1_500_000,
            lines: 12,
            left_out: vec![("/var/log/pods".to_owned(), "permission denied: run as root".to_owned())],
        };
        let at = "2023-11-14T22:13:20Z".parse().unwrap();
        let text =
            printer(false).summary(&Timeline { at, hosts: vec![host], unopened: Vec::new(), events: Vec::new() });
        assert_eq!(
            text,
            "no event that a rule knows\n\nm1: read 2 logs, 12 lines, 1.5 MB\n  \
             - left out: /var/log/pods: permission denied: run as root\n"
        );
    }
}
