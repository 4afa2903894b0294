//! The report as a comment on a ticket: Markdown as GitHub and GitLab read it, and Jira's editor takes over, within their
//! limits of size. Root causes, evidence, fixes, and what could not be judged.

use crate::render::json::v1::{Evidence, Finding, Report};
use crate::render::text::{escape, escape_lines, to_complete, to_second};

/// Characters; Jira takes 32767 by default, GitHub 65536.
pub const LIMIT: usize = 32_000;

/// Kept for what is said at the end, that something was left out among it.
const RESERVED: usize = 2_000;

/// Lines of what could not be judged.
const UNKNOWN_LINES: usize = 20;

/// The comment, never longer than [`LIMIT`]: what does not fit is counted and named by its rule.
pub fn render(report: &Report) -> String {
    let mut out = heading(report);
    let roots: Vec<&Finding> = report
        .findings
        .iter()
        .filter(|finding| finding.consequence_of.is_none() && finding.suppressed.is_none())
        .collect();
    let mut left_out = Vec::new();
    for root in &roots {
        let section = section(report, root);
        if out.chars().count() + section.chars().count() > LIMIT - RESERVED {
            left_out.push(format!("`{}`", root.rule));
            continue;
        }
        out.push_str(&section);
    }
    if !left_out.is_empty() {
        let count = left_out.len();
        left_out.dedup();
        left_out.truncate(20);
        out.push_str(&format!("\n{count} more did not fit: {}\n", left_out.join(", ")));
    }
    let ending = ending(report);
    let room = LIMIT.saturating_sub(out.chars().count());
    out.extend(ending.chars().take(room));
    out
}

fn heading(report: &Report) -> String {
    let hosts: Vec<String> = report
        .hosts
        .iter()
        .take(20)
        .map(|host| {
            let roles = if host.roles.is_empty() { String::new() } else { format!(" ({})", host.roles.join(", ")) };
            inline(&format!("{}{roles}", host.name))
        })
        .collect();
    let summary = &report.summary;
    let verdict = match (summary.failed, summary.unknown, report.unopened.len()) {
        (0, 0, 0) => "nothing wrong was found".to_owned(),
        (0, unknown, _) => {
            format!("nothing wrong was found in what could be judged; {unknown} checks could not be judged")
        }
        (failed, unknown, _) => format!(
            "{failed} root cause{}, {} consequence{}, {unknown} unknown",
            plural(failed),
            summary.consequences,
            plural(summary.consequences)
        ),
    };
    format!(
        "### k8sdoctor {}: {verdict}\n\n{} host{}: {}. {} rules, dates judged as of {}.\n",
        report.tool.version,
        report.hosts.len(),
        plural(report.hosts.len()),
        hosts.join(", "),
        summary.rules,
        inline(&to_second(&report.at))
    )
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn section(report: &Report, root: &Finding) -> String {
    let mut out =
        format!("\n#### {}: {}\n\n`{}` on {}\n\n", root.severity, inline(&root.title), root.rule, hosts(root));
    for evidence in root.evidence.iter().take(6) {
        out.push_str(&format!("- {}\n", said(evidence)));
    }
    for note in root.notes.iter().take(6) {
        out.push_str(&format!("- {}\n", inline(note)));
    }
    let consequences = consequences(report, root);
    if !consequences.is_empty() {
        out.push_str("\nIt causes:\n\n");
        for finding in consequences.iter().take(20) {
            out.push_str(&format!("- `{}` {}\n", finding.rule, inline(&finding.title)));
        }
        if consequences.len() > 20 {
            out.push_str(&format!("- and {} more\n", consequences.len() - 20));
        }
    }
    if let Some(fix) = &root.fix {
        out.push_str(&format!("\n**Fix** ({}): {}\n", fix.risk, inline(&fix.summary)));
        for step in &fix.steps {
            if let Some(host) = &step.host {
                out.push_str(&format!("\nOn {}:\n", inline(host)));
            }
            out.push_str(&code(&step.commands));
        }
        if !fix.restarts.is_empty() {
            let restarts: Vec<String> = fix.restarts.iter().map(|unit| inline(unit)).collect();
            out.push_str(&format!("Then restart: {}\n", restarts.join(", ")));
        }
    }
    if !root.verify.is_empty() {
        out.push_str("\n**Verify:**\n");
        out.push_str(&code(&root.verify));
    }
    out
}

/// Everything that follows from a finding, directly or not.
fn consequences<'a>(report: &'a Report, root: &Finding) -> Vec<&'a Finding> {
    let mut ids = vec![root.id.as_str()];
    let mut found: Vec<&Finding> = Vec::new();
    // Causes come before what they explain, so that one pass finds all.
    for finding in &report.findings {
        if finding.consequence_of.as_deref().is_some_and(|cause| ids.contains(&cause))
            && finding.id != root.id
            && finding.suppressed.is_none()
        {
            ids.push(&finding.id);
            found.push(finding);
        }
    }
    found
}

fn hosts(finding: &Finding) -> String {
    let mut hosts: Vec<String> = finding.hosts.iter().take(10).map(|host| inline(host)).collect();
    if finding.hosts.len() > hosts.len() {
        hosts.push(format!("{} more", finding.hosts.len() - hosts.len()));
    }
    hosts.join(", ")
}

fn said(evidence: &Evidence) -> String {
    let place = evidence.path.as_deref().or(evidence.source.as_deref()).unwrap_or_default();
    let line = evidence.line.map(|line| format!(":{line}")).unwrap_or_default();
    let text = evidence.text.as_deref().map(|text| format!(" {}", quoted(text))).unwrap_or_default();
    let times = match &evidence.log {
        Some(log) => {
            let last = log.last.as_deref().map(|last| format!(", last {}", to_second(last))).unwrap_or_default();
            format!(" ({} time{}{last})", log.count, plural(log.count as usize))
        }
        None => String::new(),
    };
    let label = if evidence.log.is_some() { quoted(&evidence.label) } else { inline(&evidence.label) };
    format!("{}:{}{text}: {label}{}", inline(&evidence.host), quoted(&format!("{place}{line}")), inline(&times))
}

/// One line in which nothing is Markdown or HTML.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in escape(text).chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '>' => {
                out.push('\\');
                out.push(character);
            }
            // Nobody is to be notified, and no ticket linked, by what stands in a log.
            '@' => out.push_str("&#64;"),
            _ => out.push(character),
        }
    }
    out
}

/// A code span, with more backquotes around it than any run inside has; long ones are cut.
fn quoted(text: &str) -> String {
    let text = escape(text);
    let text: String = match text.chars().count() {
        0..=300 => text,
        _ => text.chars().take(299).chain(std::iter::once('…')).collect(),
    };
    let fence = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn code(commands: &[String]) -> String {
    if commands.is_empty() {
        return String::new();
    }
    let text =
        commands.iter().map(|command| escape_lines(&to_complete(command, "fill in"))).collect::<Vec<_>>().join("\n");
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("\n{fence}sh\n{text}\n{fence}\n")
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn ending(report: &Report) -> String {
    let mut lines: Vec<String> =
        report.unopened.iter().map(|source| format!("- not opened: {}", inline(&source.message))).collect();
    lines.extend(report.problems.iter().map(|problem| {
        format!("- {}:{}: {}", inline(&problem.host), inline(&problem.place), inline(&problem.message))
    }));
    lines.extend(report.unknown.iter().map(|unknown| {
        format!(
            "- `{}` on {}: {}: {}",
            unknown.rule,
            inline(&unknown.host),
            inline(&unknown.what),
            inline(&unknown.why)
        )
    }));
    let mut out = suppressed(report);
    if lines.is_empty() {
        return out;
    }
    let more = lines.len().saturating_sub(UNKNOWN_LINES);
    lines.truncate(UNKNOWN_LINES);
    if more > 0 {
        lines.push(format!("- and {more} more"));
    }
    out.push_str(&format!("\n#### Could not be read or judged\n\n{}\n", lines.join("\n")));
    out
}

/// What is waived or known, and what there is to say of waivers.
fn suppressed(report: &Report) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .filter_map(|finding| {
            let suppressed = finding.suppressed.as_ref()?;
            let until = suppressed.until.as_ref().map(|until| format!(", until {until}")).unwrap_or_default();
            let (title, reason) = (inline(&finding.title), inline(&suppressed.reason));
            Some(format!("- `{}` {title}: {reason}{until} ({})", finding.rule, inline(&suppressed.place)))
        })
        .collect();
    let more = lines.len().saturating_sub(UNKNOWN_LINES);
    lines.truncate(UNKNOWN_LINES);
    if more > 0 {
        lines.push(format!("- and {more} more"));
    }
    let notices = report.notices.iter().take(UNKNOWN_LINES);
    lines.extend(notices.map(|notice| format!("- {}: {}", inline(&notice.place), inline(&notice.message))));
    if lines.is_empty() { String::new() } else { format!("\n#### Waived or known\n\n{}\n", lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    fn comment(change: impl FnOnce(&mut crate::report::Report)) -> String {
        let (mut report, texts) = sample::floating_address();
        change(&mut report);
        render(&Report::new(&report, &texts))
    }

    #[test]
    fn what_a_ticket_needs() {
        let text = comment(|_| {});
        for part in [
            "1 root cause, 3 consequences, 1 unknown",
            "#### error: etcd on m2 is told to listen on 203.0.113.12",
            "`/etc/kubernetes/manifests/etcd.yaml:9` `203.0.113.12`: no interface has it",
            "It causes:",
            "- `etcd-quorum-fragile` 2 of 3",
            "```sh\nsed -i",
            "- `etcd-nospace` on m3: alarms of etcd on m3: the member did not answer in 3 s",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // A consequence is no section of its own.
        assert_eq!(text.matches("\n#### error").count(), 1, "{text}");
    }

    #[test]
    fn text_of_a_host_is_text() {
        let text = comment(|report| {
            report.findings[0].title = "<script>alert(1)</script> @everyone [x](http://y) `a` \u{1b}[31m #1".to_owned();
            report.findings[0].evidence[0].label = "a\n# b".to_owned();
            report.findings[0].fix.as_mut().unwrap().commands = vec!["echo ```\n</details>".into()];
        });
        for bad in ["<script>", "@everyone", "[x](", "\u{1b}", "\n# b"] {
            assert!(!text.contains(bad), "{bad}\n{text}");
        }
        assert!(text.contains("````sh\necho ```\n"), "{text}");
    }

    #[test]
    fn it_keeps_the_limit_and_says_what_is_left_out() {
        let text = comment(|report| {
            let one = report.findings[0].clone();
            report.findings = (0..500).map(|_| one.clone()).collect();
            report.unjudged = (0..500).map(|_| report.unjudged[0].clone()).collect();
        });
        assert!(text.chars().count() <= LIMIT, "{}", text.chars().count());
        assert!(text.contains("more did not fit: `etcd-address-not-local`"), "{}", &text[text.len() - 3000..]);
        assert!(text.contains("- and 480 more"));
    }
}
