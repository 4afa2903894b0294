//! Start scripts: which components they would run, with which words. Nothing is executed: a value that only a running
//! command could tell stays in the words as it is written.

mod lexer;
mod problems;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lexer::{Part, Redirect, Token, Word};
use values::Lookup;

use crate::facts::unit::{CommandLine, Script, UndefinedVariable, UnitProblem, UnitProblemKind};
use crate::origin::{Origin, Sourced, Span};
use crate::parse::command_line::{
    self,
    marked::{self, Mark, Trail, WORD_LIMIT},
};
use crate::parse::env_file::limited;
use crate::parse::systemd_unit::exec::Environment;

/// Files that source files that source files ... end here.
const SOURCE_DEPTH: usize = 4;
/// Words and commands of one script beyond which the rest is left out.
const WORD_COUNT_LIMIT: usize = 50_000;
const COMMAND_LIMIT: usize = 64;

/// What stands at the path that a script sources.
pub enum SourcedFile {
    Text(String),
    Absent,
    /// There may be one, but it could not be read.
    Unknown,
}

/// How to get a sourced file by its absolute path.
pub type Resolve<'a> = &'a dyn Fn(&str) -> SourcedFile;

/// Parses a script. `environment` is what a unit that runs it hands down; `resolve` reads the files that it sources.
pub fn parse(path: &Arc<str>, text: &str, environment: Option<&Environment>, resolve: Resolve<'_>) -> Script {
    let marks = marked::marks(limited(text));
    let mut shell = Shell::new(Trail::new(path.clone()), environment, resolve);
    shell.run(&marks);
    Script {
        at_boot: false,
        path: path.to_string(),
        variables: shell
            .variables
            .iter()
            .filter_map(|(name, variable)| {
                let value = marked::text(variable.value.as_ref()?);
                Some((name.clone(), Sourced::new(value, variable.origin.clone())))
            })
            .collect(),
        commands: shell.commands,
        problems: shell.problems,
    }
}

/// The components that a unit's `sh -c` would start; `script` has been through systemd's own expansion.
pub(crate) fn inline(trail: Trail, script: &[Mark], environment: &Environment) -> Vec<CommandLine> {
    let mut shell = Shell::new(trail, Some(environment), &|_| SourcedFile::Unknown);
    shell.run(script);
    shell.commands
}

/// The components that a container's `sh -c` would start; spans are narrowed when the text stands in its file as it is.
pub fn components_in(script: &Sourced<String>) -> Vec<CommandLine> {
    let text = limited(&script.value);
    let mut marks = marked::marks(text);
    let path: Arc<str> = script.origin.path().unwrap_or_default().into();
    if let Some(span) = script.origin.span() {
        let as_it_is = span.end - span.start == script.value.len() && !text.contains('\n');
        for mark in &mut marks {
            if as_it_is {
                mark.start += span.start as u32;
                mark.end += span.start as u32;
                mark.column += span.column - 1;
            } else {
                (mark.start, mark.end, mark.column) = (span.start as u32, span.end as u32, span.column);
            }
            mark.line = span.line;
        }
    }
    let mut shell = Shell::new(Trail::new(path), None, &|_| SourcedFile::Unknown);
    shell.incomplete = true;
    shell.run(&marks);
    shell.commands
}

pub(crate) fn is_shell(program: &str) -> bool {
    matches!(command_line::base_name(program), "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
}

/// Makes a command of expanded words. Values of flags that hold a password or token are left out.
pub(crate) fn command_line(
    trail: &Trail,
    words: &[(Vec<Mark>, Span)],
    output: Option<&(Vec<Mark>, Span)>,
    undefined: Vec<UndefinedVariable>,
) -> CommandLine {
    let sourced = |(marks, raw): &(Vec<Mark>, Span)| Sourced::new(marked::text(marks), trail.origin(marks, *raw));
    let mut command = CommandLine {
        words: words.iter().map(sourced).collect(),
        values: words.iter().map(|(marks, raw)| trail.value_origin(marks, *raw)).collect(),
        output: output.map(sourced),
        undefined,
    };
    command_line::hide_secrets(&mut command.words);
    command
}

#[derive(Debug, Clone)]
struct ShellVariable {
    /// None when only running something could tell.
    value: Option<Vec<Mark>>,
    origin: Origin,
}

struct Shell<'a> {
    trail: Trail,
    variables: BTreeMap<String, ShellVariable>,
    environment: Option<&'a Environment>,
    resolve: Resolve<'a>,
    /// A sourced file could not be read, so that any variable may be set.
    incomplete: bool,
    commands: Vec<CommandLine>,
    problems: Vec<UnitProblem>,
    depth: usize,
    words: usize,
    sourced: BTreeSet<String>,
}

impl<'a> Shell<'a> {
    fn new(trail: Trail, environment: Option<&'a Environment>, resolve: Resolve<'a>) -> Shell<'a> {
        Shell {
            trail,
            variables: BTreeMap::new(),
            environment,
            resolve,
            incomplete: false,
            commands: Vec::new(),
            problems: Vec::new(),
            depth: 0,
            words: 0,
            sourced: BTreeSet::new(),
        }
    }

    fn run(&mut self, marks: &[Mark]) {
        let (tokens, unclosed) = lexer::tokens(marks);
        for open in unclosed {
            self.problem(UnitProblemKind::UnclosedQuote, "the quote is never closed", open.span());
        }
        let mut words: Vec<Word> = Vec::new();
        let mut output: Option<Word> = None;
        let mut errors: Option<Word> = None;
        let mut redirect = None;
        for token in tokens {
            match token {
                Token::Redirect { descriptor, kind } => redirect = Some((descriptor, kind)),
                Token::Word(word) => match redirect.take() {
                    Some((None | Some('1'), Redirect::Output)) | Some((_, Redirect::Both)) => output = Some(word),
                    Some((Some('2'), Redirect::Output)) => errors = Some(word),
                    Some(_) => {}
                    None => words.push(word),
                },
                Token::End => {
                    redirect = None;
                    let output = output.take().or(errors.take());
                    errors = None;
                    if self.words < WORD_COUNT_LIMIT {
                        self.words += words.len();
                        self.command(std::mem::take(&mut words), output);
                    }
                    words.clear();
                }
            }
        }
    }

    fn command(&mut self, words: Vec<Word>, output: Option<Word>) {
        let mut words = words.as_slice();
        while let [first, rest @ ..] = words {
            match first.bare().as_deref() {
                Some("if" | "then" | "elif" | "else" | "while" | "until" | "do" | "!" | "{" | "}" | "time") => {
                    words = rest
                }
                Some("for" | "select" | "read") => {
                    for name in rest.iter().filter_map(Word::bare).take_while(|word| word != "in") {
                        self.forget(name, first.raw);
                    }
                    return;
                }
                Some("case" | "function" | "fi" | "done" | "esac") => return,
                _ => break,
            }
        }
        while let [first, rest @ ..] = words {
            let Some((name, adds, parts)) = first.assignment() else { break };
            self.assign(name, adds, first, parts);
            words = rest;
        }
        let Some(first) = words.first() else { return };
        match first.bare().as_deref() {
            Some("export" | "readonly" | "declare" | "typeset" | "local") => {
                for word in &words[1..] {
                    if let Some((name, adds, parts)) = word.assignment() {
                        self.assign(name, adds, word, parts);
                    }
                }
                self.typographic(words);
                return;
            }
            Some("source" | ".") => {
                if let Some(word) = words.get(1) {
                    self.source(word);
                }
                return;
            }
            Some("unset") => {
                for name in words.iter().skip(1).filter_map(Word::bare) {
                    self.variables.remove(&name);
                }
                return;
            }
            Some("echo" | "printf" | "logger") => return,
            _ => {}
        }
        self.typographic(words);
        if self.continuation_missing(first) || self.commands.len() >= COMMAND_LIMIT {
            return;
        }
        let words = self.behind_prefixes(words);
        self.component(words, output.as_ref());
    }

    /// What runs after `nohup`, `exec`, `sudo -u etcd`, `env A=b`, ...
    fn behind_prefixes<'w>(&mut self, mut words: &'w [Word]) -> &'w [Word] {
        while let [first, rest @ ..] = words {
            let takes_value: &[&str] = match first.bare().as_deref().map(command_line::base_name) {
                Some("nohup" | "exec" | "setsid" | "time" | "command" | "stdbuf" | "daemonize") => &[],
                Some("sudo") => &["-u", "-g", "-D"],
                Some("env") => &["-u", "-C"],
                Some("nice") => &["-n"],
                Some("ionice") => &["-c", "-n", "-p"],
                _ => break,
            };
            words = rest;
            while let [option, rest @ ..] = words {
                let text = option.bare().unwrap_or_default();
                if let Some((name, adds, parts)) = option.assignment() {
                    self.assign(name, adds, option, parts);
                    words = rest;
                } else if text.starts_with('-') {
                    words = if takes_value.contains(&text.as_str()) { rest.get(1..).unwrap_or(&[]) } else { rest };
                } else {
                    break;
                }
            }
        }
        words
    }

    fn component(&mut self, words: &[Word], output: Option<&Word>) {
        let mut undefined = Vec::new();
        let mut expanded = Vec::new();
        for (index, word) in words.iter().enumerate() {
            expanded.extend(self.expand(word, &mut undefined));
            // Do not spend time on the words of a command that is none of ours.
            if index == 1 && !could_be_component(&expanded) {
                return;
            }
        }
        let texts: Vec<String> = expanded.iter().take(3).map(|(marks, _)| marked::text(marks)).collect();
        if let [shell, option, _] = texts.as_slice()
            && is_shell(shell)
            && option.starts_with('-')
            && option.ends_with('c')
        {
            if self.depth < SOURCE_DEPTH
                && let Some((script, _)) = expanded.get(2)
            {
                self.depth += 1;
                self.run(&script.clone());
                self.depth -= 1;
            }
            return;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if command_line::identify(&texts).is_none() {
            return;
        }
        let output = output.and_then(|word| self.expand(word, &mut undefined).into_iter().next());
        self.commands.push(command_line(&self.trail, &expanded, output.as_ref(), undefined));
    }

    fn forget(&mut self, name: String, span: Span) {
        let origin = Origin::file(self.trail.path().clone(), Some(span));
        self.variables.insert(name, ShellVariable { value: None, origin });
    }

    fn assign(&mut self, name: String, adds: bool, word: &Word, parts: usize) {
        self.typographic_value(word, parts);
        let value = Word { parts: word.parts.get(parts..).unwrap_or_default().to_vec(), raw: word.raw };
        let known = value.parts.iter().all(|part| match part {
            Part::Opaque { .. } => false,
            Part::Variable { name, default, .. } => default.is_some() || !matches!(self.lookup(name), Lookup::Unsaid),
            _ => true,
        });
        let mut marks: Vec<Mark> = Vec::new();
        for (piece, _) in self.expand_unsplit(&value, &mut Vec::new()) {
            marks.push(piece);
        }
        let mut marks = command_line::public_marks(&name, marks);
        let equals = match word.parts.get(parts.wrapping_sub(1)) {
            Some(Part::Text { mark, .. }) => marked::span_after(mark),
            _ => word.raw,
        };
        let raw = Span { end: word.raw.end.max(equals.start), ..equals };
        let origin = self.trail.origin(&marks, if marks.is_empty() { equals } else { raw });
        let before = if adds { self.variables.get(&name).cloned() } else { None };
        let value = match (known, before) {
            (false, _) => None,
            (true, Some(ShellVariable { value: None, .. })) => None,
            (true, Some(ShellVariable { value: Some(mut value), .. })) => {
                value.append(&mut marks);
                value.truncate(WORD_LIMIT);
                Some(value)
            }
            (true, None) => Some(marks),
        };
        self.variables.insert(name, ShellVariable { value, origin });
    }

    fn source(&mut self, word: &Word) {
        let mut undefined = Vec::new();
        let expanded = self.expand(word, &mut undefined);
        let path = match expanded.first() {
            Some((marks, _)) => marked::text(marks),
            None => return,
        };
        if !path.starts_with('/') || path.contains(['$', '`']) || self.depth >= SOURCE_DEPTH {
            // Relative to a directory that is not known.
            self.incomplete = true;
            return;
        }
        if !self.sourced.insert(path.clone()) {
            return;
        }
        let text = match (self.resolve)(&path) {
            SourcedFile::Text(text) => text,
            SourcedFile::Absent => return,
            SourcedFile::Unknown => {
                self.incomplete = true;
                return;
            }
        };
        let mut inner = Shell::new(Trail::new(path.into()), self.environment, self.resolve);
        inner.depth = self.depth + 1;
        inner.sourced = self.sourced.clone();
        inner.run(&marked::marks(limited(&text)));
        self.incomplete |= inner.incomplete;
        self.problems.extend(inner.problems);
        self.problems.truncate(problems::PROBLEM_LIMIT);
        for (name, mut variable) in inner.variables {
            // Sources are numbers of the other file's trail: what was put together there is known by its origin only.
            if let (Some(value), Some(span)) = (&mut variable.value, variable.origin.span()) {
                for mark in value.iter_mut().filter(|mark| mark.source != 0) {
                    let (start, end) = (span.start as u32, span.end as u32);
                    *mark = Mark { start, end, line: span.line, column: span.column, source: 0, ..*mark };
                }
            }
            self.variables.insert(name, variable);
        }
    }
}

fn could_be_component(words: &[(Vec<Mark>, Span)]) -> bool {
    let Some((program, _)) = words.first() else { return true };
    let program = marked::text(program);
    is_shell(&program) || command_line::may_be_component(&program)
}

#[cfg(test)]
mod tests;
