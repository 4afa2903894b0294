//! A baseline: the findings that are known and let pass, so that only new ones fail.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::render::ci::fingerprint;
use crate::render::json::v1;

/// Findings by their fingerprints, which another line or wording does not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    version: u32,
    /// Sorted, each once.
    findings: BTreeSet<Known>,
}

/// All but the fingerprint is for the reader of a diff.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    rule: String,
    hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    fingerprint: String,
}

impl Baseline {
    /// All findings of a report but those that are waived: a waiver has an end, a baseline has none.
    pub fn of(report: &v1::Report) -> Baseline {
        let is_open =
            |finding: &&v1::Finding| finding.suppressed.as_ref().is_none_or(|suppressed| suppressed.kind == "baseline");
        let findings = report.findings.iter().filter(is_open).map(|finding| Known {
            rule: finding.rule.clone(),
            hosts: finding.hosts.clone(),
            subject: finding.subject.clone(),
            fingerprint: fingerprint(finding),
        });
        Baseline { version: 1, findings: findings.collect() }
    }

    /// # Errors
    ///
    /// What is wrong with the text, with line and column.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let baseline: Baseline = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match baseline.version {
            1 => Ok(baseline),
            other => Err(format!("is a baseline of version {other}; this program reads version 1")),
        }
    }

    /// JSON that is the same for the same findings, one a line.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    pub fn knows(&self, finding: &v1::Finding) -> bool {
        let fingerprint = fingerprint(finding);
        self.findings.iter().any(|known| known.fingerprint == fingerprint)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }
}
