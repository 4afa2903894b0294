//! Events to nodes, within the limits.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::positions::Positions;
use super::{DEPTH_LIMIT, Document, Kind, NODE_LIMIT, Node, PROBLEM_LIMIT, SCALAR_LIMIT, Style, TEXT_LIMIT};
use crate::origin::Span;
use crate::parse::Problem;

pub(super) fn parse(text: &str) -> (Vec<Document>, Vec<Problem>) {
    if text.len() > TEXT_LIMIT {
        let message = format!("{} bytes, more than the {TEXT_LIMIT} that are read of a YAML file", text.len());
        return (Vec::new(), vec![Problem::new(None, message)]);
    }
    let positions = Positions::new(text);
    let mut builder = Builder {
        positions: &positions,
        base: 0,
        open: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        nodes: 0,
        bytes: 0,
        documents: Vec::new(),
        problems: Vec::new(),
    };
    // One turn for each fault: after it, the rest of the text is read from the next document on.
    while let Err(fault) = builder.stream() {
        builder.break_off(&fault);
        let next = positions.next_document(fault.at.max(builder.base + 1));
        match next {
            Some(next) if !fault.fatal && builder.problems.len() < PROBLEM_LIMIT => builder.base = next,
            _ => break,
        }
    }
    (builder.documents, builder.problems)
}

/// Why a document ends before its end, and at which character.
struct Fault {
    at: usize,
    message: String,
    /// The text's limits are used up: what follows is not read either.
    fatal: bool,
}

/// A node that was built, with what it counts for where it is filled in again.
#[derive(Clone)]
struct Built {
    node: Node,
    nodes: usize,
    bytes: usize,
    /// Sequences and mappings within each other below it, itself counted.
    height: usize,
}

/// A sequence or mapping that is being read.
struct Open {
    start: usize,
    anchor: usize,
    mapping: bool,
    children: Vec<Node>,
    nodes: usize,
    bytes: usize,
    height: usize,
}

struct Builder<'a> {
    positions: &'a Positions<'a>,
    /// The character that the stream of events began at.
    base: usize,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Built>,
    nodes: usize,
    bytes: usize,
    documents: Vec<Document>,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn stream(&mut self) -> Result<(), Fault> {
        let mut parser = Parser::new_from_str(self.positions.slice(self.base, self.positions.characters()));
        loop {
            let (event, span) = match parser.next_event() {
                None => return Ok(()),
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    let mut at = self.base + error.marker().index();
                    if error.info().contains("found a tab") {
                        // The place given is where the scalar before the tab begins.
                        at += self
                            .positions
                            .slice(at, self.positions.characters())
                            .chars()
                            .position(|c| c == '\t')
                            .unwrap_or(0);
                    }
                    return Err(Fault { at, message: error.info().to_owned(), fatal: false });
                }
            };
            let (start, end) = (self.base + span.start.index(), self.base + span.end.index());
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd => self.end_document(None),
                Event::Scalar(value, style, anchor, tag) => {
                    let style = match style {
                        ScalarStyle::Plain => Style::Plain,
                        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                    };
                    let properties = anchor != 0 || tag.is_some();
                    let span = self.scalar_span(start, end, style, properties, &value);
                    let bytes = value.len();
                    let node = Node { span, kind: Kind::Scalar { value: value.into_owned(), style } };
                    self.charge(start, 1, bytes)?;
                    self.add(start, anchor, Built { node, nodes: 1, bytes, height: 0 })?;
                }
                Event::Alias(anchor) => {
                    let Some(built) = self.anchors.get(&anchor) else {
                        let message = "an alias without an anchor before it".to_owned();
                        return Err(Fault { at: start, message, fatal: false });
                    };
                    let (nodes, bytes, height) = (built.nodes, built.bytes, built.height);
                    self.check_depth(start, height)?;
                    self.charge(start, nodes, bytes)?;
                    if let Some(built) = self.anchors.get(&anchor).cloned() {
                        self.add(start, 0, built)?;
                    }
                }
                Event::SequenceStart(anchor, _) => self.begin(start, anchor, false)?,
                Event::MappingStart(anchor, _) => self.begin(start, anchor, true)?,
                Event::SequenceEnd | Event::MappingEnd => self.end(start, end)?,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            }
        }
    }

    fn charge(&mut self, at: usize, nodes: usize, bytes: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > NODE_LIMIT || self.bytes > SCALAR_LIMIT {
            let message = format!(
                "more than {NODE_LIMIT} values or {SCALAR_LIMIT} bytes of them with aliases filled in; the rest is not read"
            );
            return Err(Fault { at, message, fatal: true });
        }
        Ok(())
    }

    fn check_depth(&self, at: usize, below: usize) -> Result<(), Fault> {
        if self.open.len() + below > DEPTH_LIMIT {
            let message = format!("sequences and mappings are nested more than {DEPTH_LIMIT} deep");
            return Err(Fault { at, message, fatal: false });
        }
        Ok(())
    }

    fn begin(&mut self, start: usize, anchor: usize, mapping: bool) -> Result<(), Fault> {
        self.check_depth(start, 1)?;
        self.charge(start, 1, 0)?;
        self.open.push(Open { start, anchor, mapping, children: Vec::new(), nodes: 1, bytes: 0, height: 1 });
        Ok(())
    }

    fn end(&mut self, start: usize, end: usize) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        // A block's end is an empty event at the next token; only `]` and `}` are text.
        let closed = matches!(self.positions.slice(start, end), "]" | "}");
        let at = open.start;
        let anchor = open.anchor;
        let built = self.close(open, closed.then_some(end));
        self.add(at, anchor, built)
    }

    /// Makes a node of what was read of a sequence or mapping.
    fn close(&mut self, open: Open, end: Option<usize>) -> Built {
        let Open { start, children, nodes, bytes, height, mapping, .. } = open;
        let mut span = self.positions.span(start, start);
        span.end = match end {
            Some(end) => self.positions.byte(end),
            None => children.iter().map(|child| child.span.end).max().unwrap_or(span.start).max(span.start),
        };
        let kind = if mapping { Kind::Mapping(self.entries(children)) } else { Kind::Sequence(children) };
        Built { node: Node { span, kind }, nodes, bytes, height }
    }

    /// Pairs of a mapping: the last of each key, and what `<<` brings in for keys that are not there.
    fn entries(&mut self, children: Vec<Node>) -> Vec<(Node, Node)> {
        let mut entries: Vec<Option<(Node, Node)>> = Vec::with_capacity(children.len() / 2);
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        let mut children = children.into_iter();
        while let Some(key) = children.next() {
            // A document that broke off behind a key has no value for it.
            let Some(value) = children.next() else { break };
            if matches!(&key.kind, Kind::Scalar { value, style: Style::Plain } if value == "<<") {
                match value.kind {
                    Kind::Mapping(more) => merged.extend(more),
                    Kind::Sequence(items) => {
                        for item in items {
                            if let Kind::Mapping(more) = item.kind {
                                merged.extend(more);
                            }
                        }
                    }
                    Kind::Scalar { .. } => {
                        self.problem(Some(value.span), "a merge key (<<) takes a mapping or a list of them");
                    }
                }
                continue;
            }
            if let Some(name) = key.as_str()
                && let Some(earlier) = known.insert(name.to_owned(), entries.len())
                && let Some(earlier) = entries.get_mut(earlier)
            {
                if let Some((first, _)) = earlier {
                    let message = format!(
                        "key {name:?} is given twice, first on line {}: the last one counts, and Kubernetes refuses \
                         the file where it parses strictly",
                        first.span.line
                    );
                    self.problem(Some(key.span), message);
                }
                *earlier = None;
            }
            entries.push(Some((key, value)));
        }
        for (key, value) in merged {
            if let Some(name) = key.as_str()
                && !known.contains_key(name)
            {
                known.insert(name.to_owned(), entries.len());
                entries.push(Some((key, value)));
            }
        }
        entries.into_iter().flatten().collect()
    }

    /// Puts a node where it belongs.
    fn add(&mut self, at: usize, anchor: usize, built: Built) -> Result<(), Fault> {
        if anchor != 0 {
            // The kept copy counts too: anchors within anchors would multiply the text.
            self.charge(at, built.nodes, built.bytes)?;
            self.anchors.insert(anchor, built.clone());
        }
        match self.open.last_mut() {
            Some(parent) => {
                parent.nodes += built.nodes;
                parent.bytes += built.bytes;
                parent.height = parent.height.max(built.height + 1);
                parent.children.push(built.node);
            }
            None => self.root = Some(built.node),
        }
        Ok(())
    }

    fn end_document(&mut self, broken: Option<Problem>) {
        self.anchors.clear();
        if let Some(root) = self.root.take() {
            self.documents.push(Document { root, broken });
        }
    }

    /// Ends the document at a fault with what was read of it.
    fn break_off(&mut self, fault: &Fault) {
        let problem = Problem::new(Some(self.positions.rest_of_line(fault.at)), fault.message.clone());
        while let Some(open) = self.open.pop() {
            let built = self.close(open, None);
            match self.open.last_mut() {
                Some(parent) => parent.children.push(built.node),
                None => self.root = Some(built.node),
            }
        }
        if self.root.is_none() {
            // Broken before its first value: still a document, so that nobody takes the text for an empty one.
            let kind = Kind::Scalar { value: String::new(), style: Style::Plain };
            self.root = Some(Node { span: self.positions.span(fault.at, fault.at), kind });
        }
        self.problem(problem.span, problem.message.clone());
        self.end_document(Some(problem));
    }

    fn problem(&mut self, span: Option<Span>, message: impl Into<String>) {
        if self.problems.len() < PROBLEM_LIMIT {
            self.problems.push(Problem::new(span, message));
        }
    }

    /// The scalar's own text: no anchor, tag, quotes, or blanks around it.
    fn scalar_span(&self, start: usize, end: usize, style: Style, properties: bool, value: &str) -> Span {
        let whole = self.positions.slice(start, end);
        let empty = self.positions.span(start, start);
        let text = if properties { without_properties(whole) } else { whole };
        let lead = whole[..whole.len() - text.len()].chars().count();
        let text = text.trim_end();
        let begin = start + lead;
        match style {
            // An absent value has the place of the next token.
            Style::Plain if value.is_empty() => empty,
            Style::Plain => self.sized(begin, text.len()),
            Style::Quoted => self.sized(begin + 1, text.len().saturating_sub(2)),
            Style::Block if value.trim().is_empty() => empty,
            Style::Block => {
                // With an anchor or a tag the place begins there, else at the content behind the `|` or `>`.
                let header = if properties { text.find('\n').map_or(0, |at| at + 1) } else { 0 };
                let body = &text[header..];
                let content = body.trim_start();
                let skipped = text[..text.len() - content.len()].chars().count();
                self.sized(begin + skipped, content.len())
            }
        }
    }

    /// The span from a character on, so many bytes long.
    fn sized(&self, from: usize, bytes: usize) -> Span {
        let span = self.positions.span(from, from);
        Span { end: span.start + bytes, ..span }
    }
}

/// What follows a node's anchor (`&name`) and tag (`!!str`).
fn without_properties(mut text: &str) -> &str {
    while text.starts_with(['&', '!']) {
        let Some(end) = text.find([' ', '\t', '\r', '\n']) else { return text };
        text = text[end..].trim_start();
    }
    text
}
