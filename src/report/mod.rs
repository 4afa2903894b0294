//! What a run found, ready to be shown: findings with their evidence, merged and ordered, and what could not be judged.

mod finding;
mod level;
pub mod secret;

pub use finding::*;
pub use level::*;
