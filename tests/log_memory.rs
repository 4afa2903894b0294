//! What a log needs in memory does not grow with it: long logs, lines that never end, and bytes that are no text.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test reads what the kernel says of the process that it started")]

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// In KiB, as the kernel tells it.
const LIMIT: u64 = 64 << 10;
const FIRST: &str = "Nov 21 17:59:00 m1 etcd[9]: listen tcp 203.0.113.12:2380: bind: cannot assign requested address\n";

/// The most that the process ever had, in KiB.
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Gives the program pieces of a log, and looks at it before the log ends.
fn scan(piece: &[u8], count: usize) -> (u64, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"))
        .args(["check", "--at", "2026-11-22", "--format", "json", "--only", "etcd-address-not-local", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("its input");
    // Enough to be taken for a log.
    input.write_all(FIRST.repeat(2000).as_bytes()).expect("it reads");
    for _ in 0..count {
        input.write_all(piece).expect("it reads");
    }
    let peak = peak(&child);
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    (peak, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn stays_within_its_limit() {
    let ordinary =
        "Nov 21 17:59:01 m1 kubelet[9]: I1121 17:59:01.000001 9 kubelet.go:1] an ordinary event\n".repeat(12_000);
    let matching = FIRST.repeat(10_000);
    let binary: Vec<u8> = (0..1u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, piece, count) in [
        ("ordinary lines", ordinary.into_bytes(), 100),
        ("lines that match", matching.into_bytes(), 10),
        ("a line without end", vec![b'x'; 1 << 20], 100),
        ("no text", binary, 50),
    ] {
        let (peak, report) = scan(&piece, count);
        assert!(peak < LIMIT, "{name}: {peak} KiB");
        assert!(report.contains("etcd-address-not-local"), "{name}: {report}");
    }
}
