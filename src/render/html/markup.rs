//! HTML in which what is markup and what is text cannot be mixed up: markup is a constant of the program, everything else
//! is escaped.

use crate::render::text;

/// A page as it is written.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// The program's own markup.
    pub fn raw(&mut self, markup: &'static str) -> &mut Markup {
        self.0.push_str(markup);
        self
    }

    /// One line of text, within an element or a double-quoted attribute. What terminals and bidirectional text obey is
    /// written out, as everywhere.
    pub fn text(&mut self, text: &str) -> &mut Markup {
        text.chars().for_each(|character| self.character(character));
        self
    }

    /// Text of several lines.
    pub fn lines(&mut self, text: &str) -> &mut Markup {
        for (index, line) in text.lines().enumerate() {
            if index > 0 {
                self.0.push('\n');
            }
            self.text(line);
        }
        self
    }

    /// Text of at most so many characters.
    pub fn short(&mut self, text: &str, limit: usize) -> &mut Markup {
        let mut characters = text.chars();
        characters.by_ref().take(limit).for_each(|character| self.character(character));
        if characters.next().is_some() {
            self.0.push_str(text::ELLIPSIS);
        }
        self
    }

    /// A count.
    pub fn count(&mut self, count: usize) -> &mut Markup {
        self.0.push_str(&count.to_string());
        self
    }

    /// A coordinate, to a tenth.
    pub fn at(&mut self, value: f64) -> &mut Markup {
        let value = if value.is_finite() { value } else { 0.0 };
        self.0.push_str(&format!("{:.1}", value));
        self
    }

    /// What was written apart.
    pub fn append(&mut self, other: Markup) -> &mut Markup {
        self.0.push_str(&other.0);
        self
    }

    fn character(&mut self, character: char) {
        match character {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            _ => match text::escape_char(character) {
                Some(written) => self.0.push_str(&written),
                None => self.0.push(character),
            },
        }
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        for (text, expected) in [
            ("a < b && c", "a &lt; b &amp;&amp; c"),
            ("\"><script>alert(1)</script>", "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("it's", "it&#39;s"),
            ("a\u{202e}b\u{0}\u{1b}[2J", "a\\u{202e}b\\x00\\x1b[2J"),
            ("中文 é", "中文 é"),
        ] {
            let mut page = Markup::default();
            page.text(text);
            assert_eq!(page.into_string(), expected);
        }
        let mut page = Markup::default();
        page.lines("a\r\n<b>\n").short("äöü", 2).at(f64::NAN).at(1.25).count(3);
        assert_eq!(page.into_string(), "a\n&lt;b&gt;äö…0.01.23");
    }
}
