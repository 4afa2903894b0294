//! Speed of the log engine, beside ripgrep with the same patterns and beside reading alone, on the same generated log.
//!
//! `cargo bench --bench log_scan`. K8SDOCTOR_BENCH_MB sets the log's size (256); the last lines of the output are the ratios
//! that count, medians of interleaved rounds (K8SDOCTOR_BENCH_NO_RATIOS leaves them out). The log and the patterns are the same in each run.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock, the environment and files of its own")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use k8sdoctor::logs::{LogInput, LogPattern, ScanOptions, Scanner};

const ROUNDS: usize = 5;

/// Messages of etcd, Kubernetes and container engines, as regexes.
const MESSAGES: &[&str] = &[
    r"listen tcp (?P<address>\S+): bind: cannot assign requested address",
    r"listen tcp (?P<address>\S+): bind: address already in use",
    r"x509: certificate signed by unknown authority",
    r"x509: certificate is valid for (?P<names>.+?), not (?P<name>[^\s,;)]+)",
    r"x509: certificate has expired or is not yet valid",
    r"tls: first record does not look like a TLS handshake",
    r"rafthttp: the clock difference against peer (?P<peer>\w+) is too high",
    r"mvcc: database space exceeded",
    r"request cluster ID mismatch \(got (?P<got>\w+) want (?P<want>\w+)\)",
    r"member (?P<member>\w+) has already been bootstrapped",
    r"sync duration of (?P<took>\S+), expected less than 1s",
    r"failed to send out heartbeat on time",
    r"apply entries took too long",
    r"wal: crc mismatch",
    r"discovery: bad discovery token",
    r"failed to run Kubelet: misconfiguration: kubelet cgroup driver: (?P<own>\S+) is different from docker cgroup driver: (?P<other>\S+)",
    r"running with swap on is not supported",
    r"network plugin is not ready: cni config uninitialized",
    r"Unable to update cni config: no networks found in (?P<directory>\S+)",
    r#"failed to find plugin "(?P<plugin>[^"]+)" in path"#,
    r#"No such image: (?P<image>\S+)"#,
    r"failed to pull image (?P<image>\S+): rpc error",
    r"node (?P<node>\S+) not found in the informer cache",
    r"Failed to get system container stats for (?P<container>\S+)",
    r"inotify_add_watch (?P<path>\S+): no space left on device",
    r"too many open files in system",
    r"PLEG is not healthy: pleg was last seen active (?P<since>\S+) ago",
    r"eviction manager: must evict pod\(s\) to reclaim (?P<resource>\S+)",
    r"image_gc_manager.go:\d+\] Failed to garbage collect required amount of images",
    r"Unable to authenticate the request due to an error: \[invalid bearer token",
    r"etcdserver: request timed out, possibly due to previous leader failure",
    r"etcdserver: too many requests in flight now",
    r"Failed to start ContainerManager (?P<why>.+)",
    r"error while creating mount source path '(?P<path>[^']+)'",
    r"iptables: No chain/target/match by that name",
    r"could not find an available, non-overlapping IPv4 address pool",
    r"devmapper: Thin Pool has (?P<free>\d+) free data blocks which is less than minimum required",
    r"failed to start shim: (?P<why>.+): unknown",
    r"OCI runtime create failed: (?P<why>.+)",
    r"Out of memory: Kill(?:ed)? process (?P<pid>\d+) \((?P<name>[^)]+)\)",
];
/// What makes further patterns of the messages above, as a real set of cards has several hundred.
const SUBJECTS: &[&str] = &[
    "volume plugin manager",
    "service controller loop",
    "endpoint slice mirroring",
    "admission webhook chain",
    "certificate rotation manager",
    "node authorizer graph",
    "raft snapshot sender",
    "lease expiry checker",
    "device plugin registration",
    "image layer unpacker",
    "overlay snapshot remover",
    "conntrack table cleaner",
];
const VERBS: &[&str] = &[
    "gave up after its last retry",
    "saw an unexpected revision",
    "lost its watch channel for",
    "was refused by policy of",
    "has no quorum with",
    "cannot resolve the name",
    "found a stale lock at",
    "ran past its deadline of",
    "rejected a malformed reply from",
    "detected corruption in",
    "dropped its queue because",
    "could not be admitted by",
    "hit its rate limit against",
    "is fenced off from",
    "never became ready on",
];

fn patterns() -> Vec<LogPattern> {
    let mut sources: Vec<String> = MESSAGES.iter().map(|source| (*source).to_owned()).collect();
    for subject in SUBJECTS {
        for verb in VERBS {
            sources.push(format!(r"{subject} {verb} (?P<what>\S+)"));
        }
    }
    sources
        .into_iter()
        .enumerate()
        .map(|(index, pattern)| LogPattern { rule: format!("rule-{index}"), pattern, ..LogPattern::default() })
        .collect()
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

fn ordinary(random: &mut Random, line: &mut String, second: usize) {
    let (hour, minute, rest) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let fraction = random.below(1_000_000);
    let number = random.below(1 << 30);
    let _ = match random.below(8) {
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

/// A log of about `size` bytes of which every `every`-th line matches a pattern.
fn corpus(path: &Path, size: u64, every: usize) {
    if std::fs::metadata(path).is_ok_and(|known| known.len() >= size) {
        return;
    }
    let mut file = std::io::BufWriter::with_capacity(1 << 20, File::create(path).expect("the corpus"));
    let mut random = Random(every as u64);
    let (mut written, mut number) = (0u64, 0usize);
    let mut line = String::new();
    while written < size {
        line.clear();
        ordinary(&mut random, &mut line, number / 200);
        number += 1;
        if number % every == 0 {
            let what = match random.below(4) {
                0 => format!("listen tcp 10.0.0.{}:2380: bind: cannot assign requested address", random.below(4)),
                1 => "x509: certificate is valid for 10.0.0.1, node-1, not 10.0.0.2".to_owned(),
                2 => format!("{} {} thing-{}", SUBJECTS[random.below(12)], VERBS[random.below(15)], random.below(3)),
                _ => "failed to send out heartbeat on time (exceeded the 100ms timeout)".to_owned(),
            };
            let _ = write!(line, " {what}");
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

fn seconds(run: impl FnOnce() -> u64) -> f64 {
    let started = Instant::now();
    std::hint::black_box(run());
    started.elapsed().as_secs_f64()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn compress(path: &Path, name: &str, pack: impl FnOnce(&mut File, File)) -> PathBuf {
    let packed = path.with_extension(name);
    if !packed.exists() {
        let mut from = File::open(path).expect("the corpus");
        pack(&mut from, File::create(&packed).expect("the packed corpus"));
    }
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

fn main() {
    let megabytes = std::env::var("K8SDOCTOR_BENCH_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(256u64);
    let size = megabytes << 20;
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&directory).expect("a place for the corpus");
    let patterns = patterns();
    let list = directory.join("patterns.txt");
    // ripgrep joins them to one, in which a group's name may stand once.
    let name = regex::Regex::new(r"\(\?P<\w+>").expect("a regex");
    let sources: Vec<String> =
        patterns.iter().map(|pattern| name.replace_all(&pattern.pattern, "(?:").into_owned()).collect();
    std::fs::write(&list, sources.join("\n") + "\n").expect("the patterns");
    let count = patterns.len();
    let scanner = Scanner::new(patterns).expect("good patterns");
    println!("{count} patterns, {}", scanner.describe());
    let rare = directory.join(format!("rare-{megabytes}.log"));
    let dense = directory.join(format!("dense-{megabytes}.log"));
    corpus(&rare, size, 10_000);
    corpus(&dense, size, 100);

    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(size));
    for threads in [1, 2] {
        group.bench_function(format!("rare, {threads} threads"), |run| run.iter(|| scan(&scanner, &rare, threads)));
        group.bench_function(format!("dense, {threads} threads"), |run| run.iter(|| scan(&scanner, &dense, threads)));
    }
    group.finish();
    let mut group = criterion.benchmark_group("traps");
    let at = "2024-02-01T00:00:00Z".parse().expect("a time");
    let options = ScanOptions { threads: 1, at, ..ScanOptions::default() };
    for (name, text) in traps() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |run| {
            run.iter(|| {
                let input = LogInput::new("/x", Box::new(std::io::Cursor::new(text.clone())));
                scanner.scan(vec![input], &options).hits.len()
            });
        });
    }
    group.finish();
    criterion.final_summary();
    if std::env::var_os("K8SDOCTOR_BENCH_NO_RATIOS").is_none() {
        compare(&scanner, &list, &rare, &dense);
    }
}

/// The ratios, each method in turn in each round.
fn compare(scanner: &Scanner, list: &Path, rare: &Path, dense: &Path) {
    let zst = compress(rare, "zst", |from, to| zstd::stream::copy_encode(from, to, 3).expect("zstd"));
    let gz = compress(rare, "gz", |from, to| {
        let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::new(6));
        std::io::copy(from, &mut encoder).expect("gzip");
        encoder.finish().expect("gzip");
    });
    type Method<'a> = (&'a str, Box<dyn Fn() -> Option<u64> + 'a>);
    let methods: Vec<Method<'_>> = vec![
        ("aligned read", Box::new(|| Some(read(rare)))),
        ("rg -c -f, 1 thread", Box::new(|| ripgrep(list, rare))),
        ("scan, 1 thread", Box::new(|| Some(scan(scanner, rare, 1)))),
        ("scan, 2 threads", Box::new(|| Some(scan(scanner, rare, 2)))),
        ("scan dense, 1 thread", Box::new(|| Some(scan(scanner, dense, 1)))),
        ("scan dense, 2 threads", Box::new(|| Some(scan(scanner, dense, 2)))),
        ("unpack zst", Box::new(|| Some(unpack(&zst)))),
        ("scan zst, 2 threads", Box::new(|| Some(scan(scanner, &zst, 2)))),
        ("unpack gz", Box::new(|| Some(unpack(&gz)))),
        ("scan gz, 2 threads", Box::new(|| Some(scan(scanner, &gz, 2)))),
    ];
    let size = std::fs::metadata(rare).map_or(0.0, |known| known.len() as f64) / 1e6;
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); methods.len()];
    let mut counts = vec![None; methods.len()];
    for _ in 0..ROUNDS {
        for (index, (_, run)) in methods.iter().enumerate() {
            let mut count = None;
            times[index].push(seconds(|| {
                count = run();
                count.unwrap_or(0)
            }));
            counts[index] = count;
        }
    }
    let rates: Vec<f64> = times.into_iter().map(|times| size / median(times)).collect();
    println!("\n{size:.0} MB, medians of {ROUNDS} interleaved rounds");
    for (index, (name, _)) in methods.iter().enumerate() {
        match counts[index] {
            None => println!("{name:24} not installed"),
            Some(count) => println!(
                "{name:24} {:8.0} MB/s  {:5.2}x rg  {:4.2} of reading  ({count})",
                rates[index],
                rates[index] / rates[1],
                rates[index] / rates[0],
            ),
        }
    }
    println!("dense to rare            {:.2} and {:.2}", rates[4] / rates[2], rates[5] / rates[3]);
    println!("zst, gz to unpacking     {:.2} and {:.2}", rates[7] / rates[6], rates[9] / rates[8]);
}
