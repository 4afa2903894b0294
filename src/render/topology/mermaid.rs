//! The map for Mermaid, which GitHub and GitLab draw in Markdown.

use std::fmt::Write as _;

use super::graph::{Graph, Node};
use crate::facts::topology::map::{State, Topology};
use crate::render::text::escape;

/// A flowchart with a subgraph for each host. What does not work is thick and red, what is not known dotted.
pub fn render(topology: &Topology) -> String {
    let graph = Graph::of(topology);
    let mut out = String::from("flowchart LR\n");
    for (index, host) in topology.hosts.iter().enumerate() {
        let title = if host.roles.is_empty() {
            host.name.clone()
        } else {
            format!("{} ({})", host.name, host.roles.join(", "))
        };
        let _ = writeln!(out, "  subgraph h{index}[{}]", quoted(&title));
        for (number, node) in graph.nodes.iter().enumerate() {
            if let Node::Component { host, name } = node
                && *host == index
            {
                let _ = writeln!(out, "    n{number}[{}]", quoted(name));
            }
        }
        out.push_str("  end\n");
    }
    for (number, node) in graph.nodes.iter().enumerate() {
        if let Node::Address(address) = node {
            let _ = writeln!(out, "  n{number}([{}])", quoted(address));
        }
    }
    let mut broken = Vec::new();
    for (index, arrow) in graph.arrows.iter().enumerate() {
        let line = match arrow.state {
            State::Fits => "-->",
            State::Broken => "==>",
            State::Unknown => "-.->",
        };
        if arrow.state == State::Broken {
            broken.push(index.to_string());
        }
        let _ = writeln!(out, "  n{} {line}|{}| n{}", arrow.from, quoted(&arrow.label), arrow.to);
    }
    if !broken.is_empty() {
        let _ = writeln!(out, "  linkStyle {} stroke:red,color:red", broken.join(","));
    }
    out
}

/// A quoted text of Mermaid, in which everything that it, Markdown or HTML would take for markup is an entity.
fn quoted(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 2);
    safe.push('"');
    for character in escape(text).chars() {
        if matches!(
            character,
            '"' | '#' | '&' | '<' | '>' | '`' | '|' | '{' | '}' | '[' | ']' | '\\' | ';' | '*' | '_' | '~'
        ) {
            let _ = write!(safe, "#{};", character as u32);
        } else {
            safe.push(character);
        }
    }
    safe.push('"');
    safe
}
