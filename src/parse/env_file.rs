//! Environment files as systemd reads them for `EnvironmentFile=` (systemd.exec(5)): `NAME=value` lines, quotes, lines
//! joined by a backslash, and no `$` expansion.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::unit::{UnitProblem, UnitProblemKind};
use crate::origin::{Origin, Sourced, Span};
use crate::parse::command_line::marked::{self, Mark};

/// Longest file that is understood; longer ones are not environment files.
pub const SIZE_LIMIT: usize = 1 << 20;

const TYPOGRAPHIC_LIMIT: usize = 20;

/// A parsed environment file.
#[derive(Debug, Clone, Default)]
pub struct EnvFile {
    /// In the file's order; a later one of the same name wins.
    pub variables: Vec<Variable>,
    pub problems: Vec<UnitProblem>,
}

/// An assignment.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    /// The value without quotes and escapes.
    pub value: Vec<Mark>,
    /// Of the value as a whole, within its quotes.
    pub span: Span,
}

/// The variables of a file by name, the last assignment of each.
pub fn values(path: &str, text: &str) -> BTreeMap<String, Sourced<String>> {
    let path: Arc<str> = path.into();
    parse(&path, text)
        .variables
        .into_iter()
        .map(|variable| {
            let origin = Origin::file(path.clone(), Some(variable.span));
            (variable.name, Sourced::new(marked::text(&variable.value), origin))
        })
        .collect()
}

/// Parses an environment file. Lines that systemd ignores become problems.
pub fn parse(path: &Arc<str>, text: &str) -> EnvFile {
    let mut parser = Parser { path, marks: marked::marks(limited(text)), at: 0, file: EnvFile::default() };
    parser.run();
    parser.file
}

pub(crate) fn limited(text: &str) -> &str {
    let mut end = text.len().min(SIZE_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether systemd takes it for a variable's name.
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
        && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
}

struct Parser<'a> {
    path: &'a Arc<str>,
    marks: Vec<Mark>,
    at: usize,
    file: EnvFile,
}

impl Parser<'_> {
    fn peek(&self) -> Option<Mark> {
        self.marks.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Mark> {
        let mark = self.peek()?;
        self.at += 1;
        Some(mark)
    }

    fn problem(&mut self, kind: UnitProblemKind, message: impl Into<String>, span: Span) {
        let origin = Origin::file(self.path.clone(), Some(span));
        self.file.problems.push(UnitProblem { kind, message: message.into(), origin });
    }

    fn run(&mut self) {
        while let Some(mark) = self.peek() {
            if mark.is_blank() || mark.c == '\u{feff}' {
                self.at += 1;
            } else if matches!(mark.c, '#' | ';') {
                self.skip_line();
            } else {
                self.assignment();
            }
        }
    }

    fn skip_line(&mut self) {
        while let Some(mark) = self.next() {
            if mark.c == '\n' {
                break;
            }
        }
    }

    fn assignment(&mut self) {
        let from = self.at;
        while self.peek().is_some_and(|mark| !matches!(mark.c, '=' | '\n')) {
            self.at += 1;
        }
        let key = marked::trim(&self.marks[from..self.at]).to_vec();
        let Some(equals) = self.peek().filter(|mark| mark.c == '=') else {
            if let Some(span) = marked::span(&key) {
                let flag = key.first().is_some_and(|mark| mark.c == '-' || marked::is_typographic_dash(mark.c));
                if flag && !self.file.variables.is_empty() {
                    self.problem(
                        UnitProblemKind::MissingContinuation,
                        "the line is ignored: the one before it does not end with a backslash",
                        span,
                    );
                } else {
                    self.problem(
                        UnitProblemKind::NotAnAssignment,
                        "the line is ignored: NAME=value was expected",
                        span,
                    );
                }
            }
            return;
        };
        self.at += 1;
        let (value, span) = self.value(equals);
        let name = marked::text(&key);
        if is_name(&name) {
            self.typographic(&value);
            self.file.variables.push(Variable { name, value, span });
            return;
        }
        let at = marked::span(&key).unwrap_or_else(|| equals.span());
        if let Some(rest) = name.strip_prefix("export ") {
            let message = format!("the line is ignored: systemd knows no export, only {}=value", rest.trim());
            self.problem(UnitProblemKind::NotAnAssignment, message, at);
        } else if name.starts_with(|c| c == '-' || marked::is_typographic_dash(c)) {
            let message = "the line is ignored: the one before it does not end with a backslash";
            self.problem(UnitProblemKind::MissingContinuation, message, at);
        } else {
            self.problem(UnitProblemKind::NotAnAssignment, "the line is ignored: no valid variable name", at);
        }
    }

    /// The value after the `=`, up to the line's end.
    fn value(&mut self, equals: Mark) -> (Vec<Mark>, Span) {
        let mut value: Vec<Mark> = Vec::new();
        // Blanks at the end count only when they were quoted or escaped.
        let mut keep = 0;
        let mut bare = false;
        while let Some(mark) = self.next() {
            match mark.c {
                '\n' => break,
                '\\' => match self.next() {
                    Some(escaped) if escaped.c != '\n' => {
                        value.push(Mark { end: escaped.end, ..mark.with(escaped.c) });
                        keep = value.len();
                        bare = true;
                    }
                    _ => {}
                },
                '\'' | '"' if !bare => {
                    self.quoted(mark, &mut value);
                    keep = value.len();
                }
                _ if mark.is_blank() => {
                    if bare {
                        value.push(mark);
                    }
                }
                _ => {
                    value.push(mark);
                    keep = value.len();
                    bare = true;
                }
            }
        }
        value.truncate(keep);
        let span = marked::span(&value).unwrap_or_else(|| marked::span_after(&equals));
        (value, span)
    }

    fn quoted(&mut self, open: Mark, value: &mut Vec<Mark>) {
        while let Some(mark) = self.next() {
            match mark.c {
                c if c == open.c => return,
                '\\' if open.c == '"' => match self.next() {
                    Some(escaped) if matches!(escaped.c, '"' | '\\' | '`' | '$') => {
                        value.push(Mark { end: escaped.end, ..mark.with(escaped.c) });
                    }
                    Some(escaped) if escaped.c != '\n' => value.extend([mark, escaped]),
                    _ => {}
                },
                _ => value.push(mark),
            }
        }
        self.problem(UnitProblemKind::UnclosedQuote, "the quote is never closed", open.span());
    }

    fn typographic(&mut self, value: &[Mark]) {
        for mark in value {
            if self.file.problems.len() >= TYPOGRAPHIC_LIMIT {
                return;
            }
            if let Some((name, ascii)) = marked::typographic(mark.c) {
                let message = format!("{name} (U+{:04X}) where {ascii:?} belongs", mark.c as u32);
                self.problem(UnitProblemKind::TypographicCharacter, message, mark.span());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_systemd_reads_them() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("A=b\n", &[("A", "b")]),
            ("A=b", &[("A", "b")]),
            ("A = b c  \n", &[("A", "b c")]),
            ("# A=x\n; B=y\n\nC=1\n", &[("C", "1")]),
            ("A=\"--x=1 --y=2\"\n", &[("A", "--x=1 --y=2")]),
            ("A='q\"r'\n", &[("A", "q\"r")]),
            ("A=\"a\\\"b\\n\"\n", &[("A", "a\"b\\n")]),
            ("A=\"--one \\\n--two \\\n--three\"\nB=2\n", &[("A", "--one --two --three"), ("B", "2")]),
            ("A=--one \\\n  --two\n", &[("A", "--one   --two")]),
            ("A=$B\n", &[("A", "$B")]),
            ("A=\nB=x\n", &[("A", ""), ("B", "x")]),
            ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
            ("A=x=y\n", &[("A", "x=y")]),
            ("A=1\nA=2\n", &[("A", "2")]),
            ("A=it's\n", &[("A", "it's")]),
        ];
        for (text, wanted) in table {
            let found = values("/e", text);
            let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.value.as_str())).collect();
            assert_eq!(&found, wanted, "{text:?}");
        }
    }

    #[test]
    fn spans_underline_the_value_within_its_quotes() {
        let text = "# head\nPEERS=\"--x=1\"\nEMPTY=\nP=/a\n";
        let found = values("/e", text);
        for (name, wanted) in [("PEERS", "--x=1"), ("EMPTY", ""), ("P", "/a")] {
            let span = found[name].origin.span().unwrap();
            assert_eq!(&text[span.start..span.end], wanted);
        }
        assert_eq!(found["PEERS"].origin.to_string(), "/e:2:8");
        assert_eq!(found["EMPTY"].origin.to_string(), "/e:3:7");
    }

    #[test]
    fn lines_that_systemd_ignores_are_problems() {
        use UnitProblemKind::*;
        let table: &[(&str, &[(UnitProblemKind, &str)])] = &[
            ("export A=b\n", &[(NotAnAssignment, "export A")]),
            ("just words\nB=1\n", &[(NotAnAssignment, "just words")]),
            ("A=--x=1\n--y=2\n", &[(MissingContinuation, "--y")]),
            ("A=--x\n--y\n", &[(MissingContinuation, "--y")]),
            ("A=\"open\n", &[(UnclosedQuote, "\"")]),
            ("A=\u{2013}x\n", &[(TypographicCharacter, "\u{2013}")]),
            ("A=\u{201c}--x\u{201d}\n", &[(TypographicCharacter, "\u{201c}"), (TypographicCharacter, "\u{201d}")]),
            ("A=fine\n", &[]),
        ];
        for (text, wanted) in table {
            let file = parse(&"/e".into(), text);
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
}
