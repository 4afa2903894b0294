//! SARIF 2.1.0, for code scanning. Written from the standard's schema, which a test validates against: the one crate of
//! its types generates them in a build script that takes longer to build than the rest of the program.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Location, description, fingerprint, first_location, location, path_of};
use crate::engine::CardSet;
use crate::engine::cards::Card;
use crate::render::json::v1::{self, Finding, Report};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report as one SARIF run. `cards` gives the rules their texts.
pub fn render(report: &Report, cards: &CardSet) -> String {
    let mut rules: Vec<&str> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let descriptors: Vec<Value> = rules.iter().map(|id| descriptor(id, cards.get(id))).collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(report, finding, &rules)).collect();
    let sarif = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "semanticVersion": report.tool.version,
                "rules": descriptors,
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.unopened.is_empty(),
                "toolExecutionNotifications": notifications(report),
            }],
            "results": results,
        }],
    });
    format!("{sarif:#}\n")
}

fn descriptor(id: &str, card: Option<&Card>) -> Value {
    let Some(card) = card else { return json!({ "id": id }) };
    let mut descriptor = json!({
        "id": id,
        "shortDescription": { "text": card.title },
        "help": { "text": card.prose, "markdown": card.prose },
        "defaultConfiguration": { "level": level(card.severity.name()) },
        "properties": { "tags": ["kubernetes", card.component] },
    });
    if let Some(url) = card.sources.iter().find_map(|source| source.url.as_ref()) {
        descriptor["helpUri"] = json!(url);
    }
    descriptor
}

fn result(report: &Report, finding: &Finding, rules: &[&str]) -> Value {
    let first = first_location(report, finding);
    let related: Vec<Value> = finding
        .evidence
        .iter()
        .filter_map(|evidence| {
            let place = location(report, evidence).filter(|place| Some(place) != first.as_ref())?;
            let mut related = physical(&place);
            related["message"] = json!({ "text": evidence.label });
            Some(related)
        })
        .collect();
    let mut result = json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": { "text": description(report, finding) },
        "partialFingerprints": { "k8sdoctor/v1": fingerprint(finding) },
        "properties": {
            "hosts": finding.hosts,
            "confidence": finding.confidence,
            "consequence": finding.consequence_of.is_some(),
        },
    });
    if let Ok(index) = rules.binary_search(&finding.rule.as_str()) {
        result["ruleIndex"] = json!(index);
    }
    // Code scanning shows only what has a place; what a probe or another host says has none.
    result["locations"] = match &first {
        Some(place) => json!([physical(place)]),
        None => {
            json!([{ "logicalLocations": finding.hosts.iter().map(|host| json!({ "name": host, "kind": "resource" })).collect::<Vec<_>>() }])
        }
    };
    if let Some(fix) = &finding.fix
        && !fix.edits.is_empty()
    {
        result["fixes"] = json!([fix_of(report, fix)]);
    }
    if let Some(suppressed) = &finding.suppressed {
        let kind = if suppressed.kind == "comment" { "inSource" } else { "external" };
        let mut suppression = json!({ "kind": kind, "justification": suppressed.reason, "status": "accepted" });
        suppression["properties"] = json!({
            "owner": suppressed.owner, "until": suppressed.until, "place": suppressed.place, "by": suppressed.kind,
        });
        result["suppressions"] = json!([suppression]);
    }
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    result
}

/// Whole lines of files that are replaced.
fn fix_of(report: &Report, fix: &v1::Fix) -> Value {
    let mut files: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for edit in &fix.edits {
        let region = json!({
            "startLine": edit.line, "startColumn": 1, "endLine": edit.line + edit.replaced, "endColumn": 1,
        });
        let replacement = json!({ "deletedRegion": region, "insertedContent": { "text": edit.text } });
        files.entry(uri(&path_of(report, &edit.host, &edit.path))).or_default().push(replacement);
    }
    let changes: Vec<Value> = files
        .into_iter()
        .map(|(uri, replacements)| json!({ "artifactLocation": { "uri": uri }, "replacements": replacements }))
        .collect();
    json!({ "description": { "text": fix.summary }, "artifactChanges": changes })
}

fn physical(place: &Location) -> Value {
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.path) } });
    if let Some(line) = place.line.filter(|line| *line > 0) {
        let mut region = json!({ "startLine": line });
        if let Some(column) = place.column.filter(|column| *column > 0) {
            region["startColumn"] = json!(column);
            if let Some(end) = place.end_column.filter(|end| *end > column) {
                region["endColumn"] = json!(end);
            }
        }
        physical["region"] = region;
    }
    json!({ "physicalLocation": physical })
}

/// A relative reference for a relative path, `file:///` for an absolute one (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for (index, byte) in path.bytes().enumerate() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+' | b',' | b'=' => {
                uri.push(char::from(byte));
            }
            // In the first part of a relative reference a colon would end a scheme.
            b':' if path.starts_with('/') || path.as_bytes()[..index].contains(&b'/') => uri.push(':'),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// What could not be judged or read: a clean run with such notes is not a clean host.
fn notifications(report: &Report) -> Vec<Value> {
    let note = |level: &str, text: String| json!({ "level": level, "message": { "text": text } });
    let unopened = report.unopened.iter().map(|source| note("error", source.message.clone()));
    let unknown = report.unknown.iter().map(|unknown| {
        let text =
            format!("{} on {} could not be judged: {}: {}", unknown.rule, unknown.host, unknown.what, unknown.why);
        note("note", text)
    });
    let notices = report.notices.iter().map(|notice| note("warning", format!("{}: {}", notice.place, notice.message)));
    let problems = report
        .problems
        .iter()
        .map(|problem| note("warning", format!("{}:{}: {}", problem.host, problem.place, problem.message)));
    unopened.chain(notices).chain(problems).chain(unknown).collect()
}

fn level(severity: &str) -> &'static str {
    match severity {
        "error" => "error",
        "warning" => "warning",
        _ => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::floating_address;
    use super::*;
    use crate::engine::Language;

    #[test]
    fn it_is_sarif() {
        // One pattern of the published schema has a bracket too many, which only lax engines take.
        let schema = include_str!("../../../testdata/schemas/sarif-2.1.0.json").replace("{2}]?$", "{2}$");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let cards = CardSet::builtin(Language::English).unwrap();
        let sarif: Value = serde_json::from_str(&render(&floating_address(), &cards)).unwrap();
        let errors: Vec<String> = validator.iter_errors(&sarif).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{sarif:#}");
        let run = &sarif["runs"][0];
        let first = &run["results"][0];
        assert_eq!(first["ruleId"], "etcd-address-not-local");
        let place = &first["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "evidence/m2/etc/kubernetes/manifests/etcd.yaml");
        assert_eq!(place["region"]["startLine"], 9);
        let index = first["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "etcd-address-not-local");
        let change = &first["fixes"][0]["artifactChanges"][0];
        assert_eq!(change["artifactLocation"], place["artifactLocation"]);
        assert_eq!(change["replacements"][0]["deletedRegion"]["startLine"], 9);
        assert_eq!(
            change["replacements"][0]["insertedContent"]["text"],
            "    - --listen-peer-urls=https://10.77.0.12:2380\n"
        );
        assert!(first["message"]["text"].as_str().unwrap().contains("sed -i"));
        assert_eq!(run["results"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn uris() {
        for (path, expected) in [
            ("/etc/a b.yaml", "file:///etc/a%20b.yaml"),
            ("evidence/m2/etc/x", "evidence/m2/etc/x"),
            ("a:b/c:d", "a%3Ab/c:d"),
            ("m/ü#?", "m/%C3%BC%23%3F"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
