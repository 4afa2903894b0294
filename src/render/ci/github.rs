//! GitHub Actions' workflow commands: an annotation for each finding, at its line where the file is in the repository.

use super::{description, first_location};
use crate::render::json::v1::Report;

/// One `::error ...::` line for each finding, and one for each source that could not be opened.
pub fn annotations(report: &Report) -> String {
    let mut out = String::new();
    for finding in report.findings.iter().filter(|finding| finding.suppressed.is_none()) {
        let command = match finding.severity {
            "error" => "error",
            "warning" => "warning",
            _ => "notice",
        };
        let mut properties = Vec::new();
        if let Some(place) = first_location(report, finding) {
            properties.push(("file", place.path));
            let numbers = [("line", place.line), ("col", place.column), ("endColumn", place.end_column)];
            properties.extend(numbers.into_iter().filter_map(|(name, number)| Some((name, number?.to_string()))));
        }
        properties.push(("title", finding.rule.clone()));
        let properties: Vec<String> =
            properties.into_iter().map(|(name, value)| format!("{name}={}", property(&value))).collect();
        out.push_str(&format!("::{command} {}::{}\n", properties.join(","), data(&description(report, finding))));
    }
    for notice in &report.notices {
        let text = data(&format!("{}: {}", notice.place, notice.message));
        out.push_str(&format!("::warning title=k8sdoctor::{text}\n"));
    }
    for source in &report.unopened {
        out.push_str(&format!("::error title=k8sdoctor::{}\n", data(&source.message)));
    }
    out
}

/// As the runner's toolkit escapes a message.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::floating_address;
    use super::*;

    #[test]
    fn one_line_for_each_finding() {
        let mut report = floating_address();
        report.findings[1].title = "50% down\n::error::forged".to_owned();
        let text = annotations(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].starts_with(
                "::error file=evidence/m2/etc/kubernetes/manifests/etcd.yaml,line=9,col=34,endColumn=46,title=etcd-address-not-local::etcd on m2"
            ),
            "{text}"
        );
        assert!(lines[1].contains("50%25 down%0A::error::forged"), "{text}");
        assert!(lines[2].starts_with("::warning title="), "{text}");
    }
}
