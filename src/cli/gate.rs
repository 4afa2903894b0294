//! What decides whether a run fails beside its findings: waivers and the baseline.

use std::path::Path;

use super::check::{Arguments, Phase};
use super::error::CliError;
use super::settings::Settings;
use super::{format, output};
use crate::engine::causes::explanations;
use crate::engine::run::Run;
use crate::render::json::v1;
use crate::report::baseline::Baseline;
use crate::report::suppress::{self, Waivers};

/// A baseline larger than this is none.
const LIMIT: u64 = 64 << 20;

/// Applies waivers and the baseline, and writes the latter when that was asked for.
pub fn apply(run: &mut Run, arguments: &Arguments, settings: &Settings) -> Result<(), CliError> {
    run.report.configuration.clone_from(&settings.path);
    let waivers = Waivers {
        list: &settings.waivers,
        config: settings.path.as_deref().unwrap_or_default(),
        judged: run.cards.iter().map(|card| card.id.as_str()).collect(),
        explanations: explanations(&run.report.findings, &run.cards),
        is_whole: arguments.only.is_empty() && arguments.phase == Phase::All,
    };
    suppress::waive(&mut run.report, &run.texts, &waivers);
    let Some(file) = &arguments.baseline else { return Ok(()) };
    let shown = file.display().to_string();
    let report = v1::Report::new(&run.report, &run.texts);
    let baseline = if arguments.update_baseline {
        let baseline = Baseline::of(&report);
        let json = baseline.to_json().map_err(|error| CliError::usage(format!("{shown}: {error}")))?;
        format::write(&json, Some(file))?;
        output::note(&format!("{shown}: {} findings are known from now on", baseline.len()));
        baseline
    } else {
        Baseline::parse(&read(file)?).map_err(|error| CliError::usage(format!("{shown}: {error}")))?
    };
    let known: Vec<bool> = report.findings.iter().map(|finding| baseline.knows(finding)).collect();
    suppress::accept_known(&mut run.report, &shown, |index| known.get(index).copied().unwrap_or(false));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the user's baseline is no evidence and comes from no source")]
fn read(file: &Path) -> Result<String, CliError> {
    use std::io::Read;
    let mut text = String::new();
    let done = std::fs::File::open(file).and_then(|opened| opened.take(LIMIT).read_to_string(&mut text));
    done.map_err(|error| {
        let hint = "--update-baseline writes one of what is found now";
        CliError::usage(format!("{}: {error}; {hint}", file.display()))
    })?;
    Ok(text)
}
