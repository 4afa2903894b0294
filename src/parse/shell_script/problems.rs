//! What a script does not say as it was meant: pasted characters, lines that lost their continuation.

use super::Shell;
use super::lexer::{Part, Word};
use crate::facts::unit::{UnitProblem, UnitProblemKind};
use crate::origin::{Origin, Span};
use crate::parse::command_line::marked::{self, Mark};

pub(super) const PROBLEM_LIMIT: usize = 20;

impl Shell<'_> {
    pub(super) fn problem(&mut self, kind: UnitProblemKind, message: impl Into<String>, span: Span) {
        if self.problems.len() < PROBLEM_LIMIT {
            let origin = Origin::file(self.trail.path().clone(), Some(span));
            self.problems.push(UnitProblem { kind, message: message.into(), origin });
        }
    }

    /// A line that begins with a flag was meant to go on the one above.
    pub(super) fn continuation_missing(&mut self, first: &Word) -> bool {
        let Some(Part::Text { mark, quoted: false }) = first.parts.first() else { return false };
        let second = match first.parts.get(1) {
            Some(Part::Text { mark, .. }) => mark.c,
            _ => return false,
        };
        let dash = mark.c == '-' || marked::is_typographic_dash(mark.c);
        if !dash || !(second == '-' || second.is_ascii_alphabetic()) {
            return false;
        }
        let message = "the shell takes this for a command: the line above does not end with a backslash";
        self.problem(UnitProblemKind::MissingContinuation, message, first.raw);
        true
    }

    /// Dashes that begin an option and quotes that are meant as quotes, when they are none to a shell.
    pub(super) fn typographic(&mut self, words: &[Word]) {
        let mut found = Vec::new();
        for word in words {
            let mut leading = true;
            for part in &word.parts {
                let Part::Text { mark, quoted } = part else {
                    leading = false;
                    continue;
                };
                let dash = marked::is_typographic_dash(mark.c);
                if !*quoted && (!dash || leading) && marked::typographic(mark.c).is_some() {
                    found.push(*mark);
                }
                leading &= dash || mark.c == '-';
            }
        }
        self.typographic_marks(&found);
    }

    /// In an assigned value also the dashes that begin an option later on: `ARGS="–-name a"`.
    pub(super) fn typographic_value(&mut self, word: &Word, parts: usize) {
        let mut found = Vec::new();
        let mut leading = true;
        for part in word.parts.iter().skip(parts) {
            match part {
                Part::Text { mark, quoted } => {
                    let dash = marked::is_typographic_dash(mark.c);
                    if (dash && leading) || (!dash && !*quoted && marked::typographic(mark.c).is_some()) {
                        found.push(*mark);
                    }
                    leading = mark.is_blank() || (leading && (dash || mark.c == '-'));
                }
                Part::Empty => {}
                _ => leading = false,
            }
        }
        self.typographic_marks(&found);
    }

    fn typographic_marks(&mut self, found: &[Mark]) {
        for mark in found {
            if let Some((name, ascii)) = marked::typographic(mark.c) {
                let message = format!("{name} (U+{:04X}) where {ascii:?} belongs", mark.c as u32);
                self.problem(UnitProblemKind::TypographicCharacter, message, mark.span());
            }
        }
    }
}
