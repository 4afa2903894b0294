//! systemd unit files as systemd.syntax(7) describes them: sections, comments, lines joined by a backslash, repeated
//! settings. Command lines and variables are in [`exec`].

pub mod exec;

use std::sync::Arc;

use crate::facts::unit::{UnitProblem, UnitProblemKind};
use crate::origin::{Origin, Sourced, Span};
use crate::parse::command_line::marked::{self, Mark};
use crate::parse::env_file::limited;

const TYPOGRAPHIC_LIMIT: usize = 20;

/// One file of a unit: its fragment or a drop-in.
#[derive(Debug, Clone, Default)]
pub struct UnitFile {
    /// In the file's order, empty ones too: they reset a list.
    pub assignments: Vec<Assignment>,
    pub problems: Vec<UnitProblem>,
}

/// A setting as assigned once.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub section: String,
    pub key: String,
    /// The value with joined lines as one, without blanks around it.
    pub value: Vec<Mark>,
    pub path: Arc<str>,
    /// Of the value; an empty span after the `=` when there is none.
    pub span: Span,
}

impl Assignment {
    pub fn text(&self) -> String {
        marked::text(&self.value)
    }

    pub fn origin(&self) -> Origin {
        Origin::file(self.path.clone(), Some(self.span))
    }

    pub fn sourced(&self) -> Sourced<String> {
        Sourced::new(self.text(), self.origin())
    }

    fn is_command(&self) -> bool {
        self.key.starts_with("Exec") && self.section == "Service"
    }
}

/// Parses a unit file or drop-in. Lines that systemd ignores become problems.
pub fn parse(path: &Arc<str>, text: &str) -> UnitFile {
    let mut parser = Parser { path, section: None, file: UnitFile::default(), in_run: false };
    let marks = marked::marks(limited(text));
    let mut logical: Vec<Mark> = Vec::new();
    let mut continued = false;
    for line in marks.split_inclusive(|mark| mark.c == '\n') {
        let content = marked::trim(line);
        if content.first().is_some_and(|first| matches!(first.c, '#' | ';')) {
            continue;
        }
        // Blanks before a joined line count: they separate words.
        let end = match line {
            [rest @ .., carriage, newline] if newline.c == '\n' && carriage.c == '\r' => rest.len(),
            [rest @ .., newline] if newline.c == '\n' => rest.len(),
            _ => line.len(),
        };
        let line = &line[..end];
        let backslashes = line.iter().rev().take_while(|mark| mark.c == '\\').count();
        logical.extend_from_slice(line);
        continued = backslashes % 2 == 1;
        if continued {
            if let Some(last) = logical.last_mut() {
                last.c = ' ';
            }
        } else {
            parser.line(&logical, content);
            logical.clear();
        }
    }
    if continued || !logical.is_empty() {
        parser.line(&logical, &[]);
    }
    parser.file
}

struct Parser<'a> {
    path: &'a Arc<str>,
    section: Option<String>,
    file: UnitFile,
    /// Within lines that a missing backslash cut off; one problem says it for all.
    in_run: bool,
}

impl Parser<'_> {
    fn problem(&mut self, kind: UnitProblemKind, message: impl Into<String>, span: Option<Span>) {
        let origin = Origin::file(self.path.clone(), span);
        self.file.problems.push(UnitProblem { kind, message: message.into(), origin });
    }

    /// A logical line; `last` is the last physical one of it.
    fn line(&mut self, logical: &[Mark], last: &[Mark]) {
        let line = marked::trim(logical);
        let line = if line.first().is_some_and(|mark| mark.c == '\u{feff}') { &line[1..] } else { line };
        let Some(first) = line.first() else { return };
        if first.c == '[' {
            self.in_run = false;
            match line {
                [_, name @ .., close] if close.c == ']' => self.section = Some(marked::text(name)),
                _ => {
                    self.problem(
                        UnitProblemKind::NotAnAssignment,
                        "a section's name ends with ]; systemd refuses the file",
                        marked::span(line),
                    );
                }
            }
            return;
        }
        let equals = line.iter().position(|mark| mark.c == '=');
        let looks_cut_off = first.c == '-' || first.c == '$' || marked::is_typographic_dash(first.c);
        if looks_cut_off && self.file.assignments.last().is_some_and(Assignment::is_command) {
            if !self.in_run {
                let message = "systemd ignores this line: the command above ends, since no backslash is the last \
                               character of its line";
                self.problem(UnitProblemKind::MissingContinuation, message, marked::span(line));
            }
            self.in_run = true;
            return;
        }
        self.in_run = false;
        let Some(equals) = equals.filter(|at| *at > 0) else {
            self.problem(
                UnitProblemKind::NotAnAssignment,
                "systemd ignores this line: Name=value was expected",
                marked::span(line),
            );
            return;
        };
        let Some(section) = self.section.clone() else {
            self.problem(
                UnitProblemKind::OutsideSection,
                "systemd ignores this line: no [Section] stands above it",
                marked::span(line),
            );
            return;
        };
        let key = marked::text(marked::trim(&line[..equals]));
        let value = marked::trim(&line[equals + 1..]).to_vec();
        let span = marked::span(&value).unwrap_or_else(|| marked::span_after(&line[equals]));
        let mut assignment = Assignment { section, key, value, path: self.path.clone(), span };
        if assignment.is_command() || assignment.key.starts_with("Environment") {
            self.typographic(&assignment.value);
            self.blank_after_backslash(&mut assignment, last);
        }
        self.file.assignments.push(assignment);
    }

    /// `\` and then a blank does not join lines, and cannot be seen in an editor.
    fn blank_after_backslash(&mut self, assignment: &mut Assignment, last: &[Mark]) {
        let Some((slash, value_end)) = last.last().zip(assignment.value.last()) else { return };
        let preceded = last.iter().rev().nth(1).is_none_or(Mark::is_blank);
        let at_end = slash.start == value_end.start;
        // A trimmed line that still ends with a backslash had blanks after it: else it would have been joined.
        let odd = last.iter().rev().take_while(|mark| mark.c == '\\').count() % 2 == 1;
        if slash.c == '\\' && odd && preceded && at_end {
            self.problem(
                UnitProblemKind::MissingContinuation,
                "a blank follows this backslash, so the next line does not belong to it",
                Some(slash.span()),
            );
            assignment.value.pop();
            self.in_run = true;
        }
    }

    fn typographic(&mut self, value: &[Mark]) {
        for mark in value {
            if self.file.problems.len() >= TYPOGRAPHIC_LIMIT {
                return;
            }
            if let Some((name, ascii)) = marked::typographic(mark.c) {
                let message = format!("{name} (U+{:04X}) where {ascii:?} belongs", mark.c as u32);
                self.problem(UnitProblemKind::TypographicCharacter, message, Some(mark.span()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(text: &str) -> Vec<(String, String)> {
        let file = parse(&"/u".into(), text);
        file.assignments.iter().map(|a| (format!("{}.{}", a.section, a.key), a.text())).collect()
    }

    #[test]
    fn assignments_as_systemd_reads_them() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("[Unit]\nDescription=a b\n", &[("Unit.Description", "a b")]),
            ("[Unit]\nA = b \n", &[("Unit.A", "b")]),
            ("[Unit]\n# c\n; d\n\nA=b", &[("Unit.A", "b")]),
            (
                "[Service]\nExecStart=/bin/x \\\n  --a \\\n  --b\nB=1\n",
                &[("Service.ExecStart", "/bin/x    --a    --b"), ("Service.B", "1")],
            ),
            ("[Service]\nExecStart=/bin/x \\\n# note\n  ; more\n--b\n", &[("Service.ExecStart", "/bin/x  --b")]),
            ("[Service]\nExecStart=/bin/x \\\n\nB=1\n", &[("Service.ExecStart", "/bin/x"), ("Service.B", "1")]),
            ("[Service]\nA=x\nA=\nA=y\n", &[("Service.A", "x"), ("Service.A", ""), ("Service.A", "y")]),
            ("[Service]\r\nA=x\r\nB=\\\r\ny\r\n", &[("Service.A", "x"), ("Service.B", "y")]),
            ("[Service]\nA=x\\\\\nB=y\n", &[("Service.A", "x\\\\"), ("Service.B", "y")]),
            ("[Service]\nA=x \\", &[("Service.A", "x")]),
            ("[Service]\nA=b=c\n", &[("Service.A", "b=c")]),
        ];
        for (text, wanted) in table {
            let found = assignments(text);
            let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(&found, wanted, "{text:?}");
        }
    }

    #[test]
    fn value_spans_stand_on_the_value() {
        let text = "[Service]\nType = notify\nExecStart=/x \\\n --a\n";
        let file = parse(&"/u".into(), text);
        let spans: Vec<&str> = file.assignments.iter().map(|a| &text[a.span.start..a.span.end]).collect();
        assert_eq!(spans, ["notify", "/x \\\n --a"]);
        assert_eq!(file.assignments[0].origin().to_string(), "/u:2:8");
    }

    #[test]
    fn lines_that_systemd_does_not_read_as_meant() {
        use UnitProblemKind::*;
        let table: &[(&str, &[(UnitProblemKind, &str)])] = &[
            ("A=b\n[Unit]\n", &[(OutsideSection, "A=b")]),
            ("[Unit]\nwords\n", &[(NotAnAssignment, "words")]),
            ("[Unit\nA=b\n", &[(NotAnAssignment, "[Unit"), (OutsideSection, "A=b")]),
            ("[Service]\nExecStart=/x --a\n  --b=c \\\n  --d\n", &[(MissingContinuation, "--b=c \\\n  --d")]),
            ("[Service]\nExecStart=/x\n--b\n-c\n$D\n", &[(MissingContinuation, "--b")]),
            ("[Service]\nExecStart=/x --a \\ \n  --b\n  --c\n", &[(MissingContinuation, "\\")]),
            ("[Service]\nExecStart=/x \u{2013}-a\n", &[(TypographicCharacter, "\u{2013}")]),
            (
                "[Service]\nEnvironment=\u{201c}A=b\u{201d}\n",
                &[(TypographicCharacter, "\u{201c}"), (TypographicCharacter, "\u{201d}")],
            ),
            ("[Unit]\nDescription=etcd \u{2013} store\n", &[]),
            ("[Service]\nExecStart=/x \\\n  --b\n", &[]),
        ];
        for (text, wanted) in table {
            let file = parse(&"/u".into(), text);
            let found: Vec<(UnitProblemKind, &str)> = file
                .problems
                .iter()
                .map(|problem| {
                    let span = problem.origin.span().unwrap();
                    (problem.kind, &text[span.start..span.end])
                })
                .collect();
            assert_eq!(&found, wanted, "{text:?}");
        }
    }

    #[test]
    fn hostile_input_is_survived() {
        for text in
            ["", "=", "[", "[]", "\\", "\\\n\\\n", "\u{feff}", "[S]\n=\n", "[S]\nExecStart=\\\n", "\u{feff}[S]\nA=1"]
        {
            let _ = parse(&"/u".into(), text);
        }
    }
}
