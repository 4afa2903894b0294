//! nginx' configuration as a tree of directives. Includes are left to the caller, who can read files.

use std::sync::Arc;

use super::Problem;
use super::words::{Spans, Word};
use crate::origin::{Origin, Sourced};

/// Blocks nested deeper than any real configuration.
const DEPTH_LIMIT: usize = 32;

/// `name arguments;` or `name arguments { ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub path: Arc<str>,
    pub name: Word,
    pub arguments: Vec<Word>,
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    pub fn origin(&self) -> Origin {
        Origin::file(self.path.clone(), Some(self.name.span))
    }

    pub fn sourced(&self, word: &Word) -> Sourced<String> {
        Sourced::new(word.text.clone(), Origin::file(self.path.clone(), Some(word.span)))
    }

    pub fn is(&self, name: &str) -> bool {
        self.name.text == name
    }

    pub fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// All directives of one file; what stands before an error is kept.
pub fn parse(path: &Arc<str>, text: &str) -> (Vec<Directive>, Vec<Problem>) {
    let mut lexer = Lexer { text, at: 0, spans: Spans::new(text), problems: Vec::new() };
    // The innermost open block is last; each with the words that opened it.
    let mut open: Vec<(Vec<Word>, Vec<Directive>)> = vec![(Vec::new(), Vec::new())];
    let mut words: Vec<Word> = Vec::new();
    loop {
        let token = lexer.token();
        match token {
            Token::Word(word) => words.push(word),
            Token::Semicolon(at) => {
                if words.is_empty() {
                    lexer.problem(at, "unexpected `;`");
                } else {
                    check_semicolons(&words, &mut lexer.problems);
                    push(path, &mut open, &mut words, None);
                }
            }
            Token::Open(at) if open.len() > DEPTH_LIMIT => {
                lexer.problem(at, "blocks nested too deep");
                break;
            }
            Token::Open(at) if words.is_empty() => {
                lexer.problem(at, "`{` without the name of its block");
                open.push((Vec::new(), Vec::new()));
            }
            Token::Open(_) => {
                if words.first().is_some_and(|name| name.text.ends_with("_by_lua_block")) {
                    lexer.skip_block();
                    push(path, &mut open, &mut words, Some(Vec::new()));
                } else {
                    check_semicolons(&words, &mut lexer.problems);
                    open.push((std::mem::take(&mut words), Vec::new()));
                }
            }
            Token::Close(at) => {
                if let Some(word) = words.first() {
                    let message = format!("`{}` is not ended by `;`", word.text);
                    lexer.problems.push(Problem::new(Some(word.span), message));
                    push(path, &mut open, &mut words, None);
                }
                match open.pop() {
                    Some((mut opener, block)) if !open.is_empty() => push(path, &mut open, &mut opener, Some(block)),
                    outermost => {
                        lexer.problem(at, "`}` closes nothing");
                        open.extend(outermost);
                    }
                }
            }
            Token::End => break,
        }
    }
    if let Some(word) = words.first() {
        lexer.problems.push(Problem::new(Some(word.span), format!("`{}` is not ended by `;`", word.text)));
        push(path, &mut open, &mut words, None);
    }
    while open.len() > 1 {
        if let Some((mut opener, block)) = open.pop() {
            let name = opener.first().map_or(String::new(), |word| word.text.clone());
            let span = opener.first().map(|word| word.span);
            lexer.problems.push(Problem::new(span, format!("block `{name}` is not closed by `}}`")));
            push(path, &mut open, &mut opener, Some(block));
        }
    }
    (open.pop().map(|(_, directives)| directives).unwrap_or_default(), lexer.problems)
}

/// Adds a finished directive to the innermost open block.
fn push(
    path: &Arc<str>,
    open: &mut [(Vec<Word>, Vec<Directive>)],
    words: &mut Vec<Word>,
    block: Option<Vec<Directive>>,
) {
    let mut words = std::mem::take(words).into_iter();
    if let (Some(name), Some((_, siblings))) = (words.next(), open.last_mut()) {
        siblings.push(Directive { path: path.clone(), name, arguments: words.collect(), block });
    }
}

/// A directive's name among another's arguments at the beginning of a later line: the semicolon between was forgotten.
fn check_semicolons(words: &[Word], problems: &mut Vec<Problem>) {
    const NAMES: [&str; 12] = [
        "listen",
        "server_name",
        "server",
        "upstream",
        "location",
        "proxy_pass",
        "proxy_set_header",
        "root",
        "ssl_certificate",
        "proxy_timeout",
        "proxy_connect_timeout",
        "proxy_read_timeout",
    ];
    let missing = words
        .iter()
        .zip(words.iter().skip(1))
        .find(|(before, word)| word.span.line > before.span.line && NAMES.contains(&word.text.as_str()));
    if let Some((before, word)) = missing {
        problems.push(Problem::new(Some(before.span), format!("`;` is missing before `{}`", word.text)));
    }
}

enum Token {
    Word(Word),
    Semicolon(usize),
    Open(usize),
    Close(usize),
    End,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    spans: Spans<'a>,
    problems: Vec<Problem>,
}

impl Lexer<'_> {
    fn problem(&mut self, at: usize, message: &str) {
        let span = self.spans.span(at, at + 1);
        self.problems.push(Problem::new(Some(span), message));
    }

    fn token(&mut self) -> Token {
        let bytes = self.text.as_bytes();
        loop {
            let at = self.at;
            let Some(byte) = bytes.get(at).copied() else { return Token::End };
            match byte {
                b'#' => self.at += memchr::memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at),
                b';' | b'{' | b'}' => {
                    self.at += 1;
                    return match byte {
                        b';' => Token::Semicolon(at),
                        b'{' => Token::Open(at),
                        _ => Token::Close(at),
                    };
                }
                b'"' | b'\'' => return Token::Word(self.quoted(byte)),
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => return Token::Word(self.plain()),
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Word {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        while bytes.get(at).is_some_and(|byte| *byte != quote) {
            at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
        }
        let end = at.min(bytes.len());
        if end == bytes.len() {
            self.problem(start - 1, "quote is not closed");
        }
        self.at = (end + 1).min(bytes.len());
        self.word(start, end)
    }

    fn plain(&mut self) -> Word {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                // A variable in braces belongs to the word.
                b'$' if bytes.get(at + 1) == Some(&b'{') => at += 1,
                b';' | b'{' => break,
                byte if byte.is_ascii_whitespace() => break,
                _ => {}
            }
            at += 1;
        }
        self.at = at.min(bytes.len());
        self.word(start, self.at)
    }

    fn word(&mut self, start: usize, end: usize) -> Word {
        let span = self.spans.span(start, end);
        let raw = self.text.get(start..end).unwrap_or("");
        let mut text = String::with_capacity(raw.len());
        let mut letters = raw.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some(escaped @ ('"' | '\'' | '\\' | ' ')) => text.push(escaped),
                    Some(other) => text.extend(['\\', other]),
                    None => text.push('\\'),
                },
                letter => text.push(letter),
            }
        }
        Word { text, span }
    }

    /// Passes over a block in another language to behind its closing brace.
    fn skip_block(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 1;
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(directives: &[Directive]) -> String {
        let mut shown = String::new();
        for directive in directives {
            shown.push_str(&directive.name.text);
            for argument in &directive.arguments {
                shown.push_str(&format!(" <{}>", argument.text));
            }
            match &directive.block {
                Some(block) => shown.push_str(&format!("{{{}}}", show(block))),
                None => shown.push(';'),
            }
        }
        shown
    }

    #[test]
    fn directives_nest() {
        for (text, expected) in [
            ("user nginx;\nevents {}\n", "user <nginx>;events{}"),
            ("a { b c; d { e f g; } }", "a{b <c>;d{e <f> <g>;}}"),
            ("a 'x; y' \"z \\\" {\"; # c ; {\nb;", "a <x; y> <z \" {>;b;"),
            ("return 301 https://${host}$uri;", "return <301> <https://${host}$uri>;"),
            ("server{listen 80;}", "server{listen <80>;}"),
            ("location ~ \\.php$ { x; }", "location <~> <\\.php$>{x;}"),
            ("content_by_lua_block { if a then { ; } } b;", "content_by_lua_block{}b;"),
            ("log_format m '$a'\n  '$b';", "log_format <m> <$a> <$b>;"),
        ] {
            let (directives, problems) = parse(&"/n".into(), text);
            assert_eq!(show(&directives), expected, "{text}");
            assert_eq!(problems, [], "{text}");
        }
        let text = "é {\n  b 'c d' e;\n}";
        let (directives, _) = parse(&"/n".into(), text);
        let inner = &directives[0].children()[0];
        assert_eq!(&text[inner.arguments[0].span.start..inner.arguments[0].span.end], "c d");
        assert_eq!((inner.name.span.line, inner.name.span.column), (2, 3));
    }

    #[test]
    fn broken_files_say_where_and_keep_the_rest() {
        for (text, line, message, expected) in [
            ("a { b c }\nd;", 1, "`b` is not ended by `;`", "a{b <c>;}d;"),
            ("a;\n}\nb;", 2, "`}` closes nothing", "a;b;"),
            ("x;\na {\n b;\n", 2, "block `a` is not closed by `}`", "x;a{b;}"),
            ("a b", 1, "`a` is not ended by `;`", "a <b>;"),
            ("a;\n;", 2, "unexpected `;`", "a;"),
            ("a \"b;\n", 1, "quote is not closed", "a <b;\n>;"),
            (
                "proxy_pass http://b\n listen 80;",
                1,
                "`;` is missing before `listen`",
                "proxy_pass <http://b> <listen> <80>;",
            ),
            ("{ a; }", 1, "`{` without the name of its block", ""),
            ("a \\", 1, "`a` is not ended by `;`", "a <\\>;"),
        ] {
            let (directives, problems) = parse(&"/n".into(), text);
            assert_eq!(problems[0].message, message, "{text}");
            assert_eq!(problems[0].span.unwrap().line, line, "{text}");
            assert_eq!(show(&directives), expected, "{text}");
        }
        assert!(parse(&"/n".into(), &"a{".repeat(1_000_000)).1.iter().any(|problem| problem.message.contains("deep")));
        assert!(parse(&"/n".into(), &"{".repeat(1_000_000)).1.iter().any(|problem| problem.message.contains("deep")));
    }
}
