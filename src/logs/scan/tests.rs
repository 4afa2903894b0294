use super::*;
use crate::facts::log::LogHit;

mod reading;

fn pattern(rule: &str, pattern: &str) -> LogPattern {
    LogPattern { rule: rule.to_owned(), pattern: pattern.to_owned(), ..LogPattern::default() }
}

fn options() -> ScanOptions {
    ScanOptions { at: "2026-11-21T12:00:00Z".parse().unwrap(), ..ScanOptions::default() }
}

fn scan(patterns: Vec<LogPattern>, logs: &[(&str, Vec<u8>)]) -> Logs {
    let scanner = Scanner::new(patterns).unwrap();
    scanner.compile_all().unwrap();
    let inputs = |logs: &[(&str, Vec<u8>)]| {
        let input = |(path, text): &(&str, Vec<u8>)| LogInput::new(*path, Box::new(io::Cursor::new(text.clone())));
        logs.iter().map(input).collect()
    };
    let logs_of = |threads| scanner.scan(inputs(logs), &ScanOptions { threads, ..options() });
    let (one, three) = (logs_of(1), logs_of(3));
    assert_eq!(one.hits, three.hits, "threads make a difference");
    one
}

fn hits(patterns: Vec<LogPattern>, path: &str, text: impl Into<Vec<u8>>) -> Vec<LogHit> {
    scan(patterns, &[(path, text.into())]).hits
}

const BIND: &str = r"listen tcp (?P<address>\S+): bind: cannot assign requested address";

#[test]
fn a_hit_says_who_when_how_often_and_what() {
    let text = "2026-11-21T09:45:12.100Z stderr F start\n\
        2026-11-21T09:45:12.500Z stderr F {\"level\":\"fatal\",\"error\":\"listen tcp 10.0.0.9:2380: bind: cannot assign requested address\"}\n\
        2026-11-21T09:45:14.500Z stderr F {\"level\":\"fatal\",\"error\":\"listen tcp 10.0.0.9:2380: bind: cannot assign requested address\"}\n";
    let found = hits(vec![pattern("a", BIND)], "/var/log/pods/kube-system_etcd-m2_1/etcd/4.log", text);
    let [hit] = &found[..] else { panic!("{found:?}") };
    assert_eq!(hit.component.as_deref(), Some("etcd"));
    assert_eq!(hit.captures["address"], "10.0.0.9:2380");
    assert_eq!((hit.count, hit.ongoing, hit.restarts), (2, Some(true), 0));
    assert_eq!(hit.first.as_deref(), Some("2026-11-21T09:45:12.500Z"));
    assert_eq!(hit.last.as_deref(), Some("2026-11-21T09:45:14.500Z"));
    assert_eq!(hit.lines.iter().map(|line| line.line).collect::<Vec<_>>(), [2, 3]);
    assert!(hit.lines[0].text.starts_with("2026-11-21T09:45:12.500Z stderr F {"));
}

#[test]
fn the_second_of_two_is_found_as_well() {
    let line = |address: &str| {
        format!("E1121 09:00:00.000000 1 a.go:1] listen tcp {address}: bind: cannot assign requested address\n")
    };
    let text = line("10.0.0.1:1") + &line("10.0.0.2:2");
    let found = hits(vec![pattern("a", BIND), pattern("b", "cannot assign requested")], "/x", text.clone());
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[1].captures["address"], "10.0.0.2:2");
    assert_eq!(found[2].count, 2);
    // Two files, and two patterns with one literal.
    let logs = [("/var/log/a.log", text.clone().into_bytes()), ("/var/log/b.log", text.into_bytes())];
    let both =
        scan(vec![pattern("a", "10.0.0.1:1: bind: cannot"), pattern("b", "10.0.0.2:2: bind: cannot")], &logs).hits;
    let found: Vec<_> = both.iter().map(|hit| (hit.rule.as_str(), hit.component.as_deref().unwrap())).collect();
    assert_eq!(found, [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]);
}

#[test]
fn a_line_of_another_program_is_no_hit() {
    let mut of_etcd = pattern("a", "no space left on device");
    of_etcd.components = vec!["etcd".to_owned()];
    let cases = [
        ("/var/log/syslog", "Nov 21 09:00:00 m1 etcd[7]: no space left on device", true),
        ("/var/log/syslog", "Nov 21 09:00:00 m1 kubelet[7]: no space left on device", false),
        ("/var/log/kubelet.log", "Nov 21 09:00:00 m1 etcd[7]: no space left on device", true),
        // A file's name is a hint only.
        ("/var/log/kubelet.log", "no space left on device", true),
        ("/var/log/pods/a_b_c/etcd/0.log", "2026-11-21T09:00:00Z stderr F no space left on device", true),
        ("/var/log/pods/a_b_c/web/0.log", "2026-11-21T09:00:00Z stderr F no space left on device", false),
        ("/var/log/syslog", "Nov 21 09:00:00 m1 bash[7]: no space left on device", true),
        ("/var/log/pods/a_b_c/web/0.log", "Nov 21 09:00:00 m1 etcd[7]: no space left on device", true),
    ];
    for (path, line, expected) in cases {
        assert_eq!(!hits(vec![of_etcd.clone()], path, line).is_empty(), expected, "{path}: {line}");
    }
}

#[test]
fn escaped_quotes_match_as_plain_ones() {
    let quoted = pattern("a", r#"Failed to mount volume "(?P<volume>[^"]+)" of the pod"#);
    for line in [
        r#"E1121 09:00:00.0 1 a.go:1] Failed to mount volume "x1" of the pod"#,
        r#"time="2026-11-21T09:00:00Z" msg="Failed to mount volume \"x1\" of the pod""#,
        r#"{"log":"time=\"2026-11-21T09:00:00Z\" msg=\"Failed to mount volume \\\"x1\\\" of the pod\"\n","time":"x"}"#,
    ] {
        let found = hits(vec![quoted.clone()], "/x", line);
        assert_eq!(found.first().map(|hit| hit.captures["volume"].as_str()), Some("x1"), "{line}");
    }
}

#[test]
fn parts_of_a_cri_line_are_one() {
    let text = "2026-11-21T09:00:00Z stderr F before\n\
        2026-11-21T09:00:01Z stderr P the certificate of nod\n\
        2026-11-21T09:00:01Z stderr P e-1 has expired or is not yet valid, \n\
        2026-11-21T09:00:01Z stderr F says kubelet\n";
    let whole = pattern("a", r"certificate of (?P<who>\S+) has expired.*, says kubelet$");
    let found = hits(vec![whole], "/x", text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].captures["who"], "node-1");
}

fn every(seconds: impl IntoIterator<Item = u32>, message: &str) -> String {
    let time = |second: u32| format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    seconds.into_iter().map(|second| format!("2026-11-21T{}Z m1 kubelet[1]: {message}\n", time(second))).collect()
}

#[test]
fn what_does_not_persist_is_normal() {
    let mut lasting = pattern("a", "connection refused by peer");
    lasting.persist_seconds = Some(60);
    let cases: [(Vec<u32>, bool); 5] = [
        (vec![0, 30], false),
        (vec![0, 30, 61], true),
        // Two short series far apart are not one that lasts.
        (vec![0, 30, 2000, 2030], false),
        (vec![0, 30, 2000, 2070], true),
        (vec![5], false),
    ];
    for (seconds, expected) in cases {
        let text = every(seconds.clone(), "connection refused by peer");
        assert_eq!(!hits(vec![lasting.clone()], "/x", text).is_empty(), expected, "{seconds:?}");
    }
    // The series goes on in the next file.
    let logs = [
        ("/var/log/messages", every([50, 80], "connection refused by peer").into_bytes()),
        ("/var/log/messages.1", every([0, 20], "connection refused by peer").into_bytes()),
    ];
    assert_eq!(scan(vec![lasting], &logs).hits.len(), 1);
}

#[test]
fn starting_is_noisy() {
    let mut after = pattern("a", "node not found yet");
    after.after_start_seconds = Some(30);
    let start = |second| every([second], "I1121 09:00:00.0 1 a.go:1] Kubelet version: v1.20");
    let noise = |seconds: &[u32]| every(seconds.iter().copied(), "node not found yet");
    let cases = [
        ("within the time", start(100) + &noise(&[101, 120]), 0),
        ("after it", start(100) + &noise(&[101, 131]), 1),
        ("the log's beginning", every([0], "hello") + &noise(&[10]), 0),
        ("long after it", every([0], "hello") + &noise(&[10, 50, 60]), 2),
        ("each start", start(100) + &noise(&[101]) + &start(1000) + &noise(&[1001]), 0),
        ("a start that fails", start(100) + &noise(&[101]) + &start(120) + &noise(&[121]) + &start(140), 2),
    ];
    for (name, text, expected) in cases {
        let found = hits(vec![after.clone()], "/x", text);
        assert_eq!(found.iter().map(|hit| hit.count).sum::<u64>(), expected, "{name}: {found:?}");
    }
}

#[test]
fn a_rotated_log_does_not_begin_with_a_start() {
    let mut after = pattern("a", "node not found yet");
    after.after_start_seconds = Some(30);
    let newer = every([100, 101], "node not found yet");
    let older = every([0], "hello");
    assert!(hits(vec![after.clone()], "/var/log/messages", newer.clone()).is_empty());
    let logs = [("/var/log/messages", newer.into_bytes()), ("/var/log/messages.1", older.into_bytes())];
    assert_eq!(scan(vec![after], &logs).hits.len(), 1);
}

#[test]
fn rare_is_normal() {
    let mut often = pattern("a", "leader changed to (?P<who>\\w+)");
    often.min_count = Some(3);
    let change = |who: &str, second| every([second], &format!("leader changed to {who}"));
    assert!(hits(vec![often.clone()], "/x", change("a", 0) + &change("b", 1)).is_empty());
    // The count is over all captures.
    assert_eq!(hits(vec![often], "/x", change("a", 0) + &change("b", 1) + &change("a", 2)).len(), 2);
}

#[test]
fn an_excerpt_need_not_go_on() {
    let often = LogPattern { min_count: Some(3), ..pattern("rare", "leader changed") };
    let lasting = LogPattern { persist_seconds: Some(60), ..pattern("brief", "health check failed") };
    let starting = LogPattern { after_start_seconds: Some(60), ..pattern("early", "connection refused") };
    let plain = pattern("plain", "no such file or directory");
    let line = |second, text: &str| every([second], text);
    let text = line(0, "leader changed")
        + &line(1, "health check failed")
        + &line(2, "connection refused")
        + &line(3, "open x: no such file or directory");
    let found = |limit: u64| {
        let scanner = Scanner::new(vec![often.clone(), lasting.clone(), starting.clone(), plain.clone()]).unwrap();
        let input = LogInput::new("/var/log/x.log", Box::new(io::Cursor::new(text.clone().into_bytes())));
        let hits = scanner.scan(vec![input], &ScanOptions { excerpt_lines: limit, ..options() }).hits;
        hits.into_iter().map(|hit| (hit.rule, hit.brief)).collect::<Vec<_>>()
    };
    let all = [("brief", true), ("early", true), ("plain", false), ("rare", true)];
    assert_eq!(found(4), all.map(|(rule, brief)| (rule.to_owned(), brief)));
    // One line more than an excerpt may have, and a host's own log.
    assert_eq!(found(3), [("plain".to_owned(), false)]);
    assert_eq!(found(0), [("plain".to_owned(), false)]);
}

#[test]
fn a_files_name_settles_whose_line_it_is() {
    let of = |rule: &str, component: &str| LogPattern {
        components: vec![component.to_owned()],
        ..pattern(rule, "unknown flag: --")
    };
    let rules = |path: &str, line: &str| {
        let found = hits(vec![of("a", "kube-apiserver"), of("b", "kubelet")], path, line);
        found.into_iter().map(|hit| hit.rule).collect::<Vec<_>>()
    };
    let line = "Error: unknown flag: --port";
    assert_eq!(rules("/var/log/kubelet.log", line), ["b"]);
    assert_eq!(rules("/var/log/kube-apiserver.log", line), ["a"]);
    assert_eq!(rules("/var/log/x.log", line), ["a", "b"]);
    // Nothing is for etcd: then it is anyone's.
    assert_eq!(rules("/var/log/etcd.log", line), ["a", "b"]);
}

#[test]
fn recovery_ends_a_hit() {
    let mut lost = pattern("a", "lost connection to (?P<peer>\\w+)");
    lost.ended_by = Some("established connection to (?P<peer>\\w+)".to_owned());
    let text = every([0, 10], "lost connection to b")
        + &every([20], "lost connection to c")
        + &every([30], "established connection to b");
    let found = hits(vec![lost.clone()], "/x", text.clone());
    let ongoing: Vec<_> = found.iter().map(|hit| (hit.captures["peer"].as_str(), hit.ongoing)).collect();
    assert_eq!(ongoing, [("b", Some(false)), ("c", Some(true))]);
    lost.ignore_if_ended_seconds = Some(60);
    assert_eq!(hits(vec![lost.clone()], "/x", text).len(), 1);
    let late = every([0, 300], "lost connection to b") + &every([310], "established connection to b");
    assert_eq!(hits(vec![lost.clone()], "/x", late).len(), 1);
    let again = every([0], "lost connection to b")
        + &every([9], "established connection to b")
        + &every([20], "lost connection to b");
    let found = hits(vec![lost], "/x", again);
    assert_eq!((found[0].count, found[0].ongoing, found[0].lines.len()), (1, Some(true), 1));
}

#[test]
fn knows_what_goes_on_and_counts_restarts() {
    let text = every([0, 100], "no space left on device")
        + &every([50, 90], "Kubelet version: v1.20")
        + &every([4000], "all is well");
    let found = hits(vec![pattern("a", "no space left")], "/x", text);
    assert_eq!((found[0].ongoing, found[0].restarts), (Some(false), 2));
    assert_eq!(found[0].restarted, BTreeMap::from([("kubelet".to_owned(), 2)]));
    // Another program's lines say nothing of this one's end.
    let text = every([0], "no space left on device") + "2026-11-21T03:00:00Z m1 etcd[1]: fine\n";
    assert_eq!(hits(vec![pattern("a", "no space left")], "/x", text)[0].ongoing, Some(true));
    assert_eq!(hits(vec![pattern("a", "no space left")], "/x", "no space left")[0].ongoing, None);
}

#[test]
fn what_came_often_is_over_after_twice_its_longest_pause() {
    let lost = || vec![pattern("a", "lost connection")];
    // Once hours before, so that a tenth of the log is longer than the pauses.
    let of = |matches: &[u32], end: u32| {
        every([0], "lost connection") + &every(matches.iter().copied(), "lost connection") + &every([end], "fine")
    };
    for (matches, end, ongoing) in [
        (&[30000, 30005, 30010, 30015, 30020][..], 30045, true),
        (&[30000, 30005, 30010, 30015, 30020], 30060, false),
        (&[30000, 30005, 30010, 30015, 30020], 30200, false),
        // A back-off.
        (&[30000, 30020, 30060, 30140, 30300], 30600, true),
        (&[30000, 30020, 30060, 30140, 30300], 30700, false),
        // Too few to tell.
        (&[30000, 30005], 30200, true),
    ] {
        let found = hits(lost(), "/x", of(matches, end));
        assert_eq!(found[0].ongoing, Some(ongoing), "{matches:?} until {end}");
    }
}

#[test]
fn what_is_counted_together_is_over_when_its_program_goes_on_in_another_file() {
    let line = |second: u32, client: u32| {
        format!("2026-11-21T09:{:02}:{:02}Z stderr F refused {client}\n", second / 60, second % 60)
    };
    let first: String = (0..300).map(|number| line(number / 10, number)).collect();
    let next = "2026-11-21T09:30:00Z stderr F ready\n".to_owned();
    let path = |number| format!("/var/log/pods/kube-system_etcd-m1_1/etcd/{number}.log");
    let logs = [(path(0), first), (path(1), next)];
    let logs: Vec<(&str, Vec<u8>)> =
        logs.iter().map(|(path, text)| (path.as_str(), text.clone().into_bytes())).collect();
    let found = scan(vec![pattern("a", r"refused (?P<client>\d+)")], &logs).hits;
    assert_eq!(found.len(), 201);
    assert!(
        found.iter().all(|hit| hit.ongoing == Some(false)),
        "{:?}",
        found.iter().find(|hit| hit.ongoing != Some(false))
    );
}

#[test]
fn copies_count_once() {
    let line = every([0, 1], "no space left on device").into_bytes();
    let logs =
        [("/var/log/syslog", line.clone()), ("/var/log/journal.txt", line.clone()), ("/var/log/kubelet.log", line)];
    assert_eq!(scan(vec![pattern("a", "no space left")], &logs).hits[0].count, 4);
}

#[test]
fn a_line_knows_its_words() {
    let scanner = Scanner::new(vec![pattern("a", "connection refused \\d+")]).unwrap();
    let words = "connection refused ";
    let x = |count: usize| "x".repeat(count);
    for line in [
        format!("{words}5"),
        format!("{}{words}5", x(9000)),
        format!("{}{words}5{}", x(1500), x(3000)),
        format!("{}{words}5{}", x(300_000), x(70_000)),
        format!("password=hunter22hunter22 {}{words}5", x(100)),
        format!("{{\"log\":\"{}{words}5\\n\"}}", x(3000)),
    ] {
        let input = LogInput::new("/var/log/a", Box::new(io::Cursor::new(line.clone().into_bytes())));
        let logs = scanner.scan(vec![input], &options());
        let shown = &logs.hits[0].lines[0];
        assert_eq!(shown.text.get(shown.matter.clone()), Some(words), "{} {:?}", line.len(), shown.matter);
        assert!(shown.text.len() < 2100, "{}", shown.text.len());
    }
}

#[test]
fn a_units_state_is_told_with_its_name() {
    let scanner = Scanner::new(vec![pattern("a", "kubelet\\.service - .{0,99} Active: failed \\(Result: ")]).unwrap();
    let status = "● kubelet.service - kubelet: The Kubernetes Node Agent\n   Loaded: loaded\n   Active: failed (Result: exit-code)\n";
    let other = "● etcd.service - Etcd\n   Loaded: loaded\n   Active: failed (Result: exit-code)\n";
    let input = LogInput::new("/x", Box::new(io::Cursor::new(format!("{other}\n{status}").into_bytes())));
    let logs = scanner.scan(vec![input], &options());
    let line = &logs.hits[0].lines[0];
    assert_eq!((logs.hits[0].count, line.line), (1, 7));
    assert!(line.text.starts_with("● kubelet.service") && line.text.ends_with("(Result: exit-code)"), "{}", line.text);
}
