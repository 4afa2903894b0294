//! Speed of the log engine with the patterns of all cards, beside ripgrep with the same patterns and beside reading alone,
//! on the same generated log.
//!
//! `cargo bench --bench log_scan` prints the table: medians of interleaved rounds by the clock, and by the processor's time
//! of all threads, which another load on the machine changes least. K8SDOCTOR_BENCH_MB sets the log's size (256),
//! K8SDOCTOR_BENCH_ROUNDS the rounds (5); K8SDOCTOR_BENCH_CRITERION measures the single inputs with criterion as well. The log
//! is the same in each run; messages in it are examples of the cards.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock, the environment and files of its own")]

mod corpus;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use corpus::{Corpus, ORDINARY, median, seconds, write, write_different};
use criterion::{Criterion, Throughput};
use k8sdoctor::engine::{CardSet, Language, run};
use k8sdoctor::logs::{LogInput, ScanOptions, Scanner};

fn scan(scanner: &Scanner, path: &Path, threads: usize) -> u64 {
    let input = LogInput::new("/var/log/messages", Box::new(File::open(path).expect("the corpus")));
    let at = "2024-02-01T00:00:00Z".parse().expect("a time");
    let logs = scanner.scan(vec![input], &ScanOptions { threads, at, ..ScanOptions::default() });
    logs.hits.iter().map(|hit| hit.count).sum()
}

/// Reads the file to the same, page-aligned place over and over.
fn read(path: &Path) -> u64 {
    const BLOCK: usize = 256 << 10;
    let mut file = File::open(path).expect("the corpus");
    let mut buffer = vec![0u8; BLOCK + 4096];
    let from = buffer.as_ptr().align_offset(4096);
    let mut sum = 0u64;
    loop {
        let count = file.read(&mut buffer[from..from + BLOCK]).expect("the corpus");
        if count == 0 {
            return sum;
        }
        sum += count as u64;
    }
}

fn ripgrep(patterns: &Path, path: &Path) -> Option<u64> {
    // So many patterns are more than it takes unless it is told to.
    let limits = ["--regex-size-limit", "1G", "--dfa-size-limit", "1G"];
    let run = Command::new("rg")
        .args(["-c", "-a", "-j", "1", "--no-config"])
        .args(limits)
        .arg("-f")
        .arg(patterns)
        .arg(path)
        .output()
        .ok()?;
    String::from_utf8_lossy(&run.stdout).trim().parse().ok()
}

/// The log's beginning, for who would take an hour for all of it.
fn beginning(path: &Path) -> PathBuf {
    const LENGTH: u64 = 32 << 20;
    let part = path.with_extension("part");
    let mut from = File::open(path).expect("the corpus").take(LENGTH);
    std::io::copy(&mut from, &mut File::create(&part).expect("the corpus")).expect("the corpus");
    part
}

fn compress(path: &Path, name: &str, pack: impl FnOnce(&mut File, File)) -> PathBuf {
    let packed = path.with_extension(name);
    let mut from = File::open(path).expect("the corpus");
    pack(&mut from, File::create(&packed).expect("the packed corpus"));
    packed
}

fn unpack(path: &Path) -> u64 {
    let file = File::open(path).expect("the packed corpus");
    let mut buffer = vec![0u8; 256 << 10];
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|name| name == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(zstd::stream::read::Decoder::new(file).expect("zstd"))
    };
    let mut sum = 0;
    loop {
        match reader.read(&mut buffer).expect("the packed corpus") {
            0 => return sum,
            count => sum += count as u64,
        }
    }
}

/// Inputs that made naive scanners collapse: name, text.
fn traps() -> Vec<(&'static str, Vec<u8>)> {
    let size = 20 << 20;
    let mut long = Vec::with_capacity(size + 64);
    while long.len() < size {
        long.extend_from_slice(
            b"{\"items\":[{\"kind\":\"Pod\",\"name\":\"web-0\",\"status\":\"x509: certificate is valid\"}]},",
        );
    }
    let repeat = |line: &str| line.as_bytes().iter().copied().cycle().take(size).collect::<Vec<u8>>();
    vec![
        ("one line of 20 MB", long),
        (
            "a literal in every line, no match",
            repeat("E0127 03:10:20.581730 1 a.go:1] bind: address already in used, x509: certificate is valid for a\n"),
        ),
        (
            "every line matches",
            repeat("E0127 03:10:20.581730 1 a.go:1] listen tcp 10.0.0.1:2380: bind: cannot assign requested address\n"),
        ),
        ("empty lines", vec![b'\n'; size]),
        ("zeros", vec![0; size]),
        ("backslashes", repeat("x509: certificate is valid for \\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\n")),
    ]
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() {
    let megabytes = number("K8SDOCTOR_BENCH_MB").unwrap_or(256);
    let rounds = number("K8SDOCTOR_BENCH_ROUNDS").unwrap_or(5);
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&directory).expect("a place for the corpus");
    let cards = CardSet::builtin(Language::English).expect("the cards");
    let (scanner, took) = {
        let began = Instant::now();
        let scanner = run::scanner(&cards).expect("good patterns");
        (scanner, began.elapsed())
    };
    let list = directory.join("patterns.txt");
    // ripgrep joins them to one, in which a group's name may stand once.
    let name = regex::Regex::new(r"\(\?P?<\w+>").expect("a regex");
    let rules = cards.iter().flat_map(|card| &card.logs);
    let sources: Vec<String> = rules.map(|rule| name.replace_all(&rule.pattern, "(?:").into_owned()).collect();
    std::fs::write(&list, sources.join("\n") + "\n").expect("the patterns");
    println!("{} patterns of {} cards: {}, made in {took:.1?}", sources.len(), cards.len(), scanner.describe());
    let corpus = Corpus::of(&scanner, &cards);
    println!("{} of {ORDINARY} ordinary lines match nothing, {} messages", corpus.kinds.len(), corpus.messages.len());
    let rare = directory.join("rare.log");
    let dense = directory.join("dense.log");
    let different = directory.join("different.log");
    write(&rare, megabytes << 20, 10_000, &corpus);
    write(&dense, megabytes << 20, 100, &corpus);
    write_different(&different, megabytes << 20, 100, &corpus);
    compare(&scanner, &list, &Logs { rare: &rare, dense: &dense, different: &different }, rounds.max(1));
    if std::env::var_os("K8SDOCTOR_BENCH_CRITERION").is_some() {
        each(&scanner, &rare, &dense, megabytes << 20);
    }
}

/// Each input by itself.
fn each(scanner: &Scanner, rare: &Path, dense: &Path, size: u64) {
    let mut criterion = Criterion::default().sample_size(10);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(size));
    for threads in [1, 2] {
        group.bench_function(format!("rare, {threads} threads"), |run| run.iter(|| scan(scanner, rare, threads)));
        group.bench_function(format!("dense, {threads} threads"), |run| run.iter(|| scan(scanner, dense, threads)));
    }
    group.finish();
    criterion.final_summary();
}

fn scan_text(scanner: &Scanner, text: &[u8]) -> u64 {
    let at = "2024-02-01T00:00:00Z".parse().expect("a time");
    let input = LogInput::new("/x", Box::new(std::io::Cursor::new(text.to_vec())));
    let options = ScanOptions { threads: 1, at, ..ScanOptions::default() };
    scanner.scan(vec![input], &options).hits.iter().map(|hit| hit.count).sum()
}

struct Logs<'p> {
    rare: &'p Path,
    dense: &'p Path,
    different: &'p Path,
}

/// The table: each method in turn in each round.
fn compare(scanner: &Scanner, list: &Path, &Logs { rare, dense, different }: &Logs<'_>, rounds: u64) {
    let zst = compress(rare, "zst", |from, to| zstd::stream::copy_encode(from, to, 3).expect("zstd"));
    let gz = compress(rare, "gz", |from, to| {
        let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::new(6));
        std::io::copy(from, &mut encoder).expect("gzip");
        encoder.finish().expect("gzip");
    });
    type Method<'a> = (&'a str, u64, Box<dyn Fn() -> Option<u64> + 'a>);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |known| known.len());
    let (of_rare, of_dense, of_different) = (size(rare), size(dense), size(different));
    let (some_rare, some_dense) = (beginning(rare), beginning(dense));
    let (of_some_rare, of_some_dense) = (size(&some_rare), size(&some_dense));
    let traps = traps();
    let mut methods: Vec<Method<'_>> = vec![
        ("aligned read", of_rare, Box::new(|| Some(read(rare)))),
        ("rg -c -f, 1 thread", of_some_rare, Box::new(|| ripgrep(list, &some_rare))),
        ("scan, 1 thread", of_rare, Box::new(|| Some(scan(scanner, rare, 1)))),
        ("scan, 2 threads", of_rare, Box::new(|| Some(scan(scanner, rare, 2)))),
        ("rg -c -f dense, 1 thread", of_some_dense, Box::new(|| ripgrep(list, &some_dense))),
        ("scan dense, 1 thread", of_dense, Box::new(|| Some(scan(scanner, dense, 1)))),
        ("scan dense, 2 threads", of_dense, Box::new(|| Some(scan(scanner, dense, 2)))),
        ("scan dense and different, 1 thread", of_different, Box::new(|| Some(scan(scanner, different, 1)))),
        ("scan dense and different, 2 threads", of_different, Box::new(|| Some(scan(scanner, different, 2)))),
        ("unpack zst", of_rare, Box::new(|| Some(unpack(&zst)))),
        ("scan zst, 2 threads", of_rare, Box::new(|| Some(scan(scanner, &zst, 2)))),
        ("unpack gz", of_rare, Box::new(|| Some(unpack(&gz)))),
        ("scan gz, 2 threads", of_rare, Box::new(|| Some(scan(scanner, &gz, 2)))),
    ];
    for (name, text) in &traps {
        methods.push((*name, text.len() as u64, Box::new(|| Some(scan_text(scanner, text)))));
    }
    let mut times: Vec<Vec<(f64, f64)>> = vec![Vec::new(); methods.len()];
    let mut counts = vec![None; methods.len()];
    for _ in 0..rounds {
        for (index, (_, _, run)) in methods.iter().enumerate() {
            times[index].push(seconds(|| counts[index] = std::hint::black_box(run())));
        }
    }
    let sizes = methods.iter().map(|(_, size, _)| *size as f64 / 1e6);
    let rates: Vec<(f64, f64)> = sizes
        .zip(times)
        .map(|(size, times)| {
            let used = times.iter().map(|(_, used)| used).sum::<f64>() / times.len() as f64;
            (size / median(times.into_iter().map(|(clock, _)| clock).collect()), size / used)
        })
        .collect();
    println!(
        "\n{:.0} MB, {rounds} interleaved rounds: MB/s by the clock, MB for a second of the processor",
        of_rare as f64 / 1e6
    );
    for ((name, _, _), (count, rate)) in methods.iter().zip(counts.iter().zip(&rates)) {
        match count {
            None => println!("{name:36} not installed"),
            Some(count) => println!(
                "{name:36} {:8.0} {:8.0}   {:5.2}x and {:5.2}x rg  {:4.2} of reading  ({count})",
                rate.0,
                rate.1,
                rate.0 / rates[1].0,
                rate.1 / rates[1].1,
                rate.0 / rates[0].0,
            ),
        }
    }
    let ratio = |a: usize, b: usize| {
        format!("{:.2} ({:.2} of the processor)", rates[a].0 / rates[b].0, rates[a].1 / rates[b].1)
    };
    println!("dense to rare: 1 thread {}, 2 threads {}", ratio(5, 2), ratio(6, 3));
    println!("dense and different to rare: 1 thread {}, 2 threads {}", ratio(7, 2), ratio(8, 3));
    println!("to unpacking alone: zst {}, gz {}", ratio(10, 9), ratio(12, 11));
}
