//! Values that begin on one line and end on a later one: a quote that does not close, a list whose bracket does not.

use super::value::{After, closing};
use super::{Hit, is_filled};

/// Lines after which a value that has no end is no value: something else was wrong with the line that it began on.
const LINES: usize = 400;

/// What the lines before have opened.
#[derive(Debug, Default)]
pub(super) struct OpenValue {
    kind: Option<Kind>,
    left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Quote { quote: u8, slashes: usize },
    List,
}

impl OpenValue {
    pub fn is_open(&self) -> bool {
        self.kind.is_some()
    }

    pub fn begin(&mut self, after: After) {
        self.kind = match after {
            After::Quote { quote, slashes } => Some(Kind::Quote { quote, slashes }),
            After::List => Some(Kind::List),
            _ => return,
        };
        self.left = LINES;
    }

    /// What of the next line belongs to the value.
    pub fn line(&mut self, line: &[u8], hits: &mut Vec<Hit>) {
        let Some(kind) = self.kind else { return };
        let goes_on = match kind {
            Kind::Quote { quote, slashes } => {
                let end = closing(line, 0, slashes, quote);
                push(line, 0, end, hits);
                line.get(end..).is_none_or(<[u8]>::is_empty)
            }
            Kind::List => items(line, hits),
        };
        self.left = self.left.saturating_sub(1);
        if !goes_on || self.left == 0 {
            self.kind = None;
        }
    }
}

/// Items of a list, with quotes or without. False when the list ends, or was none.
fn items(line: &[u8], hits: &mut Vec<Hit>) -> bool {
    let mut at = 0;
    let mut bare = None;
    loop {
        let byte = line.get(at).copied();
        let is_bare = byte.is_some_and(|byte| !byte.is_ascii_whitespace() && !b",]{\"'".contains(&byte));
        match (is_bare, bare) {
            (true, None) => bare = Some(at),
            (false, Some(from)) => {
                push(line, from, at, hits);
                bare = None;
            }
            _ => {}
        }
        match byte {
            None => return true,
            // Of objects each name tells what it is.
            Some(b']' | b'{') => return false,
            Some(b'#') if bare == Some(at) => return true,
            Some(quote @ (b'"' | b'\'')) => {
                let end = closing(line, at + 1, 0, quote);
                push(line, at + 1, end, hits);
                at = end + 1;
            }
            Some(_) => at += 1,
        }
    }
}

fn push(line: &[u8], start: usize, end: usize, hits: &mut Vec<Hit>) {
    let value = line.get(start..end).unwrap_or_default();
    if !value.trim_ascii().is_empty() && !is_filled(value) && value.trim_ascii() != b"\\" {
        hits.push(Hit::new(start, end, "named-secret"));
    }
}
