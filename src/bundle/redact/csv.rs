//! Tables with commas: the apiserver's static tokens and passwords, and others whose first line names a secret.

use super::{Hit, is_filled, names};

/// Which columns of a table are secret.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Vec<usize>,
    /// Fields of the header; a line with another number is none of the table's.
    fields: usize,
    separator: u8,
}

impl Table {
    /// The table that a file of this path is: of known_tokens.csv and basic_auth.csv the first column is secret.
    pub fn of_path(path: &str) -> Table {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let is_known = ["token", "basic_auth", "basic-auth", "basicauth", "password", "users"]
            .iter()
            .any(|word| name.contains(word));
        let is_table = name.ends_with(".csv") || name == "known_tokens" || name == "basic_auth";
        if is_known && is_table { Table { columns: vec![0], fields: 0, separator: b',' } } else { Table::default() }
    }

    pub fn is_active(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Finds the secrets of a line, or learns that it is a table's header.
    pub fn find(&mut self, line: &[u8], hits: &mut Vec<Hit>) {
        let fields = fields(line, self.separator);
        if self.is_active() && (self.fields == 0 || fields.len() == self.fields) {
            for column in &self.columns {
                let Some((start, end)) = fields.get(*column).copied() else { continue };
                let value = line.get(start..end).unwrap_or_default();
                if fields.len() > 1 && !value.starts_with(b"#") && !is_filled(value) {
                    hits.push(Hit::new(start, end, "table-of-secrets"));
                }
            }
            return;
        }
        if self.fields > 0 {
            *self = Table::default();
        }
        // A token, a name, an id: as the apiserver reads them, in a file of any name.
        if memchr::memchr_iter(b',', line).take(2).count() < 2 {
            return;
        }
        let all = self::fields(line, b',');
        if let [(start, end), _, (id, id_end), ..] = all.as_slice()
            && (3..=4).contains(&all.len())
            && end - start >= 8
            && !line
                .get(*start..*end)
                .unwrap_or_default()
                .iter()
                .any(|byte| byte.is_ascii_whitespace() || b"=:/{\"[(".contains(byte))
            && line.get(*start..*end).unwrap_or_default().iter().any(u8::is_ascii_digit)
            && !line.get(*id..*id_end).unwrap_or_default().iter().any(u8::is_ascii_whitespace)
        {
            hits.push(Hit::new(*start, *end, "table-of-secrets"));
        }
    }

    /// Whether the line is a header by which [`Table::learn`] would learn something.
    pub fn would_learn(mut self, line: &[u8]) -> bool {
        self.learn(line);
        self.is_active()
    }

    /// Looks at a line that may be a header: names with commas, one of which is a secret's.
    pub fn learn(&mut self, line: &[u8]) {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_- .,;\t\"\r".contains(byte);
        if !line.iter().all(is_plain) {
            return;
        }
        for separator in [b',', b';', b'\t'] {
            let all = fields(line, separator);
            let name = |(start, end): &(usize, usize)| {
                let text =
                    line.get(*start..*end).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or("").trim();
                let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_- .".contains(c));
                (plain && text.len() < 64).then(|| text.to_owned())
            };
            let names: Vec<String> = all.iter().filter_map(name).collect();
            if all.len() < 2 || names.len() != all.len() {
                continue;
            }
            let secret = |(at, name): (usize, &String)| names::is_secret(name).then_some(at);
            let columns: Vec<usize> = names.iter().enumerate().filter_map(secret).collect();
            if !columns.is_empty() {
                *self = Table { columns, fields: all.len(), separator };
                return;
            }
        }
    }
}

/// Where the fields are, without the quotes around them.
fn fields(line: &[u8], separator: u8) -> Vec<(usize, usize)> {
    let line = line.trim_ascii_end();
    let mut fields = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (at, byte) in line.iter().enumerate().chain([(line.len(), &separator)]) {
        if *byte == b'"' && at < line.len() {
            quoted = !quoted;
        } else if (*byte == separator && !quoted) || at == line.len() {
            let field = line.get(start..at).unwrap_or_default();
            let is_quoted = field.len() >= 2 && field.starts_with(b"\"") && field.ends_with(b"\"");
            fields.push(if is_quoted { (start + 1, at - 1) } else { (start, at) });
            start = at + 1;
        }
        if fields.len() > 64 {
            break;
        }
    }
    fields
}
