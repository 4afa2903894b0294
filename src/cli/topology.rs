//! `k8sdoctor topology`.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::error::CliError;
use super::exit::Exit;
use super::terminal::Terminal;
use super::{output, value};
use crate::engine::options::RunOptions;
use crate::engine::run;
use crate::facts::topology::map;
use crate::render::topology;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Extracted host trees or single configuration files; this host when none is given
    ///
    /// Hosts given together are drawn as one cluster.
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// text for reading, json for programs, dot for Graphviz, mermaid for Markdown
    #[arg(long, value_enum, default_value = "text", help_heading = "Output")]
    format: Format,
    /// The time to judge dates against: RFC 3339 or a date; now when not given
    #[arg(long, value_name = "TIME", value_parser = value::timestamp, help_heading = "Evidence")]
    at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Dot,
    Mermaid,
}

/// Draws what the configurations say; nothing is asked over sockets.
pub fn run(arguments: &Arguments, terminal: Terminal) -> Result<Exit, CliError> {
    let options =
        RunOptions { sources: arguments.sources.clone(), at: arguments.at, probe: false, ..RunOptions::default() };
    let (cluster, unopened) = run::gather(&options)?;
    let map = map::of(&cluster);
    let text = match arguments.format {
        Format::Text => topology::text(&map, topology::Options { colour: terminal.colour }),
        Format::Json => topology::json(&map)
            .map_err(|error| CliError::usage(format!("the map could not be written as JSON: {error}")))?,
        Format::Dot => topology::dot(&map),
        Format::Mermaid => topology::mermaid(&map),
    };
    output::print(&text)?;
    for source in &unopened {
        output::error(&source.message);
    }
    Ok(if unopened.is_empty() { Exit::Clean } else { Exit::Incomplete })
}
