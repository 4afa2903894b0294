//! From facts to findings: cards are loaded, their conditions and detectors judge every host, and what they found is
//! merged, explained by its causes, and put in order.

pub mod card;
mod card_file;
mod card_set;
pub mod causes;
pub mod check;
pub mod condition;
mod dialect;
pub mod judge;
mod log_rules;
mod merge;
mod moments;
pub mod options;
pub mod run;
pub mod template;
pub mod timeline;
pub mod verdict;

pub use card_set::{CardError, CardSet, Language};

/// The names that callers outside of the engine know cards by.
pub mod cards {
    pub use super::card::{Card, Detect};
    pub use super::card_set::{CardError, CardSet, Language};
}
