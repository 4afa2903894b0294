//! From the start of the process to its end, compared with other programs in the same run: medians of interleaved rounds.
//!
//! The wall clock is what a person waits for; on a machine that does other things as well the processor's time says more.
#![allow(clippy::disallowed_methods, reason = "a benchmark starts programs and reads the clock")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 15;

/// Milliseconds: by the clock, and of the processor.
fn run(program: &str, arguments: &[&str]) -> Option<(f64, f64)> {
    let used = || {
        // In ticks of 10 ms; children's user and system time are fields 16 and 17.
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<u64> =
            stat.rsplit(") ").next()?.split(' ').skip(13).take(2).filter_map(|field| field.parse().ok()).collect();
        Some(fields.iter().sum::<u64>() as f64 * 10.0)
    };
    let before = used()?;
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    Some((began.elapsed().as_secs_f64() * 1e3, used()? - before))
}

fn main() {
    let k8sdoctor = env!("CARGO_BIN_EXE_k8sdoctor");
    let tree = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("startup-host");
    std::fs::create_dir_all(tree.join("etc")).expect("a folder");
    std::fs::create_dir_all(tree.join("var/log")).expect("a folder");
    std::fs::write(tree.join("etc/hostname"), "m1\n").expect("a file");
    std::fs::write(tree.join("var/log/syslog"), "Nov 21 17:59:00 m1 kubelet[9]: hello\n").expect("a file");
    let tree = tree.to_string_lossy().into_owned();
    let programs: &[(&str, &str, &[&str])] = &[
        ("true", "/bin/true", &[]),
        ("find /proc, /etc", "find", &["/proc", "/etc", "-maxdepth", "2"]),
        ("kubeadm version", "kubeadm", &["version"]),
        ("k8sdoctor --version", k8sdoctor, &["--version"]),
        ("k8sdoctor explain", k8sdoctor, &["explain", "etcd-address-not-local"]),
        ("k8sdoctor check, live", k8sdoctor, &["check", "--no-probe"]),
        ("k8sdoctor check, a tree", k8sdoctor, &["check", &tree]),
        ("k8sdoctor logs, a tree", k8sdoctor, &["logs", &tree]),
    ];
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..ROUNDS {
        for (times, (_, program, arguments)) in times.iter_mut().zip(programs) {
            times.extend(run(program, arguments));
        }
    }
    println!("{ROUNDS} interleaved rounds: median by the clock, mean of the processor");
    for (mut times, (name, _, _)) in times.into_iter().zip(programs) {
        if times.is_empty() {
            println!("{name:24} not installed");
            continue;
        }
        times.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
        let used = times.iter().map(|(_, used)| used).sum::<f64>() / times.len() as f64;
        println!("{name:24} {:7.1} ms  {used:6.1} ms", times[times.len() / 2].0);
    }
}
