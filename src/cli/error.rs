//! Why a command could not do its work.

use super::exit::Exit;
use super::nearest::nearest;
use crate::engine::CardSet;
use crate::engine::run::RunError;

/// The message says what was being read, why it failed and what to do; the exit code goes with it.
#[derive(Debug)]
pub struct CliError {
    pub message: String,
    pub exit: Exit,
}

impl CliError {
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError { message: message.into(), exit: Exit::Failure }
    }

    /// A rule or component name that is none, with the nearest that is one.
    pub fn no_such_rule(wanted: &str, cards: Option<&CardSet>) -> CliError {
        let builtin = CardSet::builtin_ids();
        let mut names: Vec<&str> = match cards {
            Some(cards) => cards.iter().flat_map(|card| [card.id.as_str(), card.component.as_str()]).collect(),
            None => builtin,
        };
        names.sort_unstable();
        names.dedup();
        let hint = match nearest(wanted, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "`k8sdoctor rules` lists them".to_owned(),
        };
        let what = if cards.is_some() { "rule or component" } else { "rule" };
        CliError::usage(format!("there is no {what} `{wanted}`; {hint}"))
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> CliError {
        let message = error.to_string();
        match error {
            RunError::Sources(_) => CliError { message, exit: Exit::Incomplete },
            RunError::UnknownRule(wanted) => {
                let cards = CardSet::builtin(crate::engine::Language::English).ok();
                CliError::no_such_rule(&wanted, cards.as_ref())
            }
            _ => CliError::usage(message),
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        CliError::usage(format!("standard output: {error}; what was to be printed is incomplete"))
    }
}
