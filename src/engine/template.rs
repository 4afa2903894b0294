//! Texts of cards with values filled in: `{address}` needs the value, `{address|ADDRESS}` shows `<ADDRESS>` without it,
//! `{address|}` nothing, and `{{` and `}}` are braces. A text whose values are not all known is not shown at all.

use std::collections::BTreeMap;

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Value { name: &'a str, otherwise: Option<&'a str> },
}

/// The names of values that a template uses. The error says what is wrong with it.
pub fn names(template: &str) -> Result<Vec<String>, String> {
    Ok(pieces(template)?
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Value { name, .. } => Some(name.to_owned()),
            Piece::Text(_) => None,
        })
        .collect())
}

/// The template with its values, or none when one that it needs is not known.
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let mut filled = String::with_capacity(template.len() + 32);
    for piece in pieces(template).ok()? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Value { name, otherwise } => match (values.get(name), otherwise) {
                (Some(value), _) => filled.push_str(value),
                (None, Some("")) => {}
                (None, Some(otherwise)) => {
                    filled.push('<');
                    filled.push_str(otherwise);
                    filled.push('>');
                }
                (None, None) => return None,
            },
        }
    }
    Some(filled)
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, tail) = rest.split_at(at);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if tail.starts_with("{{") || tail.starts_with("}}") {
            pieces.push(Piece::Text(&tail[..1]));
            rest = &tail[2..];
            continue;
        }
        let Some(inner) = tail.strip_prefix('{') else {
            return Err(format!("a single `}}` in {template:?}: write `}}}}`"));
        };
        let end = inner.find('}').ok_or_else(|| format!("`{{` is not closed in {template:?}"))?;
        let (name, otherwise) = match inner[..end].split_once('|') {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (&inner[..end], None),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            return Err(format!(
                "`{{{name}}}` in {template:?} is no value's name: braces themselves are `{{{{` and `}}}}`"
            ));
        }
        pieces.push(Piece::Value { name, otherwise });
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_values_or_says_that_it_cannot() {
        let values = BTreeMap::from([("host".to_owned(), "m2".to_owned())]);
        let table = [
            ("on {host}", Some("on m2")),
            ("{host} {gateway}", None),
            ("{host} {gateway|GATEWAY}", Some("m2 <GATEWAY>")),
            ("awk '{{ print }}' {host}", Some("awk '{ print }' m2")),
            ("plain", Some("plain")),
            ("broken {host", None),
        ];
        for (template, expected) in table {
            assert_eq!(fill(template, &values).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn a_bad_template_is_named() {
        for bad in ["{", "}", "{Host}", "{a b}", "{}"] {
            assert!(names(bad).is_err(), "{bad}");
        }
        assert_eq!(names("{a} {b|B}").unwrap(), ["a", "b"]);
    }
}
