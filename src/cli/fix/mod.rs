//! `k8sdoctor fix`: the changes of files that mend what was found, as a diff; with --apply they are made.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use similar::TextDiff;

use super::check;
use super::error::CliError;
use super::exit::Exit;
use super::progress::Progress;
use super::{gate, output, settings, value};
use crate::engine::Language;
use crate::engine::run::Run;
use crate::fix::{self, LineEdit, Plan};
use crate::render::Words;
use crate::render::text::{escape, visible};
use crate::report::secret::{is_key, mask};
use crate::report::{EvidenceKind, Finding, Risk};
use files::Files;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Extracted host trees, folders or single configuration files; this host when none is given
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Change the files, each with a copy of what it was beside it; only fixes that are marked safe
    #[arg(long, help_heading = "Changes")]
    apply: bool,
    /// Make risky changes too: those that interrupt something or are hard to undo
    #[arg(long, requires = "apply", help_heading = "Changes")]
    risky: bool,
    /// Only these rules or components; may be repeated or separated by commas
    #[arg(long, value_name = "RULE|COMPONENT", value_delimiter = ',', help_heading = "Rules")]
    only: Vec<String>,
    /// A folder with cards of your own; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Rules")]
    rules: Vec<PathBuf>,
    /// The Kubernetes release to judge by, when it is not the one that runs
    #[arg(long, value_name = "X.Y", value_parser = value::kubernetes_version, help_heading = "Rules")]
    kubernetes_version: Option<String>,
    /// The time to judge dates against: RFC 3339 or a date; now when not given
    #[arg(long, value_name = "TIME", value_parser = value::timestamp, help_heading = "Evidence")]
    at: Option<Timestamp>,
    /// Ask nothing over sockets
    #[arg(long, help_heading = "Evidence")]
    no_probe: bool,
    /// The configuration; k8sdoctor.toml in the first source's folder, the working directory or above when not given
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Use no k8sdoctor.toml
    #[arg(long, conflicts_with = "config", help_heading = "Configuration")]
    no_config: bool,
}

/// A file of a host.
type Place = (String, String);

/// What is to become of all files, and of which findings.
#[derive(Default)]
struct Work<'a> {
    texts: BTreeMap<Place, Option<String>>,
    edits: BTreeMap<Place, Vec<LineEdit>>,
    chosen: Vec<(&'a Finding, Plan)>,
    /// Findings whose fix is mechanical and is left, with the reason.
    left: Vec<(&'a Finding, String)>,
}

pub fn run(arguments: &Arguments, language: Language) -> Result<Exit, CliError> {
    let run = judge(arguments, language)?;
    let files = Files::of(&run.report);
    let words = Words { language };
    let work = work(arguments, &run, &files, words);
    for unopened in &run.report.unopened {
        output::error(&unopened.message);
    }
    let incomplete = !run.report.unopened.is_empty();
    let mut out = String::new();
    if !arguments.apply {
        show(&work, &files, words, &mut out);
        output::print(&out)?;
        return Ok(match (work.chosen.is_empty(), incomplete) {
            (false, _) => Exit::Findings,
            (true, true) => Exit::Incomplete,
            (true, false) => Exit::Clean,
        });
    }
    let failed = apply(&work, &files, words, &mut out);
    let remaining = remaining(arguments, words, &work, &mut out)?;
    say_left(&work, words, &mut out);
    output::print(&out)?;
    for why in &failed {
        output::error(why);
    }
    Ok(match () {
        () if !failed.is_empty() => Exit::Failure,
        () if remaining || !work.left.is_empty() => Exit::Findings,
        () if incomplete => Exit::Incomplete,
        () => Exit::Clean,
    })
}

fn judge(arguments: &Arguments, language: Language) -> Result<Run, CliError> {
    let mut plain = check::Arguments::plain(arguments.sources.clone());
    plain.only.clone_from(&arguments.only);
    plain.rules.clone_from(&arguments.rules);
    plain.kubernetes_version.clone_from(&arguments.kubernetes_version);
    plain.at = arguments.at;
    plain.no_probe = arguments.no_probe;
    plain.config.clone_from(&arguments.config);
    plain.no_config = arguments.no_config;
    let settings = settings::of(&plain)?;
    let progress = Progress::start("checking".to_owned());
    let done = crate::engine::run::run(&plain.options(&settings, language));
    drop(progress);
    let mut run = done?;
    gate::apply(&mut run, &plain, &settings)?;
    Ok(run)
}

/// Chooses the findings to mend: none that is waived, and none that goes when its cause is mended.
fn work<'a>(arguments: &Arguments, run: &'a Run, files: &Files, words: Words) -> Work<'a> {
    let mut work = Work::default();
    let mut mended: BTreeSet<usize> = BTreeSet::new();
    for (index, finding) in run.report.findings.iter().enumerate() {
        let (Some(fix), Some(host)) = (&finding.fix, finding.hosts.first()) else { continue };
        if finding.suppressed.is_some() {
            continue;
        }
        if finding.consequence_of.is_some_and(|cause| mended.contains(&cause)) {
            mended.insert(index);
            continue;
        }
        let Some(plan) = fix::plan(fix, |path| files.read(host, path)) else { continue };
        let why = match fix.risk {
            _ if !arguments.apply => None,
            Risk::Safe => None,
            Risk::Risky if arguments.risky => None,
            Risk::Risky => Some(words.pick("it is risky; --risky makes it", "有风险；加 --risky 才会执行").to_owned()),
            Risk::Manual => Some(
                words
                    .pick("a person has to decide; run its commands by hand", "需人工判断；请手动执行其命令")
                    .to_owned(),
            ),
        };
        if let Some(why) = why.or_else(|| work.add(host, &plan).err()) {
            work.left.push((finding, why));
            continue;
        }
        mended.insert(index);
        work.chosen.push((finding, plan));
    }
    work
}

impl Work<'_> {
    /// Adds a plan's edits, all or none.
    fn add(&mut self, host: &str, plan: &Plan) -> Result<(), String> {
        let mut added = Vec::new();
        for change in &plan.changes {
            let place = (host.to_owned(), change.path.clone());
            let mut edits = self.edits.get(&place).cloned().unwrap_or_default();
            edits.extend(change.edits());
            fix::merged(change.before.as_deref().unwrap_or(""), edits.clone())
                .map_err(|why| format!("{why} of {}: run again after it", change.path))?;
            added.push((place, change.before.clone(), edits));
        }
        for (place, before, edits) in added {
            self.texts.entry(place.clone()).or_insert(before);
            self.edits.insert(place, edits);
        }
        Ok(())
    }

    /// Each file with what it is and what it is to be.
    fn changes(&self) -> impl Iterator<Item = (&Place, Option<&str>, String)> {
        self.edits.iter().filter_map(|(place, edits)| {
            let before = self.texts.get(place)?.as_deref();
            let after = fix::merged(before.unwrap_or(""), edits.clone()).ok()?;
            Some((place, before, after))
        })
    }
}

fn risk(risk: Risk, words: Words) -> &'static str {
    match risk {
        Risk::Safe => words.pick("safe", "安全"),
        Risk::Risky => words.pick("risky", "有风险"),
        Risk::Manual => words.pick("decide first", "需人工判断"),
    }
}

/// What patch ignores begins with `#`: which findings, what each changes, what is to be run and restarted.
fn say_finding(finding: &Finding, plan: &Plan, words: Words, out: &mut String) {
    let Some(fix) = &finding.fix else { return };
    let host = escape(finding.hosts.first().map(String::as_str).unwrap_or_default());
    let (rule, risk, summary) = (&finding.rule, risk(fix.risk, words), escape(&fix.summary));
    out.push_str(&match words.chinese() {
        false => format!("# {rule} ({risk}) on {host}: {summary}\n"),
        true => format!("# {host} 上的 {rule}（{risk}）：{summary}\n"),
    });
    for line in plan.commands.iter().flat_map(|command| command.lines()) {
        let line = escape(&mask(line));
        out.push_str(&match words.chinese() {
            false => format!("#   then run on {host}: {line}\n"),
            true => format!("#   然后在 {host} 上执行：{line}\n"),
        });
    }
    for unit in &fix.restarts {
        let unit = escape(unit);
        out.push_str(&match words.chinese() {
            false => format!("#   then restart on {host}: {unit}\n"),
            true => format!("#   然后在 {host} 上重启：{unit}\n"),
        });
    }
}

fn show(work: &Work<'_>, files: &Files, words: Words, out: &mut String) {
    if work.chosen.is_empty() {
        out.push_str(
            words
                .pick("# nothing was found that a change of files alone mends\n", "# 没有发现只改文件就能修复的问题\n"),
        );
    }
    for (finding, plan) in &work.chosen {
        say_finding(finding, plan, words, out);
    }
    say_left(work, words, out);
    for ((host, path), before, after) in work.changes() {
        out.push_str(&diff(&files.shown(host, path), before, &after, words));
    }
}

/// A line of a finding on its hosts: `# WHAT: RULE on HOSTS: WHY`.
fn say(what: &str, finding: &Finding, why: Option<&str>, words: Words, out: &mut String) {
    let (rule, hosts) = (&finding.rule, escape(&finding.hosts.join(", ")));
    let why = why.map(escape);
    out.push_str(&match (words.chinese(), why) {
        (false, Some(why)) => format!("# {what}: {rule} on {hosts}: {why}\n"),
        (false, None) => format!("# {what}: {rule} on {hosts}\n"),
        (true, Some(why)) => format!("# {what}：{hosts} 上的 {rule}：{why}\n"),
        (true, None) => format!("# {what}：{hosts} 上的 {rule}\n"),
    });
}

fn say_left(work: &Work<'_>, words: Words, out: &mut String) {
    for (finding, why) in &work.left {
        say(words.pick("left", "未处理"), finding, Some(why), words, out);
    }
}

/// A unified diff in which no secret can be read and nothing moves the cursor.
fn diff(path: &str, before: Option<&str>, after: &str, words: Words) -> String {
    let shown = escape(path);
    if before.is_some_and(is_key) || is_key(after) {
        let why = words.pick("changes; it holds a private key, and is not shown", "会被修改；其中有私钥，不予显示");
        return format!("# {shown} {why}\n");
    }
    let old = if before.is_some() { shown.as_str() } else { "/dev/null" };
    let text = TextDiff::from_lines(before.unwrap_or(""), after).unified_diff().header(old, &shown).to_string();
    text.split_inclusive('\n').map(|line| format!("{}\n", visible(&mask(line.trim_end_matches('\n'))))).collect()
}

/// Makes the changes; gives what could not be made.
fn apply(work: &Work<'_>, files: &Files, words: Words, out: &mut String) -> Vec<String> {
    let mut failed = Vec::new();
    let stamp = crate::collect::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    for ((host, path), before, after) in work.changes() {
        let shown = files.shown(host, path);
        match files.write(host, path, before, &after, &stamp) {
            Ok(Some(backup)) => {
                let (shown, backup) = (escape(&shown), escape(&backup));
                out.push_str(&match words.chinese() {
                    false => format!("# changed {shown}; what it was is in {backup}\n"),
                    true => format!("# 已修改 {shown}；原内容在 {backup}\n"),
                });
            }
            Ok(None) => out.push_str(&format!("# {} {}\n", words.pick("made", "已新建"), escape(&shown))),
            Err(why) => failed.push(format!("{shown}: {why}; it was not changed")),
        }
    }
    for (finding, plan) in &work.chosen {
        say_finding(finding, plan, words, out);
    }
    failed
}

/// Judges again, and says which of the findings are still there.
fn remaining(arguments: &Arguments, words: Words, work: &Work<'_>, out: &mut String) -> Result<bool, CliError> {
    if work.chosen.is_empty() {
        out.push_str(words.pick("# nothing was changed\n", "# 没有修改任何文件\n"));
        return Ok(false);
    }
    let again = judge(arguments, words.language)?;
    let mut any = false;
    for (finding, plan) in &work.chosen {
        let same = |other: &&Finding| {
            other.rule == finding.rule && other.hosts == finding.hosts && other.subject == finding.subject
        };
        if again.report.findings.iter().any(|other| same(&other)) {
            any = true;
            say(words.pick("still there", "仍然存在"), finding, Some(still(finding, plan, words)), words, out);
        } else {
            say(words.pick("gone", "已消除"), finding, None, words, out);
        }
    }
    Ok(any)
}

/// Why a finding is still there when its files are changed, and what is to be done about that.
fn still(finding: &Finding, plan: &Plan, words: Words) -> &'static str {
    if !plan.commands.is_empty() || finding.fix.as_ref().is_some_and(|fix| !fix.restarts.is_empty()) {
        words.pick(
            "its files are changed, and what runs is as before: run the commands above, then check again",
            "文件已修改，但正在运行的仍是旧的：请执行上面的命令，再检查一次",
        )
    } else if finding.evidence.iter().any(|evidence| evidence.kind == EvidenceKind::Log) {
        words.pick(
            "its files are changed, and its log is of before: check again when it has started anew",
            "文件已修改，但日志是修改之前的：等它重新启动后再检查一次",
        )
    } else {
        words.pick(
            "its files are changed, and something else shows it too: check again and see what",
            "文件已修改，但还有别的证据：请再检查一次，看是什么",
        )
    }
}
