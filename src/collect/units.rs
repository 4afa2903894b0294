//! systemd units of the components and the scripts that start them, from files alone: systemd is not asked.

mod scripts;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use search::SearchPath;

use crate::collect::{Files, Problems, TextFile};
use crate::facts::unit::{EnvironmentFile, Script, Unit, UnitProblem, UnitProblemKind};
use crate::origin::{Origin, Sourced};
use crate::parse::command_line;
use crate::parse::env_file;
use crate::parse::systemd_unit::exec::{self, Environment, UnitName};
use crate::parse::systemd_unit::{self, Assignment};
use crate::source::ReadError;

/// A unit file or script that is longer than this is not read.
const SIZE_LIMIT: u64 = 256 << 10;
/// Files of an `EnvironmentFile=` with a wildcard.
const GLOB_LIMIT: usize = 32;

/// Beginnings of the names of units that matter.
const PREFIXES: &[&str] = &[
    "etcd",
    "kube",
    "docker",
    "containerd",
    "crio",
    "cri-docker",
    "flannel",
    "haproxy",
    "nginx",
    "keepalived",
    "chrony",
    "ntp",
    "openntpd",
    "systemd-timesyncd",
    "firewalld",
    "ufw",
    "nftables",
    "k3s",
    "rke2",
];

/// The units and start scripts of a host. What could not be read is added to `problems`.
pub fn collect(files: &Files, problems: &Problems) -> (Vec<Unit>, Vec<Script>) {
    let search = SearchPath::take(files, problems);
    let host = files.line("/etc/hostname").ok().filter(|name| !name.is_empty());
    let defaults = manager_defaults(files);
    let mut units = Vec::new();
    let mut environments = BTreeMap::new();
    for name in search.names() {
        let Some((unit, environment)) = load(files, problems, &search, &name, host.clone(), &defaults) else {
            continue;
        };
        environments.insert(unit.name.clone(), environment);
        units.push(unit);
    }
    let scripts = scripts::collect(files, problems, &units, &environments);
    units.retain(|unit| matters(&unit.name) || unit.masked || runs_component(unit, &scripts));
    units.sort_by(|a, b| a.name.cmp(&b.name));
    (units, scripts)
}

fn matters(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn runs_component(unit: &Unit, scripts: &[Script]) -> bool {
    unit.exec_start.iter().any(|command| {
        let words: Vec<&str> = command.words.iter().map(|word| word.value.as_str()).collect();
        command_line::identify(&words).is_some()
            || words.iter().take(2).any(|word| scripts.iter().any(|script| script.path == *word))
    })
}

/// `DefaultEnvironment=` of the service manager, of its file and of those beside it.
fn manager_defaults(files: &Files) -> Vec<Assignment> {
    let is_default = |a: &Assignment| a.section == "Manager" && a.key == "DefaultEnvironment";
    let beside = ["/usr/lib/systemd/system.conf.d", "/etc/systemd/system.conf.d"]
        .into_iter()
        .flat_map(|folder| super::runtimes::files_in(files, folder, &[".conf"]).unwrap_or_default());
    std::iter::once("/etc/systemd/system.conf".to_owned())
        .chain(beside)
        .filter_map(|path| files.text(&path).ok())
        .flat_map(|file| systemd_unit::parse(&file.path, &file.text).assignments)
        .filter(is_default)
        .collect()
}

fn read(files: &Files, path: &str) -> Result<Arc<TextFile>, ReadError> {
    let size = files.metadata(path)?.size;
    if size > SIZE_LIMIT {
        return Err(ReadError::TooLarge { path: path.to_owned(), size, limit: SIZE_LIMIT });
    }
    files.text(path)
}

fn add_refusal(problems: &Problems, error: &ReadError) {
    if !matches!(error, ReadError::NotFound { .. } | ReadError::NotCovered { .. }) {
        let unknown = error.unknown();
        problems.add(error.path(), None, unknown.why, unknown.remedy);
    }
}

fn load(
    files: &Files,
    problems: &Problems,
    search: &SearchPath,
    name: &str,
    host: Option<String>,
    defaults: &[Assignment],
) -> Option<(Unit, Environment)> {
    let fragment = search.fragment(name)?;
    let mut unit = Unit {
        name: name.to_owned(),
        path: fragment.path.clone(),
        drop_ins: Vec::new(),
        masked: fragment.masked,
        enabled: search.enabled(name),
        settings: BTreeMap::new(),
        environment_files: Vec::new(),
        environment: BTreeMap::new(),
        exec_start: Vec::new(),
        problems: Vec::new(),
    };
    if fragment.masked {
        return Some((unit, Environment::default()));
    }
    let text = match read(files, &fragment.path) {
        Ok(text) => text,
        // A link to nothing: systemd does not find the unit either.
        Err(error) if error.is_absent() => return None,
        Err(error) => {
            add_refusal(problems, &error);
            return None;
        }
    };
    if text.text.trim().is_empty() {
        unit.masked = true;
        return Some((unit, Environment::default()));
    }
    let mut assignments = Vec::new();
    take_file(&text, &mut unit, &mut assignments);
    for path in search.drop_ins(files, problems, name) {
        match read(files, &path) {
            Ok(text) => {
                take_file(&text, &mut unit, &mut assignments);
                unit.drop_ins.push(path);
            }
            Err(error) => add_refusal(problems, &error),
        }
    }
    let assignments = in_force(assignments);
    for assignment in &assignments {
        let key = format!("{}.{}", assignment.section, assignment.key);
        unit.settings.entry(key).or_default().push(public(assignment));
    }
    let names = UnitName { name: name.to_owned(), host };
    let environment = environment(files, problems, &mut unit, &assignments, &names, defaults);
    unit.environment = environment.sourced();
    for assignment in assignments.iter().filter(|a| a.section == "Service" && a.key == "ExecStart") {
        let commands = exec::commands(assignment, &names, &environment, &mut unit.problems);
        unit.exec_start.extend(commands);
    }
    Some((unit, environment))
}

fn take_file(file: &TextFile, unit: &mut Unit, assignments: &mut Vec<Assignment>) {
    if file.lossy {
        let at = file.text.find('\u{fffd}').map(|at| file.span(at, at + '\u{fffd}'.len_utf8()));
        unit.problems.push(UnitProblem {
            kind: UnitProblemKind::NotUtf8,
            message: "a byte here is no UTF-8; systemd ignores such a line".to_owned(),
            origin: Origin::file(file.path.clone(), at),
        });
    }
    let parsed = systemd_unit::parse(&file.path, &file.text);
    unit.problems.extend(parsed.problems);
    assignments.extend(parsed.assignments);
}

/// The assignments that count: an empty one undoes those of its setting before it.
fn in_force(assignments: Vec<Assignment>) -> Vec<Assignment> {
    let mut kept: Vec<Assignment> = Vec::new();
    for assignment in assignments {
        if assignment.value.is_empty() {
            kept.retain(|known| (&known.section, &known.key) != (&assignment.section, &assignment.key));
        } else {
            kept.push(assignment);
        }
    }
    kept
}

/// A setting without passwords: a line that sets a variable or flag of such a name is left out as a whole.
fn public(assignment: &Assignment) -> Sourced<String> {
    let mut value = assignment.sourced();
    if assignment.key.starts_with("Environment") || assignment.key.starts_with("Exec") {
        let word = |word: &str| {
            let name = word.trim_start_matches(['"', '\'']).split('=').next().unwrap_or_default();
            command_line::is_secret(name)
        };
        if value.value.split_whitespace().any(word) {
            value.value = command_line::HIDDEN.to_owned();
        }
    }
    value
}

fn environment(
    files: &Files,
    problems: &Problems,
    unit: &mut Unit,
    assignments: &[Assignment],
    names: &UnitName,
    defaults: &[Assignment],
) -> Environment {
    let mut environment = Environment::default();
    for assignment in defaults {
        environment.assign(assignment, names, &mut Vec::new());
    }
    let of = |key: &'static str| assignments.iter().filter(move |a| a.section == "Service" && a.key == key);
    for assignment in of("PassEnvironment") {
        environment.pass(&assignment.text());
    }
    for assignment in of("Environment") {
        environment.assign(assignment, names, &mut unit.problems);
    }
    for assignment in of("EnvironmentFile") {
        let Some((path, optional, span)) = exec::environment_file(assignment, names) else { continue };
        let origin = Origin::file(assignment.path.clone(), Some(span));
        for (path, text) in matching(files, &path) {
            let present = match &text {
                Ok(_) => Some(true),
                Err(error) if error.is_absent() => Some(false),
                Err(error) => {
                    add_refusal(problems, error);
                    None
                }
            };
            environment.incomplete |= present.is_none();
            if let Ok(text) = text {
                let parsed = env_file::parse(&text.path, &text.text);
                environment.load(&text.path, &parsed);
                unit.problems.extend(parsed.problems);
            }
            unit.environment_files.push(EnvironmentFile { path, optional, present, origin: origin.clone() });
        }
    }
    for assignment in of("UnsetEnvironment") {
        environment.unset(&assignment.text());
    }
    environment
}

/// The files of an `EnvironmentFile=` path, which may end in a pattern.
fn matching(files: &Files, path: &str) -> Vec<(String, Result<Arc<TextFile>, ReadError>)> {
    let is_pattern = |text: &str| text.contains(['*', '?', '[']);
    if !is_pattern(path) {
        return vec![(path.to_owned(), read(files, path))];
    }
    let not_found = || vec![(path.to_owned(), Err(ReadError::NotFound { path: path.to_owned() }))];
    let Some((directory, pattern)) = path.rsplit_once('/').filter(|(directory, _)| !is_pattern(directory)) else {
        return vec![(path.to_owned(), Err(ReadError::NotCovered { path: path.to_owned() }))];
    };
    let entries = match files.list(directory) {
        Ok(entries) => entries,
        Err(error) => return vec![(path.to_owned(), Err(error))],
    };
    let found: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.name.starts_with('.') && wildcard(pattern.as_bytes(), entry.name.as_bytes()))
        .take(GLOB_LIMIT)
        .map(|entry| {
            let path = format!("{directory}/{}", entry.name);
            let text = read(files, &path);
            (path, text)
        })
        .collect();
    if found.is_empty() { not_found() } else { found }
}

/// `*`, `?` and `[...]` of glob(7), without recursion: a star is retried with one more byte until it fits.
fn wildcard(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[p..], name[n]),
            Some(byte) if *byte == name[n] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of a `[...]` at the pattern's beginning when it has the byte in it.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let from = 1 + usize::from(negated);
    let close = pattern.iter().skip(from + 1).position(|b| *b == b']')? + from + 1;
    let set = &pattern[from..close];
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == b'-' {
            found |= (set[at]..=set[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= set[at] == byte;
            at += 1;
        }
    }
    (found != negated).then_some(close + 1)
}

/// Names that a set of units or scripts refers to, each once.
type Names = BTreeSet<String>;

#[cfg(test)]
mod tests;
