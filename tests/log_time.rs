//! `check --timeout` ends the reading of logs too: what was not read is said and not passed.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test writes the host that it looks at")]

use std::io::Write;
use std::path::Path;

use assert_cmd::Command;

const FIRST: &str = "Nov 21 17:59:00 m1 dockerd[9]: failed to start daemon: unable to add return rule in DOCKER-ISOLATION-STAGE-1 chain\n";
const RULE: &str = "docker-iptables-failed";
/// Of which the parts that are read at a time are a quarter.
const LENGTH: u64 = 256 << 20;

/// A host with a long log that begins with what matters; the rest takes no room.
fn host(folder: &Path) {
    let log = folder.join("var/log");
    std::fs::create_dir_all(&log).expect("a folder");
    let mut file = std::fs::File::create(log.join("messages")).expect("a log");
    file.write_all(FIRST.as_bytes()).expect("a log");
    file.set_len(LENGTH).expect("a log");
}

fn check(folder: &Path, timeout: &str) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"))
        .args(["check", "--at", "2026-11-22", "--format", "json", "--only", RULE])
        .args(["--timeout", timeout])
        .arg(folder)
        .output()
        .expect("it ends");
    serde_json::from_slice(&output.stdout).expect("a report")
}

#[test]
fn what_is_not_read_in_time_is_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    host(folder.path());
    let report = check(folder.path(), "1ms").to_string();
    assert!(report.contains("the time for reading logs was over"), "{report}");
    assert!(!report.contains("unable to add return rule"), "the time was enough: {report}");
    let report = check(folder.path(), "10m").to_string();
    assert!(report.contains("unable to add return rule"), "{report}");
    assert!(!report.contains("the time for reading logs was over"), "{report}");
}
