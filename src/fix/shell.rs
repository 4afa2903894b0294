//! A fix's command as the shell would split it, as far as that needs no shell: what expands, pipes or decides is none.

/// One command of a list: its words, and the file that its output goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simple {
    pub words: Vec<String>,
    pub output: Option<Output>,
    /// The body of a here-document.
    pub input: Option<String>,
    /// As it stands in the text.
    pub text: String,
    /// Whether it holds something that only a shell can make a meaning of.
    pub is_opaque: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub file: String,
    pub append: bool,
}

/// The commands of a list joined by `&&`, `;` or line ends. None when the list decides something itself (`||`, `if`), or
/// does not end.
pub fn split(command: &str) -> Option<Vec<Simple>> {
    let mut reader = Reader { rest: command, simple: Simple::default(), word: None, redirect: None, done: Vec::new() };
    let mut start = command;
    while let Some(character) = reader.rest.chars().next() {
        let rest = &reader.rest[character.len_utf8()..];
        match character {
            '\\' if rest.starts_with('\n') => reader.rest = &rest[1..],
            '\\' => {
                let escaped = rest.chars().next()?;
                reader.push(escaped);
                reader.rest = &rest[escaped.len_utf8()..];
            }
            '\'' => {
                let (inside, after) = rest.split_once('\'')?;
                reader.word.get_or_insert_default().push_str(inside);
                reader.rest = after;
            }
            '"' => reader.rest = reader.double_quoted(rest)?,
            '#' if reader.word.is_none() => reader.rest = rest.find('\n').map_or("", |end| &rest[end..]),
            ' ' | '\t' => {
                reader.end_word()?;
                reader.rest = rest;
            }
            // The body of a here-document begins behind this line's end.
            '\n' if matches!(reader.redirect, Some(Redirect::Document)) && reader.word.is_some() => {
                reader.end_word()?
            }
            '&' | ';' | '\n' => {
                let rest = match character {
                    '&' => rest.strip_prefix('&')?,
                    _ => rest,
                };
                reader.rest = rest;
                let rest = reader.end_command(start)?;
                start = rest;
                reader.rest = rest;
            }
            '>' => {
                // `2>/dev/null` is a redirection of another stream.
                if reader.word.as_deref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
                    reader.simple.is_opaque = true;
                }
                reader.end_word()?;
                let append = rest.starts_with('>');
                reader.redirect = Some(Redirect::Output { append });
                reader.rest = if append { &rest[1..] } else { rest };
            }
            '<' if rest.starts_with('<') && !rest.starts_with("<<") => {
                reader.end_word()?;
                reader.redirect = Some(Redirect::Document);
                reader.rest = &rest[1..];
            }
            '|' if rest.starts_with('|') => return None,
            '|' | '<' | '(' | ')' | '$' | '`' | '*' | '?' | '[' | '{' | '}' | '~' | '!' => {
                reader.simple.is_opaque = true;
                reader.push(character);
                reader.rest = rest;
            }
            _ => {
                reader.push(character);
                reader.rest = rest;
            }
        }
    }
    reader.end_command(start)?;
    let decides = |simple: &Simple| {
        simple.words.first().is_some_and(|word| ["if", "for", "while", "case", "then", "else"].contains(&word.as_str()))
    };
    (!reader.done.iter().any(decides)).then_some(reader.done)
}

enum Redirect {
    Output { append: bool },
    Document,
}

struct Reader<'a> {
    rest: &'a str,
    simple: Simple,
    word: Option<String>,
    redirect: Option<Redirect>,
    done: Vec<Simple>,
}

impl<'a> Reader<'a> {
    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn double_quoted(&mut self, text: &'a str) -> Option<&'a str> {
        self.word.get_or_insert_default();
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => return Some(&text[at + 1..]),
                '\\' => match characters.next()?.1 {
                    escaped @ ('"' | '\\' | '$' | '`') => self.push(escaped),
                    '\n' => {}
                    other => {
                        self.push('\\');
                        self.push(other);
                    }
                },
                '$' | '`' => {
                    self.simple.is_opaque = true;
                    self.push(character);
                }
                _ => self.push(character),
            }
        }
        None
    }

    fn end_word(&mut self) -> Option<()> {
        let Some(word) = self.word.take() else { return Some(()) };
        match self.redirect.take() {
            None => self.simple.words.push(word),
            Some(Redirect::Output { append }) => self.simple.output = Some(Output { file: word, append }),
            Some(Redirect::Document) => {
                // The body begins on the next line; what stands behind the mark on its own line is read no further.
                let (line, body) = self.rest.split_once('\n')?;
                if !line.trim().is_empty() {
                    return None;
                }
                let end = format!("{word}\n");
                let body = format!("{body}\n");
                let at = if body.starts_with(&end) { 0 } else { body.find(&format!("\n{end}"))? + 1 };
                self.simple.input = Some(body[..at].to_owned());
                let used = line.len() + 1 + at + word.len();
                self.rest = self.rest.get(used..).unwrap_or("");
            }
        }
        Some(())
    }

    /// Ends the command that began at `start`; gives what is left.
    fn end_command(&mut self, start: &'a str) -> Option<&'a str> {
        // The text ends where the joint began; its length is known from what is left.
        let before = self.rest;
        self.end_word()?;
        if self.redirect.is_some() {
            return None;
        }
        let text = start[..start.len() - before.len()].trim_end_matches(['&', ';', '\n']).trim().to_owned();
        let simple = std::mem::take(&mut self.simple);
        if !simple.words.is_empty() || simple.output.is_some() {
            self.done.push(Simple { text, ..simple });
        }
        Some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_a_shell_does() {
        for (command, expected) in [
            ("sed -i 's#a b#c#' /f", Some(vec![(vec!["sed", "-i", "s#a b#c#", "/f"], None)])),
            (
                "mkdir -p /a && printf 'x\\n' > /a/f; systemctl restart y   # note",
                Some(vec![
                    (vec!["mkdir", "-p", "/a"], None),
                    (vec!["printf", "x\\n"], Some("/a/f")),
                    (vec!["systemctl", "restart", "y"], None),
                ]),
            ),
            ("sed \"s/\\\"a/b/\" 'it'\\''s'", Some(vec![(vec!["sed", "s/\"a/b/", "it's"], None)])),
            ("sed 's/a/b/' \\\n  /f", Some(vec![(vec!["sed", "s/a/b/", "/f"], None)])),
            ("grep -q x /f || echo y", None),
            ("sleep 1 &", None),
            ("echo 'open", None),
            ("if true; then echo x; fi", None),
        ] {
            let found = split(command);
            let found: Option<Vec<(Vec<&str>, Option<&str>)>> = found.as_ref().map(|list| {
                list.iter()
                    .map(|simple| {
                        let words = simple.words.iter().map(String::as_str).collect();
                        (words, simple.output.as_ref().map(|output| output.file.as_str()))
                    })
                    .collect()
            });
            assert_eq!(found, expected, "{command}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_told_apart() {
        for (command, opaque) in [
            ("cat $(ls)", true),
            ("sed -i s/a/b/ /etc/*.conf", true),
            ("echo \"$X\" > /f", true),
            ("rm -f /f 2>/dev/null", true),
            ("printf '$x *' > /f", false),
        ] {
            assert_eq!(split(command).unwrap()[0].is_opaque, opaque, "{command}");
        }
        let found = split("cat > /etc/f <<'EOF'\nline $x\n\nEOF\nsystemctl restart y").unwrap();
        assert_eq!(found[0].input.as_deref(), Some("line $x\n\n"));
        assert_eq!(found[0].output.as_ref().map(|output| output.file.as_str()), Some("/etc/f"));
        assert_eq!(found[1].words, ["systemctl", "restart", "y"]);
        assert_eq!(found[1].text, "systemctl restart y");
    }
}
