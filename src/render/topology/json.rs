//! The map as JSON. Within a version fields are only added.

use serde::Serialize;

use crate::facts::topology::map::Topology;

#[derive(Serialize)]
struct Versioned<'a> {
    /// Of this form: 1.
    version: u32,
    #[serde(flatten)]
    topology: &'a Topology,
}

/// The map, indented, with a line end.
pub fn render(topology: &Topology) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Versioned { version: 1, topology }).map(|text| text + "\n")
}
