//! Formats that other programs read: code scanning, test reports, metrics. All are made of the published report
//! ([`v1::Report`]), so that what is masked there is masked here.

pub mod github;
pub mod gitlab;
pub mod junit;
pub mod prometheus;
pub mod sarif;

use sha2::{Digest, Sha256};

use crate::render::json::v1::{self, Evidence, Finding};
use crate::render::text::to_complete;

/// A place of a finding as a repository or a file browser knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Below the source as it was named for a tree, the file as it was named for a single one, absolute on a live host.
    pub path: String,
    /// From 1.
    pub line: Option<u64>,
    pub column: Option<u64>,
    /// One past the last.
    pub end_column: Option<u64>,
}

/// Where a piece of evidence stands; none when it is no file's.
pub fn location(report: &v1::Report, evidence: &Evidence) -> Option<Location> {
    let path = evidence.path.as_deref()?;
    let path = path_of(report, &evidence.host, path);
    Some(Location { path, line: evidence.line, column: evidence.column, end_column: evidence.end_column })
}

/// A host's path as a repository or a file browser knows it.
pub fn path_of(report: &v1::Report, host: &str, path: &str) -> String {
    let path = match report.hosts.iter().find(|known| known.name == host) {
        Some(host) if matches!(host.kind, "tree" | "bundle") && path.starts_with('/') => {
            format!("{}{path}", host.source.trim_end_matches('/'))
        }
        _ => path.to_owned(),
    };
    path.strip_prefix("./").unwrap_or(&path).to_owned()
}

/// The first place of a finding.
pub fn first_location(report: &v1::Report, finding: &Finding) -> Option<Location> {
    finding.evidence.iter().find_map(|evidence| location(report, evidence))
}

/// What a finding is, whatever line it stands on and whatever the title's wording: the rule, the hosts, and what of them
/// it is about, else the file it was found in.
pub fn fingerprint(finding: &Finding) -> String {
    let about = finding.subject.clone().or_else(|| finding.evidence.iter().find_map(|evidence| evidence.path.clone()));
    let mut hash = Sha256::new();
    for part in std::iter::once(&finding.rule).chain(&finding.hosts).chain(&about) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Title, what it was compared with, what it causes and how to mend it, as plain text.
pub fn description(report: &v1::Report, finding: &Finding) -> String {
    let mut lines = vec![finding.title.clone()];
    for evidence in &finding.evidence {
        let place = evidence.path.as_deref().or(evidence.source.as_deref()).unwrap_or_default();
        let line = evidence.line.map(|line| format!(":{line}")).unwrap_or_default();
        lines.push(format!("- {}:{place}{line}: {}", evidence.host, evidence.label));
    }
    lines.extend(finding.notes.iter().map(|note| format!("- {note}")));
    for caused in report.findings.iter().filter(|other| other.consequence_of.as_ref() == Some(&finding.id)) {
        lines.push(format!("- causes: {}", caused.title));
    }
    if let Some(fix) = &finding.fix {
        lines.push(format!("fix: {}", fix.summary));
        for step in &fix.steps {
            lines.extend(step.host.iter().map(|host| format!("  on {host}:")));
            lines.extend(step.commands.iter().map(|command| format!("    {}", to_complete(command, "fill in"))));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::render::sample;

    pub fn floating_address() -> v1::Report {
        let (report, texts) = sample::floating_address();
        v1::Report::new(&report, &texts)
    }

    #[test]
    fn paths_are_those_that_the_user_named() {
        let report = floating_address();
        let location = first_location(&report, &report.findings[0]).unwrap();
        assert_eq!(location.path, "evidence/m2/etc/kubernetes/manifests/etcd.yaml");
        assert_eq!((location.line, location.column, location.end_column), (Some(9), Some(34), Some(46)));
        assert_eq!(first_location(&report, &report.findings[2]), None);
    }

    #[test]
    fn a_fingerprint_survives_another_line_and_wording() {
        let mut report = floating_address();
        let before: Vec<String> = report.findings.iter().map(fingerprint).collect();
        let all: std::collections::BTreeSet<&String> = before.iter().collect();
        assert_eq!(all.len(), before.len());
        for finding in &mut report.findings {
            finding.title.push_str(" now");
            finding.evidence.iter_mut().for_each(|evidence| evidence.line = evidence.line.map(|line| line + 7));
        }
        assert_eq!(report.findings.iter().map(fingerprint).collect::<Vec<_>>(), before);
        report.findings[0].hosts = vec!["m3".to_owned()];
        assert_ne!(fingerprint(&report.findings[0]), before[0]);
    }

    /// Each format as it was: what changes here changes for every pipeline that reads it.
    #[test]
    fn formats_are_as_they_were() {
        let mut report = floating_address();
        report.tool.version = "0.0.0";
        let cards = crate::engine::CardSet::builtin(crate::engine::Language::English).unwrap();
        let passed = ["host-no-default-route".to_owned()];
        let mut sarif: serde_json::Value = serde_json::from_str(&sarif::render(&report, &cards)).unwrap();
        // The cards' own texts.
        for rule in sarif["runs"][0]["tool"]["driver"]["rules"].as_array_mut().unwrap() {
            rule["help"] = "the card".into();
        }
        insta::assert_snapshot!("sarif", format!("{sarif:#}"));
        insta::assert_snapshot!("junit", junit::render(&report, &passed).unwrap());
        insta::assert_snapshot!("github", github::annotations(&report));
        insta::assert_snapshot!("gitlab", gitlab::render(&report));
        insta::assert_snapshot!("prometheus", prometheus::render(&report, &[], jiff::Timestamp::UNIX_EPOCH));
        insta::assert_snapshot!("jsonl", crate::render::json::lines::render(&report).unwrap());
        insta::assert_snapshot!("json", report.to_json().unwrap());
        insta::assert_snapshot!("markdown", crate::render::comment::render(&report));
    }
}
