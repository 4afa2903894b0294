//! JSON on one line: the data of Kubernetes Secrets, and lists of names with values.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Hit, is_filled, names};

static KIND: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)kind[\\"']*\s*:\s*[\\"']*(?:Secret|SecretList)(?:[\\"',\s}]|$)"#).ok());
static DATA: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:data|stringData|binaryData)(?P<slashes>\\*)["']?\s*:\s*\{"#).ok());
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)(?P<q>\\*["'])(?:name|key|label)\\*["']\s*:\s*\\*["'](?P<name>[A-Za-z0-9_.-]{1,200})\\*["']\s*,\s*"#,
        r#"\\*["']value\\*["']\s*:\s*(?P<open>\\*["'])"#
    ))
    .ok()
});
static WORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\\*["'](?P<value>(?:[^"'\\]|\\+[^"'\\])*)"#).ok());

/// Whether the text says that it is a Secret.
pub(super) fn is_secret_kind(text: &[u8]) -> bool {
    match KIND.as_ref() {
        Some(kind) => kind.is_match(text),
        None => true,
    }
}

/// Finds the values of Secrets and of named secrets in a line.
pub(super) fn find(line: &[u8], hits: &mut Vec<Hit>) -> bool {
    let (Some(data), Some(named), Some(word)) = (DATA.as_ref(), NAMED.as_ref(), WORD.as_ref()) else { return false };
    if is_secret_kind(line) {
        for found in data.find_iter(line) {
            let object = line.get(found.end()..).unwrap_or_default();
            let end = memchr::memchr(b'}', object).unwrap_or(object.len());
            values(object.get(..end).unwrap_or_default(), found.end(), word, hits);
        }
    }
    for captures in named.captures_iter(line) {
        let Some(name) = captures.name("name").and_then(|name| std::str::from_utf8(name.as_bytes()).ok()) else {
            continue;
        };
        let Some(open) = captures.name("open").filter(|_| names::is_secret(name)) else { continue };
        let rest = line.get(open.end()..).unwrap_or_default();
        let end = memchr::memmem::find(rest, open.as_bytes()).unwrap_or(rest.len());
        if !is_filled(rest.get(..end).unwrap_or_default()) {
            hits.push(Hit::new(open.end(), open.end() + end, "named-secret"));
        }
    }
    true
}

/// Every second quoted text of an object is a value.
fn values(object: &[u8], offset: usize, word: &Regex, hits: &mut Vec<Hit>) {
    let mut is_value = false;
    let mut at = 0;
    while let Some(captures) = object.get(at..).and_then(|rest| word.captures(rest)) {
        let (Some(whole), Some(value)) = (captures.get(0), captures.name("value")) else { break };
        if is_value && !is_filled(value.as_bytes()) {
            hits.push(Hit::new(offset + at + value.start(), offset + at + value.end(), "kubernetes-secret"));
        }
        is_value = !is_value;
        // Past the closing quote and what it is escaped with.
        let rest = object.get(at + whole.end()..).unwrap_or_default();
        at += whole.end() + rest.iter().take_while(|byte| **byte == b'\\').count() + 1;
    }
}
