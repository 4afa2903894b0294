//! The report for machines. Its types are its own, so that a change of the program's does not change what scripts read.

mod edits;
pub mod lines;
#[cfg(test)]
#[path = "../../../tests/fixtures/strict.rs"]
mod strict;
pub mod timeline_v1;
pub mod v1;
