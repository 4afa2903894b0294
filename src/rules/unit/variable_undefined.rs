//! unit-variable-undefined: a command of a unit or start script uses a variable that nothing defines, and gets a word
//! with a hole in it.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::unit::{CommandLine, UndefinedVariable, Unit};
use crate::origin::{Origin, Unknown};
use crate::parse::command_line::identify;
use crate::report::Severity;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "unit-variable-undefined", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for unit in host.units.iter().filter(|unit| !unit.masked) {
        for (command, component) in component_commands(&unit.exec_start) {
            judge_command(host, command, component, Some(unit), &unit.path, verdict);
        }
    }
    for script in &host.scripts {
        for (command, component) in component_commands(&script.commands) {
            judge_command(host, command, component, None, &script.path, verdict);
        }
    }
}

/// The commands that start a component, with its name.
fn component_commands(commands: &[CommandLine]) -> impl Iterator<Item = (&CommandLine, &'static str)> {
    commands.iter().filter_map(|command| {
        let words: Vec<&str> = command.words.iter().map(|word| word.value.as_str()).collect();
        Some((command, identify(&words)?.0.name()))
    })
}

fn judge_command(
    host: &Host,
    command: &CommandLine,
    component: &'static str,
    unit: Option<&Unit>,
    path: &str,
    verdict: &mut Verdict,
) {
    let mut seen = BTreeSet::new();
    let holes: Vec<&UndefinedVariable> =
        command.undefined.iter().filter(|variable| !variable.alone && seen.insert(variable.name.as_str())).collect();
    let files = unit.map_or(&[][..], |unit| &unit.environment_files);
    if let Some(unit) = unit
        && holes.is_empty()
        && let Some(draft) = bare(host, command, component, unit)
    {
        return verdict.fail(draft);
    }
    let uses_variables = unit
        .and_then(|unit| unit.settings.get("Service.ExecStart"))
        .is_some_and(|commands| commands.iter().any(|command| command.value.contains('$')));
    if holes.is_empty() && !(uses_variables && files.iter().any(|file| file.present.is_none())) {
        return verdict.pass();
    }
    if let Some(file) = files.iter().find(|file| file.present.is_none()) {
        return verdict.unknown(Unknown::new(
            format!("whether the variables of {path} are defined"),
            format!("{} could not be read", file.path),
        ));
    }
    let missing: Vec<String> =
        files.iter().filter(|file| file.present == Some(false)).map(|file| file.path.clone()).collect();
    // What one environment file leaves out is one fault: variables of one command are told together.
    let (empty, undefined): (Vec<&UndefinedVariable>, Vec<&UndefinedVariable>) =
        holes.into_iter().partition(|variable| variable.defined_empty.is_some());
    for variables in [undefined, empty] {
        let Some(first) = variables.first() else { continue };
        let names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
        let place = match (&first.defined_empty, missing.first().or_else(|| files.first().map(|file| &file.path))) {
            (Some(defined), _) => defined.path().map(str::to_owned),
            (None, Some(file)) => Some(file.clone()),
            (None, None) => unit.is_none().then(|| path.to_owned()),
        };
        let message = match (&first.defined_empty, names.len()) {
            (None, _) => "undefined",
            (Some(_), 1) => "empty",
            (Some(_), _) => "several_empty",
        };
        let quoted: Vec<String> = names.iter().map(|name| format!("${name}")).collect();
        let assignments: Vec<String> = names.iter().map(|name| format!("{name}=VALUE")).collect();
        let mut draft = Draft::new()
            .subject(format!("{path}: {}", first.name))
            .message(message)
            .value("variable", in_words(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()))
            .value("variables", in_words(&quoted))
            .value("pattern", names.join("|"))
            .value("assignments", assignments.join(" "))
            .value("component", component)
            .value("starter", path)
            .maybe_value("unit", unit.map(|unit| &unit.name))
            .maybe_value("file", place);
        for variable in &variables {
            draft = draft.at(&host.name, &variable.origin, "nothing is put here");
        }
        for defined in variables.iter().filter_map(|variable| variable.defined_empty.as_ref()) {
            draft = draft.at(&host.name, defined, "defined as empty");
        }
        if !missing.is_empty() {
            draft = draft.note(format!("there is no {}", in_words(&missing)));
        }
        // What nobody starts does no harm yet.
        if unit.is_some_and(|unit| unit.enabled == Some(false)) {
            draft = draft.severity(Severity::Warning);
        }
        verdict.fail(draft);
    }
}

/// A component of Kubernetes that gets no flag at all: its variables stand alone, and the file that was to define them is
/// missing. Of several optional files some may be missing rightly, and a single variable may be empty (KUBELET_EXTRA_ARGS).
fn bare(host: &Host, command: &CommandLine, component: &str, unit: &Unit) -> Option<Draft> {
    let [program] = command.words.as_slice() else { return None };
    if component == "etcd" && command.undefined.is_empty() {
        return bare_etcd(host, &program.origin, unit);
    }
    let variable = command.undefined.iter().find(|variable| variable.alone && variable.defined_empty.is_none())?;
    let file = unit.environment_files.iter().find(|file| file.present == Some(false))?;
    let is_known = unit.environment_files.iter().all(|file| file.present.is_some());
    if !component.starts_with("kube") || !is_known {
        return None;
    }
    let hides =
        if file.optional { "does not exist, and the minus before its name hides that" } else { "does not exist" };
    let draft = Draft::new()
        .subject(format!("{}: {}", unit.path, variable.name))
        .message("bare")
        .value("variable", &variable.name)
        .value("component", component)
        .value("starter", &unit.path)
        .value("unit", &unit.name)
        .value("file", &file.path)
        .value("bare", component)
        .at(&host.name, &file.origin, hides)
        .at(&host.name, &variable.origin, "all its flags were to come from here");
    Some(if unit.enabled == Some(false) { draft.severity(Severity::Warning) } else { draft })
}

/// An etcd that takes all of its configuration from an environment file that is not there: it starts with its defaults, as
/// a member of its own on the loopback address.
fn bare_etcd(host: &Host, program: &Origin, unit: &Unit) -> Option<Draft> {
    let [file] = unit.environment_files.as_slice() else { return None };
    let has_own = unit.settings.get("Service.Environment").is_some_and(|lines| !lines.is_empty());
    if file.present != Some(false) || has_own {
        return None;
    }
    let draft = Draft::new()
        .subject(format!("{}: {}", unit.path, file.path))
        .message("bare")
        .value("variable", "ETCD_NAME")
        .value("component", "etcd")
        .value("starter", &unit.path)
        .value("unit", &unit.name)
        .value("file", &file.path)
        .value("bare", "etcd")
        .at(&host.name, &file.origin, "does not exist")
        .at(&host.name, program, "all its settings were to come from there");
    Some(if unit.enabled == Some(false) { draft.severity(Severity::Warning) } else { draft })
}
