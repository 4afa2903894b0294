//! unit-syntax: a unit or start script of a component is written so that systemd or the shell reads something else.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::unit::{CommandLine, UnitProblem, UnitProblemKind};
use crate::parse::command_line::identify;
use crate::report::Severity;
use crate::rules::support::unread_units;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "unit-syntax", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for unit in host.units.iter().filter(|unit| !unit.masked) {
        // Packages' other units are not this tool's business; one with a problem may have lost its very command.
        if starts_component(&unit.exec_start) || unit.exec_start.is_empty() {
            judge_problems(host, &unit.problems, Some(&unit.name), verdict);
        }
    }
    unread_units(host).for_each(|unknown| verdict.unknown(unknown.clone()));
    for script in &host.scripts {
        judge_problems(host, &script.problems, None, verdict);
    }
}

fn starts_component(commands: &[CommandLine]) -> bool {
    commands.iter().any(|command| {
        let words: Vec<&str> = command.words.iter().map(|word| word.value.as_str()).collect();
        identify(&words).is_some()
    })
}

fn judge_problems(host: &Host, problems: &[UnitProblem], unit: Option<&String>, verdict: &mut Verdict) {
    if problems.is_empty() {
        return verdict.pass();
    }
    for problem in problems {
        let severity = match problem.kind {
            UnitProblemKind::TypographicCharacter
            | UnitProblemKind::MissingContinuation
            | UnitProblemKind::UnclosedQuote => Severity::Error,
            // systemd passes over the line and says so.
            UnitProblemKind::NotAnAssignment | UnitProblemKind::OutsideSection | UnitProblemKind::NotUtf8 => {
                Severity::Warning
            }
        };
        let file = problem.origin.path().unwrap_or_default();
        let line = problem.origin.span().map(|span| span.line);
        let mut draft = Draft::new()
            .subject(problem.origin.to_string())
            .severity(severity)
            .value("path", file)
            .maybe_value("line", line)
            .value("reason", &problem.message)
            .maybe_value("unit", unit)
            .at(&host.name, &problem.origin, problem.message.clone());
        if problem.kind == UnitProblemKind::TypographicCharacter {
            draft = draft.value("typographic", "true");
        }
        verdict.fail(draft);
    }
}
