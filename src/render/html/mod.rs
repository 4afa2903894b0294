//! The report as one page that needs nothing else: no network, no file beside it. Its policy allows its own style and
//! script by their hashes and nothing more, so that even text of a host that got into the markup could not run or fetch.

mod axis;
mod events;
mod finding;
mod map;
mod markup;
#[cfg(test)]
mod tests;

use base64::Engine;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::engine::Language;
use crate::engine::timeline::Event;
use crate::facts::topology::map::Topology;
use crate::render::human::words::Words;
use crate::render::json::v1::{Finding, Report};
use crate::render::text::to_second;
use crate::report::CertificateSummary;
use markup::Markup;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    pub report: &'a Report,
    pub certificates: &'a [CertificateSummary],
    pub topology: Option<&'a Topology>,
    /// What the logs tell; without it what they tell of the findings is shown.
    pub events: &'a [Event],
    pub language: Language,
    /// Findings that were left out of the report for their severity.
    pub hidden: usize,
}

/// The whole page.
pub fn render(content: &Content<'_>) -> String {
    let words = Words { language: content.language };
    let report = content.report;
    let mut page = Markup::default();
    head(report, words, &mut page);
    page.raw("<body>\n<a class=\"skip\" href=\"#findings\">").text(words.pick("To the findings", "跳到问题列表"));
    page.raw("</a>\n<header>");
    summary(content, words, &mut page);
    page.raw("</header>\n<main>\n");
    roots(report, words, &mut page);
    if let Some(topology) = content.topology.filter(|topology| !topology.hosts.is_empty()) {
        section("topology", words.pick("Topology", "拓扑"), &mut page);
        map::render(topology, words, &mut page);
        page.raw("</section>\n");
    }
    let mut events = Markup::default();
    if events::render(content.events, report, words, &mut events) {
        section("timeline", words.pick("Events", "事件"), &mut page);
        page.append(events).raw("</section>\n");
    }
    if !content.certificates.is_empty() {
        let at = report.at.parse::<Timestamp>().unwrap_or_default();
        section("certificates", words.pick("Certificates", "证书"), &mut page);
        axis::certificates(content.certificates, at, words, &mut page);
        page.raw("</section>\n");
    }
    section("findings", words.pick("Findings", "问题"), &mut page);
    filter(report, words, &mut page);
    report.findings.iter().for_each(|one| finding::render(one, report, words, &mut page));
    page.raw("</section>\n");
    unjudged(report, words, &mut page);
    page.raw("</main>\n<footer>k8sdoctor ").text(report.tool.version).raw(" · ").text(&to_second(&report.at));
    page.raw("</footer>\n<script>").raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    page.into_string()
}

fn head(report: &Report, words: Words, page: &mut Markup) {
    page.raw("<!DOCTYPE html>\n<html lang=\"").raw(if words.chinese() { "zh" } else { "en" });
    page.raw("\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"");
    page.raw("default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-").text(&hash(STYLE));
    page.raw("'; script-src 'sha256-").text(&hash(SCRIPT)).raw("'\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<title>k8sdoctor: ").text(&verdict(report, words)).raw("</title>\n<style>").raw(STYLE);
    page.raw("</style>\n</head>\n");
}

/// As a content security policy names what it allows.
fn hash(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()))
}

fn section(id: &'static str, title: &str, page: &mut Markup) {
    page.raw("<section id=\"").raw(id).raw("\"><h2>").text(title).raw("</h2>\n");
}

fn verdict(report: &Report, words: Words) -> String {
    let summary = &report.summary;
    let incomplete = !report.unopened.is_empty() || report.hosts.iter().any(|host| host.incomplete);
    match (summary.failed, summary.unknown > 0 || incomplete) {
        (0, false) => words.pick("nothing wrong was found", "未发现问题").to_owned(),
        (0, true) => {
            words.pick("nothing wrong was found in what could be judged", "在可判断的范围内未发现问题").to_owned()
        }
        (failed, _) => words.count(failed, "root cause", "root causes", "个根因"),
    }
}

fn summary(content: &Content<'_>, words: Words, page: &mut Markup) {
    let report = content.report;
    let summary = &report.summary;
    page.raw("<h1>").text(&verdict(report, words)).raw("</h1>\n<ul class=\"counts\">");
    for (class, count, name, always) in [
        ("bad", summary.failed, words.pick("root causes", "根因"), true),
        ("bad", summary.consequences, words.pick("consequences", "连带问题"), true),
        ("good", summary.passed, words.pick("passed", "通过"), true),
        ("", summary.not_applicable, words.pick("not applicable", "不适用"), true),
        ("doubt", summary.unknown, words.pick("unknown", "无法判断"), true),
        ("", summary.waived, words.pick("waived", "已豁免"), false),
        ("", summary.known, words.pick("known from the baseline", "基线中已知"), false),
    ] {
        // Who has no waivers need not read of them.
        if count == 0 && !always {
            continue;
        }
        page.raw("<li class=\"").raw(if count == 0 { "" } else { class }).raw("\"><b>").count(count).raw("</b> ");
        page.text(name).raw("</li>");
    }
    page.raw("</ul>\n<p>").text(&words.count(report.hosts.len(), "host", "hosts", "台主机")).raw(" · ");
    page.text(&words.count(summary.rules, "rule", "rules", "条规则")).raw(" · ");
    page.text(words.pick("dates judged as of", "日期判断基准"))
        .raw(" <time>")
        .text(&to_second(&report.at))
        .raw("</time></p>\n");
    if content.hidden > 0 {
        let hidden = words.count(
            content.hidden,
            "finding below --severity",
            "findings below --severity",
            "个低于 --severity 的问题",
        );
        page.raw("<p>").text(&hidden).text(words.pick(" is not shown", "未显示")).raw("</p>\n");
    }
    page.raw("<details><summary>").text(words.pick("Hosts", "主机")).raw("</summary><ul>");
    for host in &report.hosts {
        page.raw("<li><b>")
            .text(&host.name)
            .raw("</b> ")
            .text(&host.roles.join(", "))
            .raw(" <small>")
            .text(&host.source);
        page.raw("</small>");
        if host.incomplete {
            page.raw(" <strong>").text(words.pick("incomplete", "不完整")).raw("</strong>");
        }
        page.raw("</li>");
    }
    page.raw("</ul></details>\n");
    let incomplete = report.hosts.iter().filter(|host| host.incomplete).count();
    if incomplete > 0 {
        page.raw("<p class=\"doubt\">");
        page.text(&words.count(
            incomplete,
            "host's evidence is incomplete: what is missing of it was not judged",
            "hosts' evidence is incomplete: what is missing of it was not judged",
            "台主机的证据不完整，缺失部分未作判断",
        ));
        page.raw("</p>\n");
    }
    for source in &report.unopened {
        page.raw("<p class=\"doubt\">").text(&source.message).raw("</p>\n");
    }
}

/// Root causes with what follows from them, as links to the findings.
fn roots(report: &Report, words: Words, page: &mut Markup) {
    let is_open = |finding: &&Finding| finding.suppressed.is_none();
    let roots = report.findings.iter().filter(is_open).filter(|finding| finding.consequence_of.is_none());
    if roots.clone().next().is_none() {
        return;
    }
    section("causes", words.pick("Root causes", "根因"), page);
    page.raw("<ol class=\"causes\">");
    // Causes stand before what they explain, so that each finding's depth is known when it comes.
    let mut depths: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for finding in roots {
        depths.insert(&finding.id, 0);
        page.raw("<li>");
        finding::link(finding, page);
        let mut has_list = false;
        for follower in report.findings.iter().filter(is_open) {
            let Some(depth) = follower.consequence_of.as_deref().and_then(|cause| depths.get(cause)).copied() else {
                continue;
            };
            if follower.id == finding.id {
                continue;
            }
            depths.insert(&follower.id, depth + 1);
            page.raw(if has_list { "<li>" } else { "<ul><li>" });
            has_list = true;
            for _ in 0..depth.min(8) {
                page.raw("<span class=\"step\">↳ </span>");
            }
            finding::link(follower, page);
            page.raw("</li>");
        }
        page.raw(if has_list { "</ul></li>" } else { "</li>" });
        depths.clear();
    }
    page.raw("</ol></section>\n");
}

fn filter(report: &Report, words: Words, page: &mut Markup) {
    page.raw("<form id=\"filter\" role=\"search\" hidden><label>").text(words.pick("Search", "搜索"));
    page.raw(
        " <input id=\"search\" type=\"search\" autocomplete=\"off\" aria-keyshortcuts=\"/\" placeholder=\"/\"></label>",
    );
    let hosts = report.findings.iter().flat_map(|finding| finding.hosts.iter().map(String::as_str));
    choice("host", words.pick("Host", "主机"), words.pick("all", "全部"), hosts, page);
    let components = report.findings.iter().map(|finding| finding.component.as_str());
    choice("component", words.pick("Component", "组件"), words.pick("all", "全部"), components, page);
    let severities = report.findings.iter().map(|finding| finding.severity);
    choice("severity", words.pick("Severity", "级别"), words.pick("all", "全部"), severities, page);
    page.raw("<label><input id=\"roots\" type=\"checkbox\"> ").text(words.pick("root causes only", "仅根因"));
    page.raw("</label> <label");
    if report.findings.iter().all(|finding| finding.suppressed.is_none()) {
        page.raw(" hidden");
    }
    page.raw("><input id=\"open\" type=\"checkbox\"> ").text(words.pick("open ones only", "仅未豁免"));
    page.raw("</label> <output id=\"shown\" role=\"status\"></output><small>");
    page.text(words.pick(
        "/ searches, j and k go to the next and previous finding, Esc shows all",
        "/ 搜索，j/k 前后移动，Esc 显示全部",
    ));
    page.raw("</small></form>\n");
}

fn choice<'a>(id: &'static str, name: &str, all: &str, values: impl Iterator<Item = &'a str>, page: &mut Markup) {
    let values: std::collections::BTreeSet<&str> = values.collect();
    page.raw("<label>")
        .text(name)
        .raw(" <select id=\"")
        .raw(id)
        .raw("\"><option value=\"\">")
        .text(all)
        .raw("</option>");
    for value in values {
        page.raw("<option>").text(value).raw("</option>");
    }
    page.raw("</select></label>");
}

/// What could not be read or judged.
fn unjudged(report: &Report, words: Words, page: &mut Markup) {
    /// More of one kind would hide the rest of the page.
    const LINES: usize = 1000;
    if report.unknown.is_empty() && report.problems.is_empty() {
        return;
    }
    section("unknown", words.pick("Could not be read or judged", "无法读取或判断"), page);
    page.raw("<ul>");
    for problem in report.problems.iter().take(LINES) {
        page.raw("<li><code>").text(&problem.host).raw(":").text(&problem.place).raw("</code> ").text(&problem.message);
        page.raw(" ").text(problem.remedy.as_deref().unwrap_or_default()).raw("</li>");
    }
    for unknown in report.unknown.iter().take(LINES) {
        page.raw("<li><code>").text(&unknown.rule).raw("</code> @ ").text(&unknown.host).raw(": ").text(&unknown.what);
        page.raw(": ").text(&unknown.why).raw(" ").text(unknown.remedy.as_deref().unwrap_or_default()).raw("</li>");
    }
    page.raw("</ul>");
    let more = report.problems.len().saturating_sub(LINES) + report.unknown.len().saturating_sub(LINES);
    if more > 0 {
        page.raw("<p>+ ").count(more).raw("</p>");
    }
    page.raw("</section>\n");
}
