//! The map of a cluster: for reading, as JSON, and as drawings of Graphviz and Mermaid.

mod dot;
pub(in crate::render) mod graph;
mod json;
mod mermaid;
mod text;

#[cfg(test)]
mod tests;

pub use dot::render as dot;
pub use json::render as json;
pub use mermaid::render as mermaid;
pub use text::{Options, render as text};
