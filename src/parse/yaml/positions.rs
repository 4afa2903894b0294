//! From the event parser's places, counted in characters, to spans in bytes, each in constant time however long the lines.

use crate::origin::Span;

/// A byte's offset is kept for every so many characters.
const STRIDE: usize = 256;

pub(super) struct Positions<'a> {
    text: &'a str,
    /// Byte offsets of the characters 0, STRIDE, 2 * STRIDE, ...; empty when the text is ASCII.
    marks: Vec<usize>,
    /// The first byte and character of each line.
    lines: Vec<(usize, usize)>,
    characters: usize,
}

impl<'a> Positions<'a> {
    pub(super) fn new(text: &'a str) -> Positions<'a> {
        let ascii = text.is_ascii();
        let mut positions = Positions { text, marks: Vec::new(), lines: vec![(0, 0)], characters: 0 };
        for (index, (byte, character)) in text.char_indices().enumerate() {
            if !ascii && index % STRIDE == 0 {
                positions.marks.push(byte);
            }
            if character == '\n' {
                positions.lines.push((byte + 1, index + 1));
            }
            positions.characters = index + 1;
        }
        positions
    }

    /// How many characters the text has.
    pub(super) fn characters(&self) -> usize {
        self.characters
    }

    /// The byte that a character begins at; the text's end for one past it.
    pub(super) fn byte(&self, character: usize) -> usize {
        if character >= self.characters {
            return self.text.len();
        }
        match self.marks.get(character / STRIDE) {
            None => character,
            Some(&mark) => {
                let rest = self.text.get(mark..).unwrap_or_default();
                rest.char_indices().nth(character % STRIDE).map_or(self.text.len(), |(byte, _)| mark + byte)
            }
        }
    }

    /// The text between two characters.
    pub(super) fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(self.byte(from)..self.byte(to)).unwrap_or_default()
    }

    /// The span between two characters.
    pub(super) fn span(&self, from: usize, to: usize) -> Span {
        let start = self.byte(from);
        let end = self.byte(to).max(start);
        let line = self.lines.partition_point(|(first, _)| *first <= start);
        let (_, first) = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        Span { start, end, line: line as u32, column: (from.min(self.characters).saturating_sub(first)) as u32 + 1 }
    }

    /// From a character to the end of its line, for a fault that has no end of its own.
    pub(super) fn rest_of_line(&self, from: usize) -> Span {
        let start = self.byte(from);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split(['\n', '\r']).next().unwrap_or_default().trim_end();
        Span { end: start + line.len(), ..self.span(from, from) }
    }

    /// The first character of the first line, at `from` or later, that begins a document.
    pub(super) fn next_document(&self, from: usize) -> Option<usize> {
        let later = self.lines.partition_point(|(_, first)| *first < from);
        let lines = self.lines.get(later..).unwrap_or_default();
        let begins = |byte: usize| {
            self.text
                .get(byte..)
                .and_then(|rest| rest.strip_prefix("---"))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        lines.iter().find(|(byte, _)| begins(*byte)).map(|(_, first)| *first)
    }
}
