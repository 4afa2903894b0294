//! log-directory-missing: the shell, systemd or the component cannot open the log, so the component never starts.

use crate::collect::paths::{absolute, log_directories, output_directory, working_directory_of_script};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::path::PathKind;
use crate::facts::unit::CommandLine;
use crate::origin::{Origin, Sourced, Unknown};
use crate::parse::command_line::identify;
use crate::report::Severity;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "log-directory-missing", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for unit in host.units.iter().filter(|unit| !unit.masked) {
        let program = unit.exec_start.iter().find_map(component);
        for log in log_directories(unit) {
            let found = Found { directory: &log.directory, value: log.value, program, unit: Some(&unit.name) };
            judge_directory(host, &found, unit.enabled == Some(false), verdict);
        }
    }
    for script in &host.scripts {
        let base = working_directory_of_script(&host.units, script);
        for command in &script.commands {
            let Some((directory, value)) = output_directory(command, base) else { continue };
            if !value.value.starts_with('/') && !runs_there(host, command, base) {
                verdict.unknown(Unknown::new(
                    format!("the log of {}", script.path),
                    "nothing says in which directory it is run",
                ));
                continue;
            }
            let found = Found { directory: &directory, value, program: component(command), unit: None };
            judge_directory(host, &found, false, verdict);
        }
    }
}

/// Whether a script's relative paths begin where it is thought to: its program is found from there.
fn runs_there(host: &Host, command: &CommandLine, base: &str) -> bool {
    let program = command.words.first().filter(|program| program.value.starts_with('.'));
    program
        .and_then(|program| host.paths.get(&absolute(base, &program.value)?))
        .is_some_and(|found| matches!(found, Ok(Some(PathKind::File))))
}

struct Found<'a> {
    directory: &'a str,
    value: &'a Sourced<String>,
    program: Option<&'static str>,
    unit: Option<&'a str>,
}

fn component(command: &CommandLine) -> Option<&'static str> {
    let words: Vec<&str> = command.words.iter().map(|word| word.value.as_str()).collect();
    Some(identify(&words)?.0.name())
}

fn judge_directory(host: &Host, found: &Found<'_>, unused: bool, verdict: &mut Verdict) {
    let Some(kind) = host.paths.get(found.directory) else { return };
    // What runs has opened its log.
    let runs = host.components.iter().any(|known| Some(known.name.name()) == found.program && known.pid.is_some());
    let Some(kind) = verdict.known(kind) else { return };
    let label = match kind {
        Some(PathKind::Directory) => return verdict.pass(),
        _ if runs => return verdict.pass(),
        None => format!("there is no directory {}", found.directory),
        Some(_) => format!("{} is no directory", found.directory),
    };
    let starter = found.value.origin.path().unwrap_or_default();
    let mut draft = Draft::new()
        .subject(found.directory)
        .message(if kind.is_none() { "missing" } else { "no_directory" })
        .value("directory", found.directory)
        .value("starter", starter)
        .value("program", found.program.or(found.unit).unwrap_or("the component"))
        .maybe_value("unit", found.unit)
        .at(&host.name, &found.value.origin, label)
        .at(&host.name, &Origin::file(found.directory, None), "the shell or systemd gives up before the program runs");
    if unused {
        draft = draft.severity(Severity::Info);
    }
    verdict.fail(draft);
}
