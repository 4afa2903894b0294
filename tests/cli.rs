//! The program as it is started: arguments, streams and exit codes.

#![expect(clippy::disallowed_methods, reason = "tests look at what the program wrote")]

#[path = "fixtures/strict.rs"]
mod strict;

use assert_cmd::Command;
use strict::strict;

fn k8sdoctor(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    command.args(arguments).env_remove("NO_COLOR").output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exit_codes_and_streams() {
    for (arguments, code, on_stdout, on_stderr) in [
        (&["--version"][..], 0, "k8sdoctor ", ""),
        (&["--help"], 0, "Exit codes:", ""),
        (&["logs", "--since", "yesterday"], 2, "", "2h or 7d"),
        (&["logs", "--follow", "/"], 2, "", "--follow"),
        (&["check", "--help"], 0, "--fail-on-unknown", ""),
        (&[], 2, "", "Usage:"),
        (&["chek"], 2, "", "check"),
        (&["check", "--formt", "json"], 2, "", "--format"),
        (&["check", "--at", "yesterday"], 2, "", "2024-05-02T10:00:00Z"),
        (&["check", "--timeout", "soon"], 2, "", "500ms"),
        (&["check", "--kubernetes-version", "latest"], 2, "", "1.34"),
        (&["check", "/no/such/tree"], 3, "", "error: /no/such/tree"),
        (&["check", "--only", "etcd-adress-not-local", "/"], 2, "", "did you mean `etcd-address-not-local`?"),
        (&["explain", "etcd-adress-not-local"], 2, "", "did you mean `etcd-address-not-local`?"),
        (&["explain", "etcd-address-not-local"], 0, "# etcd is told", ""),
        (&["explain", "etcd-address-not-local", "--format", "text"], 0, "error[etcd-address-not-local]", ""),
        (&["explain", "etcd-address-not-local", "--lang", "zh"], 0, "监听", ""),
        (&["rules"], 0, "etcd-address-not-local", ""),
        (&["rules", "--format", "markdown"], 0, "| `etcd-address-not-local` | etcd | error |", ""),
    ] {
        let output = k8sdoctor(arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
        assert!(stdout.contains(on_stdout), "{arguments:?}\n{stdout}");
        assert!(stderr.contains(on_stderr), "{arguments:?}\n{stderr}");
        // What is for one stream is not on the other, and nothing is coloured in a pipe.
        assert_eq!(stdout.is_empty(), on_stdout.is_empty(), "{arguments:?}\n{stdout}");
        assert_eq!(stderr.is_empty(), on_stderr.is_empty(), "{arguments:?}\n{stderr}");
        assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "{arguments:?}");
    }
}

#[test]
fn rules_as_json() {
    let output = k8sdoctor(&["rules", "--format", "json", "--only", "etcd-address-not-local"]);
    let rules: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(rules[0]["id"], "etcd-address-not-local");
    assert_eq!(rules[0]["detect"][0], "files");
    assert_eq!(rules.as_array().map(Vec::len), Some(1));
}

#[test]
fn colour_when_asked_for() {
    let output = k8sdoctor(&["explain", "etcd-address-not-local", "--format", "text", "--color", "always"]);
    assert!(text(&output.stdout).contains("\x1b["));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tree has to be made first")]
fn a_report_of_a_tree_fits_the_schema() {
    let tree = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(tree.path().join("etc")).expect("a folder");
    std::fs::write(tree.path().join("etc/hostname"), "m1\n").expect("a file");
    let path = tree.path().to_str().expect("its name is text");
    let output = k8sdoctor(&["check", "--format", "json", "--at", "2024-05-02", "--fail-on", "never", path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../docs/schema/report-v1.json")).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&strict(schema)).expect("the schema is one");
    let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(report["at"], "2024-05-02T00:00:00Z");
    assert_eq!(report["hosts"][0]["name"], "m1");
}

#[test]
fn every_format_from_one_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let formats = [
        ("json", "\"version\": 1"),
        ("jsonl", "{\""),
        ("markdown", "### k8sdoctor"),
        ("sarif", "\"2.1.0\""),
        ("junit", "<testsuites"),
        ("github", "::error file=testdata/rules/kubelet-config-invalid/fail-second-of-two/"),
        ("gitlab", "\"fingerprint\""),
        ("prometheus", "k8sdoctor_findings{severity=\"error\"} "),
        ("human", "error[kubelet-config-invalid]"),
    ];
    let path = |format: &str| folder.path().join(format!("report.{format}"));
    let outputs: Vec<String> =
        formats.iter().map(|(format, _)| format!("--output={format}={}", path(format).display())).collect();
    let hosts = ["m1", "m2"].map(|host| format!("testdata/rules/kubelet-config-invalid/fail-second-of-two/{host}"));
    let arguments: Vec<&str> = ["check", "--color", "always"]
        .into_iter()
        .chain(outputs.iter().map(String::as_str))
        .chain(hosts.iter().map(String::as_str))
        .collect();
    let output = k8sdoctor(&arguments);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\x1b["));
    for (format, part) in formats {
        let written = std::fs::read_to_string(path(format)).expect("it was written");
        assert!(written.contains(part), "{format}: {written}");
        assert!(!written.contains('\x1b'), "{format}: {written}");
    }
    let output = k8sdoctor(&["check", "--output", "sarrif=x", &hosts[0]]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("sarif, junit"), "{}", text(&output.stderr));
}

#[test]
fn the_step_summary_is_written_where_the_runner_wants_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let summary = folder.path().join("summary.md");
    std::fs::write(&summary, "before\n").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    command.args(["check", "--format", "github", "testdata/rules/etcd-address-not-local/fail-unit-one-line"]);
    let output = command.env("GITHUB_STEP_SUMMARY", &summary).output().expect("it starts");
    assert!(text(&output.stdout).starts_with("::error "), "{}", text(&output.stdout));
    let written = std::fs::read_to_string(&summary).expect("it is there");
    assert!(written.starts_with("before\n### k8sdoctor"), "{written}");
}

#[test]
fn the_timeline_of_two_hosts_fits_its_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = |name: &str, log: &str| {
        let root = folder.path().join(name);
        std::fs::create_dir_all(root.join("etc")).expect("a folder");
        std::fs::create_dir_all(root.join("var/log")).expect("a folder");
        std::fs::write(root.join("etc/hostname"), format!("{name}\n")).expect("a file");
        std::fs::write(root.join("var/log/syslog"), log).expect("a file");
        root.to_str().expect("its name is text").to_owned()
    };
    let refused = "etcd[9]: listen tcp 203.0.113.12:2380: bind: cannot assign requested address";
    let first = host("m1", &format!("2026-11-21T10:00:05Z m1 {refused}\n2026-11-21T10:00:09Z m1 {refused}\n"));
    let second = host("m2", "2026-11-21T10:00:07Z m2 systemd[1]: Started etcd.service\n");
    let text = k8sdoctor(&["logs", &first, &second]);
    assert_eq!(text.status.code(), Some(0));
    let stdout = String::from_utf8_lossy(&text.stdout).into_owned();
    let (at, start) = (stdout.find("10:00:05 m1 etcd"), stdout.find("10:00:07 m2 etcd starts"));
    assert!(at.is_some() && at < start, "{stdout}");
    assert!(stdout.contains("2 times until 10:00:09, /var/log/syslog:1"), "{stdout}");

    let output = k8sdoctor(&["logs", "--format", "json", &first, &second]);
    let timeline: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../docs/schema/timeline-v1.json")).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&strict(schema)).expect("the schema is one");
    let errors: Vec<String> = validator.iter_errors(&timeline).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let events = timeline["events"].as_array().expect("events");
    let told: Vec<(&str, u64)> = events
        .iter()
        .map(|event| (event["kind"].as_str().unwrap_or(""), event["count"].as_u64().unwrap_or(0)))
        .collect();
    assert_eq!(told, [("message", 2), ("start", 1)]);
    assert_eq!(events[0]["values"]["address"], "203.0.113.12");

    // What is older is left out.
    let later = k8sdoctor(&["logs", "--since", "2026-11-21T10:00:06Z", "--format", "json", &first]);
    let timeline: serde_json::Value = serde_json::from_slice(&later.stdout).expect("it is JSON");
    assert_eq!(timeline["events"][0]["count"], 1);
}

#[test]
fn a_file_that_cannot_be_written_takes_no_diagnosis_away() {
    let host = "testdata/rules/etcd-address-not-local/fail-unit-one-line";
    let output = k8sdoctor(&["check", "--output", "json=/no/such/folder/report.json", host]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("error[etcd-address-not-local]"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("/no/such/folder/report.json"), "{}", text(&output.stderr));
}
