//! A shell's words, as far as start scripts need them: quotes, variables, joined lines, comments, here-documents.

use crate::origin::Span;
use crate::parse::command_line::marked::{self, Mark};

/// Nested `$(...)` deeper than this is taken as text.
const DEPTH_LIMIT: usize = 32;

#[derive(Debug, Clone)]
pub enum Token {
    Word(Word),
    /// The end of a simple command: newline, `;`, `&`, `&&`, `||`, `|`, `(`, `)`.
    End,
    /// A redirection; its target is the next word. `descriptor` is the number before it.
    Redirect {
        descriptor: Option<char>,
        kind: Redirect,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// `>`, `>>`, `>|`.
    Output,
    /// `&>`, `&>>`.
    Both,
    /// `>&`, `<&` with a descriptor after it.
    Duplicate,
    Input,
}

#[derive(Debug, Clone)]
pub struct Word {
    pub parts: Vec<Part>,
    /// As written, with quotes.
    pub raw: Span,
}

#[derive(Debug, Clone)]
pub enum Part {
    Text {
        mark: Mark,
        quoted: bool,
    },
    Variable {
        name: String,
        raw: Vec<Mark>,
        quoted: bool,
        default: Option<Vec<Mark>>,
    },
    /// Something whose value only running it could tell: `$(...)`, `$1`, `${A%.*}`.
    Opaque {
        raw: Vec<Mark>,
    },
    /// Empty quotes: there is a word even when it has no character.
    Empty,
}

impl Word {
    /// The word's text when nothing in it is quoted or expanded.
    pub fn bare(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text { mark, quoted: false } => Some(mark.c),
                _ => None,
            })
            .collect()
    }

    /// `NAME=` or `NAME+=` at the beginning: the name, whether it adds, and how many parts that takes.
    pub fn assignment(&self) -> Option<(String, bool, usize)> {
        let mut name = String::new();
        for (index, part) in self.parts.iter().enumerate() {
            let Part::Text { mark, quoted: false } = part else { return None };
            match mark.c {
                '=' if !name.is_empty() => return Some((name, false, index + 1)),
                '+' if !name.is_empty() => {
                    let next = self.parts.get(index + 1);
                    let is_equals = matches!(next, Some(Part::Text { mark, quoted: false }) if mark.c == '=');
                    return is_equals.then_some((name, true, index + 2));
                }
                c if c == '_' || c.is_ascii_alphabetic() || (c.is_ascii_digit() && !name.is_empty()) => name.push(c),
                _ => return None,
            }
        }
        None
    }
}

/// Tokens of a script, and the opening quotes that are never closed.
pub fn tokens(marks: &[Mark]) -> (Vec<Token>, Vec<Mark>) {
    let mut lexer = Lexer { marks, at: 0, tokens: Vec::new(), unclosed: Vec::new(), heredocs: Vec::new() };
    lexer.run();
    (lexer.tokens, lexer.unclosed)
}

struct Lexer<'a> {
    marks: &'a [Mark],
    at: usize,
    tokens: Vec<Token>,
    unclosed: Vec<Mark>,
    /// Delimiters of here-documents whose bodies begin on the next line, and whether tabs before them count.
    heredocs: Vec<(String, bool)>,
}

impl Lexer<'_> {
    fn c(&self, ahead: usize) -> Option<char> {
        self.marks.get(self.at + ahead).map(|mark| mark.c)
    }

    fn run(&mut self) {
        while let Some(c) = self.c(0) {
            match c {
                '\n' => {
                    self.at += 1;
                    self.tokens.push(Token::End);
                    self.skip_heredocs();
                }
                ' ' | '\t' | '\r' | '\u{feff}' => self.at += 1,
                '\\' if self.c(1) == Some('\n') => self.at += 2,
                '\\' if self.c(1) == Some('\r') && self.c(2) == Some('\n') => self.at += 3,
                '#' => {
                    while self.c(0).is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                '&' if self.c(1) == Some('>') => {
                    self.at += 2 + usize::from(self.c(2) == Some('>'));
                    self.tokens.push(Token::Redirect { descriptor: None, kind: Redirect::Both });
                }
                ';' | '&' | '|' | '(' | ')' => {
                    self.at += 1;
                    self.tokens.push(Token::End);
                }
                '<' | '>' => self.redirect(None),
                '0'..='9' if matches!(self.c(1), Some('<' | '>')) => {
                    self.at += 1;
                    self.redirect(Some(c));
                }
                _ => self.word(),
            }
        }
        self.tokens.push(Token::End);
    }

    fn redirect(&mut self, descriptor: Option<char>) {
        let input = self.c(0) == Some('<');
        let kind = match (input, self.c(1)) {
            (true, Some('<')) if self.c(2) != Some('<') => {
                self.at += 2;
                self.heredoc();
                return;
            }
            (true, Some('<')) => {
                self.at += 3;
                Redirect::Input
            }
            (_, Some('&')) => {
                self.at += 2;
                Redirect::Duplicate
            }
            (false, Some('>' | '|')) => {
                self.at += 2;
                Redirect::Output
            }
            (false, _) => {
                self.at += 1;
                Redirect::Output
            }
            (true, _) => {
                self.at += 1;
                Redirect::Input
            }
        };
        self.tokens.push(Token::Redirect { descriptor, kind });
    }

    fn heredoc(&mut self) {
        let strip = self.c(0) == Some('-');
        self.at += usize::from(strip);
        while matches!(self.c(0), Some(' ' | '\t')) {
            self.at += 1;
        }
        let mut delimiter = String::new();
        while let Some(c) = self.c(0) {
            match c {
                '"' | '\'' | '\\' => {}
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                _ => delimiter.push(c),
            }
            self.at += 1;
        }
        self.heredocs.push((delimiter, strip));
    }

    fn skip_heredocs(&mut self) {
        for (delimiter, strip) in std::mem::take(&mut self.heredocs) {
            while self.at < self.marks.len() {
                let rest = &self.marks[self.at..];
                let length = rest.iter().position(|mark| mark.c == '\n').unwrap_or(rest.len());
                let line = marked::text(&rest[..length]);
                self.at = (self.at + length + 1).min(self.marks.len());
                let line = line.trim_end_matches('\r');
                if (if strip { line.trim_start_matches('\t') } else { line }) == delimiter {
                    break;
                }
            }
        }
    }

    fn word(&mut self) {
        let from = self.at;
        let mut parts = Vec::new();
        while let Some(mark) = self.marks.get(self.at).copied() {
            match mark.c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | ')' => break,
                '(' => {
                    // An array, or a function's head.
                    let array = matches!(parts.last(), Some(Part::Text { mark, quoted: false }) if mark.c == '=');
                    if !array {
                        break;
                    }
                    let raw = self.parenthesised(self.at);
                    parts.push(Part::Opaque { raw });
                }
                '\\' => match self.c(1) {
                    Some('\n') => self.at += 2,
                    Some(c) => {
                        let end = self.marks[self.at + 1].end;
                        parts.push(Part::Text { mark: Mark { end, ..mark.with(c) }, quoted: true });
                        self.at += 2;
                    }
                    None => self.at += 1,
                },
                '\'' => self.single_quoted(mark, &mut parts),
                '"' => self.double_quoted(mark, &mut parts),
                '$' if matches!(self.c(1), Some('\'' | '"')) => self.at += 1,
                '$' => self.dollar(false, &mut parts),
                '`' => self.backticks(&mut parts),
                _ => {
                    parts.push(Part::Text { mark, quoted: false });
                    self.at += 1;
                }
            }
        }
        if self.at == from {
            // Nothing that a word can begin with; do not stand still.
            self.at += 1;
            return;
        }
        if let Some(raw) = marked::span(&self.marks[from..self.at])
            && !parts.is_empty()
        {
            self.tokens.push(Token::Word(Word { parts, raw }));
        }
    }

    fn single_quoted(&mut self, open: Mark, parts: &mut Vec<Part>) {
        self.at += 1;
        parts.push(Part::Empty);
        while let Some(mark) = self.marks.get(self.at).copied() {
            self.at += 1;
            if mark.c == '\'' {
                return;
            }
            parts.push(Part::Text { mark, quoted: true });
        }
        self.unclosed.push(open);
    }

    fn double_quoted(&mut self, open: Mark, parts: &mut Vec<Part>) {
        self.at += 1;
        parts.push(Part::Empty);
        while let Some(mark) = self.marks.get(self.at).copied() {
            match mark.c {
                '"' => {
                    self.at += 1;
                    return;
                }
                '\\' => match self.c(1) {
                    Some('\n') => self.at += 2,
                    Some(c @ ('$' | '`' | '"' | '\\')) => {
                        let end = self.marks[self.at + 1].end;
                        parts.push(Part::Text { mark: Mark { end, ..mark.with(c) }, quoted: true });
                        self.at += 2;
                    }
                    _ => {
                        parts.push(Part::Text { mark, quoted: true });
                        self.at += 1;
                    }
                },
                '$' => self.dollar(true, parts),
                '`' => self.backticks(parts),
                _ => {
                    parts.push(Part::Text { mark, quoted: true });
                    self.at += 1;
                }
            }
        }
        self.unclosed.push(open);
    }

    fn backticks(&mut self, parts: &mut Vec<Part>) {
        let from = self.at;
        self.at += 1;
        while let Some(c) = self.c(0) {
            self.at += 1 + usize::from(c == '\\' && self.c(1).is_some());
            if c == '`' {
                break;
            }
        }
        parts.push(Part::Opaque { raw: self.marks[from..self.at].to_vec() });
    }

    /// `(...)` from its opening at `open`, quotes and nesting minded; stands behind it afterwards.
    fn parenthesised(&mut self, open: usize) -> Vec<Mark> {
        let from = self.at;
        self.at = open;
        let mut depth = 0usize;
        while let Some(c) = self.c(0) {
            match c {
                '\\' if self.c(1).is_some() => self.at += 1,
                '\'' => {
                    let rest = &self.marks[self.at + 1..];
                    self.at += 1 + rest.iter().position(|mark| mark.c == '\'').unwrap_or(rest.len());
                }
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            self.at = (self.at + 1).min(self.marks.len());
            if depth == 0 || depth > DEPTH_LIMIT {
                break;
            }
        }
        self.marks[from..self.at].to_vec()
    }

    fn dollar(&mut self, quoted: bool, parts: &mut Vec<Part>) {
        let from = self.at;
        match self.c(1) {
            Some('(') => {
                let raw = self.parenthesised(self.at + 1);
                parts.push(Part::Opaque { raw });
            }
            Some('{') => {
                let mut depth = 0usize;
                while let Some(c) = self.c(0) {
                    self.at += 1;
                    match c {
                        '{' => depth += 1,
                        '}' if depth <= 1 => break,
                        '}' => depth -= 1,
                        '\n' => break,
                        _ => {}
                    }
                }
                let raw = self.marks[from..self.at].to_vec();
                parts.push(braced(raw, quoted));
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                self.at += 1;
                let mut name = String::new();
                while let Some(c) = self.c(0).filter(|c| *c == '_' || c.is_ascii_alphanumeric()) {
                    name.push(c);
                    self.at += 1;
                }
                let raw = self.marks[from..self.at].to_vec();
                parts.push(Part::Variable { name, raw, quoted, default: None });
            }
            Some('0'..='9' | '@' | '*' | '#' | '?' | '$' | '!' | '-') => {
                self.at += 2;
                parts.push(Part::Opaque { raw: self.marks[from..self.at].to_vec() });
            }
            _ => {
                parts.push(Part::Text { mark: self.marks[from], quoted: true });
                self.at += 1;
            }
        }
    }
}

/// `${NAME}` or `${NAME:-default}`; anything else in braces is opaque.
fn braced(raw: Vec<Mark>, quoted: bool) -> Part {
    let [_, _, inner @ .., close] = raw.as_slice() else { return Part::Opaque { raw } };
    if close.c != '}' {
        return Part::Opaque { raw };
    }
    let length = inner.iter().take_while(|mark| mark.c == '_' || mark.c.is_ascii_alphanumeric()).count();
    let name = marked::text(&inner[..length]);
    if !crate::parse::env_file::is_name(&name) {
        return Part::Opaque { raw };
    }
    let rest = &inner[length..];
    let rest_text = marked::text(rest);
    let default = match [":-", ":=", "-", "="].iter().find(|operator| rest_text.starts_with(**operator)) {
        _ if rest.is_empty() => None,
        Some(operator) => {
            let default = &rest[operator.len()..];
            let plain = default.iter().all(|mark| !matches!(mark.c, '$' | '`' | '\\' | '"' | '\''));
            if !plain {
                return Part::Opaque { raw };
            }
            Some(default.to_vec())
        }
        None => return Part::Opaque { raw },
    };
    Part::Variable { name, raw, quoted, default }
}
