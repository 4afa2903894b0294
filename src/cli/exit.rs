//! Exit codes. They are part of the interface: scripts and CI jobs decide by them.

use clap::ValueEnum;
use serde::Deserialize;

use crate::report::{Report, Severity};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing at or above --fail-on.
    Clean,
    /// Findings at or above --fail-on.
    Findings,
    /// Wrong usage, or an error of the program itself.
    Failure,
    /// A source could not be read, or with --fail-on-unknown something could not be judged.
    Incomplete,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Findings => 1,
            Exit::Failure => 2,
            Exit::Incomplete => 3,
        }
    }
}

/// The least severity of a finding that makes the run fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailOn {
    Error,
    Warning,
    Info,
    Never,
}

impl FailOn {
    fn severity(self) -> Option<Severity> {
        match self {
            FailOn::Error => Some(Severity::Error),
            FailOn::Warning => Some(Severity::Warning),
            FailOn::Info => Some(Severity::Info),
            FailOn::Never => None,
        }
    }
}

/// What a report means for the exit code. Something found outweighs something unknown.
pub fn of_report(report: &Report, fail_on: FailOn, fail_on_unknown: bool) -> Exit {
    let fails = |severity: Severity| fail_on.severity().is_some_and(|least| severity >= least);
    if report.findings.iter().any(|finding| finding.suppressed.is_none() && fails(finding.severity)) {
        Exit::Findings
    } else if !report.unopened.is_empty()
        // Whatever the options: what was cut off may have held the fault.
        || report.hosts.iter().any(|host| host.incomplete)
        || fail_on_unknown && (report.counts.unknown > 0 || !report.unjudged.is_empty() || !report.problems.is_empty())
    {
        Exit::Incomplete
    } else {
        Exit::Clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn follows_findings_and_unknowns() {
        use Severity::{Error, Info, Warning};
        for (found, unknown, fail_on, fail_on_unknown, code) in [
            (vec![], 0, FailOn::Warning, false, 0),
            (vec![], 0, FailOn::Info, true, 0),
            (vec![], 2, FailOn::Warning, false, 0),
            (vec![], 2, FailOn::Warning, true, 3),
            (vec![Info], 0, FailOn::Warning, false, 0),
            (vec![Info], 0, FailOn::Info, false, 1),
            (vec![Warning], 0, FailOn::Warning, false, 1),
            (vec![Warning], 0, FailOn::Error, false, 0),
            (vec![Info, Error], 0, FailOn::Error, false, 1),
            (vec![Error], 0, FailOn::Never, false, 0),
            (vec![Error], 2, FailOn::Never, true, 3),
            (vec![Error], 2, FailOn::Error, true, 1),
            (vec![Warning], 2, FailOn::Error, true, 3),
        ] {
            let findings = found.iter().map(|severity| sample::finding("x", *severity, "x", &["m1"])).collect();
            let mut report = sample::report(Vec::new(), findings);
            report.counts.unknown = unknown;
            let exit = of_report(&report, fail_on, fail_on_unknown);
            assert_eq!(exit.code(), code, "{found:?}, {unknown} unknown, {fail_on:?}, {fail_on_unknown}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_known() {
        let mut report = sample::report(Vec::new(), Vec::new());
        report.counts.unknown = 0;
        assert_eq!(of_report(&report, FailOn::Warning, true), Exit::Clean);
        report.problems.push(crate::report::Problem {
            host: "m1".to_owned(),
            place: "/etc/kubernetes/manifests/etcd.yaml".to_owned(),
            message: "permission denied".to_owned(),
            remedy: None,
        });
        assert_eq!(of_report(&report, FailOn::Warning, true), Exit::Incomplete);
        assert_eq!(of_report(&report, FailOn::Warning, false), Exit::Clean);
    }

    #[test]
    fn a_source_that_could_not_be_opened_leaves_the_run_incomplete() {
        let unopened = crate::report::Unopened { source: "m2".to_owned(), message: "m2: permission denied".to_owned() };
        for (found, fail_on, exit) in [
            (vec![], FailOn::Warning, Exit::Incomplete),
            (vec![Severity::Warning], FailOn::Error, Exit::Incomplete),
            (vec![Severity::Warning], FailOn::Warning, Exit::Findings),
        ] {
            let findings = found.iter().map(|severity| sample::finding("x", *severity, "x", &["m1"])).collect();
            let mut report = sample::report(Vec::new(), findings);
            report.counts.unknown = 0;
            report.unopened.push(unopened.clone());
            assert_eq!(of_report(&report, fail_on, false), exit, "{found:?}, {fail_on:?}");
        }
    }

    #[test]
    fn codes_are_the_documented_ones() {
        let codes = [Exit::Clean, Exit::Findings, Exit::Failure, Exit::Incomplete].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
