//! As much of XML as firewalld's files have: elements with attributes, no text, entities of XML itself alone.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{ENTRIES, FirewalldError};
use crate::origin::Span;

/// firewalld's files are four deep.
const DEPTH: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    /// Of the tag that opens it.
    pub span: Span,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The root element with everything in it.
pub(super) fn parse(text: &str) -> Result<Element, FirewalldError> {
    let syntax = |error: &dyn std::fmt::Display| FirewalldError::Syntax(error.to_string().chars().take(200).collect());
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut count = 0;
    loop {
        let start = position(&reader);
        let event = reader.read_event().map_err(|error| syntax(&error))?;
        let span = || Span::of(text, start.min(text.len()), position(&reader).min(text.len()));
        let closed = match event {
            Event::Start(tag) => {
                if open.len() >= DEPTH {
                    return Err(FirewalldError::TooMany);
                }
                open.push(element(&tag, span()).map_err(|error| syntax(&error))?);
                None
            }
            Event::Empty(tag) => Some(element(&tag, span()).map_err(|error| syntax(&error))?),
            Event::End(_) => open.pop(),
            Event::Eof => return Err(FirewalldError::Syntax("it ends before its root element does".to_owned())),
            _ => None,
        };
        let Some(closed) = closed else { continue };
        count += 1;
        if count > ENTRIES {
            return Err(FirewalldError::TooMany);
        }
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Ok(closed),
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn element(tag: &BytesStart<'_>, span: Span) -> Result<Element, quick_xml::Error> {
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute?;
        let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
        // A value with an entity that XML does not have stands as it is written.
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_or_else(|_| String::from_utf8_lossy(&attribute.value).into_owned(), |value| value.into_owned());
        attributes.push((key, value));
    }
    let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
    Ok(Element { name, attributes, children: Vec::new(), span })
}
