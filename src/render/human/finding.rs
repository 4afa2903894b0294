//! One root cause with what it causes, how to mend it and how to see that it is mended.

use annotate_snippets::{Element, Group, Level, Padding, Renderer};

use super::Context;
use super::evidence::Note;
use super::snippet::{LAST_COLUMN, Mark, Window, windows};
use super::words::Words;
use crate::collect::TextFile;
use crate::origin::{Origin, Place};
use crate::render::text::{columns, escape, escape_lines, to_complete, wrap};
use crate::report::secret::is_key;
use crate::report::{Confidence, Evidence, EvidenceKind, Finding, Fix, Risk, Severity};

/// What is shown of a kind of evidence without --verbose.
const PIECES: usize = 5;
/// Deeper consequences are not indented further.
const DEPTH: usize = 8;
/// Places that a value came through that are followed.
const VIA: usize = 4;

/// Renders the finding at `root` and everything that it explains.
pub fn render(context: &Context<'_>, root: usize, out: &mut String) {
    let Some(finding) = context.report.findings.get(root) else { return };
    diagnostic(context, finding, out);
    let below = descendants(context, root);
    tree(context, &below, out);
    if let Some(fix) = &finding.fix {
        render_fix(context, finding, fix, out);
    }
    let (words, paint) = (context.words, context.paint);
    if !finding.verify.is_empty() {
        out.push_str(&format!("{}:\n", paint.heading(words.pick("verify", "验证"))));
        finding.verify.iter().for_each(|command| push_command(command, words, out));
    }
    out.push_str(&format!(
        "{}: k8sdoctor explain {}\n",
        paint.heading(words.pick("more", "详情")),
        escape(&finding.rule)
    ));
    if context.options.verbose {
        for (_, index) in below {
            out.push('\n');
            diagnostic(context, &context.report.findings[index], out);
        }
    }
}

/// Header, source lines and notes.
fn diagnostic(context: &Context<'_>, finding: &Finding, out: &mut String) {
    let mut evidence = Vec::new();
    let mut notes: Vec<Note> = Vec::new();
    let mut marks: Vec<Mark<'_>> = Vec::new();
    let limit = if context.options.verbose { usize::MAX } else { PIECES };
    let mut left_out = 0;
    for piece in &finding.evidence {
        let before = marks.len();
        if piece.kind != EvidenceKind::Log {
            add_marks(context, piece, &mut marks, &mut notes);
        }
        if marks.len() > before {
            // Another mark at the same text would only repeat the underline.
            let same =
                |a: &Mark<'_>, b: &Mark<'_>| (a.host, a.path, a.span, &a.label) == (b.host, b.path, b.span, &b.label);
            if marks[..before].iter().any(|mark| same(mark, &marks[before])) {
                marks.truncate(before);
            } else if before >= limit {
                marks.truncate(before);
                left_out += 1;
            }
        } else {
            evidence.push(piece);
        }
    }
    let word = |english, chinese| context.words.pick(english, chinese).to_owned();
    let note = word("note", "说明");
    if finding.hosts.len() > 1 {
        let hosts = finding.hosts.iter().map(|host| escape(host)).collect::<Vec<_>>().join(", ");
        notes.push((word("hosts", "主机"), hosts));
    }
    notes.extend(finding.notes.iter().map(|text| (note.clone(), escape_lines(text))));
    // Without any text to underline, the place of the first piece stands below the title all the same.
    let alone = marks
        .is_empty()
        .then(|| finding.evidence.first())
        .flatten()
        .filter(|first| first.kind != EvidenceKind::Log && matches!(first.origin.place, Place::File { .. }));
    left_out += evidence.len().saturating_sub(limit);
    for piece in evidence.into_iter().take(limit) {
        if alone.is_some_and(|alone| std::ptr::eq(alone, piece)) {
            if !piece.label.is_empty() {
                notes.insert(0, (note.clone(), escape(&piece.label)));
            }
            continue;
        }
        notes.push(match piece.kind {
            EvidenceKind::Log => context.log_note(finding, piece),
            _ => context.plain_note(piece),
        });
    }
    if finding.confidence == Confidence::Low {
        notes.push((note.clone(), word("this is a hint, not a proof", "这只是线索，并非定论")));
    }
    if left_out > 0 {
        let more = context.words.count(
            left_out,
            "more piece of evidence: --verbose shows it",
            "more pieces of evidence: --verbose shows them",
            "条证据未显示：--verbose 可全部显示",
        );
        notes.push((note, more));
    }
    out.push_str(&draw(context, finding, windows(marks), alone, notes));
    out.push('\n');
}

/// The places to underline for a piece of evidence: where the value stands, and where it came from. What cannot be
/// underlined, because it is no text or the text is not at hand, is none.
fn add_marks<'a>(context: &Context<'a>, piece: &'a Evidence, marks: &mut Vec<Mark<'a>>, notes: &mut Vec<Note>) {
    let Some(mut mark) = mark_of(context, &piece.host, &piece.origin, &piece.label) else { return };
    mark.primary = marks.is_empty();
    // Labels are not wrapped where they stand.
    if columns(&mark.label) > (context.options.width * 3 / 5).max(40) {
        notes.push((context.words.pick("note", "说明").to_owned(), escape(&std::mem::take(&mut mark.label))));
    }
    marks.push(mark);
    let word = context.words.pick("its value comes from here", "取值来自这里");
    let mut via = piece.origin.via.as_deref();
    for _ in 0..VIA {
        let Some(origin) = via else { break };
        match mark_of(context, &piece.host, origin, word) {
            Some(mark) => marks.push(mark),
            None => {
                let place = Origin { place: origin.place.clone(), via: None };
                let text = format!("{} {}", context.words.pick("the value comes from", "取值来自"), place);
                notes.push((context.words.pick("note", "说明").to_owned(), escape(&text)));
            }
        }
        via = origin.via.as_deref();
    }
}

fn mark_of<'a>(context: &Context<'a>, host: &'a str, origin: &'a Origin, label: &str) -> Option<Mark<'a>> {
    let Place::File { path, span: Some(span) } = &origin.place else { return None };
    let file: &TextFile = context.texts.get(host)?.get(&**path)?;
    // A span from another version of the text would underline something else.
    file.text.get(span.start..span.end).filter(|_| span.column <= LAST_COLUMN && !is_key(&file.text))?;
    Some(Mark { host, path, file, span: *span, label: label.to_owned(), primary: false })
}

fn draw(
    context: &Context<'_>,
    finding: &Finding,
    windows: Vec<Window<'_>>,
    alone: Option<&Evidence>,
    notes: Vec<Note>,
) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let gutter = windows.iter().map(|window| window.last_line).max().map_or(0, |line| line.to_string().len());
    let mut group = Group::with_title(level.primary_title(escape(&finding.title)).id(escape(&finding.rule)));
    for window in &windows {
        group = group.elements(window.element());
    }
    if let Some(alone) = alone
        && let Place::File { path, span } = &alone.origin.place
    {
        let mut place = annotate_snippets::Origin::path(escape(&format!("{}:{path}", alone.host)));
        if let Some(span) = span {
            place = place.line(span.line as usize).char_column(span.column as usize);
        }
        group = group.element(Element::from(place));
        if !notes.is_empty() {
            group = group.element(Padding);
        }
    }
    for (word, text) in notes {
        let room = context.options.width.saturating_sub(gutter + 3 + columns(&word) + 2);
        let text = wrap(&text, room).join("\n");
        group = group.element(Level::NOTE.with_name(word).message(text));
    }
    let renderer = if context.options.colour { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(context.options.width).render(&[group])
}

/// Everything that a finding explains, directly or not, with its depth below it.
fn descendants(context: &Context<'_>, root: usize) -> Vec<(usize, usize)> {
    let mut seen = vec![false; context.consequences.len()];
    let mut found = Vec::new();
    let mut open = vec![(0, root)];
    while let Some((depth, index)) = open.pop() {
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        if index != root {
            found.push((depth - 1, index));
        }
        open.extend(context.consequences[index].iter().rev().map(|below| (depth + 1, *below)));
    }
    found
}

fn tree(context: &Context<'_>, below: &[(usize, usize)], out: &mut String) {
    if below.is_empty() {
        return;
    }
    out.push_str(&format!("{}:\n", context.paint.heading(context.words.pick("causes", "引起"))));
    for (depth, index) in below {
        let finding = &context.report.findings[*index];
        let title = escape(&finding.title);
        let unnamed: Vec<String> =
            finding.hosts.iter().map(|host| escape(host)).filter(|host| !title.contains(host.as_str())).collect();
        let hosts = match (unnamed.is_empty(), context.words.chinese()) {
            (true, _) => String::new(),
            (false, false) => format!(", on {}", unnamed.join(", ")),
            (false, true) => format!("（{}）", unnamed.join("、")),
        };
        let id = format!("[{}]", escape(&finding.rule));
        let indent = "  ".repeat(1 + (*depth).min(DEPTH));
        let width = context.options.width.saturating_sub(indent.len() + 2);
        let mut lines = wrap(&format!("{title}{hosts} {id}"), width);
        // The id has no white space in it, so that it stands whole at the end.
        if let Some(last) = lines.last_mut()
            && let Some(before) = last.strip_suffix(&id)
        {
            *last = format!("{before}{}", context.paint.faint(&id));
        }
        out.push_str(&format!("{indent}- {}\n", lines.join(&format!("\n{indent}  "))));
    }
}

fn render_fix(context: &Context<'_>, finding: &Finding, fix: &Fix, out: &mut String) {
    let words = context.words;
    let word = words.pick("fix", "修复");
    let risk = match fix.risk {
        Risk::Safe => None,
        Risk::Risky => {
            Some(words.pick("risky: it interrupts something or is hard to undo", "有风险：会中断服务或难以撤销"))
        }
        Risk::Manual => {
            Some(words.pick("by hand: decide what is right before you run it", "需人工判断：执行前请先确认"))
        }
    };
    let summary = match risk {
        Some(risk) if words.chinese() => format!("{}（{risk}）", escape(&fix.summary)),
        Some(risk) => format!("{} ({risk})", escape(&fix.summary)),
        None => escape(&fix.summary),
    };
    let indent = columns(word) + 2;
    let lines = wrap(&summary, context.options.width.saturating_sub(indent));
    out.push_str(&format!("{}: {}\n", context.paint.heading(word), lines.join(&format!("\n{}", " ".repeat(indent)))));
    for (host, lines) in fix.steps() {
        // With several hosts looked at the reader has to know which one the commands are for.
        let own = finding.hosts.first().filter(|_| context.report.hosts.len() > 1).map(String::as_str);
        if let Some(host) = host.or(own) {
            out.push_str(&format!("  {}\n", context.paint.strong(&words.on_host(&escape(host)))));
        }
        lines.iter().for_each(|line| push_command(line, words, out));
    }
    if !fix.restarts.is_empty() {
        let restarts = fix.restarts.iter().map(|name| escape(name)).collect::<Vec<_>>().join(", ");
        out.push_str(&format!("  {}: {restarts}\n", words.pick("then restart", "然后重启")));
    }
}

/// A command on lines of its own, to be copied: indented, never wrapped, never coloured. A here-document is not indented
/// either, since its end would then not be found. One that the reader has to complete first is a comment.
fn push_command(command: &str, words: Words, out: &mut String) {
    let command = &*to_complete(command, words.pick("fill in", "先填写"));
    let indent = if command.contains("<<") && command.contains('\n') { "" } else { "    " };
    for line in escape_lines(command).lines() {
        out.push_str(indent);
        out.push_str(line);
        out.push('\n');
    }
}
