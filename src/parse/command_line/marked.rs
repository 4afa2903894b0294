//! Characters that remember where they stood. Quotes, escapes, joined lines and variables change a text on its way to a
//! command's words; a finding still has to underline what a person can edit.

use std::sync::Arc;

use crate::origin::{Origin, Span};

/// Longest word that is built; variables that double themselves stop here.
pub const WORD_LIMIT: usize = 1 << 16;

/// A character and the piece of a file that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub c: char,
    /// Bytes of the file; more than one character's for an escape.
    pub start: u32,
    pub end: u32,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// 0: the text itself; else the number that [`Trail::add`] gave to a variable's use.
    pub source: u32,
}

impl Mark {
    pub fn with(self, c: char) -> Mark {
        Mark { c, ..self }
    }

    pub fn span(&self) -> Span {
        Span { start: self.start as usize, end: self.end as usize, line: self.line, column: self.column }
    }

    pub fn is_blank(&self) -> bool {
        matches!(self.c, ' ' | '\t' | '\n' | '\r')
    }
}

/// Every character of a text, which is to be below 4 GiB.
pub fn marks(text: &str) -> Vec<Mark> {
    let (mut line, mut column) = (1, 1);
    let mut marks = Vec::with_capacity(text.len());
    for (start, c) in text.char_indices() {
        let start = start as u32;
        marks.push(Mark { c, start, end: start + c.len_utf8() as u32, line, column, source: 0 });
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    marks
}

pub fn text(marks: &[Mark]) -> String {
    marks.iter().map(|mark| mark.c).collect()
}

/// From the first to the last of them, which are to be of one file.
pub fn span(marks: &[Mark]) -> Option<Span> {
    let (first, last) = (marks.first()?, marks.last()?);
    Some(Span { end: (last.end as usize).max(first.end as usize), ..first.span() })
}

/// An empty span just after a character.
pub fn span_after(mark: &Mark) -> Span {
    Span { start: mark.end as usize, end: mark.end as usize, line: mark.line, column: mark.column + 1 }
}

pub fn trim(mut marks: &[Mark]) -> &[Mark] {
    while let [first, rest @ ..] = marks
        && first.is_blank()
    {
        marks = rest;
    }
    while let [rest @ .., last] = marks
        && last.is_blank()
    {
        marks = rest;
    }
    marks
}

/// The uses of variables while one text is expanded: which file the value came from, and where it was asked for.
#[derive(Debug, Clone)]
pub struct Trail {
    path: Arc<str>,
    uses: Vec<(Arc<str>, Span)>,
}

impl Trail {
    /// `path` is the file that the expanded text stands in.
    pub fn new(path: Arc<str>) -> Trail {
        Trail { path, uses: Vec::new() }
    }

    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The number for marks of a value that stands in `path` and that the text asked for at `used_at`.
    pub fn add(&mut self, path: Arc<str>, used_at: Span) -> u32 {
        self.uses.push((path, used_at));
        self.uses.len() as u32
    }

    fn source(&self, source: u32) -> Option<&(Arc<str>, Span)> {
        self.uses.get((source as usize).checked_sub(1)?)
    }

    /// Where `marks` came from; `raw` is how the text itself wrote it. Text that a variable supplied as a whole is at
    /// home where the variable is set, since that is what has to be edited, through the place that uses it. Text that is
    /// a variable's only in part is at home where it is put together.
    pub fn origin(&self, marks: &[Mark], raw: Span) -> Origin {
        let here = |span| Origin::file(self.path.clone(), Some(span));
        let Some(first) = marks.first() else { return here(raw) };
        if marks.iter().all(|mark| mark.source == first.source) {
            let span = span(marks).unwrap_or(raw);
            return match self.source(first.source) {
                Some((path, used_at)) => Origin::file(path.clone(), Some(span)).with_via(here(*used_at)),
                None => here(span),
            };
        }
        let Some(from) = marks.iter().position(|mark| mark.source != 0) else { return here(raw) };
        let piece = &marks[from..];
        let length = piece.iter().take_while(|mark| mark.source == piece[0].source).count();
        match (self.source(piece[0].source), span(&piece[..length])) {
            (Some((path, _)), Some(span)) => here(raw).with_via(Origin::file(path.clone(), Some(span))),
            _ => here(raw),
        }
    }

    /// Where the part after the first `=` of a flag came from: `--name=value`. None for other words.
    pub fn value_origin(&self, marks: &[Mark], raw: Span) -> Option<Origin> {
        if marks.first()?.c != '-' {
            return None;
        }
        let at = marks.iter().position(|mark| mark.c == '=')?;
        let raw = match marks[at] {
            equals if equals.source == 0 && equals.end as usize <= raw.end => {
                Span { end: raw.end, ..span_after(&equals) }
            }
            _ => raw,
        };
        Some(self.origin(&marks[at + 1..], raw))
    }
}

/// What a pasted character should have been, for characters that word processors and web pages put in place of ASCII.
pub fn typographic(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        '\u{2010}'..='\u{2012}' | '\u{2212}' => ("hyphen or minus sign", "-"),
        '\u{2013}' => ("en dash", "-"),
        '\u{2014}' | '\u{2015}' => ("em dash", "--"),
        '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}' => ("curly single quote", "'"),
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' => ("curly double quote", "\""),
        '\u{00A0}' | '\u{3000}' | '\u{202F}' => ("blank that is no ASCII space", " "),
        _ => return None,
    })
}

pub fn is_typographic_dash(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_know_their_line_and_column() {
        let found = marks("aé\nb");
        let b = found[3];
        assert_eq!((b.c, b.start, b.end, b.line, b.column), ('b', 4, 5, 2, 1));
        assert_eq!((found[2].line, found[2].column), (1, 3));
    }

    #[test]
    fn origin_of_a_whole_value_is_where_the_variable_is_set() {
        let mut trail = Trail::new("/u".into());
        let use_span = Span { start: 3, end: 7, line: 1, column: 4 };
        let source = trail.add("/e".into(), use_span);
        let value: Vec<Mark> = marks("abc").into_iter().map(|mark| Mark { source, ..mark }).collect();
        let whole = trail.origin(&value, use_span);
        assert_eq!(whole.path(), Some("/e"));
        assert_eq!(whole.via.as_ref().and_then(|via| via.path()), Some("/u"));
        let mut mixed = marks("x");
        mixed.extend(&value);
        let part = trail.origin(&mixed, use_span);
        assert_eq!(part.path(), Some("/u"));
        assert_eq!(part.via.as_ref().and_then(|via| via.path()), Some("/e"));
    }
}
