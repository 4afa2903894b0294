//! `k8sdoctor bundle`: what is in a bundle, whether it is as it was written, and what two of them differ in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::error::CliError;
use super::exit::Exit;
use super::output;
use crate::bundle::inspect::{self, Content};
use crate::bundle::record::{self, CollectOptions};
use crate::engine::{CardSet, Language};
use crate::render::text::escape;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is in a bundle, what is missing and what was replaced
    Show { bundle: PathBuf },
    /// Compare every file with the hash that was written when it was taken
    Verify { bundle: PathBuf },
    /// Write a bundle, or another tool's archive of one host, again without its secrets
    Redact {
        bundle: PathBuf,
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Say which files differ in two bundles
    Diff { old: PathBuf, new: PathBuf },
}

pub fn run(arguments: &Arguments) -> Result<Exit, CliError> {
    match &arguments.command {
        Command::Show { bundle } => show(bundle),
        Command::Verify { bundle } => verify(bundle),
        Command::Redact { bundle, output } => redact(bundle, output),
        Command::Diff { old, new } => diff(old, new),
    }
}

fn read(path: &Path) -> Result<Vec<Content>, CliError> {
    inspect::read(path).map_err(|error| CliError { message: error.to_string(), exit: Exit::Incomplete })
}

fn show(path: &Path) -> Result<Exit, CliError> {
    let mut exit = Exit::Clean;
    let mut out = String::new();
    for content in read(path)? {
        let head = &content.head;
        out.push_str(&format!(
            "{}: taken {} by k8sdoctor {} ({} rules){}\n",
            escape(&head.host),
            head.started,
            escape(&head.tool_version),
            head.rules,
            if head.redacted { "" } else { ", with its passwords and tokens" }
        ));
        if let Some(why) = &content.incomplete {
            out.push_str(&format!("not whole: {}\n", escape(why)));
            exit = Exit::Incomplete;
        }
        for file in &content.files {
            let replaced = if file.redactions > 0 { format!("  {} replaced", file.redactions) } else { String::new() };
            let truncated = file.truncated.as_ref().map(|why| format!("  cut: {}", escape(why))).unwrap_or_default();
            out.push_str(&format!(
                "  {:04o} {:>12}  {}{replaced}{truncated}\n",
                file.mode,
                file.size,
                escape(&file.path)
            ));
        }
        for left_out in &content.left_out {
            out.push_str(&format!("left out: {}: {}\n", escape(&left_out.path), escape(&left_out.why)));
        }
        for record in &content.redactions {
            let lines: Vec<String> = record.lines.iter().map(u64::to_string).collect();
            let more = if record.count > record.lines.len() as u64 { ", ..." } else { "" };
            out.push_str(&format!(
                "replaced: {}:{}{more}: {} ({})\n",
                escape(&record.path),
                lines.join(","),
                escape(&record.rule),
                record.count
            ));
        }
    }
    output::print(&out)?;
    Ok(exit)
}

fn verify(path: &Path) -> Result<Exit, CliError> {
    let mut out = String::new();
    let mut exit = Exit::Clean;
    for content in read(path)? {
        let mut wrong: Vec<String> =
            content.incomplete.iter().map(|why| format!("not whole: {}", escape(why))).collect();
        wrong.extend(content.verify().into_iter().map(|(path, why)| format!("{}: {}", escape(&path), escape(&why))));
        if wrong.is_empty() {
            out.push_str(&format!(
                "{}: {} files are as they were taken\n",
                escape(&content.head.host),
                content.files.len()
            ));
        } else {
            exit = Exit::Incomplete;
            wrong.iter().for_each(|line| out.push_str(&format!("{}: {line}\n", escape(&content.head.host))));
        }
    }
    output::print(&out)?;
    Ok(exit)
}

fn redact(bundle: &Path, to: &Path) -> Result<Exit, CliError> {
    let mut hosts = crate::source::open_all(Some(&bundle.display().to_string()))
        .map_err(|error| CliError { message: error.to_string(), exit: Exit::Incomplete })?;
    let (Some(source), true) = (hosts.pop(), hosts.is_empty()) else {
        return Err(CliError::usage("the archive holds several hosts; only one can be written again"));
    };
    let rules = CardSet::builtin(Language::English).map_or(0, |cards| cards.len());
    let options = CollectOptions { probe_deadline: None, rules, ..CollectOptions::default() };
    let summary = record::to_file(source, to, &options).map_err(|error| CliError::usage(error.to_string()))?;
    output::print(&format!("{}: {} secrets replaced\n", escape(&to.display().to_string()), summary.redactions))?;
    Ok(if summary.incomplete.is_some() { Exit::Incomplete } else { Exit::Clean })
}

fn diff(old: &Path, new: &Path) -> Result<Exit, CliError> {
    let of = |contents: Vec<Content>| -> BTreeMap<(String, String), (String, u64)> {
        let file = |content: &Content| {
            let host = content.head.host.clone();
            content
                .files
                .iter()
                .map(move |file| ((host.clone(), file.path.clone()), (file.sha256.clone(), file.size)))
                .collect()
        };
        contents.iter().flat_map(|content| -> Vec<_> { file(content) }).collect()
    };
    let (old, new) = (of(read(old)?), of(read(new)?));
    let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut out = String::new();
    for key in paths {
        let place = format!("{}:{}", escape(&key.0), escape(&key.1));
        match (old.get(key), new.get(key)) {
            (Some((_, size)), None) => out.push_str(&format!("- {place} ({size} bytes)\n")),
            (None, Some((_, size))) => out.push_str(&format!("+ {place} ({size} bytes)\n")),
            (Some(before), Some(after)) if before != after => {
                out.push_str(&format!("~ {place} ({} bytes, was {})\n", after.1, before.1));
            }
            _ => {}
        }
    }
    let exit = if out.is_empty() { Exit::Clean } else { Exit::Findings };
    output::print(&out)?;
    Ok(exit)
}
