//! JSON lines: one object for each finding, then one for the run, for log pipelines.

use serde_json::{Value, json};

use super::v1::Report;

/// Each line has `kind`: `finding` with the fields of the report's schema, or `run` with everything else of it.
///
/// # Errors
///
/// When a value cannot be written as JSON.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut whole = serde_json::to_value(report)?;
    let findings = whole.as_object_mut().and_then(|whole| whole.remove("findings"));
    let mut out = String::new();
    for mut finding in findings
        .and_then(|findings| match findings {
            Value::Array(findings) => Some(findings),
            _ => None,
        })
        .unwrap_or_default()
    {
        finding["kind"] = json!("finding");
        finding["at"] = whole["at"].clone();
        out.push_str(&format!("{finding}\n"));
    }
    whole["kind"] = json!("run");
    out.push_str(&format!("{whole}\n"));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn one_object_a_line() {
        let (report, texts) = sample::floating_address();
        let text = render(&Report::new(&report, &texts)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<&str> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
        assert_eq!(kinds, ["finding", "finding", "finding", "finding", "run"]);
        assert_eq!(lines[0]["rule"], "etcd-address-not-local");
        assert_eq!(lines[4]["summary"]["rules"], 131);
    }
}
