//! The map for Graphviz: `k8sdoctor topology --format dot | dot -Tsvg`.

use std::fmt::Write as _;

use super::graph::{Graph, Node};
use crate::facts::topology::map::{State, Topology};
use crate::render::text::escape;

/// A digraph with a box for each host. What does not work is red, what is not known dashed.
pub fn render(topology: &Topology) -> String {
    let graph = Graph::of(topology);
    let mut out = String::from("digraph k8sdoctor {\n  rankdir=LR;\n  node [shape=box];\n");
    for (index, host) in topology.hosts.iter().enumerate() {
        let title = if host.roles.is_empty() {
            host.name.clone()
        } else {
            format!("{} ({})", host.name, host.roles.join(", "))
        };
        let _ = writeln!(out, "  subgraph cluster_{index} {{\n    label={};", quoted(&title));
        for (number, node) in graph.nodes.iter().enumerate() {
            if let Node::Component { host, name } = node
                && *host == index
            {
                let _ = writeln!(out, "    n{number} [label={}];", quoted(name));
            }
        }
        out.push_str("  }\n");
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        if let Node::Address(address) = node {
            let _ = writeln!(out, "  n{number} [label={}, style=dashed];", quoted(address));
        }
    }
    for arrow in &graph.arrows {
        let style = match arrow.state {
            State::Fits => "",
            State::Broken => ", color=red, fontcolor=red",
            State::Unknown => ", style=dashed",
        };
        let _ = writeln!(out, "  n{} -> n{} [label={}{style}];", arrow.from, arrow.to, quoted(&arrow.label));
    }
    out.push_str("}\n");
    out
}

/// A string of the DOT language. A backslash would begin one of its escapes (`\N` is the node's name, `\l` a line end).
fn quoted(text: &str) -> String {
    let safe = escape(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{safe}\"")
}
