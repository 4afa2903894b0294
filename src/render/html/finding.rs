//! One finding with its evidence and fix.

use super::markup::Markup;
use crate::render::human::words::Words;
use crate::render::json::v1::{Evidence, Finding, Report};
use crate::render::text::to_complete;

/// Characters of an evidence's text or line that are shown.
const TEXT: usize = 2000;

/// What was decided of a finding that is no reason to fail.
pub(super) fn done(kind: &str, words: Words) -> &'static str {
    match kind {
        "waiver" => words.pick("waived", "已豁免"),
        "comment" => words.pick("allowed by a comment", "注释允许"),
        _ => words.pick("known from the baseline", "基线中已知"),
    }
}

/// The finding's title, leading to it.
pub(super) fn link(finding: &Finding, page: &mut Markup) {
    page.raw("<a href=\"#")
        .text(&finding.id)
        .raw("\"><span class=\"severity\" data-severity=\"")
        .text(finding.severity);
    page.raw("\">").text(finding.severity).raw("</span> ").text(&finding.title).raw("</a>");
}

/// The finding's title, leading to it, with what was decided of it.
fn link_with_state(finding: &Finding, words: Words, page: &mut Markup) {
    link(finding, page);
    if let Some(suppressed) = &finding.suppressed {
        page.raw(" <small class=\"state\">").text(done(suppressed.kind, words)).raw("</small>");
    }
}

pub(super) fn render(finding: &Finding, report: &Report, words: Words, page: &mut Markup) {
    let cause = finding.consequence_of.as_deref();
    page.raw("<article tabindex=\"-1\" id=\"").text(&finding.id).raw("\" class=\"");
    page.raw(if cause.is_some() { "finding consequence" } else { "finding" }).raw("\" data-severity=\"");
    page.text(finding.severity).raw("\" data-component=\"").text(&finding.component);
    if let Some(suppressed) = &finding.suppressed {
        page.raw("\" data-suppressed=\"").text(suppressed.kind);
    }
    page.raw("\" aria-labelledby=\"");
    page.text(&finding.id)
        .raw("-title\"><h3 id=\"")
        .text(&finding.id)
        .raw("-title\"><span class=\"severity\" data-severity=\"");
    page.text(finding.severity).raw("\">").text(finding.severity).raw("</span> ").text(&finding.title).raw("</h3><p>");
    page.raw("<code>").text(&finding.rule).raw("</code> · ").text(&finding.component).raw(" · ");
    for (index, host) in finding.hosts.iter().enumerate() {
        page.raw(if index > 0 { ", " } else { "" }).raw("<span class=\"on\">").text(host).raw("</span>");
    }
    page.raw(" · ").text(words.pick("confidence", "可信度")).raw(" ").text(finding.confidence).raw("</p>");
    if let Some(suppressed) = &finding.suppressed {
        page.raw("<p class=\"waived\"><strong>").text(done(suppressed.kind, words)).raw("</strong>: ");
        page.text(&suppressed.reason).raw(" <small>").text(&suppressed.place);
        if let Some(owner) = &suppressed.owner {
            page.raw(" · ").text(owner);
        }
        if let Some(until) = &suppressed.until {
            page.raw(" · ").text(words.pick("until", "至")).raw(" <time>").text(until).raw("</time>");
        }
        page.raw("</small></p>");
    }
    if let Some(cause) = cause.and_then(|id| report.findings.iter().find(|known| known.id == id)) {
        page.raw("<p>").text(words.pick("Follows from", "由此引起")).raw(" ");
        link_with_state(cause, words, page);
        page.raw("</p>");
    }
    if !finding.evidence.is_empty() {
        page.raw("<ul class=\"evidence\">");
        finding.evidence.iter().for_each(|one| evidence(one, words, page));
        page.raw("</ul>");
    }
    if !finding.notes.is_empty() {
        page.raw("<ul class=\"notes\">");
        for note in &finding.notes {
            page.raw("<li>").text(note).raw("</li>");
        }
        page.raw("</ul>");
    }
    if !finding.causes.is_empty() {
        page.raw("<p>").text(words.pick("Causes", "导致")).raw("</p><ul>");
        for caused in report.findings.iter().filter(|known| finding.causes.contains(&known.id)) {
            page.raw("<li>");
            link_with_state(caused, words, page);
            page.raw("</li>");
        }
        page.raw("</ul>");
    }
    if let Some(fix) = &finding.fix {
        page.raw("<h4>").text(words.pick("Fix", "修复")).raw(" <span class=\"risk\">").text(match fix.risk {
            "safe" => words.pick("safe", "安全"),
            "risky" => words.pick("risky", "有风险"),
            _ => words.pick("by hand", "需人工处理"),
        });
        page.raw("</span></h4><p>").text(&fix.summary).raw("</p>");
        for step in &fix.steps {
            if let Some(host) = &step.host {
                page.raw("<p>").text(&words.on_host(host)).raw("</p>");
            }
            commands(&step.commands, words, page);
        }
        if !fix.restarts.is_empty() {
            page.raw("<p>")
                .text(words.pick("Then restart", "然后重启"))
                .raw(": ")
                .text(&fix.restarts.join(", "))
                .raw("</p>");
        }
    }
    if !finding.verify.is_empty() {
        page.raw("<h4>").text(words.pick("Verify", "验证")).raw("</h4>");
        commands(&finding.verify, words, page);
    }
    page.raw("<p><small>").text(words.pick("More", "更多")).raw(": <code>").text(&finding.docs);
    page.raw("</code></small></p></article>\n");
}

fn commands(commands: &[String], words: Words, page: &mut Markup) {
    if commands.is_empty() {
        return;
    }
    page.raw("<pre tabindex=\"0\"><code>");
    for command in commands {
        page.lines(&to_complete(command, words.pick("fill in", "先填写"))).raw("\n");
    }
    page.raw("</code></pre>");
}

fn evidence(evidence: &Evidence, words: Words, page: &mut Markup) {
    page.raw("<li><code>").text(&evidence.host).raw(":");
    page.text(evidence.path.as_deref().or(evidence.source.as_deref()).unwrap_or_default());
    if let Some(line) = evidence.line {
        page.raw(":").text(&line.to_string());
    }
    page.raw("</code> ");
    if let Some(text) = evidence.text.as_deref().filter(|text| !text.is_empty()) {
        page.raw("<mark>").short(text, TEXT).raw("</mark> ");
    }
    page.short(&evidence.label, TEXT);
    if let Some(via) = &evidence.via {
        page.raw(" <small>").text(words.pick("through", "经由")).raw(" ").text(via).raw("</small>");
    }
    if let Some(log) = &evidence.log {
        page.raw(" <small>×").text(&log.count.to_string());
        for time in [&log.first, &log.last].into_iter().flatten() {
            page.raw(" · <time>").text(&crate::render::text::to_second(time)).raw("</time>");
        }
        if log.ongoing == Some(true) {
            page.raw(" · ").text(words.pick("goes on", "仍在继续"));
        }
        page.raw("</small>");
        if !log.lines.is_empty() {
            page.raw("<pre tabindex=\"0\"><code>");
            for line in &log.lines {
                page.short(&line.text, TEXT).raw("\n");
            }
            page.raw("</code></pre>");
        }
    }
    page.raw("</li>");
}
