//! Markdown as cards use it, for reading in a terminal: headings, paragraphs, lists, quotes, code. What is not understood is
//! shown as it stands. Code is never wrapped, so that it can be copied.

use super::paint::Paint;
use super::text::{escape, wrap};

/// The text in lines of at most `width` columns, ending in a line end.
pub fn to_terminal(markdown: &str, width: usize, paint: Paint) -> String {
    let mut out = String::new();
    let mut block = Block::default();
    let mut fence: Option<&str> = None;
    for line in markdown.lines() {
        if let Some(mark) = fence {
            if line.trim_start().starts_with(mark) {
                fence = None;
            } else {
                out.push_str(format!("    {}", escape(line)).trim_end());
                out.push('\n');
            }
            continue;
        }
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
            block.flush(width, paint, &mut out);
            fence = Some(mark);
        } else if trimmed.is_empty() {
            block.flush(width, paint, &mut out);
            if !out.ends_with("\n\n") && !out.is_empty() {
                out.push('\n');
            }
        } else if trimmed.starts_with('#') {
            block.flush(width, paint, &mut out);
            out.push_str(&paint.heading(&escape(trimmed.trim_start_matches('#').trim())));
            out.push('\n');
        } else if trimmed.starts_with('|') {
            // A table stays as it was laid out.
            block.flush(width, paint, &mut out);
            out.push_str(&escape(line));
            out.push('\n');
        } else if let Some(bullet) = bullet(trimmed) {
            block.flush(width, paint, &mut out);
            block.first = format!("{}{}", " ".repeat(indent.min(12) + 2), &trimmed[..bullet]);
            block.rest = " ".repeat(block.first.len());
            block.text = trimmed[bullet..].trim().to_owned();
        } else if indent >= 4 && block.text.is_empty() {
            out.push_str(&escape(line));
            out.push('\n');
        } else {
            if !block.text.is_empty() {
                block.text.push('\n');
            }
            block.text.push_str(trimmed.trim_end());
        }
    }
    block.flush(width, paint, &mut out);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The length of a list item's mark with the space behind it.
fn bullet(line: &str) -> Option<usize> {
    let mark = match line.as_bytes().first()? {
        b'-' | b'*' | b'+' | b'>' => 1,
        b'0'..=b'9' => {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            (digits <= 3 && matches!(line.as_bytes().get(digits), Some(b'.' | b')'))).then_some(digits + 1)?
        }
        _ => return None,
    };
    (line.as_bytes().get(mark) == Some(&b' ')).then_some(mark + 1)
}

/// A paragraph or a list item while its lines come in.
#[derive(Default)]
struct Block {
    first: String,
    rest: String,
    text: String,
}

impl Block {
    fn flush(&mut self, width: usize, paint: Paint, out: &mut String) {
        let block = std::mem::take(self);
        if block.text.is_empty() {
            return;
        }
        let text = join_lines(&block.text);
        for (index, line) in wrap(&escape(&text), width.saturating_sub(block.rest.len())).iter().enumerate() {
            out.push_str(if index == 0 { &block.first } else { &block.rest });
            out.push_str(&inline(line, paint));
            out.push('\n');
        }
    }
}

/// A paragraph's lines in one; between two of Chinese there is no space.
fn join_lines(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for line in text.lines() {
        let wide = |character: Option<char>| character.is_some_and(|character| super::text::columns_of(character) == 2);
        let chinese = wide(joined.chars().next_back()) && wide(line.chars().next());
        if !joined.is_empty() && !chinese {
            joined.push(' ');
        }
        joined.push_str(line);
    }
    joined
}

/// Inline code and strong text of one line; without colour the marks stay, since they carry the meaning then.
fn inline(line: &str, paint: Paint) -> String {
    if !paint.colour {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        let Some(length) = rest[at + 1..].find('`') else { break };
        out.push_str(&rest[..at]);
        out.push_str(&paint.strong(&rest[at + 1..at + 1 + length]));
        rest = &rest[at + length + 2..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_a_card() {
        let markdown = "## What it means\n\netcd opens its sockets\nbefore `anything` else.\n\n- one item that is long\n  enough to wrap\n- two\n\n```sh\nsed -i 's#a#b#' /a/long/path/that/is/not/wrapped/ever\n```\n\n1. first\n";
        let expected = "What it means\n\netcd opens its sockets before\n`anything` else.\n\n  - one item that is long\n    enough to wrap\n  - two\n\n    sed -i 's#a#b#' /a/long/path/that/is/not/wrapped/ever\n\n  1. first\n";
        assert_eq!(to_terminal(markdown, 30, Paint { colour: false }), expected);
    }

    #[test]
    fn paints_code_and_survives_a_lone_mark() {
        let painted = to_terminal("use `ip address` or `", 80, Paint { colour: true });
        assert_eq!(painted, "use \x1b[1mip address\x1b[0m or `\n");
        assert_eq!(to_terminal("```\nopen", 80, Paint { colour: false }), "    open\n");
        assert_eq!(to_terminal("中文\n换行", 80, Paint { colour: false }), "中文换行\n");
    }
}
