//! Lines that know where they stand.

use crate::origin::Span;

/// A line of a text, without its end.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub text: &'a str,
    /// From 1.
    pub number: u32,
    /// Byte of its beginning in the whole text.
    start: usize,
}

impl<'a> Line<'a> {
    /// The span of the whole line.
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.start + self.text.len(), line: self.number, column: 1 }
    }

    /// The span of a slice of this line; that of the whole line when `part` is none of its slices.
    pub fn span_of(&self, part: &str) -> Span {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        match self.text.get(..offset) {
            Some(before) if offset + part.len() <= self.text.len() => Span {
                start: self.start + offset,
                end: self.start + offset + part.len(),
                line: self.number,
                column: before.chars().count() as u32 + 1,
            },
            _ => self.span(),
        }
    }

    /// The line's words.
    pub fn words(&self) -> std::str::SplitWhitespace<'a> {
        self.text.split_whitespace()
    }
}

/// All lines of a text, empty ones too. Counting happens once for the whole text, where [`Span::of`] counts for each.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n').zip(1..).map(move |(whole, number)| {
        let line = Line { text: whole.trim_end_matches(['\n', '\r']), number, start };
        start += whole.len();
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_the_text() {
        let text = "eins\r\n\nüber drei\nend";
        let all: Vec<_> = lines(text).collect();
        assert_eq!(all.iter().map(|line| line.text).collect::<Vec<_>>(), ["eins", "", "über drei", "end"]);
        for line in &all {
            let at = line.span().start;
            assert_eq!(line.span(), Span::of(text, at, at + line.text.len()));
        }
        let word = all[2].words().nth(1).unwrap();
        let at = text.find("drei").unwrap();
        assert_eq!(all[2].span_of(word), Span::of(text, at, at + 4));
        assert_eq!(all[2].span_of("elsewhere"), all[2].span());
    }
}
