//! `check --timeout` ends the reading of logs too: what was not read is said and not passed.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test writes the host that it looks at")]

use std::io::Write;
use std::path::Path;

use assert_cmd::Command;

const MATTER: &str = "Nov 21 18:00:00 m1 dockerd[9]: failed to start daemon: unable to add return rule in DOCKER-ISOLATION-STAGE-1 chain\n";
const RULE: &str = "docker-iptables-failed";
const LINE: &str = "Nov 21 18:00:00 m1 systemd[1]: Started Session 1 of User root.\n";
/// More than the part that is read at a time, 64 MiB.
const LENGTH: usize = 65 << 20;

/// A host with a long log, in which what matters stands near the end of the part that is read last.
fn host(folder: &Path) {
    let log = folder.join("var/log");
    std::fs::create_dir_all(&log).expect("a folder");
    let mut file = std::fs::File::create(log.join("messages")).expect("a log");
    let lines = LENGTH / LINE.len();
    let before = lines / 10 * 9;
    file.write_all(LINE.repeat(before).as_bytes()).expect("a log");
    file.write_all(MATTER.as_bytes()).expect("a log");
    file.write_all(LINE.repeat(lines - before).as_bytes()).expect("a log");
}

fn check(folder: &Path, rule: &str, timeout: &str) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"))
        .args(["check", "--at", "2026-11-22", "--format", "json", "--only", rule])
        .args(["--timeout", timeout])
        .arg(folder)
        .output()
        .expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}: {errors}", output.status))
}

#[test]
fn what_is_not_read_in_time_is_unknown() {
    let folder = tempfile::tempdir().expect("a folder");
    host(folder.path());
    let report = check(folder.path(), RULE, "1ms").to_string();
    assert!(report.contains("the time for reading logs was over"), "{report}");
    assert!(!report.contains("unable to add return rule"), "the time was enough: {report}");
    let report = check(folder.path(), RULE, "10m").to_string();
    assert!(report.contains("unable to add return rule"), "{report}");
    assert!(!report.contains("the time for reading logs was over"), "{report}");
}

/// A rule that reads files too, which are fine or not.
#[test]
fn files_alone_do_not_pass_a_rule_whose_logs_were_not_read() {
    const RULE: &str = "host-hostname-invalid";
    let folder = tempfile::tempdir().expect("a folder");
    host(folder.path());
    // It is a node.
    let units = folder.path().join("etc/systemd/system");
    std::fs::create_dir_all(&units).expect("a folder");
    let unit = "[Service]\nExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\n";
    std::fs::write(units.join("kubelet.service"), unit).expect("a file");
    for (name, timeout, counts) in [
        ("m1", "1ms", [0, 0, 1]),
        ("m1", "10m", [0, 1, 0]),
        ("Not_a_name", "1ms", [1, 0, 0]),
        ("Not_a_name", "10m", [1, 0, 0]),
    ] {
        std::fs::write(folder.path().join("etc/hostname"), format!("{name}\n")).expect("a file");
        let report = check(folder.path(), RULE, timeout);
        let count = |outcome: &str| report["summary"][outcome].as_u64().expect("a number");
        assert_eq!(["failed", "passed", "unknown"].map(count), counts, "{name} {timeout}: {report}");
        // What was not read is said, whatever came of it.
        let told = report["problems"].to_string().contains("the time for reading logs was over");
        assert_eq!(told, timeout == "1ms", "{name} {timeout}: {report}");
    }
}
