//! What a run found, ready to be shown: findings with their evidence, merged and ordered, and what could not be judged.

pub mod allow;
pub mod baseline;
mod finding;
pub mod secret;
pub mod suppress;

pub use finding::*;
