//! Version 1 of the JSON report; docs/schema/report-v1.json describes it. Fields may be added within version 1, with the
//! schema; none is removed, renamed or given another meaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

pub use super::edits::Edit;
use super::edits::edits;
use crate::collect::TextFile;
use crate::origin::{Origin, Place};
use crate::report;
use crate::report::secret::{is_key, mask};

#[derive(Debug, Serialize)]
pub struct Report {
    pub version: u32,
    pub tool: Tool,
    /// The time that dates were judged against, RFC 3339.
    pub at: String,
    pub hosts: Vec<Host>,
    pub unopened: Vec<Unopened>,
    /// Root causes first, each followed by its consequences.
    pub findings: Vec<Finding>,
    pub unknown: Vec<Unknown>,
    pub problems: Vec<Problem>,
    pub notices: Vec<Notice>,
    /// The configuration file that was used.
    pub configuration: Option<String>,
    pub summary: Summary,
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct Tool {
    pub name: &'static str,
    pub version: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Host {
    pub name: String,
    pub source: String,
    pub kind: &'static str,
    pub roles: Vec<String>,
    /// The source was cut off, or lacks some of what it was to hold: nothing wrong found is not all fine.
    pub incomplete: bool,
}

/// A source that was named and could not be opened.
#[derive(Debug, Serialize)]
pub struct Unopened {
    pub source: String,
    pub message: String,
}

#[derive(Debug, Serialize)]
pub struct Finding {
    /// Unique within the report: `f1`.
    pub id: String,
    pub rule: String,
    pub severity: &'static str,
    pub title: String,
    pub component: String,
    pub hosts: Vec<String>,
    pub subject: Option<String>,
    pub evidence: Vec<Evidence>,
    pub notes: Vec<String>,
    pub fix: Option<Fix>,
    pub verify: Vec<String>,
    pub confidence: &'static str,
    /// The id of the finding that explains this one.
    pub consequence_of: Option<String>,
    /// The ids of the findings that this one explains directly.
    pub causes: Vec<String>,
    /// The command that prints the rule's card.
    pub docs: String,
    /// Why it is no reason to fail, when it is none.
    pub suppressed: Option<Suppressed>,
}

#[derive(Debug, Serialize)]
pub struct Suppressed {
    pub kind: &'static str,
    pub reason: String,
    pub owner: Option<String>,
    pub until: Option<String>,
    pub place: String,
}

/// Something to know of waivers and other configuration.
#[derive(Debug, Serialize)]
pub struct Notice {
    pub place: String,
    pub message: String,
}

#[derive(Debug, Serialize)]
pub struct Evidence {
    pub kind: &'static str,
    pub host: String,
    /// What it was read from when that is no file: a process, a default, an answer.
    pub source: Option<String>,
    pub path: Option<String>,
    pub line: Option<u64>,
    /// First column, in characters from 1.
    pub column: Option<u64>,
    /// One past the last column, when the text is within one line and the text is at hand.
    pub end_column: Option<u64>,
    pub label: String,
    /// The text at line and column.
    pub text: Option<String>,
    /// Where the text at line and column came from: the environment file that filled in a variable.
    pub via: Option<String>,
    pub log: Option<Log>,
}

#[derive(Debug, Serialize)]
pub struct Log {
    pub count: u64,
    pub first: Option<String>,
    pub last: Option<String>,
    pub ongoing: Option<bool>,
    pub per_minute: Option<f64>,
    /// Programs that started between first and last, with how often.
    pub restarted: BTreeMap<String, u64>,
    pub lines: Vec<LogLine>,
}

#[derive(Debug, Serialize)]
pub struct LogLine {
    pub path: String,
    pub line: u64,
    pub text: String,
}

#[derive(Debug, Serialize)]
pub struct Fix {
    pub risk: &'static str,
    pub summary: String,
    pub commands: Vec<String>,
    /// The same commands by host.
    pub steps: Vec<Step>,
    pub restarts: Vec<String>,
    /// What the commands do to files, when that is all known; empty when it is not, or when lines hold secrets.
    pub edits: Vec<Edit>,
}

/// Commands that follow each other on one host.
#[derive(Debug, Serialize)]
pub struct Step {
    /// None is the finding's first host.
    pub host: Option<String>,
    pub commands: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Unknown {
    pub rule: String,
    pub host: String,
    pub what: String,
    pub why: String,
    pub remedy: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Problem {
    pub host: String,
    pub place: String,
    pub message: String,
    pub remedy: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    /// Rules that were tried.
    pub rules: usize,
    /// Findings that no other one explains.
    pub failed: usize,
    /// Findings that another one explains.
    pub consequences: usize,
    /// Findings that a waiver or a comment covers, and those that the baseline knows; neither are counted above.
    pub waived: usize,
    pub known: usize,
    /// Outcomes, one for each rule and host.
    pub passed: usize,
    pub not_applicable: usize,
    pub unknown: usize,
}

/// Text longer than this many bytes is not repeated in a piece of evidence; line and column still say where it is.
const TEXT_LIMIT: usize = 4096;

impl Report {
    pub fn new(report: &report::Report, texts: &BTreeMap<String, BTreeMap<String, Arc<TextFile>>>) -> Report {
        let known = |index: usize| index < report.findings.len();
        let counted = report.findings.iter().filter(|finding| finding.suppressed.is_none());
        let (consequences, roots): (Vec<_>, Vec<_>) =
            counted.partition(|finding| finding.consequence_of.is_some_and(known));
        let suppressed = |is_known: bool| {
            let kinds = report.findings.iter().filter_map(|finding| Some(finding.suppressed.as_ref()?.kind));
            kinds.filter(|kind| (*kind == report::SuppressionKind::Baseline) == is_known).count()
        };
        let mut causes: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (index, finding) in report.findings.iter().enumerate() {
            if let Some(cause) = finding.consequence_of {
                causes.entry(cause).or_default().push(id(index));
            }
        }
        Report {
            version: 1,
            tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            at: report.at.clone(),
            hosts: report
                .hosts
                .iter()
                .map(|host| Host {
                    name: host.name.clone(),
                    source: host.source.clone(),
                    kind: kind(host.kind),
                    roles: host.roles.clone(),
                    incomplete: host.incomplete,
                })
                .collect(),
            unopened: report
                .unopened
                .iter()
                .map(|unopened| Unopened { source: unopened.source.clone(), message: unopened.message.clone() })
                .collect(),
            findings: report
                .findings
                .iter()
                .enumerate()
                .map(|(index, finding)| Finding {
                    id: id(index),
                    rule: finding.rule.clone(),
                    severity: finding.severity.name(),
                    title: finding.title.clone(),
                    component: finding.component.clone(),
                    hosts: finding.hosts.clone(),
                    subject: finding.subject.clone(),
                    evidence: finding.evidence.iter().map(|evidence| evidence_of(evidence, texts)).collect(),
                    notes: finding.notes.clone(),
                    fix: finding.fix.as_ref().map(|fix| Fix {
                        risk: match fix.risk {
                            report::Risk::Safe => "safe",
                            report::Risk::Risky => "risky",
                            report::Risk::Manual => "manual",
                        },
                        summary: fix.summary.clone(),
                        commands: fix.lines().map(str::to_owned).collect(),
                        steps: fix
                            .steps()
                            .into_iter()
                            .map(|(host, commands)| Step {
                                host: host.map(str::to_owned),
                                commands: commands.into_iter().map(str::to_owned).collect(),
                            })
                            .collect(),
                        restarts: fix.restarts.clone(),
                        edits: edits(finding, texts),
                    }),
                    verify: finding.verify.clone(),
                    confidence: match finding.confidence {
                        report::Confidence::Low => "low",
                        report::Confidence::Medium => "medium",
                        report::Confidence::High => "high",
                    },
                    consequence_of: finding.consequence_of.filter(|index| known(*index)).map(id),
                    causes: causes.remove(&index).unwrap_or_default(),
                    docs: format!("k8sdoctor explain {}", finding.rule),
                    suppressed: finding.suppressed.as_ref().map(|suppressed| Suppressed {
                        kind: suppressed.kind.name(),
                        reason: suppressed.reason.clone(),
                        owner: suppressed.owner.clone(),
                        until: suppressed.until.clone(),
                        place: suppressed.place.clone(),
                    }),
                })
                .collect(),
            unknown: report
                .unjudged
                .iter()
                .map(|unjudged| Unknown {
                    rule: unjudged.rule.clone(),
                    host: unjudged.host.clone(),
                    what: unjudged.unknown.what.clone(),
                    why: unjudged.unknown.why.clone(),
                    remedy: unjudged.unknown.remedy.clone(),
                })
                .collect(),
            problems: report
                .problems
                .iter()
                .map(|problem| Problem {
                    host: problem.host.clone(),
                    place: problem.place.clone(),
                    message: problem.message.clone(),
                    remedy: problem.remedy.clone(),
                })
                .collect(),
            notices: report
                .notices
                .iter()
                .map(|notice| Notice { place: notice.place.clone(), message: notice.message.clone() })
                .collect(),
            configuration: report.configuration.clone(),
            summary: Summary {
                rules: report.rules,
                failed: roots.len(),
                consequences: consequences.len(),
                waived: suppressed(false),
                known: suppressed(true),
                passed: report.counts.passed,
                not_applicable: report.counts.not_applicable,
                unknown: report.counts.unknown,
            },
            seconds: report.seconds,
        }
    }

    /// Indented JSON with a line end behind it.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

fn id(index: usize) -> String {
    format!("f{}", index + 1)
}

fn kind(kind: crate::source::SourceKind) -> &'static str {
    use crate::source::SourceKind;
    match kind {
        SourceKind::Live => "live",
        SourceKind::Tree => "tree",
        SourceKind::File => "file",
        SourceKind::Bundle => "bundle",
    }
}

fn evidence_of(evidence: &report::Evidence, texts: &BTreeMap<String, BTreeMap<String, Arc<TextFile>>>) -> Evidence {
    let path = evidence.origin.path();
    let span = evidence.origin.span();
    let text = path.zip(span).and_then(|(path, span)| {
        let file = &texts.get(&evidence.host)?.get(path)?.text;
        let text = file.get(span.start..span.end).filter(|text| text.len() <= TEXT_LIMIT && !is_key(file))?;
        // A value is known for a secret by its name, which stands before it.
        let before = file[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let skipped = file[before..span.start].chars().count();
        Some(mask(&file[before..span.end]).chars().skip(skipped).collect::<String>())
            .filter(|masked| masked.chars().count() == text.chars().count())
    });
    let first_line = evidence.occurrences.as_ref().and_then(|occurrences| occurrences.lines.first());
    Evidence {
        kind: match evidence.kind {
            report::EvidenceKind::File => "file",
            report::EvidenceKind::Process => "process",
            report::EvidenceKind::Log => "log",
            report::EvidenceKind::Probe => "probe",
            report::EvidenceKind::Cluster => "cluster",
        },
        host: evidence.host.clone(),
        source: match &evidence.origin.place {
            Place::File { .. } => None,
            _ => Some(Origin { place: evidence.origin.place.clone(), via: None }.to_string()),
        },
        path: path.map(str::to_owned).or_else(|| first_line.map(|line| line.path.clone())),
        line: match (path, span) {
            (Some(_), Some(span)) => Some(u64::from(span.line)),
            (Some(path), None) => first_line.filter(|line| line.path == path).map(|line| line.line),
            _ => first_line.map(|line| line.line),
        },
        column: span.map(|span| u64::from(span.column)),
        end_column: span
            .zip(text.as_deref())
            .filter(|(_, text)| !text.contains('\n'))
            .map(|(span, text)| u64::from(span.column) + text.chars().count() as u64),
        label: evidence.label.clone(),
        text,
        via: evidence.origin.via.as_ref().map(|via| via.to_string()),
        log: evidence.occurrences.as_ref().map(|occurrences| Log {
            count: occurrences.count,
            first: occurrences.first.clone(),
            last: occurrences.last.clone(),
            ongoing: occurrences.ongoing,
            per_minute: occurrences.per_minute(),
            restarted: occurrences.restarted.clone(),
            lines: occurrences
                .lines
                .iter()
                .map(|line| LogLine { path: line.path.clone(), line: line.line, text: line.text.clone() })
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::strict::strict;
    use super::*;
    use crate::render::sample;

    fn json(report: &report::Report, texts: &BTreeMap<String, BTreeMap<String, Arc<TextFile>>>) -> serde_json::Value {
        serde_json::from_str(&Report::new(report, texts).to_json().unwrap()).unwrap()
    }

    #[test]
    fn fits_the_schema() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../docs/schema/report-v1.json")).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
        // A reader takes what came later.
        let lenient = jsonschema::draft202012::new(&schema).unwrap();
        let validator = jsonschema::draft202012::new(&strict(schema)).unwrap();
        let (mut report, texts) = sample::floating_address();
        report.problems.push(report::Problem {
            host: "m1".to_owned(),
            place: "/etc/fstab".to_owned(),
            message: "permission denied".to_owned(),
            remedy: None,
        });
        report.notices.push(report::Notice { place: "k8sdoctor.toml:1".to_owned(), message: "ended".to_owned() });
        report.findings[0].suppressed = Some(report::Suppression {
            kind: report::SuppressionKind::Waiver,
            reason: "a laboratory".to_owned(),
            owner: None,
            until: Some("2026-12-31".to_owned()),
            place: "k8sdoctor.toml:1".to_owned(),
        });
        for report in [report.clone(), sample::report(Vec::new(), Vec::new())] {
            let value = json(&report, &texts);
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
        // Every field is described: one more must be refused.
        for pointer in [
            "",
            "/findings/0",
            "/findings/0/evidence/0",
            "/findings/0/fix",
            "/findings/0/fix/edits/0",
            "/hosts/0",
            "/summary",
            "/notices/0",
            "/findings/0/suppressed",
        ] {
            let mut value = json(&report, &texts);
            let object = value.pointer_mut(pointer).and_then(serde_json::Value::as_object_mut).unwrap();
            object.insert("surprise".to_owned(), serde_json::Value::Null);
            assert!(!validator.is_valid(&value) && lenient.is_valid(&value), "{pointer}");
        }
    }

    #[test]
    fn says_what_is_underlined_and_what_explains_what() {
        let (report, texts) = sample::floating_address();
        let value = json(&report, &texts);
        for (pointer, expected) in [
            ("/version", serde_json::json!(1)),
            ("/findings/0/consequence_of", serde_json::json!(null)),
            ("/findings/0/causes", serde_json::json!(["f2", "f4"])),
            ("/findings/2/consequence_of", serde_json::json!("f2")),
            ("/findings/0/evidence/0/text", serde_json::json!("203.0.113.12")),
            ("/findings/0/evidence/0/line", serde_json::json!(9)),
            ("/findings/0/evidence/0/column", serde_json::json!(34)),
            ("/findings/0/evidence/0/end_column", serde_json::json!(46)),
            ("/findings/0/evidence/1/line", serde_json::json!(9)),
            ("/findings/0/evidence/1/log/count", serde_json::json!(5)),
            ("/findings/0/evidence/2/source", serde_json::json!("connect to 10.77.0.12:2380")),
            ("/summary/failed", serde_json::json!(1)),
            ("/summary/consequences", serde_json::json!(3)),
            ("/unknown/0/why", serde_json::json!("the member did not answer in 3 s")),
        ] {
            assert_eq!(value.pointer(pointer), Some(&expected), "{pointer}");
        }
    }

    #[test]
    fn without_the_text_the_place_still_stands() {
        let (report, _) = sample::floating_address();
        let value = json(&report, &BTreeMap::new());
        assert_eq!(value["findings"][0]["evidence"][0]["text"], serde_json::Value::Null);
        assert_eq!(value["findings"][0]["evidence"][0]["line"], 9);
    }
}
