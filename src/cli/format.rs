//! The formats of a report, and writing them: to standard output, and to files beside.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::error::CliError;
use super::nearest::nearest;
use super::output;
use super::terminal::Terminal;
use crate::engine::Language;
use crate::engine::run::Run;
use crate::render::json::{lines, v1};
use crate::render::{ci, comment, html, human};

/// How a report can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// docs/schema/report-v1.json describes it
    Json,
    /// An object for each finding, then one for the run
    Jsonl,
    /// A comment for a ticket
    Markdown,
    /// One page that needs nothing else, to look through in a browser
    Html,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// A test report: a suite for each host, a failed case for each finding
    Junit,
    /// GitHub Actions: annotations, and the comment in the step's summary
    Github,
    /// GitLab's code quality report
    Gitlab,
    /// Metrics for the node exporter's textfile collector
    Prometheus,
}

/// `FORMAT=FILE` of --output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub format: Format,
    pub file: PathBuf,
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = self.format.to_possible_value();
        write!(f, "{}={}", format.as_ref().map_or("human", |value| value.get_name()), self.file.display())
    }
}

/// Reads `sarif=results.sarif`.
///
/// # Errors
///
/// When there is no `=`, no file, or no such format; the message names the formats.
pub fn output(text: &str) -> Result<Output, String> {
    let unknown = |format: &str| {
        let known = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = known.map(|known| known.get_name().to_owned()).collect();
        let meant = nearest(format, names.iter().map(String::as_str));
        let meant = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        format!("`{format}` is none of {}{meant}", names.join(", "))
    };
    let (format, file) = text.split_once('=').ok_or("expected FORMAT=FILE, such as sarif=results.sarif")?;
    let format = Format::from_str(format, false).map_err(|_| unknown(format))?;
    if file.is_empty() {
        return Err("expected a file after `=`, such as sarif=results.sarif".to_owned());
    }
    Ok(Output { format, file: PathBuf::from(file) })
}

/// What formats need beside the run itself.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub terminal: Terminal,
    pub language: Language,
    pub verbose: bool,
    /// Findings that were left out of the report for their severity.
    pub hidden: usize,
}

/// The report in one format.
pub fn render(run: &Run, format: Format, look: Look) -> Result<String, CliError> {
    if format == Format::Human {
        let options = human::Options {
            width: look.terminal.width,
            colour: look.terminal.colour,
            verbose: look.verbose,
            language: look.language,
            hidden: look.hidden,
        };
        return Ok(human::render(&run.report, &run.texts, options));
    }
    let report = v1::Report::new(&run.report, &run.texts);
    let unwritable =
        |error: &dyn std::fmt::Display| CliError::usage(format!("the report could not be written: {error}"));
    match format {
        Format::Human | Format::Json => report.to_json().map_err(|error| unwritable(&error)),
        Format::Jsonl => lines::render(&report).map_err(|error| unwritable(&error)),
        Format::Markdown => Ok(comment::render(&report)),
        Format::Html => Ok(html::render(&html::Content {
            report: &report,
            certificates: &run.report.certificates,
            topology: run.topology.as_ref(),
            events: &run.events,
            language: look.language,
            hidden: look.hidden,
        })),
        Format::Sarif => Ok(ci::sarif::render(&report, &run.cards)),
        Format::Junit => ci::junit::render(&report, &run.report.passed).map_err(|error| unwritable(&error)),
        Format::Github => {
            write_step_summary(&comment::render(&report))?;
            Ok(ci::github::annotations(&report))
        }
        Format::Gitlab => Ok(ci::gitlab::render(&report)),
        Format::Prometheus => Ok(ci::prometheus::render(&report, &run.report.certificates, crate::collect::now())),
    }
}

/// GitHub's runner names a file that is shown on the run's page; elsewhere there is none.
#[expect(clippy::disallowed_methods, reason = "what the runner of the command line wants, not evidence")]
fn write_step_summary(text: &str) -> Result<(), CliError> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else { return Ok(()) };
    let append = || std::fs::OpenOptions::new().append(true).create(true).open(&path)?.write_all(text.as_bytes());
    append().map_err(|error| {
        CliError::usage(format!("{}, named by GITHUB_STEP_SUMMARY: {error}", PathBuf::from(&path).display()))
    })
}

/// Writes to standard output, or whole to a file: beside it first, so that no reader sees a half one and a full disk leaves
/// the old one.
#[expect(clippy::disallowed_methods, reason = "a file that the user wants written, not evidence")]
pub fn write(text: &str, file: Option<&Path>) -> Result<(), CliError> {
    let Some(file) = file else { return Ok(output::print(text)?) };
    let replace = || -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // As open(2) would have it: what the umask leaves of 0666. The node exporter is another user.
        let permissions = std::fs::Permissions::from_mode(0o666);
        let mut beside = tempfile::Builder::new().prefix(".k8sdoctor-").permissions(permissions).tempfile_in(folder)?;
        beside.write_all(text.as_bytes())?;
        beside.persist(file).map_err(|error| error.error)?;
        Ok(())
    };
    // A device or a pipe is written to, not replaced.
    let direct = || std::fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes());
    let special = std::fs::metadata(file).is_ok_and(|found| !found.is_file());
    let done = if special { direct() } else { replace() };
    // The kind alone: the error itself names the file beside, which nobody asked for.
    let why = |error: std::io::Error| {
        CliError::usage(format!("{}: {}; the report was not written there", file.display(), error.kind()))
    };
    done.map_err(why)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at what was written")]
mod tests {
    use super::*;

    #[test]
    fn outputs() {
        let sarif = Output { format: Format::Sarif, file: PathBuf::from("a=b.sarif") };
        assert_eq!(output("sarif=a=b.sarif"), Ok(sarif));
        for (text, word) in [("sarif", "FORMAT=FILE"), ("sarrif=x", "did you mean `sarif`?"), ("sarif=", "a file")] {
            assert!(output(text).is_err_and(|why| why.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.json");
        write("one", Some(&file)).unwrap();
        write("two", Some(&file)).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write("x", Some(&folder.path().join("none/report.json"))).unwrap_err();
        assert!(error.message.contains("none/report.json"), "{}", error.message);
    }
}
