//! `k8sdoctor rules test`: the examples of a user's own cards, and what each pattern costs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets};

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::collect::own_cards;
use crate::engine::check::{check, patterns};
use crate::engine::run::RunError;
use crate::engine::{CardSet, Language};
use crate::render::text::escape;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder with the cards
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    let texts = own_cards::read(&arguments.dir).map_err(|error| RunError::Cards(vec![error]))?;
    let pairs = || texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let cards = CardSet::of(pairs(), Language::English).map_err(RunError::Cards)?;
    CardSet::of(pairs(), Language::Chinese).map_err(RunError::Cards)?;
    let known: BTreeSet<String> = CardSet::builtin_ids().into_iter().map(str::to_owned).collect();
    let errors = check(&cards, &known);
    if !errors.is_empty() {
        return Err(RunError::Cards(errors).into());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    table.set_header(["rule", "pattern", "examples", "counter-examples", "is looked for by"]);
    for report in patterns(&cards) {
        let literals: Vec<String> = report.literals.iter().map(|literal| format!("{literal:?}")).collect();
        table.add_row([
            escape(&report.rule),
            report.pattern.to_string(),
            report.examples.to_string(),
            report.counterexamples.to_string(),
            escape(&literals.join(" or ")),
        ]);
    }
    output::print(&format!("{table}\n\n{} cards are right\n", cards.len()))?;
    Ok(Exit::Clean)
}
