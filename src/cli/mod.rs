//! The command line: arguments, one file for each subcommand, and the only code that writes to the terminal.

mod bundle;
mod check;
mod collect;
mod config;
mod error;
pub mod exit;
mod explain;
mod fix;
mod format;
mod gate;
mod logs;
pub(crate) mod nearest;
mod output;
mod panic;
mod progress;
mod rules;
mod settings;
mod terminal;
mod topology;
mod value;
mod watch;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::engine::Language;
use error::CliError;
use exit::Exit;
use terminal::Terminal;

/// What is wrong with a Kubernetes host or HA cluster, with the evidence and a fix.
///
/// Works on this host, on bundles, on extracted host trees and on single log or configuration files; needs no apiserver and changes
/// nothing.
#[derive(Debug, Parser)]
#[command(name = "k8sdoctor", version, max_term_width = 100, after_help = EXIT_HELP, propagate_version = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Output")]
    color: Color,
    /// The language of texts
    #[arg(long, global = true, value_enum, default_value_t, value_name = "LANGUAGE", help_heading = "Output")]
    lang: Lang,
    #[command(subcommand)]
    command: Command,
}

const EXIT_HELP: &str = "\
Exit codes:
  0  nothing found at or above --fail-on
  1  something found
  2  wrong usage, or an error of the program itself
  3  incomplete: a source could not be read, or with --fail-on-unknown a rule could not be judged";

#[derive(Debug, Subcommand)]
enum Command {
    /// Find what is wrong with this host, or with the hosts and files given
    Check(check::Arguments),
    /// Show what the logs tell, by time: all known messages and all starts, of all hosts
    Logs(logs::Arguments),
    /// Record what check would read into one file, without secrets, to be judged elsewhere
    Collect(collect::Arguments),
    /// Look into bundles
    Bundle(bundle::Arguments),
    /// Say what a rule means, how to mend what it finds, and where that is documented
    Explain(explain::Arguments),
    /// List the rules
    Rules(rules::Arguments),
    /// Show who dials whom: hosts, etcd members, load balancers, and the certificates between them
    Topology(topology::Arguments),
    /// Show the changes of files that mend what was found; make them with --apply
    Fix(fix::Arguments),
    /// Show the configuration that is used
    Config(config::Arguments),
    /// Print the completions for a shell, to be put where it looks for them
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Lang {
    #[default]
    En,
    Zh,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Language {
        match lang {
            Lang::En => Language::English,
            Lang::Zh => Language::Chinese,
        }
    }
}

/// Runs the program and gives its exit code. Nothing that happens in it leaves as a panic.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> std::process::ExitCode {
    panic::install();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    std::process::ExitCode::from(guarded(|| run(arguments)).code())
}

/// A bug of the program is a failure, and never looks like a clean or a bad host.
fn guarded(work: impl FnOnce() -> Exit + std::panic::UnwindSafe) -> Exit {
    std::panic::catch_unwind(work).unwrap_or(Exit::Failure)
}

fn run(arguments: Vec<OsString>) -> Exit {
    // kubectl finds programs named kubectl-...; help then speaks of `kubectl k8sdoctor`.
    let called = arguments.first().map(std::path::Path::new).and_then(|path| path.file_name());
    let mut command = Cli::command();
    if called.is_some_and(|name| name.to_string_lossy().starts_with("kubectl-k8sdoctor")) {
        command = command.bin_name("kubectl k8sdoctor");
    }
    let parsed = command.try_get_matches_from(arguments).and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors. A reader that went away is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { Exit::Failure } else { Exit::Clean };
        }
    };
    let terminal = Terminal::detect(cli.color);
    let language = cli.lang.into();
    let done = match cli.command {
        Command::Check(arguments) => check::run(&arguments, language, terminal),
        Command::Logs(arguments) => logs::run(&arguments, language, terminal),
        Command::Collect(arguments) => collect::run(&arguments),
        Command::Bundle(arguments) => bundle::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments, language, terminal),
        Command::Rules(arguments) => rules::run(&arguments, language, terminal),
        Command::Topology(arguments) => topology::run(&arguments, terminal),
        Command::Fix(arguments) => fix::run(&arguments, language),
        Command::Completions { shell } => completions(shell),
        Command::Man => manual(),
        Command::Config(arguments) => config::run(&arguments),
    };
    done.unwrap_or_else(|error: CliError| {
        output::error(&error.message);
        error.exit
    })
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "k8sdoctor", &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Clean)
}

/// One page, the subcommands with their options in it.
fn manual() -> Result<Exit, CliError> {
    let mut text = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    describe_subcommands(&command, "k8sdoctor", &mut text)?;
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Clean)
}

/// A section for each command below, those of commands in turn behind it.
fn describe_subcommands(command: &clap::Command, path: &str, text: &mut Vec<u8>) -> std::io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        if subcommand.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", subcommand.get_name().to_uppercase());
        let man = clap_mangen::Man::new(subcommand.clone());
        text.extend_from_slice(format!(".SH \"{path}\"\n").as_bytes());
        let mut section = Vec::new();
        man.render_description_section(&mut section)?;
        man.render_synopsis_section(&mut section)?;
        man.render_options_section(&mut section)?;
        // Sections of a subcommand are subsections of the page.
        text.extend_from_slice(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").as_bytes());
        describe_subcommands(subcommand, &path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure() {
        assert_eq!(guarded(|| panic!("on purpose")), Exit::Failure);
        assert_eq!(guarded(|| Exit::Findings), Exit::Findings);
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
