//! Prometheus' text format, for the node exporter's textfile collector: findings by rule and severity, when certificates
//! expire, when the check last ran.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::render::json::v1::Report;
use crate::report::CertificateSummary;

/// `ran` is when the check ran, which `--at` does not change.
pub fn render(report: &Report, certificates: &[CertificateSummary], ran: Timestamp) -> String {
    let mut out = String::new();
    let mut metric = |name: &str, help: &str, samples: Vec<(String, String)>| {
        if samples.is_empty() {
            return;
        }
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (labels, value) in samples {
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            out.push_str(&format!("{name}{labels} {value}\n"));
        }
    };
    let mut findings: BTreeMap<String, usize> = BTreeMap::new();
    for finding in report.findings.iter().filter(|finding| finding.suppressed.is_none()) {
        for host in &finding.hosts {
            let cause = if finding.consequence_of.is_some() { "consequence" } else { "root" };
            let labels = labels(&[
                ("rule", &finding.rule),
                ("severity", finding.severity),
                ("host", host),
                ("component", &finding.component),
                ("role", cause),
            ]);
            *findings.entry(labels).or_default() += 1;
        }
    }
    let count = |severity: &str| {
        let open = report.findings.iter().filter(|finding| finding.suppressed.is_none());
        open.filter(|finding| finding.severity == severity).count()
    };
    metric(
        "k8sdoctor_finding",
        "Findings by rule, severity and host; role tells root causes from what follows of them.",
        findings.into_iter().map(|(labels, count)| (labels, count.to_string())).collect(),
    );
    metric(
        "k8sdoctor_findings",
        "Number of findings by severity.",
        ["error", "warning", "info"]
            .map(|severity| (labels(&[("severity", severity)]), count(severity).to_string()))
            .to_vec(),
    );
    metric(
        "k8sdoctor_findings_suppressed",
        "Number of findings that are waived or known, and not counted above.",
        [("waiver", report.summary.waived), ("baseline", report.summary.known)]
            .map(|(by, count)| (labels(&[("by", by)]), count.to_string()))
            .to_vec(),
    );
    metric(
        "k8sdoctor_rules_unknown",
        "Outcomes that could not be judged.",
        vec![(String::new(), report.summary.unknown.to_string())],
    );
    metric(
        "k8sdoctor_certificate_expiry_timestamp_seconds",
        "When a certificate expires, in seconds since the epoch.",
        certificates
            .iter()
            .map(|certificate| {
                let labels = labels(&[
                    ("host", &certificate.host),
                    ("path", &certificate.path),
                    ("subject", &certificate.subject),
                    ("serial", &certificate.serial),
                ]);
                (labels, certificate.not_after.as_second().to_string())
            })
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
    );
    metric(
        "k8sdoctor_last_run_timestamp_seconds",
        "When the check last ran, in seconds since the epoch.",
        vec![(String::new(), ran.as_second().to_string())],
    );
    metric(
        "k8sdoctor_last_run_duration_seconds",
        "How long the check took.",
        vec![(String::new(), format!("{:.3}", report.seconds))],
    );
    out
}

/// `a="1",b="2"` with backslash, quote and line end escaped.
fn labels(pairs: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::tests::floating_address;
    use super::*;

    #[test]
    fn metrics() {
        let mut report = floating_address();
        report.findings[0].hosts = vec!["m\"2\\\n".to_owned()];
        let certificate = CertificateSummary {
            host: "m1".to_owned(),
            path: "/etc/kubernetes/pki/apiserver.crt".to_owned(),
            subject: "CN=kube-apiserver".to_owned(),
            serial: "01".to_owned(),
            not_before: "2025-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        let text = render(&report, &[certificate], "2025-06-01T00:00:00Z".parse().unwrap());
        for line in [
            r#"k8sdoctor_finding{rule="etcd-address-not-local",severity="error",host="m\"2\\\n",component="etcd",role="root"} 1"#,
            r#"k8sdoctor_findings{severity="error"} 3"#,
            r#"k8sdoctor_findings{severity="info"} 0"#,
            "k8sdoctor_rules_unknown 1",
            r#"k8sdoctor_certificate_expiry_timestamp_seconds{host="m1",path="/etc/kubernetes/pki/apiserver.crt",subject="CN=kube-apiserver",serial="01"} 1767225600"#,
            "k8sdoctor_last_run_timestamp_seconds 1748736000",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        // Each metric is declared once, before its samples, and each series stands once.
        let mut series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let all = series.len();
        series.sort_unstable_by_key(|line| line.rsplit_once(' ').map(|(series, _)| series));
        series.dedup_by_key(|line| line.rsplit_once(' ').map(|(series, _)| series));
        assert_eq!(series.len(), all);
    }
}
