//! Commands that change a value where it stands: the file that holds the text, which is not always the one that uses it.

use std::collections::BTreeMap;

use crate::facts::Host;
use crate::origin::{Origin, Place, Span};

/// A text in a file that is to be replaced by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub file: String,
    line: u32,
    /// What stands before the text in its line and has to be matched too, for the text to be found there only.
    before: String,
    old: String,
    new: String,
    /// Whether the text is a variable's value, which others may use as well.
    pub shared: bool,
}

/// The edit that puts `new` in the place of `old`, where the value of this origin is `old` or has it within. When a
/// variable supplied a part of the value, `piece` is what is replaced in the variable's own definition. None when the text
/// is not to be found where it should stand.
pub fn edit(host: &Host, origin: &Origin, old: (&str, &str), piece: (&str, &str)) -> Option<Edit> {
    if let Some(edit) = at(host, &origin.place, old, origin.via.is_some()) {
        return Some(edit);
    }
    at(host, &origin.via.as_ref()?.place, piece, true)
}

fn at(host: &Host, place: &Place, (old, new): (&str, &str), shared: bool) -> Option<Edit> {
    let Place::File { path, span: Some(span) } = place else { return None };
    let text = &host.texts.get(&**path)?.text;
    let start = within(text, *span, old)?;
    let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let line_text = text[line_start..].lines().next()?;
    let from = start - line_start;
    // From the word's beginning, so that it says which flag it is; further back while the same stands before it.
    let word = line_text[..from].rfind([' ', '\t', '"', '\'']).map_or(0, |at| at + 1);
    let mut begin = word;
    while line_text.find(&line_text[begin..from + old.len()]) != Some(begin) {
        let earlier = line_text[..begin].trim_end_matches([' ', '\t', '"', '\'']);
        begin = earlier.rfind([' ', '\t', '"', '\'']).map_or(0, |at| at + 1);
    }
    let before = line_text[begin..from].to_owned();
    // A quote would end the shell's word, and nobody can paste a control character.
    // Words before the text's own are repeated only from a line without secrets.
    if may_hold_secret(if begin < word { line_text } else { &before }) || may_hold_secret(old) {
        return None;
    }
    let is_plain = |text: &str| !text.contains('\'') && !text.chars().any(|c| c.is_control() && c != '\t');
    (is_plain(&before) && is_plain(old) && is_plain(new)).then(|| Edit {
        file: path.to_string(),
        line: memchr::memchr_iter(b'\n', &text.as_bytes()[..start]).count() as u32 + 1,
        before,
        old: old.to_owned(),
        new: new.to_owned(),
        shared,
    })
}

/// Whether a text has credentials in a URL or names a password: no command repeats that.
fn may_hold_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase().replace("cluster-token", "").replace("cluster_token", "");
    text.contains('@') || ["token", "passw", "secret"].iter().any(|name| text.contains(name))
}

/// Where `old` begins in the span's text.
fn within(text: &str, span: Span, old: &str) -> Option<usize> {
    if old.is_empty() {
        return None;
    }
    let inside = text.get(span.start..span.end)?;
    Some(span.start + inside.find(old)?)
}

/// One command for all edits: `sed -i '25s#--a=1#--a=2#' FILE`, joined by `&&` for several files. None without edits.
pub fn command(edits: &[Edit]) -> Option<String> {
    let mut by_file: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for edit in edits {
        let expression = format!(
            "{}s#{}#{}#",
            edit.line,
            escaped(&format!("{}{}", edit.before, edit.old), "\\*[]^$#"),
            escaped(&format!("{}{}", edit.before, edit.new), "\\&#")
        );
        let expressions = by_file.entry(&edit.file).or_default();
        if !expressions.contains(&expression) {
            expressions.push(expression);
        }
    }
    let commands: Vec<String> = by_file
        .iter()
        .map(|(file, expressions)| {
            let expressions: Vec<String> = expressions.iter().map(|text| format!("'{text}'")).collect();
            let file = quoted(file);
            match expressions.as_slice() {
                [one] => format!("sed -i {one} {file}"),
                many => format!("sed -i -e {} {file}", many.join(" -e ")),
            }
        })
        .collect();
    (!commands.is_empty()).then(|| commands.join(" && "))
}

/// The command that adds an item to a YAML list before the one at this origin, which has a line of its own.
pub fn item_before(host: &Host, origin: &Origin, item: &str) -> Option<String> {
    let (path, span) = (origin.path()?, origin.span()?);
    let text = &host.texts.get(path)?.text;
    let before = &text.get(..span.start)?;
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let is_item = before[line_start..].trim_matches([' ', '"', '\'']) == "-";
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    let item = escaped(item, "\\&#");
    (is_item && !item.contains('\'')).then(|| format!("sed -i '{line}s#^ *- #&{item}\\n&#' {}", quoted(path)))
}

/// The command that adds an entry to a YAML map behind the one whose value is at this origin, which has a line of its own.
pub fn entry_after(host: &Host, origin: &Origin, entry: &str) -> Option<String> {
    let (path, span) = (origin.path()?, origin.span()?);
    let before = host.texts.get(path)?.text.get(..span.start)?;
    let key = before.lines().next_back()?.trim_start_matches(' ').trim_end_matches(['"', '\'']).trim_end();
    let is_key = key.strip_suffix(':').is_some_and(|key| key.chars().all(|c| c.is_ascii_alphanumeric()));
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    let entry = escaped(entry, "\\&#");
    (is_key && !entry.contains('\'')).then(|| format!("sed -i '{line}s#^\\( *\\).*#&\\n\\1{entry}#' {}", quoted(path)))
}

fn escaped(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A path as a shell's word.
pub fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:+=,%".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collect::TextFile;

    fn host(path: &str, text: &str) -> Host {
        let mut host = Host::empty("m1");
        let file = TextFile { path: path.into(), text: text.to_owned(), lossy: false };
        host.texts.insert(path.to_owned(), Arc::new(file));
        host
    }

    fn origin(text: &str, of: &str) -> Origin {
        let start = text.find(of).unwrap();
        Origin::file("/f", Some(Span::of(text, start, start + of.len())))
    }

    #[test]
    fn edits_the_flag_and_nothing_else() {
        for (why, text, at, old, new, expected) in [
            (
                "a manifest",
                "a\n    - --listen-peer-urls=https://203.0.113.12:2380\n",
                "https://203.0.113.12:2380",
                "https://203.0.113.12:2380",
                "https://10.0.0.1:2380",
                Some(
                    r"sed -i '2s#--listen-peer-urls=https://203.0.113.12:2380#--listen-peer-urls=https://10.0.0.1:2380#' /f",
                ),
            ),
            (
                "the same URL stands before it in the line",
                "etcd --advertise http://1.1.1.1:1 --listen http://1.1.1.1:1\n",
                "--listen http://1.1.1.1:1",
                "http://1.1.1.1:1",
                "http://2.2.2.2:1",
                Some(r"sed -i '1s#--listen http://1.1.1.1:1#--listen http://2.2.2.2:1#' /f"),
            ),
            (
                "brackets",
                "X=http://[2001:db8::1]:2380\n",
                "http://[2001:db8::1]:2380",
                "http://[2001:db8::1]:2380",
                "http://[::]:2380",
                Some(r"sed -i '1s#X=http://\[2001:db8::1\]:2380#X=http://[::]:2380#' /f"),
            ),
            ("another text", "X=${IP}\n", "${IP}", "1.1.1.1", "2.2.2.2", None),
            ("a quote within", "X=a'b\n", "a'b", "a'b", "c", None),
            ("credentials", "http://u:p@1.1.1.1:1\n", "http://u:p@1.1.1.1:1", "http://u:p@1.1.1.1:1", "c", None),
            (
                "a password before it that would have to be repeated",
                "--url http://1.1.1.1 --password p http://1.1.1.1\n",
                "p http://1.1.1.1",
                "http://1.1.1.1",
                "c",
                None,
            ),
        ] {
            let origin = origin(text, at);
            let found = edit(&host("/f", text), &origin, (old, new), ("", ""));
            assert_eq!(found.and_then(|edit| command(&[edit])).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn edits_the_variable_that_supplied_a_part() {
        let text = "IP=203.0.113.12\n";
        let unit = Origin::file("/u", Some(Span { start: 0, end: 3, line: 1, column: 1 }));
        let origin = unit.with_via(origin(text, "203.0.113.12"));
        let urls = ("http://203.0.113.12:2380", "http://10.0.0.1:2380");
        let found = edit(&host("/f", text), &origin, urls, ("203.0.113.12", "10.0.0.1")).unwrap();
        assert!(found.shared);
        assert_eq!(command(&[found]).unwrap(), r"sed -i '1s#IP=203.0.113.12#IP=10.0.0.1#' /f");
        assert_eq!(quoted("/a b"), "'/a b'");
    }

    #[test]
    fn several_edits_are_one_command() {
        let text = "--a=1\n--b=1\n";
        let host = host("/f", text);
        let edits: Vec<Edit> = ["--a=1", "--b=1"]
            .iter()
            .map(|flag| edit(&host, &origin(text, flag), ("1", "2"), ("", "")).unwrap())
            .collect();
        assert_eq!(command(&edits).unwrap(), "sed -i -e '1s#--a=1#--a=2#' -e '2s#--b=1#--b=2#' /f");
        assert_eq!(command(&[]), None);
    }
}
