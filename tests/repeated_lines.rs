//! A line that stands in a log again, at another time of day, matches what it matched the first time.

use std::collections::BTreeMap;
use std::sync::Mutex;

use k8sdoctor::engine::{CardSet, Language, run};
use k8sdoctor::logs::{EventKind, LogInput, ScanOptions, Scanner};

/// What each line of a text matches: by the line's number the patterns with what they captured, and who wrote it.
fn events(scanner: &Scanner, text: &str) -> BTreeMap<u64, Vec<String>> {
    let found: Mutex<BTreeMap<u64, Vec<String>>> = Mutex::default();
    let tell = |event: k8sdoctor::logs::LogEvent<'_>| {
        let what = match event.kind {
            EventKind::Message { index, captures, .. } => format!("{index} {captures:?} of {:?}", event.program),
            EventKind::Start => format!("start of {:?}", event.program),
        };
        found.lock().expect("no panic").entry(event.line().line).or_default().push(what);
    };
    let input = LogInput::new("/x", Box::new(std::io::Cursor::new(text.to_owned())));
    scanner.scan_events(vec![input], &ScanOptions { threads: 1, ..ScanOptions::default() }, Some(&tell));
    let mut found = found.into_inner().expect("no panic");
    found.values_mut().for_each(|events| events.sort());
    found
}

#[test]
fn a_line_that_repeats_itself_matches_the_same() {
    let cards = CardSet::builtin(Language::English).expect("the cards");
    let scanner = run::scanner(&cards).expect("good patterns");
    let clock = regex::Regex::new(r"\b[0-2]\d:[0-5]\d:[0-5]\d\b").expect("a regex");
    let examples =
        cards.iter().flat_map(|card| &card.logs).flat_map(|log| log.examples.iter().chain(&log.counterexamples));
    let lines: Vec<&str> = examples.flat_map(|example| example.lines()).filter(|line| line.len() < 700).collect();
    assert!(lines.len() > 2000, "{}", lines.len());
    let mut matched = 0;
    for line in lines {
        let later = clock.replace_all(line, "03:17:59");
        let [alone, then] = [line, &later].map(|line| events(&scanner, &format!("before\n\n{line}\n")));
        let both = events(&scanner, &format!("before\n\n{line}\n\n{later}\n\n{line}\n"));
        let of = |events: &BTreeMap<u64, Vec<String>>, number| events.get(&number).cloned().unwrap_or_default();
        assert_eq!(of(&both, 3), of(&alone, 3), "{line}");
        assert_eq!(of(&both, 5), of(&then, 3), "{line}");
        assert_eq!(of(&both, 7), of(&alone, 3), "{line}");
        matched += usize::from(!of(&alone, 3).is_empty());
    }
    assert!(matched > 1000, "{matched}");
}
