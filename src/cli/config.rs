//! `k8sdoctor config`.

use clap::{Args, Subcommand};

use super::error::CliError;
use super::exit::Exit;
use super::{check, output, settings};
use crate::render::text::escape;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what `check` with the same arguments would go by, and where each value comes from
    Show(Box<check::Arguments>),
}

pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let Action::Show(arguments) = &arguments.action;
    let settings = settings::of(arguments)?;
    output::print(&show(&settings))?;
    Ok(Exit::Clean)
}

/// TOML with each value's origin in a comment beside it.
fn show(settings: &settings::Settings) -> String {
    let mut out = match &settings.path {
        Some(path) => format!("# configuration: {}\n", escape(path)),
        None => "# no k8sdoctor.toml was found\n".to_owned(),
    };
    let width = settings.shown.iter().map(|shown| shown.text.chars().count()).max().unwrap_or(0).min(60);
    let mut table = "";
    for shown in &settings.shown {
        if shown.table != table {
            table = &shown.table;
            if table != "waivers" {
                out.push_str(&format!("\n[{}]\n", escape(table)));
            } else {
                out.push_str("\n# waivers\n");
            }
        }
        let text = if table == "waivers" { format!("# {}", shown.text) } else { shown.text.clone() };
        out.push_str(&format!("{:width$}  # {}\n", escape(&text), escape(&shown.origin)));
    }
    out
}
