//! The part of sed that fixes use: substitutions, deletions and added lines, at a line number or a pattern. What goes beyond
//! is no script here, and its fix is left to a person.

use regex::{Regex, RegexBuilder};

/// A script, made ready.
#[derive(Debug)]
pub struct Script {
    commands: Vec<Command>,
}

#[derive(Debug)]
struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    action: Action,
}

#[derive(Debug)]
enum Address {
    Line(usize),
    Last,
    Pattern(Regex),
}

#[derive(Debug)]
enum Action {
    Substitute { pattern: Regex, replacement: Vec<Piece>, all: bool },
    Delete,
    Append(String),
    Insert(String),
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Script {
    /// Reads a script; `extended` for `-E`. None for anything that is not understood in full.
    pub fn parse(text: &str, extended: bool) -> Option<Script> {
        let mut rest = text;
        let mut commands = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';', '\n']);
            if rest.is_empty() {
                break;
            }
            let (command, after) = command(rest, extended)?;
            commands.push(command);
            rest = after;
        }
        (!commands.is_empty()).then_some(Script { commands })
    }

    /// The scripts of several `-e`, which is one: a line goes through all of them.
    pub fn of_several(texts: &[String], extended: bool) -> Option<Script> {
        let mut commands = Vec::new();
        for text in texts {
            commands.extend(Script::parse(text, extended)?.commands);
        }
        (!commands.is_empty()).then_some(Script { commands })
    }

    /// The text after the script. Lines keep their ends; a last line without one keeps that too.
    pub fn apply(&self, text: &str) -> String {
        let count = text.split_inclusive('\n').count();
        let mut out = String::with_capacity(text.len());
        let mut within = vec![false; self.commands.len()];
        for (index, whole) in text.split_inclusive('\n').enumerate() {
            let end = if whole.ends_with('\n') { "\n" } else { "" };
            let mut line = whole.strip_suffix('\n').unwrap_or(whole).to_owned();
            let (mut before, mut after) = (String::new(), String::new());
            let mut deleted = false;
            for (command, within) in self.commands.iter().zip(&mut within) {
                if command.selects(&line, index + 1, count, within) == command.negated {
                    continue;
                }
                match &command.action {
                    Action::Substitute { pattern, replacement, all } => {
                        line = substitute(&line, pattern, replacement, *all);
                    }
                    Action::Delete => {
                        deleted = true;
                        break;
                    }
                    Action::Append(text) => after.push_str(&format!("{text}\n")),
                    Action::Insert(text) => before.push_str(&format!("{text}\n")),
                }
            }
            out.push_str(&before);
            if !deleted {
                out.push_str(&line);
                out.push_str(if after.is_empty() { end } else { "\n" });
            }
            out.push_str(&after);
        }
        out
    }
}

impl Command {
    fn selects(&self, line: &str, number: usize, count: usize, within: &mut bool) -> bool {
        let is_at = |address: &Address| match address {
            Address::Line(wanted) => *wanted == number,
            Address::Last => number == count,
            Address::Pattern(pattern) => pattern.is_match(line),
        };
        let Some(from) = &self.from else { return true };
        let Some(to) = &self.to else { return is_at(from) };
        if *within {
            *within = !match to {
                Address::Line(last) => number >= *last,
                other => is_at(other),
            };
            return true;
        }
        let begins = is_at(from);
        // An end that is a line before the beginning's ends with the beginning.
        *within = begins && !matches!(to, Address::Line(last) if *last <= number);
        begins
    }
}

fn substitute(line: &str, pattern: &Regex, replacement: &[Piece], all: bool) -> String {
    let with = |found: &regex::Captures<'_>| {
        let mut out = String::new();
        for piece in replacement {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(number) => out.push_str(found.get(*number).map_or("", |group| group.as_str())),
            }
        }
        out
    };
    pattern.replacen(line, usize::from(!all), with).into_owned()
}

fn command(text: &str, extended: bool) -> Option<(Command, &str)> {
    let (from, mut rest) = address(text, extended)?;
    let mut to = None;
    if from.is_some()
        && let Some(after) = rest.strip_prefix(',')
    {
        (to, rest) = address(after.trim_start(), extended)?;
        to.as_ref()?;
    }
    rest = rest.trim_start_matches([' ', '\t']);
    let negated = rest.starts_with('!');
    rest = rest.strip_prefix('!').unwrap_or(rest).trim_start_matches([' ', '\t']);
    let (action, rest) = match rest.chars().next()? {
        's' => substitution(&rest[1..], extended)?,
        'd' => (Action::Delete, &rest[1..]),
        kind @ ('a' | 'i') => {
            // Up to its end the script is the text; a backslash keeps the white space before it.
            let text = added(&rest[1..])?;
            (if kind == 'a' { Action::Append(text) } else { Action::Insert(text) }, "")
        }
        _ => return None,
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    (rest.is_empty() || rest.starts_with([';', '\n'])).then_some((Command { from, to, negated, action }, rest))
}

fn address(text: &str, extended: bool) -> Option<(Option<Address>, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return Some((Some(Address::Line(text[..digits].parse().ok()?)), &text[digits..]));
    }
    if let Some(rest) = text.strip_prefix('$') {
        return Some((Some(Address::Last), rest));
    }
    let Some(rest) = text.strip_prefix('/') else { return Some((None, text)) };
    let (pattern, rest) = until(rest, '/')?;
    let (fold, rest) = match rest.strip_prefix('I') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    Some((Some(Address::Pattern(regex(&pattern, extended, fold)?)), rest))
}

fn substitution(text: &str, extended: bool) -> Option<(Action, &str)> {
    let delimiter = text.chars().next().filter(|c| c.is_ascii() && *c != '\\' && *c != '\n')?;
    let (pattern, rest) = until(&text[1..], delimiter)?;
    let (replacement, mut rest) = until(rest, delimiter)?;
    let (mut all, mut fold) = (false, false);
    loop {
        match rest.chars().next() {
            Some('g') => all = true,
            Some('I' | 'i') => fold = true,
            None | Some(';' | '\n' | ' ') => break,
            Some(_) => return None,
        }
        rest = &rest[1..];
    }
    let pattern = regex(&pattern, extended, fold)?;
    let replacement = pieces(&replacement)?;
    let groups = pattern.captures_len();
    let is_known = |piece: &Piece| !matches!(piece, Piece::Group(number) if *number >= groups);
    replacement.iter().all(is_known).then_some((Action::Substitute { pattern, replacement, all }, rest))
}

/// The text up to an unescaped delimiter, which an escaped one stands for itself in, and what is behind.
fn until(text: &str, delimiter: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                let (_, escaped) = characters.next()?;
                if escaped != delimiter {
                    out.push('\\');
                }
                out.push(escaped);
            }
            // A delimiter within brackets ends the pattern all the same in sed, so that brackets need no care here.
            _ if character == delimiter => return Some((out, &text[at + delimiter.len_utf8()..])),
            _ => out.push(character),
        }
    }
    None
}

fn added(text: &str) -> Option<String> {
    let text = text.trim_start_matches([' ', '\t']);
    let text = text.strip_prefix('\\').map_or(text, |kept| kept.strip_prefix('\n').unwrap_or(kept));
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(match characters.next()? {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            other => out.push(other),
        }
    }
    Some(out)
}

fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = vec![Piece::Text(String::new())];
    let mut push = |piece: Piece| match (pieces.last_mut(), piece) {
        (Some(Piece::Text(known)), Piece::Text(more)) => known.push_str(&more),
        (_, piece) => pieces.push(piece),
    };
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        push(match character {
            '&' => Piece::Group(0),
            '\\' => match characters.next()? {
                'n' => Piece::Text("\n".to_owned()),
                't' => Piece::Text("\t".to_owned()),
                digit @ '1'..='9' => Piece::Group(digit.to_digit(10)? as usize),
                letter if letter.is_ascii_alphabetic() => return None,
                other => Piece::Text(other.to_string()),
            },
            other => Piece::Text(other.to_string()),
        });
    }
    Some(pieces)
}

/// A POSIX expression in the words of the `regex` crate.
fn regex(text: &str, extended: bool, fold: bool) -> Option<Regex> {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                special @ ('(' | ')' | '{' | '}' | '|' | '+' | '?') if !extended => out.push(special),
                class @ ('b' | 'B' | 'w' | 'W' | 's' | 'S' | 't' | 'n') => {
                    out.push('\\');
                    out.push(class);
                }
                '<' | '>' => out.push_str("\\b"),
                digit if digit.is_ascii_alphanumeric() => return None,
                other => out.push_str(&regex::escape(&other.to_string())),
            },
            '(' | ')' | '{' | '}' | '|' | '+' | '?' if !extended => {
                out.push_str(&regex::escape(&character.to_string()))
            }
            // At the beginning of a basic expression it stands for itself.
            '*' if !extended && (out.is_empty() || out == "^" || out.ends_with('(')) => out.push_str("\\*"),
            '[' => bracket(&mut characters, &mut out)?,
            other => out.push(other),
        }
    }
    RegexBuilder::new(&out).case_insensitive(fold).size_limit(1 << 20).build().ok()
}

fn bracket(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if characters.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        match characters.next()? {
            ']' if !first => break,
            '[' if characters.peek() == Some(&':') => {
                out.push('[');
                loop {
                    let character = characters.next()?;
                    out.push(character);
                    if character == ']' {
                        break;
                    }
                }
            }
            special @ ('\\' | '[' | ']' | '&' | '~') => {
                out.push('\\');
                out.push(special);
            }
            other => out.push(other),
        }
        first = false;
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(&str, bool, &str, &str); 24] = [
        ("2s#--a=1#--a=2#", false, "--a=1\n--a=1\n", "--a=1\n--a=2\n"),
        ("s/a/b/", false, "aa\naa\n", "ba\nba\n"),
        ("s/a/b/g", false, "aa\n", "bb\n"),
        ("s/A/b/I", false, "aA\n", "bA\n"),
        ("2d", false, "a\nb\nc\n", "a\nc\n"),
        ("$d", false, "a\nb\n", "a\n"),
        ("2a\\    server x", false, "a\n  b\nc\n", "a\n  b\n    server x\nc\n"),
        ("1i 127.0.0.1 localhost", false, "a\n", "127.0.0.1 localhost\na\n"),
        ("/- x$/a\\    - one\\n    - two", false, "- x\n- xy\n", "- x\n    - one\n    - two\n- xy\n"),
        ("2s/^/#/", false, "a\nb\n", "a\n#b\n"),
        ("s#^ *- #&new\\n&#", false, "  - a\n", "  - new\n  - a\n"),
        (
            "s/^\\( *\\)mode  *http *$/\\1mode tcp/; s/httplog/tcplog/; /forwardfor/d",
            false,
            "  mode http\n option httplog\n option forwardfor\n",
            "  mode tcp\n option tcplog\n",
        ),
        ("/adm/s#x,?##", true, "adm=x,y\nx,\n", "adm=y\nx,\n"),
        ("s#,([\" ]|$)#\\1#", true, "a=b,\n", "a=b\n"),
        ("s/ ?--flag(=[^ \"]*)?//", true, "a --flag=1 b\n", "a b\n"),
        ("s#http://\\[::1\\]:1#y#", false, "http://[::1]:1\n", "y\n"),
        ("s/a+b/x/", false, "a+b aab\n", "x aab\n"),
        ("s/a\\|b/x/g", false, "abc\n", "xxc\n"),
        ("/start/,/end/s/x/y/", false, "x\nstart x\nx\nend x\nx\n", "x\nstart y\ny\nend y\nx\n"),
        ("/c/!d", false, "a\nc\n", "c\n"),
        ("s/\\./-/", false, "a.b", "a-b"),
        ("s/[[:space:]]*$/!/", false, "a  \n", "a!\n"),
        ("s/[.\\]x/y/", false, "\\x\n", "y\n"),
        ("/k/{s/a/b/}", false, "", ""),
    ];

    #[test]
    fn does_what_sed_does() {
        for (script, extended, before, after) in CASES {
            if script.contains('{') {
                assert!(Script::parse(script, extended).is_none(), "{script}");
                continue;
            }
            let parsed = Script::parse(script, extended).unwrap_or_else(|| panic!("{script}"));
            assert_eq!(parsed.apply(before), after, "{script}");
        }
    }

    /// The same cases with the machine's own sed, where there is a GNU one.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "sed is what is compared with")]
    fn and_sed_itself_agrees() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let is_gnu =
            Command::new("sed").arg("--version").output().is_ok_and(|output| output.stdout.starts_with(b"sed (GNU"));
        if !is_gnu {
            eprintln!("skipped: no GNU sed");
            return;
        }
        for (script, extended, before, after) in CASES.iter().filter(|case| !case.0.contains('{')) {
            let mut sed = Command::new("sed");
            sed.args(extended.then_some("-E")).arg("-e").arg(script).env("LC_ALL", "C.UTF-8");
            let mut child = sed.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(before.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), *after, "{script}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_script() {
        for script in [
            "",
            "y/a/b/",
            "s/a/b/2",
            "s/a/b/e",
            "s/a/b",
            "w /etc/passwd",
            "s/\\(a\\)/\\2/",
            "1e reboot",
            "N;d",
            "s/a/\\U&/",
            "r /etc/shadow",
            "s/\\(a\\)\\1/b/",
            "{p}",
        ] {
            assert!(Script::parse(script, false).is_none(), "{script}");
        }
    }
}
