//! Speed of the log engine with the patterns of all cards, beside ripgrep with the same patterns and beside reading alone,
//! on the same generated log.
//!
//! `cargo bench --bench log_scan` prints the table: medians of interleaved rounds by the clock, and by the processor's time
//! of all threads, which another load on the machine changes least. K8SDOCTOR_BENCH_MB sets the log's size (256),
//! K8SDOCTOR_BENCH_ROUNDS the rounds (5); K8SDOCTOR_BENCH_CRITERION measures the single inputs with criterion as well. The log
//! is the same in each run; messages in it are examples of the cards.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock, the environment and files of its own")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use k8sdoctor::engine::{CardSet, Language, run};
use k8sdoctor::logs::{LogInput, ScanOptions, Scanner};

/// Kinds of messages in the logs that are scanned, spread over all cards.
const KINDS: usize = 24;

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

/// What the logs are made of.
struct Corpus {
    /// Which of the ordinary lines match no pattern.
    kinds: Vec<usize>,
    /// Lines that match one.
    messages: Vec<String>,
}

impl Corpus {
    fn of(scanner: &Scanner, cards: &CardSet) -> Corpus {
        let is_silent = |line: &str| scanner.match_line(line.as_bytes()).is_empty();
        let mut random = Random(1);
        let kinds = (0..ORDINARY).filter(|kind| {
            let mut line = String::new();
            ordinary(&mut random, &mut line, *kind, 0);
            is_silent(&line)
        });
        let kinds = kinds.collect();
        let rules: Vec<_> = cards.iter().flat_map(|card| &card.logs).collect();
        let examples = rules.iter().step_by((rules.len() / KINDS).max(1)).filter_map(|rule| rule.examples.first());
        let lines = examples.filter_map(|example| example.lines().find(|line| !is_silent(line)));
        Corpus { kinds, messages: lines.map(str::to_owned).collect() }
    }
}

const ORDINARY: usize = 8;

fn ordinary(random: &mut Random, line: &mut String, kind: usize, second: usize) {
    let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let fraction = random.below(1_000_000);
    let number = random.below(1 << 30);
    let _ = match kind {
        0 => write!(
            line,
            "I0127 {hour:02}:{minute:02}:{rest:02}.{fraction:06}   12904 kubelet_node_status.go:72] \"Attempting to register node\" node=\"node-{}\" generation={number} conditions=[MemoryPressure DiskPressure PIDPressure Ready]",
            number % 50
        ),
        1 => write!(
            line,
            "E0127 {hour:02}:{minute:02}:{rest:02}.{fraction:06}   12904 reflector.go:138] k8s.io/client-go/informers/factory.go:134: Failed to watch *v1.Node: failed to list *v1.Node: Get \"https://10.0.{}.1:6443/api/v1/nodes?limit=500&resourceVersion={number}\": dial tcp 10.0.0.1:6443: connect: connection refused",
            number % 9
        ),
        2 => write!(
            line,
            "{{\"level\":\"info\",\"ts\":\"2024-01-27T{hour:02}:{minute:02}:{rest:02}.{fraction:06}Z\",\"caller\":\"mvcc/index.go:214\",\"msg\":\"compact tree index\",\"revision\":{number}}}"
        ),
        3 => write!(
            line,
            "{{\"level\":\"warn\",\"ts\":\"2024-01-27T{hour:02}:{minute:02}:{rest:02}.{fraction:06}Z\",\"caller\":\"etcdserver/util.go:170\",\"msg\":\"apply request took too long\",\"took\":\"{fraction}us\",\"expected-duration\":\"100ms\",\"prefix\":\"read-only range \",\"request\":\"key:\\\"/registry/pods/{number}\\\" \",\"response\":\"range_response_count:1 size:{fraction}\"}}"
        ),
        4 => write!(
            line,
            "Jan 27 {hour:02}:{minute:02}:{rest:02} node-1 dockerd[1182]: time=\"2024-01-27T{hour:02}:{minute:02}:{rest:02}.{fraction:06}000+08:00\" level=info msg=\"ignoring event\" container={number:064x} module=libcontainerd namespace=moby topic=/tasks/delete type=\"*events.TaskDelete\""
        ),
        5 => write!(
            line,
            "Jan 27 {hour:02}:{minute:02}:{rest:02} node-1 containerd[981]: time=\"2024-01-27T{hour:02}:{minute:02}:{rest:02}.{fraction:06}000+08:00\" level=info msg=\"StopPodSandbox for \\\"{number:064x}\\\" returns successfully\""
        ),
        6 => write!(
            line,
            "Jan 27 {hour:02}:{minute:02}:{rest:02} node-1 kubelet[12904]: I0127 {hour:02}:{minute:02}:{rest:02}.{fraction:06}   12904 operation_generator.go:657] MountVolume.SetUp succeeded for volume \"kube-api-access-{number:x}\" (UniqueName: \"kubernetes.io/projected/{number:032x}-kube-api-access\") pod \"coredns-{number:x}\" (UID: \"{number:032x}\")"
        ),
        _ => write!(
            line,
            "2024-01-27 {hour:02}:{minute:02}:{rest:02}.{fraction:06} I | etcdserver: start to snapshot (applied: {number}, lastsnap: {fraction})"
        ),
    };
}

/// A log of about `size` bytes of which every `every`-th line is a message.
fn write(path: &Path, size: u64, every: usize, corpus: &Corpus) {
    let mut file = std::io::BufWriter::with_capacity(1 << 20, File::create(path).expect("the corpus"));
    let mut random = Random(every as u64);
    let (mut written, mut number) = (0u64, 0usize);
    let mut line = String::new();
    while written < size {
        line.clear();
        let kind = corpus.kinds[random.below(corpus.kinds.len())];
        ordinary(&mut random, &mut line, kind, number / 200);
        number += 1;
        if number % every == 0 {
            line.clear();
            line.push_str(&corpus.messages[random.below(corpus.messages.len())]);
        }
        line.push('\n');
        file.write_all(line.as_bytes()).expect("the corpus");
        written += line.len() as u64;
    }
    file.flush().expect("the corpus");
}

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
    let run =
        Command::new("rg").args(["-c", "-a", "-j", "1", "--no-config", "-f"]).arg(patterns).arg(path).output().ok()?;
    String::from_utf8_lossy(&run.stdout).trim().parse().ok()
}

/// Seconds by the clock, and of the processor in all threads and in programs that ended.
fn seconds(run: impl FnOnce()) -> (f64, f64) {
    let used = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        // In ticks of 10 ms: user and system time of this process, then of its children.
        fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    };
    let (started, before) = (Instant::now(), used());
    run();
    (started.elapsed().as_secs_f64(), used() - before)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
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
    write(&rare, megabytes << 20, 10_000, &corpus);
    write(&dense, megabytes << 20, 100, &corpus);
    compare(&scanner, &list, &rare, &dense, rounds.max(1));
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

/// The table: each method in turn in each round.
fn compare(scanner: &Scanner, list: &Path, rare: &Path, dense: &Path, rounds: u64) {
    let zst = compress(rare, "zst", |from, to| zstd::stream::copy_encode(from, to, 3).expect("zstd"));
    let gz = compress(rare, "gz", |from, to| {
        let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::new(6));
        std::io::copy(from, &mut encoder).expect("gzip");
        encoder.finish().expect("gzip");
    });
    type Method<'a> = (&'a str, u64, Box<dyn Fn() -> Option<u64> + 'a>);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |known| known.len());
    let (of_rare, of_dense) = (size(rare), size(dense));
    let traps = traps();
    let mut methods: Vec<Method<'_>> = vec![
        ("aligned read", of_rare, Box::new(|| Some(read(rare)))),
        ("rg -c -f, 1 thread", of_rare, Box::new(|| ripgrep(list, rare))),
        ("scan, 1 thread", of_rare, Box::new(|| Some(scan(scanner, rare, 1)))),
        ("scan, 2 threads", of_rare, Box::new(|| Some(scan(scanner, rare, 2)))),
        ("rg -c -f dense, 1 thread", of_dense, Box::new(|| ripgrep(list, dense))),
        ("scan dense, 1 thread", of_dense, Box::new(|| Some(scan(scanner, dense, 1)))),
        ("scan dense, 2 threads", of_dense, Box::new(|| Some(scan(scanner, dense, 2)))),
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
    println!("to unpacking alone: zst {}, gz {}", ratio(8, 7), ratio(10, 9));
}
