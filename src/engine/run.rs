//! A whole run: sources in, report out.

pub use super::options::{Run, RunOptions};
