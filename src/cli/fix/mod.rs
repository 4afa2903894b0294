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
use crate::render::text::{escape, visible};
use crate::report::secret::{is_key, mask};
use crate::report::{Finding, Risk};
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
    let work = work(arguments, &run, &files);
    for unopened in &run.report.unopened {
        output::error(&unopened.message);
    }
    let incomplete = !run.report.unopened.is_empty();
    let mut out = String::new();
    if !arguments.apply {
        show(&work, &files, &mut out);
        output::print(&out)?;
        return Ok(match (work.chosen.is_empty(), incomplete) {
            (false, _) => Exit::Findings,
            (true, true) => Exit::Incomplete,
            (true, false) => Exit::Clean,
        });
    }
    let failed = apply(&work, &files, &mut out);
    let remaining = remaining(arguments, language, &work, &mut out)?;
    say_left(&work, &mut out);
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
fn work<'a>(arguments: &Arguments, run: &'a Run, files: &Files) -> Work<'a> {
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
            Risk::Risky => Some("it is risky; --risky makes it".to_owned()),
            Risk::Manual => Some("a person has to decide; run its commands by hand".to_owned()),
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

fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Safe => "safe",
        Risk::Risky => "risky",
        Risk::Manual => "decide first",
    }
}

/// What patch ignores begins with `#`: which findings, what each changes, what is to be run and restarted.
fn say_finding(finding: &Finding, plan: &Plan, out: &mut String) {
    let Some(fix) = &finding.fix else { return };
    let host = finding.hosts.first().map(String::as_str).unwrap_or_default();
    out.push_str(&format!("# {} ({}) on {}: {}\n", finding.rule, risk(fix.risk), escape(host), escape(&fix.summary)));
    for command in &plan.commands {
        for line in command.lines() {
            out.push_str(&format!("#   then run on {}: {}\n", escape(host), escape(&mask(line))));
        }
    }
    for unit in &fix.restarts {
        out.push_str(&format!("#   then restart on {}: {}\n", escape(host), escape(unit)));
    }
}

fn show(work: &Work<'_>, files: &Files, out: &mut String) {
    if work.chosen.is_empty() {
        out.push_str("# nothing was found that a change of files alone mends\n");
    }
    for (finding, plan) in &work.chosen {
        say_finding(finding, plan, out);
    }
    say_left(work, out);
    for ((host, path), before, after) in work.changes() {
        out.push_str(&diff(&files.shown(host, path), before, &after));
    }
}

fn say_left(work: &Work<'_>, out: &mut String) {
    for (finding, why) in &work.left {
        let hosts = finding.hosts.join(", ");
        out.push_str(&format!("# left: {} on {}: {}\n", finding.rule, escape(&hosts), escape(why)));
    }
}

/// A unified diff in which no secret can be read and nothing moves the cursor.
fn diff(path: &str, before: Option<&str>, after: &str) -> String {
    let shown = escape(path);
    if before.is_some_and(is_key) || is_key(after) {
        return format!("# {shown} changes; it holds a private key, and is not shown\n");
    }
    let old = if before.is_some() { shown.as_str() } else { "/dev/null" };
    let text = TextDiff::from_lines(before.unwrap_or(""), after).unified_diff().header(old, &shown).to_string();
    text.split_inclusive('\n').map(|line| format!("{}\n", visible(&mask(line.trim_end_matches('\n'))))).collect()
}

/// Makes the changes; gives what could not be made.
fn apply(work: &Work<'_>, files: &Files, out: &mut String) -> Vec<String> {
    let mut failed = Vec::new();
    let stamp = crate::collect::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    for ((host, path), before, after) in work.changes() {
        let shown = files.shown(host, path);
        match files.write(host, path, before, &after, &stamp) {
            Ok(Some(backup)) => {
                out.push_str(&format!("# changed {}; what it was is in {}\n", escape(&shown), escape(&backup)));
            }
            Ok(None) => out.push_str(&format!("# made {}\n", escape(&shown))),
            Err(why) => failed.push(format!("{shown}: {why}; it was not changed")),
        }
    }
    for (finding, plan) in &work.chosen {
        say_finding(finding, plan, out);
    }
    failed
}

/// Judges again, and says which of the findings are still there.
fn remaining(arguments: &Arguments, language: Language, work: &Work<'_>, out: &mut String) -> Result<bool, CliError> {
    if work.chosen.is_empty() {
        out.push_str("# nothing was changed\n");
        return Ok(false);
    }
    let again = judge(arguments, language)?;
    let mut any = false;
    for (finding, _) in &work.chosen {
        let same = |other: &&Finding| {
            other.rule == finding.rule && other.hosts == finding.hosts && other.subject == finding.subject
        };
        if again.report.findings.iter().any(|other| same(&other)) {
            any = true;
            let why = "its files are changed, and what runs is as before: run the commands above, then check again";
            out.push_str(&format!("# still there: {} on {}: {why}\n", finding.rule, escape(&finding.hosts.join(", "))));
        } else {
            out.push_str(&format!("# gone: {} on {}\n", finding.rule, escape(&finding.hosts.join(", "))));
        }
    }
    Ok(any)
}
