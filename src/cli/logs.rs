//! `k8sdoctor logs`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::error::CliError;
use super::exit::Exit;
use super::progress::Progress;
use super::terminal::Terminal;
use super::value::Since;
use super::{output, value};
use crate::engine::Language;
use crate::engine::options::RunOptions;
use crate::engine::timeline::{self, Event, Follow};
use crate::render::human::timeline::{Options, Printer};
use crate::render::json::timeline_v1;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Extracted host trees, single logs, or - for standard input; this host when none is given
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,

    /// How to print the events; with --follow JSON is an event a line
    #[arg(long, value_enum, default_value = "text", help_heading = "Output")]
    format: Format,
    /// Show the lines themselves too
    #[arg(long, short, help_heading = "Output")]
    verbose: bool,

    /// Go on with what this host's logs get, until interrupted; what they had before needs --since
    #[arg(long, conflicts_with_all = ["sources", "at"], help_heading = "Evidence")]
    follow: bool,
    /// How far back: 2h, 7d, or a time such as 2024-05-02T10:00:00Z; on this host a day when not given
    #[arg(long, value_name = "TIME", value_parser = value::since, help_heading = "Evidence")]
    since: Option<Since>,
    /// When the logs were taken, for times without a year: RFC 3339 or a date; now when not given
    #[arg(long, value_name = "TIME", value_parser = value::timestamp, help_heading = "Evidence")]
    at: Option<Timestamp>,

    /// Only messages of these rules or components; may be repeated or separated by commas
    #[arg(long, value_name = "RULE|COMPONENT", value_delimiter = ',', help_heading = "Rules")]
    only: Vec<String>,
    /// A folder with cards of your own; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    rules: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// docs/schema/timeline-v1.json describes it
    Json,
}

impl Arguments {
    fn options(&self, language: Language) -> Result<RunOptions, CliError> {
        let at = self.at.unwrap_or_else(crate::collect::now);
        let since = self.since.map(|since| since.before(at)).transpose();
        Ok(RunOptions {
            sources: self.sources.clone(),
            at: Some(at),
            since: since.map_err(CliError::usage)?,
            only: self.only.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            rule_dirs: self.rules.clone(),
            language,
            ..RunOptions::default()
        })
    }
}

pub fn run(arguments: &Arguments, language: Language, terminal: Terminal) -> Result<Exit, CliError> {
    let options = arguments.options(language)?;
    let mut printer =
        Printer::new(Options { width: terminal.width, colour: terminal.colour, verbose: arguments.verbose, language });
    if arguments.follow {
        return follow(arguments, &options, &mut printer);
    }
    let progress = Progress::start(match arguments.sources.len() {
        0 => "reading this host's logs".to_owned(),
        1 => "reading 1 source".to_owned(),
        many => format!("reading {many} sources"),
    });
    let done = timeline::run(&options);
    drop(progress);
    let timeline = done?;
    let text = match arguments.format {
        Format::Text => printer.events(&timeline.events) + &printer.summary(&timeline),
        Format::Json => timeline_v1::Timeline::new(&timeline).to_json().map_err(no_json)?,
    };
    output::print(&text)?;
    for source in &timeline.unopened {
        output::error(&source.message);
    }
    Ok(if timeline.unopened.is_empty() { Exit::Clean } else { Exit::Incomplete })
}

/// Until the reader goes away; an interrupt ends the process.
fn follow(arguments: &Arguments, options: &RunOptions, printer: &mut Printer) -> Result<Exit, CliError> {
    let mut failed = None;
    let mut print = |events: &[Event]| -> Result<bool, CliError> {
        let text = match arguments.format {
            Format::Text => printer.events(events),
            Format::Json => events
                .iter()
                .map(|event| timeline_v1::Event::new(event).to_json_line())
                .collect::<Result<String, _>>()
                .map_err(no_json)?,
        };
        Ok(output::print_or_gone(&text)?)
    };
    timeline::follow(options, arguments.since.is_some(), &mut |what| {
        let done = match what {
            Follow::Events(events) => print(&events),
            Follow::LeftOut(path, why) => {
                output::note(&format!("left out: {path}: {why}"));
                Ok(true)
            }
        };
        done.unwrap_or_else(|error| {
            failed = Some(error);
            false
        })
    })?;
    failed.map_or(Ok(Exit::Clean), Err)
}

fn no_json(error: serde_json::Error) -> CliError {
    CliError::usage(format!("the events could not be written as JSON: {error}"))
}
