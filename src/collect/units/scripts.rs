//! Start scripts in the places where people keep them, and those that a unit runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{add_refusal, read};
use crate::collect::{Files, Problems};
use crate::facts::unit::{Script, Unit, UnitProblem, UnitProblemKind};
use crate::origin::Origin;
use crate::parse::shell_script::{self, SourcedFile};
use crate::parse::systemd_unit::exec::Environment;
use crate::source::FileKind;

const DIRECTORIES: &[&str] = &["/opt", "/root", "/usr/local/bin"];
const HOME: &str = "/home/work";
const HOME_DEPTH: usize = 3;
/// Files whose lines are run at boot, and what such a line holds.
const BOOT_FILES: [(&str, &str); 5] = [
    ("/etc/rc.local", ""),
    ("/etc/rc.d/rc.local", ""),
    ("/var/spool/cron/root", "@reboot"),
    ("/var/spool/cron/crontabs/root", "@reboot"),
    ("/etc/crontab", "@reboot"),
];
/// Scripts of one host, and directories that are listed for them.
const SCRIPT_LIMIT: usize = 100;
const DIRECTORY_LIMIT: usize = 200;

pub fn collect(
    files: &Files,
    problems: &Problems,
    units: &[Unit],
    environments: &BTreeMap<String, Environment>,
) -> Vec<Script> {
    let mut scripts = Vec::new();
    let mut seen = BTreeSet::new();
    for unit in units {
        let environment = environments.get(&unit.name);
        for path in named(unit) {
            if seen.insert(path.to_owned()) && seen.len() <= SCRIPT_LIMIT {
                scripts.extend(load(files, problems, path, environment));
            }
        }
    }
    for path in usual(files, problems) {
        if seen.insert(path.clone()) && seen.len() <= SCRIPT_LIMIT {
            scripts.extend(load(files, problems, &path, None));
        }
    }
    let at_boot = boot_lines(files);
    for script in &mut scripts {
        script.at_boot = at_boot.iter().any(|line| runs(line, &script.path));
    }
    scripts.sort_by(|a, b| a.path.cmp(&b.path));
    scripts
}

/// The lines that are run when the host boots.
fn boot_lines(files: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, mark) in BOOT_FILES {
        let Ok(text) = read(files, path) else { continue };
        let text = text.text.lines().map(str::trim).filter(|line| !line.starts_with('#') && line.contains(mark));
        lines.extend(text.map(str::to_owned));
    }
    lines
}

/// Whether a line runs a script: by its path, or by its name after a `cd` to its directory.
fn runs(line: &str, script: &str) -> bool {
    let Some((directory, name)) = script.rsplit_once('/') else { return false };
    let mut words = line.split([' ', '\t', ';', '&', '|', '(', ')', '"', '\'']).filter(|word| !word.is_empty());
    let has_directory = words.clone().any(|word| word.trim_end_matches('/') == directory);
    words.any(|word| word == script || (has_directory && word.strip_prefix("./").unwrap_or(word) == name))
}

/// The scripts that a unit's ExecStart runs, by itself or through a shell.
fn named(unit: &Unit) -> impl Iterator<Item = &str> {
    unit.exec_start.iter().filter_map(|command| {
        let mut words = command.words.iter().map(|word| word.value.as_str());
        let program = words.next()?;
        let script = if shell_script::is_shell(program) { words.find(|word| !word.starts_with('-'))? } else { program };
        (script.starts_with('/') && script.ends_with(".sh")).then_some(script)
    })
}

fn usual(files: &Files, problems: &Problems) -> Vec<String> {
    let mut found = vec!["/etc/rc.local".to_owned()];
    for directory in DIRECTORIES {
        match files.list(directory) {
            Ok(entries) => {
                let scripts = entries.iter().filter(|entry| entry.name.ends_with(".sh") && is_file(entry.kind));
                found.extend(scripts.map(|entry| format!("{directory}/{}", entry.name)));
            }
            Err(error) => add_refusal(problems, &error),
        }
    }
    let mut pending = vec![(HOME.to_owned(), 0)];
    let mut listed = 0;
    while let Some((directory, depth)) = pending.pop() {
        listed += 1;
        if listed > DIRECTORY_LIMIT {
            break;
        }
        let Ok(entries) = files.list(&directory) else { continue };
        for entry in entries.iter() {
            let path = format!("{directory}/{}", entry.name);
            if entry.kind == FileKind::Directory && depth < HOME_DEPTH && !entry.name.starts_with('.') {
                pending.push((path, depth + 1));
            } else if is_file(entry.kind) && entry.name.starts_with("start") && entry.name.ends_with(".sh") {
                found.push(path);
            }
        }
    }
    found
}

fn is_file(kind: FileKind) -> bool {
    matches!(kind, FileKind::File | FileKind::Link)
}

/// A script that runs a component or has something wrong; the others are of no interest.
fn load(files: &Files, problems: &Problems, path: &str, environment: Option<&Environment>) -> Option<Script> {
    let text = match read(files, path) {
        Ok(text) => text,
        Err(error) => {
            add_refusal(problems, &error);
            return None;
        }
    };
    if text.text.contains('\0') {
        return None;
    }
    let resolve = |path: &str| match read(files, path) {
        Ok(text) => SourcedFile::Text(text.text.clone()),
        Err(error) if error.is_absent() => SourcedFile::Absent,
        Err(_) => SourcedFile::Unknown,
    };
    let mut script = shell_script::parse(&text.path, &text.text, environment, &resolve);
    if text.lossy && !script.commands.is_empty() {
        let at = text.text.find('\u{fffd}').map(|at| text.span(at, at + '\u{fffd}'.len_utf8()));
        script.problems.push(UnitProblem {
            kind: UnitProblemKind::NotUtf8,
            message: "a byte here is no UTF-8".to_owned(),
            origin: Origin::file(text.path.clone(), at),
        });
    }
    (!script.commands.is_empty() || !script.problems.is_empty()).then_some(script)
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn what_a_line_runs() {
        let script = "/home/work/etcd/start-etcd.sh";
        for (line, expected) in [
            ("/home/work/etcd/start-etcd.sh &", true),
            ("su work -c '/home/work/etcd/start-etcd.sh'", true),
            ("(cd /home/work/etcd && ./start-etcd.sh) &", true),
            ("cd /home/work/etcd/; sh start-etcd.sh", true),
            ("@reboot cd /home/work/etcd && ./start-etcd.sh", true),
            ("cd /home/work/etcd-old && ./start-etcd.sh", false),
            ("chmod +x /home/work/etcd/start-etcd.sh.old", false),
            ("./start-etcd.sh", false),
            ("", false),
        ] {
            assert_eq!(runs(line, script), expected, "{line}");
        }
    }
}
