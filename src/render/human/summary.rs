//! The end of the report: what was looked at, what came of it, and what could not be judged.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{ContentArrangement, Table, presets};

use super::Context;
use crate::render::text::{escape, wrap};
use crate::report::{Finding, Severity, SuppressionKind};

/// Lines of what could not be judged, and of problems, without --verbose.
const LINES: usize = 10;
/// Rules that are named on such a line without --verbose.
const NAMES: usize = 4;

pub fn render(context: &Context<'_>, out: &mut String) {
    hosts(context, out);
    counts(context, out);
    suppressed(context, out);
    unopened(context, out);
    unjudged(context, out);
    problems(context, out);
}

/// Findings that are no reason to fail, and what there is to say of the waivers.
fn suppressed(context: &Context<'_>, out: &mut String) {
    let words = context.words;
    let (mut waived, mut known) = (Vec::new(), Vec::new());
    for finding in &context.report.findings {
        let Some(suppressed) = &finding.suppressed else { continue };
        let hosts = finding.hosts.join(", ");
        let mut line = format!("{} [{}], {hosts}", finding.title, finding.rule);
        if suppressed.kind == SuppressionKind::Baseline {
            known.push(escape(&line));
            continue;
        }
        let mut who = vec![suppressed.place.clone()];
        who.extend(suppressed.owner.clone());
        let until = words.pick("until", "至");
        who.extend(suppressed.until.as_ref().map(|day| format!("{until} {day}")));
        line.push_str(&format!(": {} ({})", suppressed.reason, who.join(", ")));
        waived.push(escape(&line));
    }
    let notices: Vec<String> =
        context.report.notices.iter().map(|notice| escape(&format!("{}: {}", notice.place, notice.message))).collect();
    for (title, lines) in [
        (words.pick("waived", "已豁免"), waived),
        (words.pick("known from the baseline", "基线中已知"), known),
        (words.pick("waivers to look at", "需要检查的豁免"), notices),
    ] {
        if !lines.is_empty() {
            section(context, title, &lines, out);
        }
    }
}

fn unopened(context: &Context<'_>, out: &mut String) {
    let lines: Vec<String> = context.report.unopened.iter().map(|unopened| escape(&unopened.message)).collect();
    if !lines.is_empty() {
        section(
            context,
            context.words.pick("could not be opened, and was not judged", "无法打开，未作判断"),
            &lines,
            out,
        );
    }
}

fn hosts(context: &Context<'_>, out: &mut String) {
    let (report, words) = (context.report, context.words);
    if report.hosts.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(context.options.width).unwrap_or(u16::MAX));
    table.set_header([words.pick("host", "主机"), words.pick("roles", "角色"), words.pick("source", "来源")]);
    for host in &report.hosts {
        let roles = if host.roles.is_empty() { "-".to_owned() } else { escape(&host.roles.join(", ")) };
        table.add_row([escape(&host.name), roles, escape(&host.source)]);
    }
    for line in table.lines() {
        out.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
        out.push('\n');
    }
    out.push('\n');
}

fn counts(context: &Context<'_>, out: &mut String) {
    let (report, words, paint) = (context.report, context.words, context.paint);
    let consequences: usize = context.consequences.iter().map(Vec::len).sum();
    let roots = report.findings.len().saturating_sub(consequences);
    let suppressed = report.findings.iter().filter(|finding| finding.suppressed.is_some()).count();
    // What is worth knowing is no fault, and what follows from it none either.
    let is_note = |finding: &&Finding| {
        finding.severity == Severity::Info && finding.consequence_of.is_none() && finding.suppressed.is_none()
    };
    let notes = report.findings.iter().filter(is_note).count();
    let failed = roots.saturating_sub(notes + suppressed);
    let is_grave = |finding: &&Finding| finding.severity > Severity::Info && finding.consequence_of.is_some();
    let consequences = report.findings.iter().filter(is_grave).count();
    let hosts = words.count(report.hosts.len(), "host", "hosts", "台主机");
    let rules = words.count(report.rules, "rule", "rules", "条规则");
    let seconds = format!("{:.1}", report.seconds);
    // Fractions of a second say nothing about dates.
    let at = match report.at.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => escape(&report.at),
    };
    out.push_str(&if words.chinese() {
        format!("用 {rules}检查了 {hosts}，耗时 {seconds} 秒；日期以 {at} 为准\n")
    } else {
        format!("checked {hosts} with {rules} in {seconds} s; dates are judged as of {at}\n")
    });
    let counts = &report.counts;
    if let Some(configuration) = &report.configuration {
        let word = words.pick("configuration: ", "配置：");
        out.push_str(&format!("{word}{}\n", escape(configuration)));
    }
    let alarms = report.findings.iter().any(|finding| finding.severity > Severity::Info);
    let verdict = if alarms || context.options.hidden > 0 {
        None
    } else if counts.passed == 0 && counts.unknown == 0 && report.findings.is_empty() {
        let text = words.pick(
            "nothing was judged: no rule applies to what was given",
            "没有可判断的内容：没有规则适用于所给的来源",
        );
        Some(paint.strong(text))
    } else if counts.unknown == 0 && report.problems.is_empty() && report.unopened.is_empty() {
        Some(paint.good(words.pick("nothing wrong was found", "未发现问题")))
    } else {
        let mut but = Vec::new();
        if !report.unopened.is_empty() {
            but.push(words.count(
                report.unopened.len(),
                "source could not be opened",
                "sources could not be opened",
                "个来源无法打开",
            ));
        }
        if counts.unknown > 0 {
            but.push(words.count(
                counts.unknown,
                "check could not be judged",
                "checks could not be judged",
                "项无法判断",
            ));
        }
        if !report.problems.is_empty() {
            but.push(words.count(
                report.problems.len(),
                "thing could not be read",
                "things could not be read",
                "处内容无法读取",
            ));
        }
        let but = but.join(words.pick(" and ", "，"));
        Some(paint.strong(&if words.chinese() {
            format!("在能够判断的范围内未发现问题，但有 {but}")
        } else {
            format!("nothing wrong was found in what could be judged, but {but}")
        }))
    };
    if let Some(verdict) = verdict {
        out.push_str(&verdict);
        out.push('\n');
    }
    let consequences = match (consequences, words.chinese()) {
        (0, _) => String::new(),
        (_, false) => format!(" ({})", words.count(consequences, "consequence", "consequences", "")),
        (_, true) => format!("（另有 {consequences} 项后果）"),
    };
    let consequences = match (suppressed, words.chinese()) {
        (0, _) => consequences,
        (_, false) => format!("{consequences}, {suppressed} waived or known"),
        (_, true) => format!("{consequences}，{suppressed} 项已豁免或已知"),
    };
    let notes = match (notes, words.chinese()) {
        (0, _) => String::new(),
        (_, false) => format!(", {}", words.count(notes, "worth knowing", "worth knowing", "")),
        (_, true) => format!("，{notes} 项提示"),
    };
    let (passed, not_applicable, unknown) = (counts.passed, counts.not_applicable, counts.unknown);
    out.push_str(&if words.chinese() {
        format!("  {failed} 项故障{consequences}{notes}，{passed} 项通过，{not_applicable} 项不适用，{unknown} 项未知\n")
    } else {
        format!(
            "  {failed} failed{consequences}{notes}, {passed} passed, {not_applicable} not applicable, {unknown} unknown\n"
        )
    });
}

/// Grouped by their reason: one missing permission takes many rules' evidence away.
fn unjudged(context: &Context<'_>, out: &mut String) {
    let words = context.words;
    type Group<'a> = (BTreeSet<&'a str>, BTreeSet<&'a str>, BTreeSet<&'a str>, usize);
    let mut groups: BTreeMap<(&str, Option<&str>), Group<'_>> = BTreeMap::new();
    for item in &context.report.unjudged {
        let reason = (item.unknown.why.as_str(), item.unknown.remedy.as_deref());
        let group = groups.entry(reason).or_default();
        group.0.insert(&item.rule);
        group.1.insert(&item.host);
        group.2.insert(&item.unknown.what);
        group.3 += 1;
    }
    if groups.is_empty() {
        return;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.3));
    let mut lines = Vec::new();
    for ((why, remedy), (rules, hosts, wanted, _)) in &groups {
        let mut line = escape(why);
        if let Some(remedy) = remedy {
            line.push_str(&parenthesis(context, remedy));
        }
        // What was wanted often says on which host; it need not be said twice.
        let unnamed = hosts.iter().any(|host| !wanted.iter().any(|what| what.contains(host)));
        line.push_str(&match (unnamed, words.chinese()) {
            (true, false) => format!(": {} on {}", list(context, wanted), list(context, hosts)),
            (true, true) => format!("：{} 上的 {}", list(context, hosts), list(context, wanted)),
            (false, false) => format!(": {}", list(context, wanted)),
            (false, true) => format!("：{}", list(context, wanted)),
        });
        let rule_count = words.count(rules.len(), "rule", "rules", "条规则");
        let (stop, colon) = (words.pick("; ", "；"), words.pick(": ", "："));
        line.push_str(&format!("{stop}{rule_count}{colon}{}", list(context, rules)));
        lines.push(line);
    }
    section(context, words.pick("could not be judged", "无法判断"), &lines, out);
}

fn problems(context: &Context<'_>, out: &mut String) {
    let mut lines = Vec::new();
    for problem in &context.report.problems {
        let mut line = escape(&format!("{}:{}: {}", problem.host, problem.place, problem.message));
        if let Some(remedy) = &problem.remedy {
            line.push_str(&parenthesis(context, remedy));
        }
        lines.push(line);
    }
    if !lines.is_empty() {
        section(context, context.words.pick("could not be read or understood", "无法读取或解析"), &lines, out);
    }
}

fn section(context: &Context<'_>, title: &str, lines: &[String], out: &mut String) {
    let limit = if context.options.verbose { usize::MAX } else { LINES };
    // One line that says that there are more takes no less room than one more.
    let shown = if lines.len() > limit { limit - 1 } else { lines.len() };
    out.push_str(&format!("{}:\n", context.paint.heading(title)));
    for line in lines.iter().take(shown) {
        let wrapped = wrap(line, context.options.width.saturating_sub(4)).join("\n      ");
        out.push_str(&format!("  - {wrapped}\n"));
    }
    if shown < lines.len() {
        let more =
            context.words.count(lines.len() - shown, "more: --verbose", "more: --verbose", "项未显示：--verbose");
        out.push_str(&format!("  - {more}\n"));
    }
}

fn parenthesis(context: &Context<'_>, text: &str) -> String {
    if context.words.chinese() { format!("（{}）", escape(text)) } else { format!(" ({})", escape(text)) }
}

/// `etcd-a, etcd-b and 7 more`.
fn list(context: &Context<'_>, names: &BTreeSet<&str>) -> String {
    let limit = if context.options.verbose || names.len() == NAMES + 1 { usize::MAX } else { NAMES };
    let shown: Vec<String> = names.iter().take(limit).map(|name| escape(name)).collect();
    let rest = names.len() - shown.len();
    let text = shown.join(context.words.pick(", ", "、"));
    match (rest, context.words.chinese()) {
        (0, _) => text,
        (_, false) => format!("{text} and {rest} more"),
        (_, true) => format!("{text} 等 {} 项", names.len()),
    }
}
