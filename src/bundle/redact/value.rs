//! From the name of a secret to its value, in whatever syntax the line is written: an assignment, YAML, JSON (also quoted
//! again), TOML, an argument of a command line, a header, or words of a configuration.

use super::{Hit, is_filled, names};

/// What a name is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The value was on the line, or there is none.
    Nothing,
    /// A YAML block or a list of values begins on the next line; so deep is the name indented.
    Block { indent: usize, literal: bool },
    /// A flag alone: the next list item, or the next line of a continued command, is its value.
    NextItem,
    /// The value's quote, escaped by so many backslashes, closes on a later line.
    Quote { quote: u8, slashes: usize },
    /// A list whose bracket closes on a later line.
    List,
}

/// Looks at one name, of which `word` is a byte inside. Gives the name's end, and what follows the line.
pub(super) fn find(line: &[u8], word: usize, hits: &mut Vec<Hit>) -> (usize, After) {
    let (start, end) = name_around(line, word);
    let Some(Ok(name)) = line.get(start..end).map(std::str::from_utf8) else { return (end, After::Nothing) };
    if end <= word || name.len() > 200 || !names::is_secret(name) {
        return (end.max(word + 1), After::Nothing);
    }
    let after = Reader { line, start, end, name, hits }.read();
    (end, after)
}

/// From where to where the name goes of which `word` is a byte.
pub(super) fn name_around(line: &[u8], word: usize) -> (usize, usize) {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let mut start = word;
    while start > 0 && line.get(start - 1).is_some_and(is_name) {
        start -= 1;
    }
    let mut end = word;
    while line.get(end).is_some_and(is_name) {
        end += 1;
    }
    // Of `\npassword` in a quoted text the n belongs to the escape.
    if start > 0 && line.get(start - 1) == Some(&b'\\') && line.get(start) == Some(&b'n') && start + 1 < word + 1 {
        start += 1;
    }
    (start, end)
}

struct Reader<'a, 'h> {
    line: &'a [u8],
    start: usize,
    end: usize,
    name: &'a str,
    hits: &'h mut Vec<Hit>,
}

impl Reader<'_, '_> {
    fn at(&self, index: usize) -> u8 {
        self.line.get(index).copied().unwrap_or(b'\n')
    }

    fn skip(&self, mut index: usize, which: impl Fn(u8) -> bool) -> usize {
        while index < self.line.len() && which(self.at(index)) {
            index += 1;
        }
        index
    }

    fn is_flag(&self) -> bool {
        self.name.starts_with('-')
    }

    /// Whether nothing but indentation, a dash, a quote or `export` stands before the name.
    fn begins_line(&self) -> bool {
        let before = self.line.get(..self.start).unwrap_or_default();
        let before = std::str::from_utf8(before).unwrap_or("?").trim();
        matches!(before.trim_end_matches(['"', '\'']), "" | "-" | "export" | "set" | "#" | "declare -x" | "//" | ";")
    }

    /// The column of the name, past the dash of a list.
    fn indent(&self) -> usize {
        self.line.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    }

    fn read(&mut self) -> After {
        let is_space = |byte: u8| byte == b' ' || byte == b'\t' || byte == b'\r';
        // The name's own closing quote, and what it is escaped with.
        let quoted = self.skip(self.end, |byte| byte == b'\\' || byte == b'"' || byte == b'\'');
        let spaced = self.skip(quoted, is_space);
        let separator = self.at(spaced);
        if matches!(separator, b':' | b'=') && !(separator == b':' && self.at(spaced + 1) == b'/') {
            let mut value = spaced + 1;
            while matches!(self.at(value), b'=' | b'>' | b':') && value < spaced + 3 {
                value += 1;
            }
            let value = self.skip(value, is_space);
            return self.value(value, separator);
        }
        // A program's name, `htpasswd` too, is followed by its first option.
        let names_program = !self.is_flag() && self.at(spaced + 1) == b'-';
        if separator == 0 && spaced < self.line.len() && !names_program {
            return self.value(spaced + 1, b' ');
        }
        // Arguments of a list: `"--token", "abc"`.
        if quoted > self.end && separator == b',' {
            let value = self.skip(spaced + 1, is_space);
            if self.is_flag() && matches!(self.at(value), b'"' | b'\'' | b'\\') {
                return self.value(value, b' ');
            }
        }
        if self.is_flag() {
            let rest = self.skip(quoted, |byte| is_space(byte) || byte == b'\\');
            if rest >= self.line.len() || self.at(rest) == b'\n' {
                return After::NextItem;
            }
            // The next flag, and no value.
            if spaced > quoted && self.at(spaced) != b'-' {
                return self.value(spaced, b' ');
            }
            return After::Nothing;
        }
        if spaced > quoted && spaced < self.line.len() && self.is_keyword(spaced) {
            return self.value(spaced, b' ');
        }
        After::Nothing
    }

    /// Whether the name is a keyword that its value follows, as in keepalived's, haproxy's, redis' and netrc's files, or
    /// prose that quotes the value.
    fn is_keyword(&self, value: usize) -> bool {
        if self.name.eq_ignore_ascii_case("auth_pass") || self.name.eq_ignore_ascii_case("requirepass") {
            return true;
        }
        let is_password = names::is_password(self.name);
        let quote = self.skip(value, |byte| byte == b'\\');
        if is_password && matches!(self.at(quote), b'"' | b'\'') {
            return true;
        }
        let text = String::from_utf8_lossy(self.line.get(..self.line.len().min(4096)).unwrap_or_default()).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        // `--initial-cluster-token my-token \`: the value of a flag, and not the name of another.
        if words.first().is_some_and(|flag| flag.starts_with("--")) && words.get(1) == Some(&self.name) {
            return false;
        }
        let first = words.first().copied().unwrap_or_default();
        let is_netrc = is_password && (words.contains(&"login") || first == "user" || first == "machine");
        let early = words.iter().take(2).any(|word| word.trim_start_matches(['"', '\'']) == self.name);
        let plain = self.name.contains('_')
            || self.name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            || self.name.chars().all(|c| !c.is_ascii_lowercase());
        is_netrc || (early && words.len() <= 4 && plain)
    }

    /// The value that begins at `at`.
    fn value(&mut self, at: usize, separator: u8) -> After {
        let mut at = at;
        let rest = self.line.get(at..).unwrap_or_default();
        let trimmed = rest.trim_ascii();
        if trimmed.is_empty() {
            let block = After::Block { indent: self.indent(), literal: false };
            return if separator == b':' && self.begins_line() { block } else { After::Nothing };
        }
        // `|`, `>-`, `|2+`: a text on the lines that follow.
        let is_literal = matches!(trimmed.first(), Some(b'|' | b'>'))
            && trimmed.iter().skip(1).all(|byte| byte.is_ascii_digit() || b"+- #".contains(byte));
        if separator == b':' && is_literal {
            return After::Block { indent: self.indent(), literal: true };
        }
        // `!!str abc`, `&anchor abc`
        while matches!(self.at(at), b'!' | b'&') && separator == b':' {
            let word = self.skip(at, |byte| !byte.is_ascii_whitespace());
            let next = self.skip(word, |byte| byte == b' ');
            if next >= self.line.len() || self.at(next) == b'\n' {
                break;
            }
            if self.at(next) == b'|' || self.at(next) == b'>' {
                return After::Block { indent: self.indent(), literal: true };
            }
            at = next;
        }
        // C-like literals: b"...", r'...', @"..."
        if matches!(self.at(at), b'b' | b'r' | b'u' | b'@') && matches!(self.at(at + 1), b'"' | b'\'') {
            at += 1;
        }
        if self.at(at) == b'[' {
            return self.array(at + 1);
        }
        if self.at(at) == b'{' {
            return After::Nothing;
        }
        let slashes = self.skip(at, |byte| byte == b'\\') - at;
        let quote = self.at(at + slashes);
        if matches!(quote, b'"' | b'\'' | b'`') {
            let begin = at + slashes + 1;
            let end = closing(self.line, begin, slashes, quote);
            self.hit(begin, end, true);
            return if self.goes_on(begin, end, slashes, quote) {
                After::Quote { quote, slashes }
            } else {
                After::Nothing
            };
        }
        let end = self.bare_end(at, separator);
        // `"TOKEN=ab\`: the quote is around the name too, and closes on a later line.
        if let Some(quote) = self.opening()
            && self.at(end) == b'\\'
            && self.is_line_end(end + 1)
        {
            self.hit(at, end, false);
            return After::Quote { quote, slashes: 0 };
        }
        let continues = self.is_line_end(end) && is_continued(self.line.get(at..end).unwrap_or_default());
        // The line goes on, and the value begins there.
        if continues && end == at + 1 {
            return if separator == b'=' { After::NextItem } else { After::Nothing };
        }
        if self.is_prose(at, end, separator) {
            return After::Nothing;
        }
        self.hit(at, end, false);
        // Shell words that go on: `PASSWORD=ab"cd"`, and a value that continues on the next line.
        if self.at(end) == b'"' || self.at(end) == b'\'' {
            let begin = end + 1;
            let close = closing(self.line, begin, 0, self.at(end));
            if self.at(close) == self.at(end)
                && self.start > 0
                && self.at(self.start - 1) != self.at(end)
                && separator == b'='
            {
                self.hit(begin, close, true);
            }
        }
        // `PASSWORD=ab\`, of which the rest stands on the next line.
        if continues && separator == b'=' { After::NextItem } else { After::Nothing }
    }

    fn is_line_end(&self, at: usize) -> bool {
        matches!(self.line.get(at..).unwrap_or_default(), b"" | b"\n" | b"\r" | b"\r\n")
    }

    /// Whether what begins at `begin` and has no closing quote up to `end` has it on a later line: when a backslash continues
    /// the line, and in what a person or a program wrote as `name="...` at a line's beginning.
    fn goes_on(&self, begin: usize, end: usize, slashes: usize, quote: u8) -> bool {
        if !self.is_line_end(end) || quote == b'`' {
            return false;
        }
        let rest = self.line.get(begin..end).unwrap_or_default().trim_ascii_end();
        let continued = is_continued(rest);
        let says_nothing = rest.strip_suffix(b"\\").unwrap_or(rest).trim_ascii().is_empty();
        // `read -p "Password: " \`: the quote that was met closes another one.
        let before = self.line.get(..begin.saturating_sub(slashes + 1)).unwrap_or_default();
        let closes_another = memchr::memchr_iter(quote, before).count() % 2 == 1;
        if says_nothing && (closes_another || !continued) {
            return false;
        }
        continued || (slashes == 0 && self.begins_line())
    }

    /// The quote right before the name, when it is around the value as well.
    fn opening(&self) -> Option<u8> {
        let quote = self.at(self.start.checked_sub(1)?);
        let of_name_alone = self.at(self.end) == quote || self.at(self.end) == b'\\';
        (matches!(quote, b'"' | b'\'') && !of_name_alone).then_some(quote)
    }

    fn bare_end(&self, at: usize, separator: u8) -> usize {
        let line_end = || {
            let end = self.skip(at, |byte| byte != b'\n' && byte != b'\r' && byte != 0);
            let text = self.line.get(at..end).unwrap_or_default();
            let end = memchr::memmem::find(text, b" #").unwrap_or(text.len());
            let text = text.get(..end).unwrap_or_default().trim_ascii_end();
            // A word of its own that continues the line.
            let value = text.strip_suffix(b" \\").or_else(|| text.strip_suffix(b"\t\\")).map(<[u8]>::trim_ascii_end);
            at + value.filter(|value| !value.is_empty()).unwrap_or(text).len()
        };
        // `"token": 17}`: the quotes are the name's alone.
        if let Some(quote) = self.opening() {
            return self.skip(at, |byte| byte != quote && byte != b'\n' && byte != 0 && byte != b'\\');
        }
        if separator != b' ' && self.begins_line() && !self.is_flag() {
            let end = line_end();
            let value = self.line.get(at..end).unwrap_or_default();
            // `password = "x", user = "y"` is not at its line's end with the value.
            return if value.ends_with(b",") { end - 1 } else { end };
        }
        let mut end = at;
        while end < self.line.len() {
            match self.at(end) {
                byte if byte.is_ascii_whitespace() || byte == 0 => break,
                b'"' | b'\'' | b'`' | b'<' | b'&' | b';' | b'}' | b']' | b')' => break,
                b'\\' if matches!(self.at(end + 1), b'n' | b't' | b'r' | b'"' | b'\'' | b'\\') => break,
                b',' if separator == b':' || self.at(end + 1).is_ascii_whitespace() || self.is_next_key(end + 1) => {
                    break;
                }
                _ => end += 1,
            }
        }
        end
    }

    /// Whether `key=` or `key:` begins here.
    fn is_next_key(&self, at: usize) -> bool {
        let end = self.skip(at, |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        end > at && matches!(self.at(end), b'=' | b':')
    }

    /// `failed to get token: the server said`: a small word and another one after it.
    fn is_prose(&self, at: usize, end: usize, separator: u8) -> bool {
        let value = self.line.get(at..end).unwrap_or_default();
        let first = value.split(|byte| *byte == b' ').next().unwrap_or_default();
        let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_alphabetic);
        let next = self.line.get(at + first.len()..).unwrap_or_default();
        let followed = next.first() == Some(&b' ') && next.get(1).is_some_and(u8::is_ascii_alphabetic);
        separator == b':'
            && self.at(at - 1) == b' '
            && !names::is_password(self.name)
            && is_word(first)
            && followed
            && first.len() <= 16
    }

    /// Values of a list on one line.
    fn array(&mut self, mut at: usize) -> After {
        while at < self.line.len() && !matches!(self.at(at), b']' | b'{' | b'\n') {
            let byte = self.at(at);
            if matches!(byte, b'"' | b'\'') {
                let end = closing(self.line, at + 1, 0, byte);
                self.hit(at + 1, end, true);
                at = end + 1;
            } else if byte.is_ascii_whitespace() || byte == b',' || byte == b'\\' {
                at += 1;
            } else {
                let end = self.skip(at, |byte| !matches!(byte, b',' | b']' | b'\n' | b'"'));
                self.hit(at, end, false);
                at = end.max(at + 1);
            }
        }
        if self.is_line_end(at) { After::List } else { After::Nothing }
    }

    fn hit(&mut self, start: usize, end: usize, quoted: bool) {
        let value = self.line.get(start..end).unwrap_or_default();
        // The scheme of a header says what follows.
        let mut start = start;
        for scheme in ["basic ", "bearer ", "digest ", "token ", "negotiate "] {
            if value.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes())) {
                start += scheme.len();
            }
        }
        let value = self.line.get(start..end).unwrap_or_default();
        if !is_harmless(self.name, value, quoted) && !is_filled(value) {
            self.hits.push(Hit::new(start, end, "named-secret"));
        }
    }
}

/// Where the quote of this kind, escaped by so many backslashes, closes; the line's end when it does not.
pub(super) fn closing(line: &[u8], begin: usize, slashes: usize, quote: u8) -> usize {
    let mut at = begin;
    let mut run = 0;
    while let Some(byte) = line.get(at).copied().filter(|byte| *byte != b'\n') {
        if byte == quote && (run == slashes || (quote == b'\'' && slashes == 0) || (slashes == 0 && run % 2 == 0)) {
            return at - run.min(slashes);
        }
        run = if byte == b'\\' { run + 1 } else { 0 };
        at += 1;
    }
    at
}

/// Whether a backslash ends the text that is not escaped by another one.
pub(super) fn is_continued(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Values that are none: switches, references to a variable, and what etcd takes for `--auth-token`.
fn is_harmless(name: &str, value: &[u8], quoted: bool) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let text = text.trim().trim_end_matches([';', ',']);
    let lower = text.to_ascii_lowercase();
    let switches = [
        "", "y", "n", "m", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "~", "enabled",
        "disabled", "<nil>", "[]", "{}", "-", "(", "|", ">",
    ];
    if switches.contains(&lower.as_str()) || lower == "<redacted>" || lower == "<masked>" {
        return true;
    }
    let is_variable_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let variable = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or_else(|| text.strip_prefix('$'));
    if variable.is_some_and(is_variable_name) || (text.starts_with("$(") && text.ends_with(')')) {
        return true;
    }
    let name = name.trim_matches('-').to_ascii_lowercase().replace('_', "-");
    if name.ends_with("auth-token") && (text == "simple" || text.starts_with("jwt,")) {
        return true;
    }
    // nsswitch.conf says where passwd is looked up.
    let databases = ["files", "compat", "systemd", "sss", "ldap", "db", "nis", "winbind", "altfiles", "cache"];
    if name == "passwd" && text.split_whitespace().all(|word| databases.contains(&word) || word.starts_with('[')) {
        return true;
    }
    if name.ends_with("tokens") && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    // `downloading the secret: Secret "kubeadm-certs" was not found`: the kind of an object, in an apiserver's error.
    if name == "secret" && text == "Secret" {
        return true;
    }
    // A file beside the name of one, and a time, are no secrets.
    !quoted && (text == "=" || text == ":")
}
