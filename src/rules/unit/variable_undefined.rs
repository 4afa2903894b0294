//! unit-variable-undefined: a command of a unit or start script uses a variable that nothing defines, and gets a word
//! with a hole in it.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::unit::{CommandLine, UndefinedVariable, Unit};
use crate::origin::{Origin, Sourced, Unknown};
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
        && let Some(draft) =
            bare(host, command, component, unit).or_else(|| without_needed(host, command, component, unit))
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

/// Flags of which each component needs one.
const NEEDED: [(&str, &[&str]); 4] = [
    ("kube-apiserver", &["etcd-servers"]),
    ("kube-controller-manager", &["kubeconfig", "master"]),
    ("kube-scheduler", &["kubeconfig", "config", "master"]),
    ("kube-proxy", &["kubeconfig", "config", "master"]),
];

/// A component that does not get what it cannot run without, beside variables that vanish: the file that was to define them is
/// missing, or has another name for one.
fn without_needed(host: &Host, command: &CommandLine, component: &str, unit: &Unit) -> Option<Draft> {
    let (_, needed) = NEEDED.into_iter().find(|(name, _)| *name == component)?;
    let is_given = |flag: &str| {
        command.words.iter().any(|word| {
            let name = word.value.trim_start_matches('-');
            word.value.starts_with('-') && name.split('=').next() == Some(flag)
        })
    };
    if needed.iter().any(|flag| is_given(flag)) || unit.environment_files.iter().any(|file| file.present.is_none()) {
        return None;
    }
    let vanished: Vec<&UndefinedVariable> =
        command.undefined.iter().filter(|variable| variable.alone && variable.defined_empty.is_none()).collect();
    let first = vanished.first()?;
    let missing = unit.environment_files.iter().find(|file| file.present == Some(false));
    let mistyped = vanished.iter().find_map(|variable| Some((*variable, similar(unit, command, &variable.name)?)));
    let mut draft = Draft::new()
        .subject(format!("{}: {}", unit.path, first.name))
        .value("flag", needed.first()?)
        .value("component", component)
        .value("starter", &unit.path)
        .value("unit", &unit.name)
        .value("bare", component);
    draft = match (missing, mistyped) {
        (Some(file), _) => {
            draft.message("lost").value("file", &file.path).at(&host.name, &file.origin, "does not exist")
        }
        (None, Some((variable, (name, defined)))) => draft
            .message("mistyped")
            .value("variable", &variable.name)
            .value("mistyped", name)
            .maybe_value("file", defined.origin.path())
            .at(&host.name, &defined.origin, format!("{name} is used nowhere")),
        (None, None) => {
            let names: Vec<String> = vanished.iter().map(|variable| format!("${}", variable.name)).collect();
            draft.message("vanished").value("variables", in_words(&names))
        }
    };
    for variable in vanished {
        draft = draft.at(&host.name, &variable.origin, "nothing is put here");
    }
    Some(if unit.enabled == Some(false) { draft.severity(Severity::Warning) } else { draft })
}

/// A variable that is defined for the unit, that its command does not use, and whose name is nearly `name`.
fn similar<'a>(unit: &'a Unit, command: &CommandLine, name: &str) -> Option<(&'a str, &'a Sourced<String>)> {
    let commands = unit.settings.get("Service.ExecStart").map(Vec::as_slice).unwrap_or_default();
    let is_used = |other: &str| {
        let used = format!("${other}");
        let braced = format!("${{{other}}}");
        command.undefined.iter().any(|variable| variable.name == other)
            || commands.iter().any(|command| {
                command.value.contains(&braced)
                    || command.value.split_whitespace().any(|word| word.trim_matches('"') == used)
            })
    };
    let candidates = unit.environment.iter().filter(|(other, _)| !is_used(other) && is_nearly(other, name));
    candidates.map(|(other, value)| (other.as_str(), value)).next()
}

/// One letter more, less, or other, or the same letters in other case.
fn is_nearly(one: &str, other: &str) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let (rest, others) =
        (one.as_bytes().get(same..).unwrap_or_default(), other.as_bytes().get(same..).unwrap_or_default());
    let (after, others_after) = (rest.get(1..).unwrap_or_default(), others.get(1..).unwrap_or_default());
    rest.len().abs_diff(others.len()) <= 1 && (after == others || rest == others_after || after == others_after)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_the_same_name() {
        for (one, other, expected) in [
            ("KUBE_ETCD_SERVER", "KUBE_ETCD_SERVERS", true),
            ("KUBE_ETCD_SERVERS", "KUBE_ETCD_SERVER", true),
            ("KUBE_ETDC_SERVERS", "KUBE_ETCD_SERVERS", false),
            ("KUBE_ECD_SERVERS", "KUBE_ETCD_SERVERS", true),
            ("KUBE_ETKD_SERVERS", "KUBE_ETCD_SERVERS", true),
            ("kube_etcd_servers", "KUBE_ETCD_SERVERS", true),
            ("KUBE_API_ARGS", "KUBE_API_PORT", false),
            ("", "A", true),
            ("", "AB", false),
        ] {
            assert_eq!(is_nearly(one, other), expected, "{one} {other}");
        }
    }
}
