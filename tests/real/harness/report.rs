//! A JSON report, with what tests ask of it.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

pub struct Report {
    pub code: i32,
    json: Value,
    /// The same report for people, shown when an assertion fails.
    human: String,
}

pub struct Finding<'a> {
    pub json: &'a Value,
    report: &'a Report,
}

impl Report {
    #[track_caller]
    pub fn new(output: Output, human: String) -> Report {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no report: {error}\n{}\n{stderr}", output.status));
        assert!(stderr.is_empty(), "on stderr: {stderr}");
        Report { code: output.status.code().unwrap_or(-1), json, human }
    }

    /// What is wrong, where, because of what, and what could not be judged.
    pub fn verdict(&self) -> BTreeSet<String> {
        let rule_of = |id: &Value| {
            self.json["findings"].as_array()?.iter().find(|one| one["id"] == *id).map(|one| one["rule"].clone())
        };
        let finding = |one: &Value| {
            let cause = rule_of(&one["consequence_of"]).unwrap_or_default();
            let files: Vec<&Value> = one["evidence"].as_array().into_iter().flatten().map(|one| &one["path"]).collect();
            let first = files.first();
            format!("{} {} {} of {cause} at {first:?}", one["rule"], one["severity"], one["hosts"])
        };
        let unknown = |one: &Value| format!("unknown {} {}", one["rule"], one["host"]);
        let list = |name: &str| self.json[name].as_array().cloned().unwrap_or_default();
        list("findings").iter().map(finding).chain(list("unknown").iter().map(unknown)).collect()
    }

    /// For messages of failed assertions.
    pub fn human(&self) -> &str {
        &self.human
    }

    pub fn findings(&self) -> Vec<Finding<'_>> {
        let findings = self.json["findings"].as_array();
        findings.into_iter().flatten().map(|json| Finding { json, report: self }).collect()
    }

    pub fn of_rule(&self, rule: &str) -> Vec<Finding<'_>> {
        self.findings().into_iter().filter(|finding| finding.json["rule"] == rule).collect()
    }

    /// The one finding of a rule, with exit code 1.
    #[track_caller]
    pub fn only(&self, rule: &str) -> Finding<'_> {
        let mut found = self.of_rule(rule);
        assert_eq!(found.len(), 1, "findings of {rule}\n{}", self.human);
        assert_eq!(self.code, 1, "exit code\n{}", self.human);
        found.remove(0)
    }

    /// That a rule was judged and finds nothing that is so now. What a log still says of the time before may be told.
    #[track_caller]
    pub fn silent(&self, rule: &str) {
        for finding in self.of_rule(rule) {
            let is_over = |evidence: &Value| evidence["kind"] == "log" && evidence["log"]["ongoing"] == false;
            let is_past = finding.text("severity") == "info" && finding.evidence().iter().all(is_over);
            assert!(is_past, "{rule} is still found\n{}", self.human);
        }
        assert_eq!(self.code, 0, "exit code\n{}", self.human);
        assert!(!self.is_unknown(rule), "{rule} could not be judged\n{}", self.human);
    }

    pub fn is_unknown(&self, rule: &str) -> bool {
        self.json["unknown"].as_array().is_some_and(|unknown| unknown.iter().any(|entry| entry["rule"] == rule))
    }
}

impl Finding<'_> {
    pub fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_default()
    }

    pub fn title(&self) -> &str {
        self.text("title")
    }

    pub fn evidence(&self) -> &[Value] {
        self.json["evidence"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    pub fn evidence_of(&self, kind: &str) -> Vec<&Value> {
        self.evidence().iter().filter(|evidence| evidence["kind"] == kind).collect()
    }

    /// That the evidence to look at first is this text of a file, which the test wrote: line and column have to be where
    /// the text stands there.
    #[track_caller]
    pub fn points_at(&self, path: &str, content: &str, text: &str) {
        let first = &self.evidence()[0];
        let human = &self.report.human;
        assert_eq!(first["path"], path, "{human}");
        let (index, line) = content
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(text))
            .unwrap_or_else(|| panic!("{text} is not in {path}:\n{content}"));
        assert_eq!(first["line"], index + 1, "{human}");
        let from = first["column"].as_u64().and_then(|column| usize::try_from(column).ok()).unwrap_or_default();
        let pointed = line.get(from.saturating_sub(1)..).unwrap_or_default();
        assert!(
            pointed.starts_with(text) || first["text"].as_str().is_some_and(|shown| shown.contains(text)),
            "column {from} is {pointed:?}, {text:?} was wanted\n{human}"
        );
    }

    /// That a log's message is evidence, with a line of that file.
    #[track_caller]
    pub fn has_log(&self, path: &str, message: &str) {
        let found = self.evidence_of("log").into_iter().any(|evidence| {
            let lines = evidence["log"]["lines"].as_array();
            lines.into_iter().flatten().any(|line| {
                line["path"] == path
                    && line["line"].as_u64().is_some_and(|line| line > 0)
                    && line["text"].as_str().is_some_and(|text| text.contains(message))
            })
        });
        assert!(found, "no evidence from {path} with {message:?}\n{}\n{:#}", self.report.human, self.json["evidence"]);
    }

    #[track_caller]
    pub fn fix(&self) -> Vec<String> {
        let commands = self.json["fix"]["commands"].as_array();
        let commands: Vec<String> =
            commands.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect();
        assert!(!commands.is_empty(), "no commands\n{}", self.report.human);
        let placeholder = commands.iter().find(|command| {
            ["<ADDRESS>", "<HOST>", "<NAME>", "<CA.crt>"].iter().any(|placeholder| command.contains(placeholder))
        });
        assert!(placeholder.is_none(), "not filled in: {placeholder:?}\n{}", self.report.human);
        commands
    }

    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.title().contains(word), "{word:?} is not in the title\n{}", self.report.human);
        }
    }
}
