//! What a finding's fix does to files, as the report publishes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::collect::TextFile;
use crate::fix::plan_over;
use crate::report;
use crate::report::secret::{is_key, mask};

/// Replacement of whole lines of a file.
#[derive(Debug, Serialize)]
pub struct Edit {
    pub host: String,
    pub path: String,
    /// The first line that is replaced, from 1; with no line replaced, the one that the new lines come before.
    pub line: u64,
    /// How many lines are replaced.
    pub replaced: u64,
    /// The new lines with their ends.
    pub text: String,
}

/// The edits of a finding's fix, unless a secret stands in a line of them.
pub(super) fn edits(finding: &report::Finding, texts: &BTreeMap<String, BTreeMap<String, Arc<TextFile>>>) -> Vec<Edit> {
    let plan = finding.hosts.first().and_then(|host| Some((host, plan_over(finding, texts.get(host)?)?)));
    let Some((host, plan)) = plan else { return Vec::new() };
    let mut found = Vec::new();
    for change in &plan.changes {
        if change.before.as_deref().is_some_and(is_key) || is_key(&change.after) {
            return Vec::new();
        }
        for edit in change.edits() {
            if mask(&edit.text) != edit.text {
                return Vec::new();
            }
            found.push(Edit {
                host: host.clone(),
                path: change.path.clone(),
                line: edit.line as u64 + 1,
                replaced: edit.replaced as u64,
                text: edit.text,
            });
        }
    }
    found
}
