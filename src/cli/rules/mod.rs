//! `k8sdoctor rules`: the list, and for authors of cards `rules test` and `rules new`.

mod new;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::output;
use super::terminal::Terminal;
use crate::engine::card::Card;
use crate::engine::options::RunOptions;
use crate::engine::{CardSet, Language, run};
use crate::render::text::escape;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// How to print the list
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Only these rules or components; may be repeated or separated by commas
    #[arg(long, value_name = "RULE|COMPONENT", value_delimiter = ',')]
    only: Vec<String>,
    /// A folder with cards of your own; may be repeated
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check cards of your own: they load, and their patterns match their examples and not their counter-examples
    Test(test::Arguments),
    /// Lay out the files of a new rule: card, Chinese card and fixtures
    New(new::Arguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
}

/// A rule as `--format json` lists it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: &'a str,
    component: &'a str,
    severity: &'static str,
    title: &'a str,
    detect: Vec<&'static str>,
    explains: &'a [String],
    sources: Vec<Source<'a>>,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    title: &'a str,
    url: Option<&'a str>,
}

pub fn run(arguments: &Arguments, language: Language, terminal: Terminal) -> Result<Exit, CliError> {
    match &arguments.action {
        Some(Action::Test(arguments)) => return test::run(arguments),
        Some(Action::New(arguments)) => return new::run(arguments),
        None => {}
    }
    let options = RunOptions {
        rule_dirs: arguments.rules.clone(),
        only: arguments.only.clone(),
        language,
        ..RunOptions::default()
    };
    let cards = run::cards(&options)?;
    let text = match arguments.format {
        Format::Table => table(&cards, terminal),
        Format::Markdown => markdown(&cards),
        Format::Json => {
            let listed: Vec<Listed<'_>> = sorted(&cards).into_iter().map(listed).collect();
            serde_json::to_string_pretty(&listed)
                .map(|json| json + "\n")
                .map_err(|error| CliError::usage(format!("the rules could not be written as JSON: {error}")))?
        }
    };
    output::print(&text)?;
    Ok(Exit::Clean)
}

/// By component, then by id.
fn sorted(cards: &CardSet) -> Vec<&Card> {
    let mut sorted: Vec<&Card> = cards.iter().collect();
    sorted.sort_by(|a, b| (&a.component, &a.id).cmp(&(&b.component, &b.id)));
    sorted
}

fn listed(card: &Card) -> Listed<'_> {
    Listed {
        id: &card.id,
        component: &card.component,
        severity: card.severity.name(),
        title: &card.title,
        detect: card.detect.iter().map(|detect| detect.name()).collect(),
        explains: &card.explains,
        sources: card
            .sources
            .iter()
            .map(|source| Source { title: &source.title, url: source.url.as_deref() })
            .collect(),
    }
}

fn table(cards: &CardSet, terminal: Terminal) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    // A list that goes to another program keeps one line for each rule.
    if terminal.is_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(terminal.width).unwrap_or(u16::MAX));
    }
    table.set_header(["rule", "component", "severity", "detected in", "title"]);
    for card in sorted(cards) {
        let listed = listed(card);
        table.add_row([
            escape(listed.id),
            escape(listed.component),
            listed.severity.to_owned(),
            listed.detect.join(", "),
            escape(listed.title),
        ]);
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
        out.push('\n');
    }
    out
}

fn markdown(cards: &CardSet) -> String {
    let mut out = "| rule | component | severity | detected in | title |\n|---|---|---|---|---|\n".to_owned();
    for card in sorted(cards) {
        let listed = listed(card);
        let cell = |text: &str| escape(text).replace('|', "\\|");
        out.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            listed.id,
            cell(listed.component),
            listed.severity,
            listed.detect.join(", "),
            cell(listed.title)
        ));
    }
    out
}
