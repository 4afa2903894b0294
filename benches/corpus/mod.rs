//! What the benchmarks share: logs of any size, the same in each run, and the clock.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use k8sdoctor::engine::CardSet;
use k8sdoctor::logs::Scanner;

/// Kinds of messages in the logs that are scanned, spread over all cards.
const KINDS: usize = 24;

/// The same numbers in each run.
pub struct Random(u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

/// What the logs are made of.
pub struct Corpus {
    /// Which of the ordinary lines match no pattern.
    pub kinds: Vec<usize>,
    /// Lines that match one.
    pub messages: Vec<String>,
}

impl Corpus {
    pub fn of(scanner: &Scanner, cards: &CardSet) -> Corpus {
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

pub const ORDINARY: usize = 8;

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

/// A log of about `size` bytes of which every `every`-th line is a message, with the time that it is then.
pub fn write(path: &Path, size: u64, every: usize, corpus: &Corpus) {
    fill(path, size, every, corpus, false);
}

/// The same, with a number at the end of each message by which no two are the same.
pub fn write_different(path: &Path, size: u64, every: usize, corpus: &Corpus) {
    fill(path, size, every, corpus, true);
}

fn fill(path: &Path, size: u64, every: usize, corpus: &Corpus, is_different: bool) {
    let clock = regex::Regex::new(r"\b\d\d:\d\d:\d\d").expect("a regex");
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
            let second = number / 200;
            let time = format!("{:02}:{:02}:{:02}", second / 3600 % 24, second / 60 % 60, second % 60);
            let message = &corpus.messages[random.below(corpus.messages.len())];
            line.push_str(&clock.replace_all(message, time.as_str()));
            if is_different {
                let _ = write!(line, " {number}");
            }
        }
        line.push('\n');
        file.write_all(line.as_bytes()).expect("the corpus");
        written += line.len() as u64;
    }
    file.flush().expect("the corpus");
}

/// Seconds by the clock, and of the processor in all threads and in programs that ended.
pub fn seconds(run: impl FnOnce()) -> (f64, f64) {
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

pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
