//! What a log needs in memory does not grow with it: long logs, lines that never end, bytes that are no text, many logs at
//! once; and a log may grow or be rotated while it is read.
//!
//! K8SDOCTOR_TEST_LOG_MB sets how much is read of each kind (100); 10240 is the size that the limit is promised for.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test reads what the kernel says of the process that it started")]

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// In KiB, as the kernel tells it.
const LIMIT: u64 = 64 << 10;
const FIRST: &str = "Nov 21 17:59:00 m1 etcd[9]: listen tcp 203.0.113.12:2380: bind: cannot assign requested address\n";

/// How much is read of each kind.
fn megabytes() -> usize {
    std::env::var("K8SDOCTOR_TEST_LOG_MB").ok().and_then(|size| size.parse().ok()).unwrap_or(100)
}

/// The most that the process ever had, in KiB; none when it has ended.
fn peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn check(source: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    command.args(["check", "--at", "2026-11-22", "--format", "json", "--only", "etcd-address-not-local"]).arg(source);
    command
}

/// A host with logs of so many megabytes in all, and the finding at their end.
fn host(folder: &Path, megabytes: usize) {
    let log = folder.join("var/log");
    std::fs::create_dir_all(&log).expect("a folder");
    let ordinary =
        "Nov 21 17:58:01 m1 kubelet[9]: I1121 17:58:01.000001 9 kubelet.go:1] an ordinary event\n".repeat(12_000);
    let mut file = std::fs::File::create(log.join("messages")).expect("a log");
    for _ in 0..16 {
        file.write_all(ordinary.as_bytes()).expect("a log");
    }
    file.write_all(FIRST.as_bytes()).expect("a log");
    // As many rotated ones as it takes, which are the same file: they are read one by one all the same.
    for number in 1..megabytes / 16 {
        std::fs::hard_link(log.join("messages"), log.join(format!("messages.{number}"))).expect("a link");
    }
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
    let peak = peak(&child).expect("it runs");
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
        ("ordinary lines", ordinary.into_bytes(), megabytes()),
        ("lines that match", matching.into_bytes(), megabytes() / 10),
        ("a line without end", vec![b'x'; 1 << 20], megabytes()),
        ("no text", binary, megabytes() / 2),
    ] {
        let (peak, report) = scan(&piece, count);
        assert!(peak < LIMIT, "{name}: {peak} KiB");
        assert!(report.contains("etcd-address-not-local"), "{name}: {report}");
    }
}

#[test]
fn many_logs_need_no_more_than_one() {
    let folder = tempfile::tempdir().expect("a folder");
    host(folder.path(), megabytes());
    let mut child = check(folder.path()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut most = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        most = most.max(peak(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let report = child.wait_with_output().expect("it ends").stdout;
    assert!(most > 0 && most < LIMIT, "{most} KiB");
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("etcd-address-not-local"), "{report}");
}

#[test]
fn a_log_may_change_while_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    host(folder.path(), 0);
    let log = folder.path().join("var/log/messages");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Written to all the time, moved away and begun anew, and cut to nothing in place: what logrotate does.
        scope.spawn(|| {
            let more = FIRST.repeat(2000);
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let mut file = std::fs::File::options().append(true).create(true).open(&log).expect("the log");
                file.write_all(more.as_bytes()).expect("the log");
                match round % 40 {
                    20 => std::fs::rename(&log, log.with_extension("1")).expect("it can be moved"),
                    39 => file.set_len(0).expect("it can be cut"),
                    _ => {}
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let began = Instant::now();
        for _ in 0..3 {
            let output = check(folder.path()).output().expect("it ends");
            let report = String::from_utf8_lossy(&output.stdout);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(report.trim_start().starts_with('{') && !said.contains("panicked"), "{report} {said}");
            // 2 is an error of the program's; 3 says that a log was gone when its turn came.
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{:?} {said}", output.status);
        }
        done.store(true, Ordering::Relaxed);
        assert!(began.elapsed() < Duration::from_secs(300), "{:?}", began.elapsed());
    });
}
