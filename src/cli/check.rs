//! `k8sdoctor check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::error::CliError;
use super::exit::{self, Exit, FailOn};
use super::format::{Format, Look};
use super::progress::Progress;
use super::settings::{self, Settings};
use super::terminal::Terminal;
use super::{format, gate, value, watch};
use crate::engine::options::RunOptions;
use crate::engine::run::Run;
use crate::engine::{Language, card};
use crate::report::{Report, Severity};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Extracted host trees, single log or configuration files, or - for standard input; this host when none is given
    ///
    /// Hosts given together are checked as one cluster.
    #[arg(value_name = "SOURCE")]
    pub(super) sources: Vec<String>,

    /// How to print the report
    #[arg(long, value_enum, default_value = "human", help_heading = "Output")]
    format: Format,
    /// Write the report to a file too, in a format of its own; may be repeated
    #[arg(long = "output", value_name = "FORMAT=FILE", value_parser = format::output, help_heading = "Output")]
    pub(super) outputs: Vec<format::Output>,
    /// Show findings of this severity and above [default: info]
    #[arg(long, value_enum, value_name = "LEAST", help_heading = "Output")]
    pub(super) severity: Option<LeastSeverity>,
    /// Show evidence of consequences too, and lists in full
    #[arg(long, short, help_heading = "Output")]
    verbose: bool,
    /// Exit with 1 on findings of this severity and above [default: warning]
    #[arg(long, value_enum, value_name = "LEAST", help_heading = "Output")]
    pub(super) fail_on: Option<FailOn>,
    /// Judge again whenever files change or time has passed, and print what is new and what is gone; never ends by itself
    #[arg(long, conflicts_with_all = ["format", "update_baseline"], help_heading = "Output")]
    watch: bool,
    /// How long --watch waits at most before it judges again
    #[arg(long, value_name = "DURATION", value_parser = value::duration, default_value = "60s", help_heading = "Output")]
    pub(super) interval: Duration,
    /// Exit with 3 when something could not be judged and nothing was found
    #[arg(long, help_heading = "Output")]
    pub(super) fail_on_unknown: bool,

    /// The configuration; k8sdoctor.toml in the first source's folder, the working directory or above when not given
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub(super) config: Option<PathBuf>,
    /// Use no k8sdoctor.toml
    #[arg(long, conflicts_with = "config", help_heading = "Configuration")]
    pub(super) no_config: bool,
    /// Let the findings of this file pass, and only new ones fail
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub(super) baseline: Option<PathBuf>,
    /// Write what is found now to the baseline
    #[arg(long, requires = "baseline", help_heading = "Configuration")]
    pub(super) update_baseline: bool,

    /// Only these rules or components; may be repeated or separated by commas
    #[arg(long, value_name = "RULE|COMPONENT", value_delimiter = ',', help_heading = "Rules")]
    pub(super) only: Vec<String>,
    /// A folder with cards of your own; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    pub(super) rules: Vec<PathBuf>,
    /// Only the rules of one phase
    #[arg(long, value_enum, default_value = "all", help_heading = "Rules")]
    pub(super) phase: Phase,
    /// The Kubernetes release to judge by, when it is not the one that runs
    #[arg(long, value_name = "X.Y", value_parser = value::kubernetes_version, help_heading = "Rules")]
    pub(super) kubernetes_version: Option<String>,

    /// The time to judge dates against: RFC 3339 or a date; now when not given
    #[arg(long, value_name = "TIME", value_parser = value::timestamp, help_heading = "Evidence")]
    pub(super) at: Option<Timestamp>,
    /// How far back logs are read: 2h, 7d
    #[arg(long, value_name = "DURATION", value_parser = value::duration, help_heading = "Evidence")]
    since: Option<Duration>,
    /// How long to wait for answers of sockets, and to read a host's logs: seconds, 500ms, 5s; when not given, 5s for
    /// sockets and no end for logs
    #[arg(long, value_name = "SECONDS", value_parser = value::duration, help_heading = "Evidence")]
    timeout: Option<Duration>,
    /// Ask nothing over sockets
    #[arg(long, help_heading = "Evidence")]
    pub(super) no_probe: bool,
    /// The host's name, when there is one host and it should go by another name than its own
    #[arg(long, value_name = "NAME", help_heading = "Evidence")]
    host_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LeastSeverity {
    Error,
    Warning,
    Info,
}

impl From<LeastSeverity> for Severity {
    fn from(least: LeastSeverity) -> Severity {
        match least {
            LeastSeverity::Error => Severity::Error,
            LeastSeverity::Warning => Severity::Warning,
            LeastSeverity::Info => Severity::Info,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Phase {
    /// Judge a host that is to become a node
    Preflight,
    /// What can be wrong with a node that runs
    Runtime,
    All,
}

impl Arguments {
    /// A check of these sources with nothing else said.
    pub(super) fn plain(sources: Vec<String>) -> Arguments {
        Arguments {
            sources,
            format: Format::Human,
            outputs: Vec::new(),
            severity: None,
            verbose: false,
            fail_on: None,
            fail_on_unknown: false,
            watch: false,
            interval: Duration::from_secs(60),
            config: None,
            no_config: false,
            baseline: None,
            update_baseline: false,
            only: Vec::new(),
            rules: Vec::new(),
            phase: Phase::All,
            kubernetes_version: None,
            at: None,
            since: None,
            timeout: None,
            no_probe: false,
            host_name: None,
        }
    }

    /// How long one answer is waited for: of a socket, or of a disk that may hang.
    pub(super) fn patience(&self) -> Duration {
        self.timeout.unwrap_or(RunOptions::default().timeout)
    }

    pub(super) fn options(&self, settings: &Settings, language: Language) -> RunOptions {
        RunOptions {
            sources: self.sources.clone(),
            at: self.at,
            timeout: self.patience(),
            log_timeout: self.timeout,
            probe: !self.no_probe,
            rule_dirs: settings.cards.clone(),
            only: self.only.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            kubernetes_version: settings.kubernetes_version.clone(),
            since: self.since,
            language,
            map: self.format == Format::Html || settings.outputs.iter().any(|output| output.format == Format::Html),
            phase: match self.phase {
                Phase::Preflight => Some(card::Phase::Preflight),
                Phase::Runtime => Some(card::Phase::Runtime),
                Phase::All => None,
            },
            rules: settings.rules.clone(),
            expected: settings.expected.clone(),
            roles: settings.roles.clone(),
            host_name: self.host_name.clone(),
        }
    }
}

pub fn run(arguments: &Arguments, language: Language, terminal: Terminal) -> Result<Exit, CliError> {
    if arguments.watch {
        return watch::run(arguments, language, terminal);
    }
    let checked = once(arguments, language, terminal)?;
    format::write(&format::render(&checked.run, arguments.format, checked.look)?, None)?;
    // Said last: a file that could not be written takes nobody's diagnosis away.
    checked.unwritten.map_or(Ok(checked.exit), Err)
}

/// A check that was made, its reports for files written.
pub(super) struct Checked {
    pub run: Run,
    pub look: Look,
    pub exit: Exit,
    /// Why the first of the files that could not be written was not.
    pub unwritten: Option<CliError>,
}

pub(super) fn once(arguments: &Arguments, language: Language, terminal: Terminal) -> Result<Checked, CliError> {
    let settings = settings::of(arguments)?;
    let progress = Progress::start(match arguments.sources.len() {
        0 => "checking this host".to_owned(),
        1 => "checking 1 source".to_owned(),
        many => format!("checking {many} sources"),
    });
    let done = crate::engine::run::run(&arguments.options(&settings, language));
    drop(progress);
    let mut run = done?;
    gate::apply(&mut run, arguments, &settings)?;
    // What is not shown still counts.
    let exit = exit::of_report(&run.report, settings.fail_on, settings.fail_on_unknown);
    let hidden = hide_below(&mut run.report, settings.severity);
    let look = Look { terminal, language, verbose: arguments.verbose, hidden };
    let mut unwritten = None;
    for output in &settings.outputs {
        // Nobody looks at a file with a terminal's colours.
        let look = Look { terminal: Terminal { colour: false, ..terminal }, ..look };
        let written = format::render(&run, output.format, look);
        let written = written.and_then(|text| format::write(&text, Some(&output.file)));
        unwritten = unwritten.or(written.err());
    }
    Ok(Checked { run, look, exit, unwritten })
}

/// Takes findings below `least` out of the report and gives their number. What one of them explained is then explained by
/// what explained it, or is a root cause itself.
fn hide_below(report: &mut Report, least: Severity) -> usize {
    let shown: Vec<bool> = report.findings.iter().map(|finding| finding.severity >= least).collect();
    let mut next = 0;
    let places: Vec<Option<usize>> = shown
        .iter()
        .map(|shown| {
            shown.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    let causes: Vec<Option<usize>> = report.findings.iter().map(|finding| finding.consequence_of).collect();
    let shown_cause = |mut cause: Option<usize>| {
        // As many steps as there are findings end every circle.
        for _ in 0..causes.len() {
            let index = cause?;
            match places.get(index)? {
                Some(place) => return Some(*place),
                None => cause = causes[index],
            }
        }
        None
    };
    for finding in &mut report.findings {
        finding.consequence_of = shown_cause(finding.consequence_of);
    }
    let before = report.findings.len();
    report.findings.retain(|finding| finding.severity >= least);
    before - report.findings.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn hiding_keeps_who_explains_whom() {
        use Severity::{Error, Info, Warning};
        for (findings, least, expected) in [
            (vec![(Error, None), (Warning, Some(0)), (Error, Some(1))], Error, vec![(Error, None), (Error, Some(0))]),
            (vec![(Info, None), (Error, Some(0))], Warning, vec![(Error, None)]),
            (vec![(Info, Some(1)), (Info, Some(0)), (Error, Some(0))], Warning, vec![(Error, None)]),
            (vec![(Info, None), (Error, Some(0))], Info, vec![(Info, None), (Error, Some(0))]),
            (
                vec![(Warning, None), (Error, None), (Error, Some(1)), (Error, Some(9))],
                Error,
                vec![(Error, None), (Error, Some(0)), (Error, None)],
            ),
        ] {
            let all = findings
                .iter()
                .map(|(severity, cause)| {
                    let mut finding = sample::finding("x", *severity, "x", &["m1"]);
                    finding.consequence_of = *cause;
                    finding
                })
                .collect();
            let mut report = sample::report(Vec::new(), all);
            let hidden = hide_below(&mut report, least);
            let left: Vec<_> =
                report.findings.iter().map(|finding| (finding.severity, finding.consequence_of)).collect();
            assert_eq!(left, expected, "{findings:?}");
            assert_eq!(hidden, findings.len() - expected.len());
        }
    }
}
