//! TOML as scalars by their dotted path: containerd's and CRI-O's configuration.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;
use super::words::{Spans, join_key};
use crate::origin::Span;

/// Tables nested deeper than any real configuration; also bounds the recursion.
const DEPTH_LIMIT: usize = 64;

/// Scalars as text by their path (`plugins."io.containerd.grpc.v1.cri".sandbox_image`, array items as `key.0`), each with
/// the span of its text without quotes. A file with errors gives what could be read besides them.
pub fn flatten(text: &str) -> (BTreeMap<String, (String, Span)>, Vec<Problem>) {
    // A key of very many parts becomes as many nested tables, which the parser builds and drops recursively.
    if let Some(number) = text.lines().position(|line| line.matches('.').count() > 512) {
        let start = text.split_inclusive('\n').take(number).map(str::len).sum();
        let span = Span::of(text, start, start);
        return (BTreeMap::new(), vec![Problem::new(Some(span), "a line with more than 512 dots is not read")]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut found = Vec::new();
    let mut problems = Vec::new();
    walk_table(text, table.get_ref(), "", 0, &mut found, &mut problems);
    for error in errors {
        let span = error.span().map(|span| Span::of(text, span.start, span.end));
        problems.push(Problem::new(span, error.message()));
    }
    found.sort_by_key(|(_, _, start, _)| *start);
    let mut spans = Spans::new(text);
    let values = found.into_iter().map(|(path, value, start, end)| (path, (value, spans.span(start, end)))).collect();
    (values, problems)
}

type Found = Vec<(String, String, usize, usize)>;

fn walk_table(
    text: &str,
    table: &DeTable<'_>,
    path: &str,
    depth: usize,
    found: &mut Found,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in table {
        walk(text, value, join_key(path, key.get_ref()), depth, found, problems);
    }
}

fn walk(
    text: &str,
    value: &Spanned<DeValue<'_>>,
    path: String,
    depth: usize,
    found: &mut Found,
    problems: &mut Vec<Problem>,
) {
    let range = value.span();
    if depth >= DEPTH_LIMIT {
        let span = Span::of(text, range.start, range.start);
        problems.push(Problem::new(Some(span), format!("tables nested more than {DEPTH_LIMIT} deep are not read")));
        return;
    }
    let raw = text.get(range.clone()).unwrap_or("");
    let scalar = match value.get_ref() {
        DeValue::Table(table) => return walk_table(text, table, &path, depth + 1, found, problems),
        DeValue::Array(array) => {
            for (index, item) in array.iter().enumerate() {
                walk(text, item, format!("{path}.{index}"), depth + 1, found, problems);
            }
            return;
        }
        DeValue::String(string) => string.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(_) | DeValue::Datetime(_) => raw.to_owned(),
    };
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .iter()
        .find(|quote| raw.len() >= 2 * quote.len() && raw.starts_with(**quote) && raw.ends_with(**quote));
    let trim = quotes.map_or(0, |quote| quote.len());
    found.push((path, scalar, range.start + trim, range.end - trim));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_paths_and_spans() {
        let text = "version = 2\ndisabled_plugins = [\"cri\", 'x']\n[plugins.'io.containerd.grpc.v1.cri']\n  sandbox_image = \
                    \"registry.k8s.io/pause:3.9\" # c\n  a.b = true\n  t = { n = 1.5 }\n[[list]]\nk = \"\"\n";
        let (values, problems) = flatten(text);
        assert_eq!(problems, []);
        for (path, expected, line) in [
            ("version", "2", 1),
            ("disabled_plugins.0", "cri", 2),
            ("disabled_plugins.1", "x", 2),
            ("plugins.\"io.containerd.grpc.v1.cri\".sandbox_image", "registry.k8s.io/pause:3.9", 4),
            ("plugins.\"io.containerd.grpc.v1.cri\".a.b", "true", 5),
            ("plugins.\"io.containerd.grpc.v1.cri\".t.n", "1.5", 6),
            ("list.0.k", "", 8),
        ] {
            let (value, span) = &values[path];
            assert_eq!(value, expected, "{path}");
            assert_eq!(&text[span.start..span.end], expected, "{path}");
            assert_eq!(span.line, line, "{path}");
        }
        assert_eq!(values.len(), 7);
    }

    #[test]
    fn broken_files_say_where() {
        for (text, line) in [
            ("a = 1\na = 2\n", 2),
            ("a = 1\nb = \n", 2),
            ("[plugins\n", 1),
            ("a = \"x\n", 1),
            ("a = 1\n[a.b]\nc = 1\n", 2),
        ] {
            let (_, problems) = flatten(text);
            assert!(!problems.is_empty(), "{text}");
            assert_eq!(problems[0].span.unwrap().line, line, "{text}: {problems:?}");
        }
        assert_eq!(flatten("a = 1\n[plugins\n").0["a"].0, "1");
    }

    #[test]
    fn depth_is_limited() {
        for text in [
            format!("a{} = 1", ".a".repeat(100_000)),
            format!("a{} = 1", ".a".repeat(300)),
            format!("a = {}", "[".repeat(100_000)),
            format!("[{}a]", "a.".repeat(200_000)),
            format!("a = {}", "{a=".repeat(100_000)),
        ] {
            assert!(!flatten(&text).1.is_empty(), "{}", &text[..10]);
        }
    }
}
