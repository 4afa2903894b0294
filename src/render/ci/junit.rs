//! JUnit's XML by the schema that Jenkins publishes (junit-10.xsd), which GitLab reads too: a suite for each host, a failed
//! case for each finding, a skipped one for what could not be judged. That schema knows no place of a case: it is the first
//! line of a failure's text.

use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};

use super::{description, first_location};
use crate::render::json::v1::{Finding, Report};

/// # Errors
///
/// When the XML cannot be written.
pub fn render(report: &Report, passed: &[String]) -> Result<String, quick_junit::SerializeError> {
    let mut junit = JunitReport::new(report.tool.name);
    for host in &report.hosts {
        let mut suite = TestSuite::new(host.name.as_str());
        let of_host = |finding: &&Finding| finding.hosts.first() == Some(&host.name);
        for finding in report.findings.iter().filter(of_host) {
            suite.add_test_case(failed(report, finding));
        }
        for unknown in report.unknown.iter().filter(|unknown| unknown.host == host.name) {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("{}: {}", unknown.what, unknown.why));
            suite.add_test_case(case(&unknown.rule, &unknown.rule, status));
        }
        junit.add_test_suite(suite);
    }
    if !report.unopened.is_empty() {
        let mut suite = TestSuite::new("sources");
        for source in &report.unopened {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(source.message.as_str());
            suite.add_test_case(case(&source.source, "source", status));
        }
        junit.add_test_suite(suite);
    }
    let mut suite = TestSuite::new("rules that passed");
    for rule in passed {
        suite.add_test_case(case(rule, rule, TestCaseStatus::success()));
    }
    junit.add_test_suite(suite);
    junit.to_string().map(|xml| without_skipped_in_all(&xml))
}

/// The count of skipped cases is said of each suite; of all suites together the schema has none.
fn without_skipped_in_all(xml: &str) -> String {
    let Some((before, rest)) = xml.split_once("<testsuites ") else { return xml.to_owned() };
    let Some((tag, after)) = rest.split_once('>') else { return xml.to_owned() };
    let kept: Vec<&str> = tag.split(' ').filter(|attribute| !attribute.starts_with("skipped=\"")).collect();
    format!("{before}<testsuites {}>{after}", kept.join(" "))
}

fn failed(report: &Report, finding: &Finding) -> TestCase {
    if let Some(suppressed) = &finding.suppressed {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("{} ({}, {})", suppressed.reason, suppressed.kind, suppressed.place));
        return case(&finding.title, &finding.rule, status);
    }
    // What is only worth knowing fails no test.
    if finding.severity == "info" {
        let mut passed = case(&finding.title, &finding.rule, TestCaseStatus::success());
        passed.set_system_out(description(report, finding));
        return passed;
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let mut text = description(report, finding);
    if let Some(place) = first_location(report, finding) {
        let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
        text.insert_str(0, &format!("{}{line}\n", place.path));
    }
    status.set_type(finding.severity).set_message(finding.title.as_str()).set_description(text);
    case(&finding.title, &finding.rule, status)
}

fn case(name: &str, rule: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(rule);
    case
}

#[cfg(test)]
mod tests {
    use super::super::tests::floating_address;
    use super::*;

    #[test]
    fn findings_fail_and_unknowns_are_skipped() {
        let mut report = floating_address();
        report.findings[0].title.push_str(" <&\"\u{1b}]0;x\u{7}");
        let xml = render(&report, &["host-no-default-route".to_owned()]).unwrap();
        let read = JunitReport::deserialize_from_str(&xml).unwrap();
        let counts = |name: &str| {
            let suite = read.test_suites.iter().find(|suite| suite.name == *name).unwrap();
            (suite.tests, suite.failures, suite.errors)
        };
        assert_eq!(counts("m2"), (3, 3, 0));
        assert_eq!(counts("rules that passed"), (1, 0, 0));
        assert!(xml.contains("<skipped"), "{xml}");
        assert!(xml.contains(">evidence/m2/etc/kubernetes/manifests/etcd.yaml:9\n"), "{xml}");
        let all = xml.lines().find(|line| line.contains("<testsuites ")).unwrap();
        assert!(all.ends_with(" failures=\"4\" errors=\"0\">") && !all.contains("skipped"), "{all}");
        assert!(!xml.contains('\u{1b}'), "{xml}");
    }
}
