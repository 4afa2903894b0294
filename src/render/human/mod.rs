//! The report for people: each root cause as a compiler shows an error, what it causes beneath it, and at the end what was
//! looked at and what could not be judged.

mod evidence;
mod finding;
mod snippet;
mod summary;
#[cfg(test)]
mod tests;
pub mod timeline;
pub(in crate::render) mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collect::TextFile;
use crate::engine::Language;
use crate::render::paint::Paint;
use crate::report::Report;

use words::Words;

/// Texts that evidence points into, by host and path.
pub type Texts = BTreeMap<String, BTreeMap<String, Arc<TextFile>>>;

/// How the report is to look.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Columns that texts are wrapped to; commands are never wrapped.
    pub width: usize,
    pub colour: bool,
    /// Evidence of consequences, and lists in full.
    pub verbose: bool,
    pub language: Language,
    /// Findings that were left out of the report for their severity.
    pub hidden: usize,
}

/// What every part of the renderer needs.
struct Context<'a> {
    report: &'a Report,
    texts: &'a Texts,
    options: Options,
    paint: Paint,
    words: Words,
    /// For each finding what it explains directly, in the report's order.
    consequences: Vec<Vec<usize>>,
}

/// The whole report, ending in a line end.
pub fn render(report: &Report, texts: &Texts, options: Options) -> String {
    let context = Context {
        report,
        texts,
        options,
        paint: Paint { colour: options.colour },
        words: Words { language: options.language },
        consequences: consequences(report),
    };
    let mut out = String::new();
    for root in roots(report, &context.consequences) {
        finding::render(&context, root, &mut out);
        out.push('\n');
    }
    summary::render(&context, &mut out);
    out
}

/// The findings that are wanted and that no wanted one explains, with all that they explain; nothing of the run as a whole.
pub fn render_some(report: &Report, texts: &Texts, options: Options, wanted: impl Fn(usize) -> bool) -> String {
    let context = Context {
        report,
        texts,
        options,
        paint: Paint { colour: options.colour },
        words: Words { language: options.language },
        consequences: consequences(report),
    };
    let mut out = String::new();
    for (index, finding) in report.findings.iter().enumerate() {
        if wanted(index) && !finding.consequence_of.is_some_and(&wanted) {
            finding::render(&context, index, &mut out);
            out.push('\n');
        }
    }
    out
}

fn consequences(report: &Report) -> Vec<Vec<usize>> {
    let mut consequences = vec![Vec::new(); report.findings.len()];
    for (index, finding) in report.findings.iter().enumerate().filter(|(_, finding)| finding.suppressed.is_none()) {
        if let Some(of) = finding.consequence_of.filter(|cause| *cause != index)
            && let Some(list) = consequences.get_mut(of)
        {
            list.push(index);
        }
    }
    consequences
}

/// The findings to show at the top: those without a cause in the report, and one of each circle of causes, so that nothing
/// that was found is ever left out.
fn roots(report: &Report, consequences: &[Vec<usize>]) -> Vec<usize> {
    // What is waived or known is counted at the end.
    let mut shown: Vec<bool> = report.findings.iter().map(|finding| finding.suppressed.is_some()).collect();
    let mut roots = Vec::new();
    let is_root = |index: usize| {
        report.findings[index].consequence_of.is_none_or(|cause| cause == index || cause >= report.findings.len())
    };
    let natural = (0..shown.len()).filter(|index| is_root(*index));
    for index in natural.chain(0..shown.len()) {
        if shown[index] {
            continue;
        }
        roots.push(index);
        let mut open = vec![index];
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut shown[next], true) {
                open.extend(&consequences[next]);
            }
        }
    }
    roots
}
