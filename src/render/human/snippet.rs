//! File evidence: the lines at fault, escaped, cut to size and underlined.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Element, Snippet};

use crate::collect::TextFile;
use crate::origin::Span;
use crate::render::text::{ELLIPSIS, LONG, escape, visible};
use crate::report::secret::mask;

/// What stands further right is not underlined: the line is no text for people.
pub const LAST_COLUMN: u32 = 4000;

/// Marks further apart than this are shown apart.
const NEAR_LINES: u32 = 60;

/// A place in a file that is to be underlined.
#[derive(Debug, Clone)]
pub struct Mark<'a> {
    pub host: &'a str,
    pub path: &'a str,
    pub file: &'a TextFile,
    pub span: Span,
    pub label: String,
    /// The first mark of a finding, which is underlined with `^`; the others are with `-`.
    pub primary: bool,
}

/// Marks of one file that are shown together.
pub struct Window<'a> {
    pub marks: Vec<Mark<'a>>,
    /// The line to show up to.
    pub last_line: u32,
}

/// Puts marks together that stand near each other in one file, in the order of the first of each.
pub fn windows(marks: Vec<Mark<'_>>) -> Vec<Window<'_>> {
    let mut windows: Vec<Window<'_>> = Vec::new();
    for mark in marks {
        let near = windows.iter_mut().find(|window| {
            window.marks.iter().all(|other| {
                (other.host, other.path) == (mark.host, mark.path)
                    && other.span.line.abs_diff(mark.span.line) <= NEAR_LINES
            })
        });
        match near {
            Some(window) => {
                window.last_line = window.last_line.max(mark.span.line);
                window.marks.push(mark);
            }
            None => windows.push(Window { last_line: mark.span.line, marks: vec![mark] }),
        }
    }
    windows
}

impl<'a> Window<'a> {
    /// The window for annotate-snippets. Its lines have as many characters before each mark as the file's, since the library
    /// counts the columns that it prints in them.
    pub fn element(&self) -> Option<Element<'a>> {
        let first = self.marks.first()?;
        let from = self.marks.iter().map(|mark| mark.span.line).min()?;
        let mut source = String::new();
        let mut annotations = Vec::new();
        let lines = first.file.text.split('\n').zip(1u32..).skip(from.saturating_sub(1) as usize);
        for (line, number) in lines.take_while(|(_, number)| *number <= self.last_line) {
            if number > from {
                source.push('\n');
            }
            let on_line = self.marks.iter().filter(|mark| mark.span.line == number);
            push_line(&mut source, &mut annotations, &mask(line.strip_suffix('\r').unwrap_or(line)), on_line);
        }
        let snippet = Snippet::source(source)
            .path(escape(&format!("{}:{}", first.host, first.path)))
            .line_start(from as usize)
            .annotations(annotations);
        Some(Element::from(snippet))
    }
}

fn push_line<'m, 'f: 'm>(
    source: &mut String,
    annotations: &mut Vec<Annotation<'_>>,
    line: &str,
    marks: impl Iterator<Item = &'m Mark<'f>>,
) {
    let ranges: Vec<(&Mark<'_>, Range<usize>)> = marks.map(|mark| (mark, range_in(line, mark))).collect();
    let last = ranges.iter().map(|(_, range)| range.end).max().unwrap_or(0);
    // What follows far behind is cut here; what stands far before, the library cuts to the width.
    let end = line[last..].char_indices().nth(LONG).map_or(line.len(), |(at, _)| last + at);
    let base = source.len();
    for (mark, range) in ranges {
        let start = base + visible(&line[..range.start]).len();
        let end = start + visible(&line[range]).len();
        let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let label = (!mark.label.is_empty()).then(|| escape(&mark.label));
        annotations.push(kind.span(start..end).label(label));
    }
    source.push_str(&visible(&line[..end]));
    if end < line.len() {
        source.push_str(ELLIPSIS);
    }
}

/// Where the mark is in its line, in bytes. One that runs over several lines is underlined to the end of its first.
fn range_in(line: &str, mark: &Mark<'_>) -> Range<usize> {
    let column = mark.span.column.saturating_sub(1) as usize;
    let start = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    // In characters, since masking changes bytes.
    let marked = mark.file.text.get(mark.span.start..mark.span.end).unwrap_or_default();
    let length = marked.lines().next().map_or(0, |first| first.chars().count()).min(LONG);
    let end = line[start..].char_indices().nth(length).map_or(line.len(), |(at, _)| start + at);
    start..end
}
