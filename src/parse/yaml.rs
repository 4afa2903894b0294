//! YAML, and JSON as a part of it, with the place of every value.
//!
//! Built on a parser of events, so that a broken document still gives what stood before the fault, and so that a hostile
//! one (deep nesting, aliases of aliases) costs no more than a fixed number of nodes and bytes.

mod build;
mod positions;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::origin::Span;
use crate::parse::Problem;

/// Texts larger than this are not parsed.
const TEXT_LIMIT: usize = 16 << 20;
/// Sequences and mappings within each other, aliases filled in.
const DEPTH_LIMIT: usize = 64;
/// Nodes of a whole text, aliases filled in.
const NODE_LIMIT: usize = 200_000;
/// Bytes of all scalars of a text, aliases filled in.
const SCALAR_LIMIT: usize = 4 * TEXT_LIMIT;
/// Bytes of all paths that [`flatten`] makes.
const PATH_LIMIT: usize = 4 * TEXT_LIMIT;
/// Faults of one text that are told; more say nothing new.
const PROBLEM_LIMIT: usize = 100;

/// How a scalar is written. A plain `1` is a number where a quoted one is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Quoted,
    /// `|` or `>`.
    Block,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Scalar {
        /// The value after unescaping and folding.
        value: String,
        style: Style,
    },
    Sequence(Vec<Node>),
    /// In the file's order, each key once.
    Mapping(Vec<(Node, Node)>),
}

/// A value and the text that it stands in. What an alias (`*name`) fills in has the place of the anchored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// A scalar's text, without its quotes, anchor and tag; of the others, from their first to their last character.
    pub span: Span,
    pub kind: Kind,
}

/// One document of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub root: Node,
    /// Its text could not be parsed to its end, for this reason; `root` is what stood before the fault.
    pub broken: Option<Problem>,
}

/// Every document of a text, and what is wrong with it. A fault ends its document; the next `---` begins another.
pub fn parse(text: &str) -> (Vec<Document>, Vec<Problem>) {
    build::parse(text)
}

/// The roots of every document, whole or broken, and what is wrong with the text.
pub fn documents(text: &str) -> (Vec<Node>, Vec<Problem>) {
    let (documents, problems) = parse(text);
    (documents.into_iter().map(|document| document.root).collect(), problems)
}

impl Node {
    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A mapping's key and value.
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        let found = self.entries().iter().find(|(name, _)| name.as_str() == Some(key));
        found.map(|(name, value)| (name, value))
    }

    /// What stands at a dotted path: `spec.containers.0.image`. Keys that hold dots are reached with [`Node::get`].
    pub fn path(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, step| match &node.kind {
            Kind::Mapping(_) => node.get(step),
            Kind::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            Kind::Scalar { .. } => None,
        })
    }

    /// A scalar's value, whatever its type.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// A sequence's items; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// A mapping's entries; none of anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// A plain scalar that stands for no value: empty, `~` or `null`. Kubernetes takes it for a field that is not given.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { value, style: Style::Plain } if resolve::is_null(value))
    }

    /// A boolean as YAML 1.1 has them, which is what Kubernetes' parser reads.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Scalar { value, style: Style::Plain } => resolve::boolean(value),
            _ => None,
        }
    }

    /// What Kubernetes' decoder takes the node for: `string`, `number`, `bool`, `null`, `array` or `object`.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar { value, style: Style::Plain } => resolve::type_name(value),
            Kind::Scalar { .. } => "string",
            Kind::Sequence(_) => "array",
            Kind::Mapping(_) => "object",
        }
    }
}

/// Scalars by their dotted path (`clusterDNS.0`); null ones are left out, as Kubernetes takes them for not given. Of a
/// document whose paths are absurdly long, only the first.
pub fn flatten(root: &Node) -> BTreeMap<String, (String, Span)> {
    let mut scalars = BTreeMap::new();
    let mut path = String::new();
    let mut left = PATH_LIMIT;
    flatten_into(root, &mut path, &mut left, &mut scalars);
    scalars
}

// Recursion is bounded by DEPTH_LIMIT.
fn flatten_into(node: &Node, path: &mut String, left: &mut usize, scalars: &mut BTreeMap<String, (String, Span)>) {
    let length = path.len();
    let mut step = |name: &str, child: &Node, path: &mut String| {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        flatten_into(child, path, left, scalars);
        path.truncate(length);
    };
    match &node.kind {
        Kind::Mapping(entries) => {
            for (key, value) in entries {
                if let Some(name) = key.as_str() {
                    step(name, value, path);
                }
            }
        }
        Kind::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                step(&index.to_string(), item, path);
            }
        }
        Kind::Scalar { value, .. } => {
            if !node.is_null() && *left >= length {
                *left -= length;
                scalars.insert(path.clone(), (value.clone(), node.span));
            }
        }
    }
}
