//! systemd command lines (systemd.service(5), "Command lines"): quotes, escapes, specifiers, `$VAR` and `${VAR}`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Assignment;
use crate::facts::unit::{CommandLine, UndefinedVariable, UnitProblem, UnitProblemKind};
use crate::origin::{Origin, Sourced, Span};
use crate::parse::command_line::{
    self,
    marked::{self, Mark, Trail, WORD_LIMIT},
};
use crate::parse::env_file::{EnvFile, is_name};
use crate::parse::shell_script;

/// Variables that systemd itself sets for a service (systemd.exec(5)); their values are not in any file.
const SET_BY_SYSTEMD: &[&str] = &[
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "HOME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGNAME",
    "LOGS_DIRECTORY",
    "MAINPID",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "PATH",
    "PIDFILE",
    "RUNTIME_DIRECTORY",
    "SHELL",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "USER",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// What specifiers stand for.
#[derive(Debug, Clone, Default)]
pub struct UnitName {
    /// `etcd@m1.service`.
    pub name: String,
    /// The host's name, for `%H`.
    pub host: Option<String>,
}

impl UnitName {
    fn stem(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(stem, _)| stem)
    }

    fn prefix(&self) -> &str {
        self.stem().split_once('@').map_or(self.stem(), |(prefix, _)| prefix)
    }

    fn instance(&self) -> &str {
        self.stem().split_once('@').map_or("", |(_, instance)| instance)
    }

    /// What `%c` stands for; None when that is not known here, and the text is left as it is.
    fn specifier(&self, c: char) -> Option<String> {
        let last = |name: &str| name.rsplit_once('-').map_or(name, |(_, last)| last).to_owned();
        Some(match c {
            '%' => "%".to_owned(),
            'n' => self.name.clone(),
            'N' => self.stem().to_owned(),
            'p' => self.prefix().to_owned(),
            'P' => self.prefix().replace('-', "/"),
            'i' => self.instance().to_owned(),
            'I' => self.instance().replace('-', "/"),
            'j' | 'J' => last(self.prefix()),
            'H' => self.host.clone()?,
            'l' => self.host.as_deref()?.split('.').next()?.to_owned(),
            'h' => "/root".to_owned(),
            'u' | 'g' => "root".to_owned(),
            'U' | 'G' => "0".to_owned(),
            't' => "/run".to_owned(),
            'S' => "/var/lib".to_owned(),
            'C' => "/var/cache".to_owned(),
            'L' => "/var/log".to_owned(),
            'E' => "/etc".to_owned(),
            'T' => "/tmp".to_owned(),
            'V' => "/var/tmp".to_owned(),
            _ => return None,
        })
    }

    /// A value with its specifiers filled in.
    pub fn fill(&self, value: &[Mark]) -> Vec<Mark> {
        let mut filled = Vec::with_capacity(value.len());
        let mut marks = value.iter().copied().peekable();
        while let Some(mark) = marks.next() {
            let known = if mark.c == '%' { marks.peek().and_then(|next| self.specifier(next.c)) } else { None };
            match (known, marks.peek()) {
                (Some(text), Some(next)) => {
                    let whole = Mark { end: next.end, ..mark };
                    filled.extend(text.chars().map(|c| whole.with(c)));
                    marks.next();
                }
                _ => filled.push(mark),
            }
        }
        filled
    }
}

/// A variable's value and the file that it stands in.
#[derive(Debug, Clone)]
pub struct Variable {
    pub value: Vec<Mark>,
    pub origin: Origin,
}

/// The variables that a unit's commands see. The values of passwords and tokens are not kept.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Variable>,
    /// Defined, but with a value that no file says.
    unsaid: BTreeSet<String>,
    /// A file that defines variables could not be read: any variable may be defined there.
    pub incomplete: bool,
}

impl Environment {
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Variable)> {
        self.variables.iter()
    }

    /// Whether nothing is known of the variable although it may well be defined.
    pub fn is_unsaid(&self, name: &str) -> bool {
        !self.variables.contains_key(name)
            && (self.incomplete || self.unsaid.contains(name) || SET_BY_SYSTEMD.contains(&name))
    }

    /// Takes over an `Environment=` assignment; an empty one resets what `Environment=` said before.
    pub fn assign(&mut self, assignment: &Assignment, unit: &UnitName, problems: &mut Vec<UnitProblem>) {
        if assignment.value.is_empty() {
            self.variables.clear();
            return;
        }
        let filled = unit.fill(&assignment.value);
        for word in split(&filled, Quoting::Command, &assignment.path, problems) {
            let equals = word.marks.iter().position(|mark| mark.c == '=');
            let name = equals.map(|at| marked::text(&word.marks[..at])).filter(|name| is_name(name));
            let (Some(equals), Some(name)) = (equals, name) else {
                problems.push(UnitProblem {
                    kind: UnitProblemKind::NotAnAssignment,
                    message: "systemd ignores this word: quotes around the whole NAME=value keep words together"
                        .to_owned(),
                    origin: Origin::file(assignment.path.clone(), Some(word.raw)),
                });
                continue;
            };
            let value = command_line::public_marks(&name, word.marks[equals + 1..].to_vec());
            let span = marked::span(&value).unwrap_or_else(|| marked::span_after(&word.marks[equals]));
            let origin = Origin::file(assignment.path.clone(), Some(span));
            self.variables.insert(name, Variable { value, origin });
        }
    }

    /// Takes over an `EnvironmentFile=`, which wins over everything before it.
    pub fn load(&mut self, path: &Arc<str>, file: &EnvFile) {
        for variable in &file.variables {
            let origin = Origin::file(path.clone(), Some(variable.span));
            let value = command_line::public_marks(&variable.name, variable.value.clone());
            self.variables.insert(variable.name.clone(), Variable { value, origin });
        }
    }

    /// `PassEnvironment=`: the service manager's own value, which no file says.
    pub fn pass(&mut self, names: &str) {
        self.unsaid.extend(names.split_whitespace().map(str::to_owned));
    }

    /// `UnsetEnvironment=`: names, or whole assignments.
    pub fn unset(&mut self, words: &str) {
        for word in words.split_whitespace().map(|word| word.trim_matches(['"', '\''])) {
            match word.split_once('=') {
                Some((name, value)) => {
                    if self.get(name).is_some_and(|known| marked::text(&known.value) == value) {
                        self.variables.remove(name);
                    }
                }
                None => {
                    self.variables.remove(word);
                    self.unsaid.remove(word);
                }
            }
        }
    }

    pub fn sourced(&self) -> BTreeMap<String, Sourced<String>> {
        self.iter()
            .map(|(name, variable)| {
                (name.clone(), Sourced::new(marked::text(&variable.value), variable.origin.clone()))
            })
            .collect()
    }
}

/// A word without quotes and escapes, and how the text wrote it.
#[derive(Debug, Clone)]
pub struct Word {
    pub marks: Vec<Mark>,
    /// With its quotes.
    pub raw: Span,
    quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// An assignment: an open quote is a problem.
    Command,
    /// A variable's value: what cannot be understood is taken as it is.
    Relaxed,
}

fn split(marks: &[Mark], quoting: Quoting, path: &Arc<str>, problems: &mut Vec<UnitProblem>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < marks.len() {
        if marks[at].is_blank() {
            at += 1;
            continue;
        }
        let from = at;
        let mut word = Vec::new();
        let mut quote: Option<Mark> = None;
        let mut quoted = false;
        while let Some(&mark) = marks.get(at) {
            match (mark.c, quote) {
                (c, Some(open)) if c == open.c => {
                    quote = None;
                    at += 1;
                }
                ('"' | '\'', None) => {
                    quote = Some(mark);
                    quoted = true;
                    at += 1;
                }
                ('\\', _) => {
                    quoted = true;
                    at += escape(&marks[at..], &mut word);
                }
                (_, None) if mark.is_blank() => break,
                _ => {
                    word.push(mark);
                    at += 1;
                }
            }
        }
        if let Some(open) = quote
            && quoting == Quoting::Command
        {
            problems.push(UnitProblem {
                kind: UnitProblemKind::UnclosedQuote,
                message: "the quote is never closed; systemd ignores the whole setting".to_owned(),
                origin: Origin::file(path.clone(), Some(open.span())),
            });
        }
        let raw = marked::span(&marks[from..at]).unwrap_or(Span { start: 0, end: 0, line: 1, column: 1 });
        words.push(Word { marks: word, raw, quoted });
    }
    words
}

/// A C escape at the beginning of `marks`: adds what it means and says how many characters it took.
fn escape(marks: &[Mark], word: &mut Vec<Mark>) -> usize {
    let slash = marks[0];
    let Some(&next) = marks.get(1) else {
        word.push(slash);
        return 1;
    };
    let simple = match next.c {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        's' => Some(' '),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        '\\' | '"' | '\'' | ';' => Some(next.c),
        _ => None,
    };
    if let Some(c) = simple {
        word.push(Mark { end: next.end, ..slash.with(c) });
        return 2;
    }
    let (from, digits, radix) = match next.c {
        'x' => (2, 2, 16),
        'u' => (2, 4, 16),
        'U' => (2, 8, 16),
        '0'..='7' => (1, 3, 8),
        _ => (0, 0, 10),
    };
    let number: String = marks.iter().skip(from).take(digits).map(|mark| mark.c).collect();
    if digits > 0
        && number.chars().count() == digits
        && let Some(c) = u32::from_str_radix(&number, radix).ok().filter(|c| *c != 0).and_then(char::from_u32)
    {
        word.push(Mark { end: marks[from + digits - 1].end, ..slash.with(c) });
        return from + digits;
    }
    word.extend([slash, next]);
    2
}

/// The commands of an `Exec...=` assignment after expansion. A command that runs a shell (`sh -c "..."`) is followed by
/// the components that the shell would start.
pub fn commands(
    assignment: &Assignment,
    unit: &UnitName,
    environment: &Environment,
    problems: &mut Vec<UnitProblem>,
) -> Vec<CommandLine> {
    let words = split(&assignment.value, Quoting::Command, &assignment.path, problems);
    let mut commands = Vec::new();
    for words in words.split(|word| !word.quoted && word.marks.len() == 1 && word.marks[0].c == ';') {
        if let Some(expanded) = Expansion::of(words, unit, environment, &assignment.path) {
            let (command, inner) = expanded.finish(environment);
            commands.push(command);
            commands.extend(inner);
        }
    }
    commands
}

struct Expansion<'a> {
    trail: Trail,
    words: Vec<(Vec<Mark>, Span)>,
    undefined: Vec<UndefinedVariable>,
    environment: &'a Environment,
}

impl<'a> Expansion<'a> {
    fn of(words: &[Word], unit: &UnitName, environment: &'a Environment, path: &Arc<str>) -> Option<Expansion<'a>> {
        let mut words = words.to_vec();
        let first = words.first_mut()?;
        let prefix = first.marks.iter().take_while(|mark| matches!(mark.c, '@' | '-' | ':' | '+' | '!' | '|')).count();
        let has = |c| first.marks[..prefix].iter().any(|mark| mark.c == c);
        let (own_name, literal) = (has('@'), has(':'));
        first.marks.drain(..prefix);
        if first.marks.is_empty() {
            return None;
        }
        if own_name && words.len() > 1 {
            words.remove(1);
        }
        let mut expansion =
            Expansion { trail: Trail::new(path.clone()), words: Vec::new(), undefined: Vec::new(), environment };
        for (index, word) in words.into_iter().enumerate() {
            let marks = unit.fill(&word.marks);
            if literal || index == 0 {
                expansion.words.push((marks, word.raw));
            } else {
                expansion.word(&marks, word.raw);
            }
        }
        Some(expansion)
    }

    fn word(&mut self, marks: &[Mark], raw: Span) {
        if let [dollar, rest @ ..] = marks
            && dollar.c == '$'
            && !matches!(rest.first().map(|mark| mark.c), Some('{' | '$') | None)
        {
            // A word of its own is split, and vanishes when there is nothing in it.
            let name = marked::text(rest);
            let span = marked::span(marks).unwrap_or(raw);
            match self.value(&name, span, true) {
                Some(value) => {
                    for word in split(&value, Quoting::Relaxed, &self.trail.path().clone(), &mut Vec::new()) {
                        self.words.push((word.marks, raw));
                    }
                }
                None => self.words.push((marks.to_vec(), raw)),
            }
            return;
        }
        let mut word: Vec<Mark> = Vec::new();
        let mut at = 0;
        while let Some(&mark) = marks.get(at) {
            let next = marks.get(at + 1).map(|mark| mark.c);
            if mark.c == '$' && next == Some('$') {
                word.push(Mark { end: marks[at + 1].end, ..mark });
                at += 2;
                continue;
            }
            let close = marks.iter().skip(at).position(|mark| mark.c == '}').map(|length| at + length);
            if mark.c == '$'
                && next == Some('{')
                && let Some(close) = close
            {
                let name = marked::text(&marks[at + 2..close]);
                let used = &marks[at..=close];
                match self.value(&name, marked::span(used).unwrap_or(raw), false) {
                    Some(value) if word.len() + value.len() <= WORD_LIMIT => word.extend(value),
                    Some(_) => {}
                    None => word.extend(used),
                }
                at = close + 1;
                continue;
            }
            word.push(mark);
            at += 1;
        }
        self.words.push((word, raw));
    }

    /// A variable's value with marks that lead to it; None when the value is not known and the text is to stay.
    fn value(&mut self, name: &str, used_at: Span, alone: bool) -> Option<Vec<Mark>> {
        if self.environment.is_unsaid(name) {
            return None;
        }
        let defined = self.environment.get(name);
        if defined.is_none_or(|variable| marked::trim(&variable.value).is_empty()) {
            self.undefined.push(UndefinedVariable {
                name: name.to_owned(),
                origin: Origin::file(self.trail.path().clone(), Some(used_at)),
                alone,
                defined_empty: defined.map(|variable| variable.origin.clone()),
            });
        }
        let Some(variable) = defined else { return Some(Vec::new()) };
        let path: Arc<str> = variable.origin.path().unwrap_or_default().into();
        let source = self.trail.add(path, used_at);
        Some(variable.value.iter().map(|mark| Mark { source, ..*mark }).collect())
    }

    fn finish(self, environment: &Environment) -> (CommandLine, Vec<CommandLine>) {
        let Expansion { trail, words, undefined, .. } = self;
        let command = shell_script::command_line(&trail, &words, None, undefined);
        let inner = match words.as_slice() {
            [(shell, _), (option, _), (script, _), ..]
                if shell_script::is_shell(&marked::text(shell)) && is_command_option(&marked::text(option)) =>
            {
                shell_script::inline(trail, script, environment)
            }
            _ => Vec::new(),
        };
        (command, inner)
    }
}

/// `-c`, also as `-ec` or `-lc`.
fn is_command_option(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')
}

/// The path of an `EnvironmentFile=` value, and whether a `-` says that it may be absent.
pub fn environment_file(assignment: &Assignment, unit: &UnitName) -> Option<(String, bool, Span)> {
    let mut value = unit.fill(&assignment.value);
    let optional = value.first().is_some_and(|mark| mark.c == '-');
    if optional {
        value.remove(0);
    }
    let span = marked::span(&value)?;
    Some((marked::text(&value), optional, span))
}

#[cfg(test)]
mod tests;
