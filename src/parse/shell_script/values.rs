//! What words stand for: variables, of the script or of who runs it, and how their values are split.

use std::sync::Arc;

use super::Shell;
use super::lexer::{Part, Word};
use crate::facts::unit::UndefinedVariable;
use crate::origin::{Origin, Span};
use crate::parse::command_line::marked::{self, Mark, WORD_LIMIT};

/// Variables that a login or the shell itself sets; a script may use them without setting them.
const SET_ELSEWHERE: &[&str] = &[
    "BASH",
    "BASHPID",
    "BASH_SOURCE",
    "BASH_VERSION",
    "EUID",
    "FUNCNAME",
    "HOME",
    "HOSTNAME",
    "IFS",
    "LANG",
    "LINENO",
    "LOGNAME",
    "MAIL",
    "OLDPWD",
    "OPTARG",
    "OPTIND",
    "PATH",
    "PPID",
    "PWD",
    "RANDOM",
    "REPLY",
    "SECONDS",
    "SHELL",
    "SUDO_USER",
    "TERM",
    "TMPDIR",
    "UID",
    "USER",
];

pub(super) enum Lookup {
    Known(Vec<Mark>, Origin),
    /// Set, or likely to be, to something that is not known here.
    Unsaid,
    Undefined,
}

impl Shell<'_> {
    pub(super) fn lookup(&self, name: &str) -> Lookup {
        if let Some(variable) = self.variables.get(name) {
            return match &variable.value {
                Some(value) => Lookup::Known(value.clone(), variable.origin.clone()),
                None => Lookup::Unsaid,
            };
        }
        if let Some(environment) = self.environment {
            if let Some(variable) = environment.get(name) {
                return Lookup::Known(variable.value.clone(), variable.origin.clone());
            }
            if environment.is_unsaid(name) {
                return Lookup::Unsaid;
            }
        }
        if self.incomplete || SET_ELSEWHERE.contains(&name) { Lookup::Unsaid } else { Lookup::Undefined }
    }

    /// A word's characters, each with whether quotes protect it from being split.
    pub(super) fn expand_unsplit(&mut self, word: &Word, undefined: &mut Vec<UndefinedVariable>) -> Vec<(Mark, bool)> {
        let mut marks: Vec<(Mark, bool)> = Vec::new();
        for part in &word.parts {
            match part {
                Part::Text { mark, .. } => marks.push((*mark, true)),
                Part::Empty => {}
                Part::Opaque { raw } => marks.extend(raw.iter().map(|mark| (*mark, true))),
                Part::Variable { name, raw, quoted, default } => {
                    let (value, origin) = match self.lookup(name) {
                        Lookup::Known(value, origin) => (value, Some(origin)),
                        Lookup::Unsaid => {
                            marks.extend(raw.iter().map(|mark| (*mark, true)));
                            continue;
                        }
                        Lookup::Undefined => (Vec::new(), None),
                    };
                    if let (true, Some(default)) = (marked::trim(&value).is_empty(), default) {
                        marks.extend(default.iter().map(|mark| (*mark, *quoted)));
                        continue;
                    }
                    let used_at = marked::span(raw).unwrap_or(word.raw);
                    if marked::trim(&value).is_empty() {
                        undefined.push(UndefinedVariable {
                            name: name.clone(),
                            origin: Origin::file(self.trail.path().clone(), Some(used_at)),
                            alone: !*quoted && word.parts.len() == 1,
                            defined_empty: origin.clone(),
                        });
                    }
                    let Some(origin) = origin else { continue };
                    let own = self.variables.contains_key(name);
                    let path: Arc<str> = match (&value.first(), own) {
                        // Its text stands in this script even when it was put together of other variables.
                        (Some(first), true) if first.source != 0 => self.trail.path().clone(),
                        _ => origin.path().unwrap_or_default().into(),
                    };
                    let source = self.trail.add(path, used_at);
                    if marks.len() + value.len() <= WORD_LIMIT {
                        marks.extend(value.iter().map(|mark| {
                            let source = if mark.source == 0 || !own { source } else { mark.source };
                            (Mark { source, ..*mark }, *quoted)
                        }));
                    }
                }
            }
        }
        marks
    }

    pub(super) fn expand(&mut self, word: &Word, undefined: &mut Vec<UndefinedVariable>) -> Vec<(Vec<Mark>, Span)> {
        let marks = self.expand_unsplit(word, undefined);
        let present = word.parts.iter().any(|part| matches!(part, Part::Empty));
        let mut words: Vec<(Vec<Mark>, Span)> = Vec::new();
        let mut current: Vec<Mark> = Vec::new();
        for (mark, protected) in marks {
            if !protected && mark.is_blank() {
                if !current.is_empty() {
                    words.push((std::mem::take(&mut current), word.raw));
                }
            } else {
                current.push(mark);
            }
        }
        if !current.is_empty() || (words.is_empty() && present) {
            words.push((current, word.raw));
        }
        words
    }
}
