use std::io::Write;
use std::time::Duration;

use super::*;

#[test]
fn any_length_of_line() {
    for length in [70 << 10, 300 << 10, 1 << 20] {
        for at in [0, 1 << 10, 60 << 10, length - 50_000, length - 40] {
            let mut text = b"first line\nE1121 09:00:00.000000 1 a.go:1] ".to_vec();
            text.extend(vec![b'.'; length]);
            let at = text.len() - length + at;
            text[at..at + 25].copy_from_slice(b"the disk is full on node1");
            text.extend_from_slice(b"\nlast: the disk is full on node2\n");
            let found = hits(vec![pattern("a", r"the disk is full on (?P<node>\w{5})")], "/x", text);
            let found: Vec<_> =
                found.iter().map(|hit| (hit.captures["node"].as_str(), hit.count, hit.lines[0].line)).collect();
            assert_eq!(found, [("node1", 1, 2), ("node2", 1, 3)], "{length} {at}");
        }
    }
}

#[test]
fn a_long_line_is_one_match() {
    let mut text = Vec::new();
    for _ in 0..40_000 {
        text.extend_from_slice(b"the disk is full, really. ");
    }
    let found = hits(vec![pattern("a", "the disk is full")], "/x", text);
    assert_eq!((found[0].count, found[0].lines.len()), (1, 1));
    assert!(found[0].lines[0].text.len() < 3000);
}

#[test]
fn line_numbers_hold_over_blocks() {
    let mut text = Vec::new();
    for number in 1..=40_000 {
        let what = if number % 9973 == 0 { "the disk is full" } else { "all is well here" };
        writeln!(text, "2026-11-21T09:00:00Z m1 kubelet[1]: {number} {what}").unwrap();
    }
    let found = hits(vec![pattern("a", "(?P<line>\\d+) the disk is full")], "/x", text.clone());
    assert_eq!(found.len(), 4);
    for hit in &found {
        assert_eq!(hit.captures["line"], hit.lines[0].line.to_string());
    }
    // Unpacked by one thread and searched by several it is the same.
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&text).unwrap();
    assert_eq!(hits(vec![pattern("a", "(?P<line>\\d+) the disk is full")], "/x", gz.finish().unwrap()), found);
    assert_eq!(scan(vec![], &[("/x", text)]).scanned[0].lines, 40_000);
}

#[test]
fn reads_packed_logs_and_says_what_it_cannot() {
    let line = every([0], "no space left on device");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(line.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let cut = gz[..gz.len() - 9].to_vec();
    let logs = scan(
        vec![pattern("a", "no space left")],
        &[
            ("/var/log/messages.2.gz", gz),
            ("/var/log/x.gz", cut),
            ("/var/log/journal/system.journal", b"LPKSHHRHxxx".to_vec()),
        ],
    );
    assert!(logs.hits.iter().all(|hit| hit.rule == "a") && !logs.hits.is_empty());
    let left: Vec<_> = logs.left_out.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(left, ["/var/log/x.gz", "/var/log/journal/system.journal"]);
}

#[test]
fn garbage_is_no_problem() {
    let mut seed = 7u64;
    let mut garbage: Vec<u8> = (0..600_000)
        .map(|_| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 56) as u8
        })
        .collect();
    garbage.extend_from_slice(b"\0\0\xff\xfeno space left on device \xff\0\n");
    assert_eq!(hits(vec![pattern("a", "no space left on (?P<x>.*)")], "/x", garbage).len(), 1);
}

#[test]
fn keeps_a_bounded_number_of_groups() {
    let text: String = (0..1000).map(|index| format!("no space left on disk{index}\n")).collect();
    let found = hits(vec![pattern("a", r"no space left on (?P<disk>\w+)")], "/x", text);
    assert_eq!(found.len(), 201);
    assert_eq!(found.iter().map(|hit| hit.count).sum::<u64>(), 1000);
    assert!(found.iter().any(|hit| hit.captures.is_empty() && hit.count == 800));
}

#[test]
fn since_leaves_out_what_is_older() {
    let scanner = Scanner::new(vec![pattern("a", "no space left")]).unwrap();
    let text = every([0, 3600, 7200], "no space left on device");
    let input = LogInput::new("/x", Box::new(io::Cursor::new(text.into_bytes())));
    let since = Some(Duration::from_secs(11 * 3600 + 1800));
    let logs = scanner.scan(vec![input], &ScanOptions { since, ..options() });
    assert_eq!(logs.hits[0].count, 2);
}

#[test]
fn refuses_bad_patterns_all_at_once() {
    let mut second = pattern("b", "long enough text");
    second.ended_by = Some("ok".to_owned());
    let Err(errors) = Scanner::new(vec![pattern("a", "(oops"), second]) else { panic!() };
    let told: Vec<_> = errors.iter().map(|error| error.rule.as_str()).collect();
    assert_eq!(told, ["a", "b"]);
    assert!(errors[1].why.starts_with("ended_by: "));
}

#[test]
fn a_single_line_can_be_asked_about() {
    let scanner = Scanner::new(vec![pattern("a", BIND), pattern("b", "something else")]).unwrap();
    let found = scanner.match_line(b"etcdmain: listen tcp 10.0.0.9:2380: bind: cannot assign requested address");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].captures["address"], "10.0.0.9:2380");
    assert_eq!(scanner.cost(0).unwrap().literals, [": bind: cannot assign requested address"]);
}

#[test]
fn a_log_without_years_is_not_later_than_its_file() {
    let line = "Nov 21 03:10:20 m1 etcd[9]: no space left on device\n";
    let year_of = |modified: Option<&str>| {
        let mut input = LogInput::new("/var/log/messages", Box::new(io::Cursor::new(line)));
        input.modified = modified.map(|time| time.parse().unwrap());
        let logs = Scanner::new(vec![pattern("a", "no space left")]).unwrap().scan(vec![input], &options());
        logs.hits[0].first.as_deref().unwrap()[..4].to_owned()
    };
    assert_eq!(year_of(None), "2026");
    assert_eq!(year_of(Some("2019-12-01T00:00:00Z")), "2019");
    assert_eq!(year_of(Some("2020-03-01T00:00:00Z")), "2019");
    // A copy made later says nothing more than when the logs were taken.
    assert_eq!(year_of(Some("2031-01-01T00:00:00Z")), "2026");
}

#[test]
fn what_there_was_no_time_for_is_said() {
    let scanner = Scanner::new(vec![pattern("a", "connection refused")]).unwrap();
    let options = options();
    options.stop.store(true, Ordering::Relaxed);
    let input = |path: &str| LogInput::new(path, Box::new(io::Cursor::new(b"connection refused\n".to_vec())));
    let logs = scanner.scan(vec![input("/var/log/a"), input("/var/log/b")], &options);
    assert_eq!(logs.hits, []);
    assert_eq!(logs.unfinished.iter().map(String::as_str).collect::<Vec<_>>(), ["/var/log/a", "/var/log/b"]);
    assert_eq!(logs.left_out.len(), 2);
    // In the middle of a log.
    let options = ScanOptions { threads: 1, ..self::options() };
    let stop = Arc::clone(&options.stop);
    let long = b"connection refused\n".repeat(100_000);
    let stops = Stops { log: io::Cursor::new(long.clone()), stop };
    let logs = scanner.scan(vec![LogInput::new("/var/log/a", Box::new(stops))], &options);
    let count: u64 = logs.hits.iter().map(|hit| hit.count).sum();
    assert!(count > 0 && logs.scanned[0].bytes < long.len() as u64, "{count}");
    assert!(logs.unfinished.contains("/var/log/a") && logs.left_out[0].1.contains("bytes"), "{:?}", logs.left_out);
}

/// A log during whose reading the time is over.
struct Stops {
    log: io::Cursor<Vec<u8>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl io::Read for Stops {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.log.read(into)
    }
}

#[test]
fn parts_of_a_log_are_one() {
    let scanner = Scanner::new(vec![pattern("a", "connection refused")]).unwrap();
    let part = |part: Part, line: &str| {
        let mut input = LogInput::new("/var/log/messages", Box::new(io::Cursor::new(line.as_bytes().to_vec())));
        (input.is_numbered, input.part) = (false, Some(part));
        input
    };
    let later = part(Part::Later, "Nov 21 11:59:00 m1 etcd[9]: connection refused\n");
    let first = part(Part::First, "Nov 21 11:58:00 m1 etcd[9]: x\nNov 21 11:58:30 m1 etcd[9]: connection refused\n");
    let logs = scanner.scan(vec![later, first], &options());
    assert_eq!((logs.hits.len(), logs.hits[0].count), (1, 2));
    assert_eq!((logs.scanned.len(), logs.scanned[0].lines), (1, 3));
    assert_eq!(logs.scanned[0].first.as_deref(), Some("2026-11-21T11:58:00Z"));
    assert_eq!(logs.scanned[0].last.as_deref(), Some("2026-11-21T11:59:00Z"));
}
