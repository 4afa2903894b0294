//! What the logs of all hosts tell, by time: every message that a rule knows and every start of a program, each on a common
//! axis. What is a finding leads there; what a card calls normal is dim.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::axis::{Axis, ROWS, bar, left_out, time};
use super::finding;
use super::markup::Markup;
use crate::engine::timeline::{Event, EventKind};
use crate::render::human::words::Words;
use crate::render::json::v1::{Evidence, Finding, Report};

/// Characters of a title or line that are shown.
const TEXT: usize = 200;

struct Row<'a> {
    host: &'a str,
    program: &'a str,
    text: &'a str,
    /// The line itself, where the text is other words for it.
    line: &'a str,
    finding: Option<&'a Finding>,
    class: &'static str,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    ongoing: bool,
}

/// Draws them; nothing when none has a time.
pub(super) fn render(events: &[Event], report: &Report, words: Words, page: &mut Markup) -> bool {
    let place = |event: &Event| (event.host.clone(), event.line.path.clone(), event.line.line);
    let counting = events.iter().filter(|event| matches!(event.kind, EventKind::Message { counts: true, .. }));
    let counting: BTreeSet<_> = counting.map(place).collect();
    // A line that tells of what is wrong is not shown once more as what another rule takes for normal.
    let is_shown = |event: &&Event| {
        !matches!(event.kind, EventKind::Message { counts: false, .. }) || !counting.contains(&place(event))
    };
    let shown = events.iter().filter(is_shown);
    let mut rows: Vec<Row<'_>> = shown.filter_map(|event| of_event(event, report, words)).collect();
    if events.is_empty() {
        rows = of_findings(report);
    }
    if rows.is_empty() {
        return false;
    }
    let all = rows.len();
    if all > ROWS {
        // What is found wrong is shown before what is normal.
        rows.sort_by_key(|row| (row.finding.is_none(), row.class == "normal"));
        rows.truncate(ROWS);
    }
    rows.sort_by_key(|row| (row.first, row.last));
    let times = rows.iter().flat_map(|row| [row.first.as_second(), row.last.as_second()]);
    let axis = Axis::of(times, (i64::MIN, i64::MAX));
    page.raw("<div class=\"wide\" tabindex=\"0\"><table class=\"times\"><thead><tr><th>");
    page.text(words.pick("First", "首次")).raw("</th><th>").text(words.pick("Host and component", "主机与组件"));
    page.raw("</th><th>").text(words.pick("Message", "日志")).raw("</th><th class=\"axis\"><span>");
    page.text(&time(axis.from)).raw("</span><span>").text(&time(axis.to)).raw("</span></th></tr></thead><tbody>");
    rows.iter().for_each(|one| row(one, axis, words, page));
    page.raw("</tbody></table></div>");
    left_out(all, words, page);
    true
}

fn row(row: &Row<'_>, axis: Axis, words: Words, page: &mut Markup) {
    page.raw(if row.class == "normal" { "<tr class=\"normal\"><td><time>" } else { "<tr><td><time>" });
    page.text(&time(row.first.as_second())).raw("</time></td><td>").text(row.host).raw(" ").text(row.program);
    page.raw("</td><td>");
    match row.finding {
        Some(finding) => {
            page.raw("<a href=\"#").text(&finding.id).raw("\">").short(row.text, TEXT).raw("</a>");
            if let Some(suppressed) = &finding.suppressed {
                page.raw(" <small class=\"state\">").text(finding::done(suppressed.kind, words)).raw("</small>");
            }
        }
        None => {
            page.short(row.text, TEXT);
        }
    }
    page.raw(" <small>×").text(&row.count.to_string()).raw(" ");
    if row.ongoing {
        page.text(words.pick("and goes on", "仍在继续"));
    } else if row.class == "normal" {
        page.text(words.pick("(normal here)", "（此处属正常）"));
    }
    page.raw("</small>");
    if !row.line.is_empty() {
        page.raw("<br><small><code>").short(row.line, TEXT).raw("</code></small>");
    }
    page.raw("</td><td class=\"axis\">");
    bar(axis, row.first.as_second(), row.last.as_second(), axis.to, row.class, page);
    page.raw("</td></tr>");
}

fn of_event<'a>(event: &'a Event, report: &'a Report, words: Words) -> Option<Row<'a>> {
    let known =
        |stamp: Option<crate::logs::Stamp>| stamp.filter(|stamp| stamp.absolute).and_then(|stamp| stamp.timestamp());
    let first = known(event.first)?;
    let last = known(event.last).unwrap_or(first).max(first);
    let program = event.program.as_deref().unwrap_or_default();
    let base = Row {
        host: &event.host,
        program,
        text: words.pick("starts", "启动"),
        line: "",
        finding: None,
        class: "start",
        count: event.count,
        first,
        last,
        ongoing: false,
    };
    let EventKind::Message { rule, severity, title, counts, .. } = &event.kind else { return Some(base) };
    let is_of = |finding: &&Finding| finding.rule == *rule && finding.hosts.contains(&event.host);
    let finding = report.findings.iter().find(is_of).filter(|_| *counts);
    let goes_on = |evidence: &Evidence| {
        let log = evidence.log.as_ref().filter(|log| evidence.host == event.host && log.ongoing == Some(true));
        let end = log.and_then(|log| log.last.as_deref()?.parse::<Timestamp>().ok());
        end.is_some_and(|end| end.as_second() <= last.as_second())
    };
    Some(Row {
        text: title,
        line: &event.line.text,
        finding,
        class: if *counts { class_of(severity.name()) } else { "normal" },
        ongoing: finding.is_some_and(|finding| finding.evidence.iter().any(goes_on)),
        ..base
    })
}

fn class_of(severity: &str) -> &'static str {
    match severity {
        "error" => "error",
        "warning" => "warning",
        _ => "info",
    }
}

/// What the logs say of the findings.
fn of_findings(report: &Report) -> Vec<Row<'_>> {
    let all = report.findings.iter().flat_map(|finding| finding.evidence.iter().map(move |one| (finding, one)));
    all.filter_map(|(finding, evidence)| {
        let log = evidence.log.as_ref()?;
        let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let first = time(&log.first).or_else(|| time(&log.last))?;
        Some(Row {
            host: &evidence.host,
            program: &finding.component,
            text: &evidence.label,
            line: "",
            finding: Some(finding),
            class: class_of(finding.severity),
            count: log.count,
            first,
            last: time(&log.last).unwrap_or(first).max(first),
            ongoing: log.ongoing == Some(true),
        })
    })
    .collect()
}
