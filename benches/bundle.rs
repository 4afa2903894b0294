//! Bundles against what they are made of, on the same generated logs in the same run: collecting, with redaction, against
//! `tar | zstd -1`; and judging a bundle against the scanner on the plain files.
//!
//! `cargo bench --bench bundle` prints the table: medians of interleaved rounds by the clock and by the processor's time, and
//! the most memory that each program had. K8SDOCTOR_BENCH_MB sets the logs' size (1024), K8SDOCTOR_BENCH_ROUNDS the rounds (3).
//! Every 10 000th line is a message of a card, and every 1000th holds a secret.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock, the environment and files of its own")]

mod corpus;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use corpus::{Corpus, median, seconds, write};
use k8sdoctor::engine::{CardSet, Language, run};
use k8sdoctor::logs::{LogInput, ScanOptions, Scanner};

const PROGRAM: &str = env!("CARGO_BIN_EXE_k8sdoctor");
/// Where logs of a host stand; the corpus is spread over them.
const LOGS: [&str; 4] = [
    "var/log/messages",
    "var/log/kubelet.log",
    "var/log/containerd.log",
    "var/log/pods/kube-system_etcd-node-1_0/etcd/0.log",
];
const AT: &str = "2024-02-01";

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let megabytes = number("K8SDOCTOR_BENCH_MB").unwrap_or(1024).max(4);
    let rounds = number("K8SDOCTOR_BENCH_ROUNDS").unwrap_or(3).max(1);
    let cards = CardSet::builtin(Language::English).expect("the cards");
    let scanner = run::scanner(&cards).expect("good patterns");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a place for the corpus");
    let root = tree(directory.path(), megabytes, &Corpus::of(&scanner, &cards));
    let size = LOGS.iter().map(|log| fs::metadata(root.join(log)).map_or(0, |known| known.len())).sum::<u64>();

    let (bundle, tar) = (directory.path().join("node-1.tar.zst"), directory.path().join("plain.tar.zst"));
    let (root, tar) = (root.display().to_string(), tar.display().to_string());
    let bundle = bundle.display().to_string();
    let check = |source: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["check", "--at", AT, "--format", "json", source]);
        command
    };
    let collect = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["collect", &root, "-o", &bundle]).args(more);
        command
    };
    type Method<'a> = (&'a str, Box<dyn Fn() -> u64 + 'a>);
    let methods: Vec<Method<'_>> = vec![
        (
            "tar | zstd -1",
            Box::new(|| {
                let mut shell = Command::new("sh");
                shell.args(["-c", "tar -cC \"$0\" . | zstd -1 -q -f -o \"$1\"", &root, &tar]);
                peak(shell)
            }),
        ),
        ("collect, secrets kept", Box::new(|| peak(collect(&["--no-redact"])))),
        ("collect", Box::new(|| peak(collect(&[])))),
        ("scanner, 1 thread", Box::new(|| scan(&scanner, &root, 1))),
        ("scanner, 2 threads", Box::new(|| scan(&scanner, &root, 2))),
        ("check of the tree", Box::new(|| peak(check(&root)))),
        ("check of the bundle", Box::new(|| peak(check(&bundle)))),
    ];
    let mut times: Vec<Vec<(f64, f64)>> = vec![Vec::new(); methods.len()];
    let mut memory = vec![0; methods.len()];
    for _ in 0..rounds {
        for (index, (_, run)) in methods.iter().enumerate() {
            let mut most = 0;
            times[index].push(seconds(|| most = run()));
            memory[index] = memory[index].max(most);
        }
    }
    let megabytes = size as f64 / 1e6;
    let rates: Vec<(f64, f64)> = times
        .into_iter()
        .map(|times| {
            let used = times.iter().map(|(_, used)| used).sum::<f64>() / times.len() as f64;
            (megabytes / median(times.into_iter().map(|(clock, _)| clock).collect()), megabytes / used)
        })
        .collect();
    println!(
        "{megabytes:.0} MB, {rounds} interleaved rounds: MB/s by the clock, MB for a second of the processor, MiB at most"
    );
    for ((name, _), (rate, memory)) in methods.iter().zip(rates.iter().zip(&memory)) {
        let memory = if *memory == 0 { String::new() } else { format!("{:8.0}", *memory as f64 / 1024.0) };
        println!("{name:24} {:8.0} {:8.0} {memory}", rate.0, rate.1);
    }
    let ratio = |a: usize, b: usize| {
        format!("{:.2} ({:.2} of the processor)", rates[a].0 / rates[b].0, rates[a].1 / rates[b].1)
    };
    println!("collecting to tar | zstd -1: {}, with secrets kept {}", ratio(2, 0), ratio(1, 0));
    println!(
        "judging a bundle to the scanner on the plain files: 1 thread {}, 2 threads {}; to a check of the tree {}",
        ratio(6, 3),
        ratio(6, 4),
        ratio(6, 5)
    );
    let size = |path: &str| fs::metadata(path).map_or(0.0, |known| known.len() as f64 / 1e6);
    println!("the bundle has {:.1} MB, tar | zstd -1 {:.1} MB", size(&bundle), size(&tar));
}

/// A host with logs of this size.
fn tree(directory: &Path, megabytes: u64, corpus: &Corpus) -> PathBuf {
    let root = directory.join("node-1");
    for log in LOGS {
        let path = root.join(log);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        write(&path, (megabytes << 20) / LOGS.len() as u64, 10_000, corpus);
        with_secrets(&path);
    }
    fs::create_dir_all(root.join("etc")).expect("a directory");
    fs::write(root.join("etc/hostname"), "node-1\n").expect("a file");
    root
}

/// Puts a secret into every 1000th line.
fn with_secrets(path: &Path) {
    const SECRETS: [&str; 4] = [
        "dialing https://admin:Gq7pLm2x@10.0.0.1:2379 password=Gq7pLm2xQQ",
        "joining with --token abcdef.0123456789abcdef",
        "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
        "found AKIAABCDEFGHIJKLMNOP in its environment",
    ];
    let copy = path.with_extension("copy");
    let from = BufReader::with_capacity(1 << 20, fs::File::open(path).expect("the corpus"));
    let mut to = std::io::BufWriter::with_capacity(1 << 20, fs::File::create(&copy).expect("the corpus"));
    for (number, line) in from.split(b'\n').enumerate() {
        to.write_all(&line.expect("a line")).expect("the corpus");
        if number % 1000 == 999 {
            to.write_all(b" ").expect("the corpus");
            to.write_all(SECRETS[number / 1000 % SECRETS.len()].as_bytes()).expect("the corpus");
        }
        to.write_all(b"\n").expect("the corpus");
    }
    to.flush().expect("the corpus");
    fs::rename(copy, path).expect("the corpus");
}

fn scan(scanner: &Scanner, root: &str, threads: usize) -> u64 {
    let inputs = LOGS.iter().map(|log| {
        let file = fs::File::open(Path::new(root).join(log)).expect("the corpus");
        LogInput::new(format!("/{log}"), Box::new(file))
    });
    let at = format!("{AT}T00:00:00Z").parse().expect("a time");
    std::hint::black_box(scanner.scan(inputs.collect(), &ScanOptions { threads, at, ..ScanOptions::default() }));
    0
}

/// Runs it to its end, and gives the most memory that it had, in KiB: the kernel's own high-water mark, looked at until then.
fn peak(mut command: Command) -> u64 {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().expect("it runs").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}
