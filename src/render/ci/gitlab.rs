//! GitLab's code quality report: a JSON list of issues with description, check_name, fingerprint, severity and location.

use serde_json::{Value, json};

use super::{fingerprint, first_location};
use crate::render::json::v1::Report;

pub fn render(report: &Report) -> String {
    let issues: Vec<Value> = report
        .findings
        .iter()
        .filter(|finding| finding.suppressed.is_none())
        .map(|finding| {
            let place = first_location(report, finding);
            // GitLab drops an issue without a place; a finding without a file stands at its host.
            let path = place.as_ref().map_or_else(|| finding.hosts.join(","), |place| place.path.clone());
            let line = place.and_then(|place| place.line).unwrap_or(1);
            json!({
                "description": format!("{} ({})", finding.title, finding.rule),
                "check_name": finding.rule,
                "fingerprint": fingerprint(finding),
                "severity": match finding.severity {
                    "error" if finding.consequence_of.is_none() => "critical",
                    "error" => "major",
                    "warning" => "minor",
                    _ => "info",
                },
                "location": { "path": path, "lines": { "begin": line } },
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(issues))
}

#[cfg(test)]
mod tests {
    use super::super::tests::floating_address;
    use super::*;

    #[test]
    fn every_issue_has_what_gitlab_requires() {
        let issues: Value = serde_json::from_str(&render(&floating_address())).unwrap();
        let issues = issues.as_array().unwrap();
        assert_eq!(issues.len(), 4);
        for issue in issues {
            for field in ["description", "check_name", "fingerprint", "severity"] {
                assert!(issue[field].as_str().is_some_and(|text| !text.is_empty()), "{issue}");
            }
            assert!(issue["location"]["path"].as_str().is_some_and(|path| !path.is_empty()), "{issue}");
            assert!(issue["location"]["lines"]["begin"].as_u64().is_some_and(|line| line > 0), "{issue}");
        }
        assert_eq!((&issues[0]["severity"], &issues[1]["severity"]), (&json!("critical"), &json!("major")));
        assert_eq!(issues[0]["location"]["lines"]["begin"], 9);
    }
}
