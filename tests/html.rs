//! The page in a real browser: it is drawn, filtered and walked through by keys, asks nothing of the network, and nothing
//! of a host's text runs in it. Skipped where there is no Chromium.

#![expect(clippy::disallowed_methods, reason = "pages are written and a browser is run")]

mod browser;
mod fixtures;

use std::path::Path;

use browser::Browser;
use k8sdoctor::engine::Language;
use k8sdoctor::engine::run::{Run, RunOptions, run};
use k8sdoctor::engine::timeline::{Event, EventKind};
use k8sdoctor::facts::topology::map::{Link, State, Topology, Where};
use k8sdoctor::origin::{Origin, Unknown};
use k8sdoctor::render::html::{Content, render};
use k8sdoctor::render::json::v1;
use k8sdoctor::report::*;
use serde_json::json;

fn page_of(run: &Run) -> String {
    let report = v1::Report::new(&run.report, &run.texts);
    render(&Content {
        report: &report,
        certificates: &run.report.certificates,
        topology: run.topology.as_ref(),
        events: &run.events,
        language: Language::English,
        hidden: 0,
    })
}

fn cluster(name: &str) -> Run {
    let case = fixtures::testdata("clusters").join(name);
    run(&RunOptions { map: true, ..fixtures::options(fixtures::sources(&case), &[]) }).expect("a run")
}

fn open(page: &str, folder: &Path) -> Option<Browser> {
    let path = folder.join("report.html");
    std::fs::write(&path, page).expect("a page");
    let Some(mut browser) = Browser::start() else {
        eprintln!("skipped: there is no chromium");
        return None;
    };
    browser.open(&format!("file://{}", path.display()));
    Some(browser)
}

fn picture(browser: &mut Browser, name: &str) {
    use base64::Engine;
    // To be looked at: PICTURES names the folder.
    let Some(folder) = std::env::var_os("PICTURES") else { return };
    let shot = browser.call("Page.captureScreenshot", json!({"captureBeyondViewport": true}));
    let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap_or_default());
    std::fs::write(Path::new(&folder).join(name), bytes.expect("a picture")).expect("written");
}

#[test]
fn a_report_is_drawn_filtered_and_walked_through() {
    let run = cluster("peer-on-floating-address");
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut browser) = open(&page_of(&run), folder.path()) else { return };
    let all = run.report.findings.len();
    let shown = "document.querySelectorAll('article.finding:not([hidden])').length";
    assert_eq!(browser.eval(shown), json!(all));
    assert_eq!(browser.eval("document.querySelectorAll('.map .host').length"), json!(run.report.hosts.len()));
    let is_broken = |link: &&Link| link.state == State::Broken;
    let broken = run.topology.as_ref().expect("a map").links.iter().filter(is_broken).count();
    assert_eq!(browser.eval("document.querySelectorAll('.links li').length"), json!(broken));
    assert_eq!(browser.eval("document.querySelectorAll('.link.broken .cross').length > 0"), json!(broken > 0));
    // The style is in force: a policy that refuses it would leave the default.
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('.counts')).display"), json!("flex"));
    assert_eq!(browser.eval("document.getElementById('filter').hidden"), json!(false));
    // What is drawn lies within the drawing.
    let outside = "(() => { const map = document.querySelector('.map'); const box = map.viewBox.baseVal;
        return Array.from(map.querySelectorAll('rect, path'), (one) => one.getBBox()).filter((one) => one.x < 0 || one.y < 0
        || one.x + one.width > box.width || one.y + one.height > box.height).length; })()";
    assert_eq!(browser.eval(outside), json!(0));
    picture(&mut browser, "light.png");

    // By keys alone: search, leave, walk.
    let rule = run.report.findings.last().expect("a finding").rule.clone();
    browser.press(&["/"]);
    assert_eq!(browser.eval("document.activeElement.id"), json!("search"));
    browser
        .press(&rule.chars().map(|c| c.to_string()).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
    let found = browser.eval(shown).as_u64().expect("a count");
    assert!(found >= 1 && found < all as u64, "{found} of {all} for {rule}");
    assert_eq!(browser.eval("document.getElementById('shown').textContent"), json!(format!("{found} / {all}")));
    browser.press(&["Escape"]);
    assert_eq!(browser.eval(shown), json!(all));
    browser.press(&["j"]);
    assert_eq!(browser.eval("document.activeElement.id"), json!("f1"));
    browser.press(&["j", "k"]);
    assert_eq!(browser.eval("document.activeElement.id"), json!("f1"));
    // By a choice, which a link to a hidden finding lifts.
    let roots = run.report.findings.iter().filter(|finding| finding.consequence_of.is_none()).count();
    browser.eval("document.getElementById('roots').click()");
    assert_eq!(browser.eval(shown), json!(roots));
    if let Some(hidden) = run.report.findings.iter().position(|finding| finding.consequence_of.is_some()) {
        browser.eval(&format!("document.querySelector('a[href=\"#f{}\"]').click()", hidden + 1));
        browser.eval("new Promise((done) => setTimeout(done, 50))");
        for _ in 0..50 {
            if browser.eval(shown) == json!(all) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(browser.eval(shown), json!(all));
    }

    // On a phone nothing is wider than the screen; in the dark the colours change; on paper the filter is gone.
    for width in [360, 390] {
        let phone = json!({"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": true});
        browser.call("Emulation.setDeviceMetricsOverride", phone);
        assert_eq!(browser.eval(&format!("document.documentElement.scrollWidth <= {width}")), json!(true));
    }
    picture(&mut browser, "phone.png");
    browser.call("Emulation.clearDeviceMetricsOverride", json!({}));
    let colour = "getComputedStyle(document.body).backgroundColor";
    let light = browser.eval(colour);
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.call("Emulation.setEmulatedMedia", dark);
    assert_ne!(browser.eval(colour), light);
    picture(&mut browser, "dark.png");
    browser.call("Emulation.setEmulatedMedia", json!({"media": "print", "features": []}));
    assert_eq!(browser.eval("getComputedStyle(document.getElementById('filter')).display"), json!("none"));
    picture(&mut browser, "print.png");
    assert!(browser.call("Page.printToPDF", json!({}))["data"].as_str().is_some_and(|pdf| pdf.len() > 1000));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

const HOSTILE: &str = "\"'><script>window.ran=1</script><img src=x onerror=window.ran=1></title></style></svg>\
    <svg onload=window.ran=1><a href=javascript:window.ran=1>\u{202e}\u{0}<!--<![CDATA[\n</script></pre>";

/// A report with the text in every field that takes one.
fn hostile() -> (Report, Topology) {
    let text = || HOSTILE.to_owned();
    let evidence = |kind| Evidence {
        kind,
        host: text(),
        origin: Origin::file(HOSTILE, None),
        label: text(),
        occurrences: Some(Occurrences {
            count: 3,
            first: Some("2026-01-01T00:00:00Z".to_owned()),
            last: Some(text()),
            ongoing: Some(true),
            restarted: [(text(), 1)].into(),
            seconds: [3].into(),
            lines: vec![LogLine { path: text(), line: 1, text: text(), matter: 0..0 }],
        }),
    };
    let finding = Finding {
        rule: text(),
        severity: Severity::Error,
        component: text(),
        title: text(),
        hosts: vec![text()],
        subject: Some(text()),
        evidence: vec![evidence(EvidenceKind::File), evidence(EvidenceKind::Log)],
        notes: vec![text()],
        fix: Some(Fix {
            risk: Risk::Manual,
            summary: text(),
            commands: vec![Command { host: Some(text()), line: text() }],
            restarts: vec![text()],
        }),
        verify: vec![text()],
        confidence: Confidence::High,
        consequence_of: None,
        values: [(text(), text())].into(),
        suppressed: None,
    };
    let follower = Finding {
        consequence_of: Some(0),
        suppressed: Some(Suppression {
            kind: SuppressionKind::Waiver,
            reason: text(),
            owner: Some(text()),
            until: Some(text()),
            place: text(),
        }),
        ..finding.clone()
    };
    let report = Report {
        at: text(),
        hosts: vec![HostSummary {
            name: text(),
            source: text(),
            kind: k8sdoctor::source::SourceKind::Bundle,
            incomplete: true,
            roles: vec![text()],
        }],
        unopened: vec![Unopened { source: text(), message: text() }],
        findings: vec![finding, follower],
        unjudged: vec![Unjudged {
            rule: text(),
            host: text(),
            unknown: Unknown { what: text(), why: text(), remedy: Some(text()) },
        }],
        problems: vec![Problem { host: text(), place: text(), message: text(), remedy: Some(text()) }],
        notices: Vec::new(),
        configuration: Some(text()),
        certificates: vec![CertificateSummary {
            host: text(),
            path: text(),
            subject: text(),
            serial: text(),
            not_before: jiff::Timestamp::MIN,
            not_after: jiff::Timestamp::MAX,
        }],
        rules: 1,
        counts: Counts { failed: 2, passed: 0, not_applicable: 0, unknown: 1 },
        passed: vec![text()],
        seconds: 0.0,
    };
    let mut topology = cluster("balanced").topology.expect("a map");
    for host in &mut topology.hosts {
        host.addresses.push(text());
        host.roles.push(text());
        host.components.iter_mut().for_each(|one| (one.version, one.listens) = (Some(text()), vec![text()]));
    }
    for link in &mut topology.links {
        link.url.push_str(HOSTILE);
        link.client = text();
        link.why = vec![text()];
        link.state = State::Broken;
        link.configured_at = Where { place: text(), line: None };
    }
    let first = topology.hosts.first().map(|host| host.name.clone()).unwrap_or_default();
    topology.hosts.iter_mut().filter(|host| host.name == first).for_each(|host| host.name = text());
    (report, topology)
}

#[test]
fn all_that_the_logs_tell_is_on_the_axis_and_what_is_waived_says_so() {
    let mut run = cluster("peer-on-floating-address");
    let folder = tempfile::tempdir().expect("a folder");
    assert!(!run.events.is_empty(), "the trees have logs");
    let waived = Suppression {
        kind: SuppressionKind::Waiver,
        reason: "the address moves here next week".to_owned(),
        owner: Some("ops".to_owned()),
        until: Some("2026-12-31".to_owned()),
        place: "k8sdoctor.toml:12".to_owned(),
    };
    run.report.findings[0].suppressed = Some(waived);
    let Some(mut browser) = open(&page_of(&run), folder.path()) else { return };
    let with_time = run.events.iter().filter(|event| event.first.is_some_and(|time| time.absolute));
    // What two rules know, and one of them takes for normal, is shown as the other knows it.
    let with_time: Vec<_> = with_time.collect();
    let is_at = |event: &Event, other: &Event| {
        (&event.host, &event.line.path, event.line.line) == (&other.host, &other.line.path, other.line.line)
    };
    let counts = |event: &Event| matches!(event.kind, EventKind::Message { counts: true, .. });
    let is_start = |event: &Event| event.kind == EventKind::Start;
    let rows = with_time.iter().filter(|event| {
        let is_told = with_time.iter().any(|other| counts(other) && is_at(event, other));
        counts(event) || is_start(event) || !is_told
    });
    assert_eq!(browser.eval("document.querySelectorAll('#timeline tbody tr').length"), json!(rows.count()));
    // Starts of programs are no findings, and are there.
    let starts = run.events.iter().filter(|event| event.kind == EventKind::Start).count();
    assert_eq!(browser.eval("document.querySelectorAll('#timeline .bar .start').length"), json!(starts));
    assert_eq!(browser.eval("document.querySelectorAll('article[data-suppressed] .waived').length"), json!(1));
    assert_eq!(browser.eval("document.querySelectorAll('#causes a[href=\"#f1\"]').length"), json!(0));
    let shown = "document.querySelectorAll('article.finding:not([hidden])').length";
    browser.eval("document.getElementById('open').click()");
    assert_eq!(browser.eval(shown), json!(run.report.findings.len() - 1));
    browser.eval("document.getElementById('open').click()");
    // Certificates stand on their axis within it, whichever state they are in.
    let bars =
        "Array.from(document.querySelectorAll('#certificates .bar rect')).every((one) => { const box = one.getBBox();
        return box.x >= 0 && box.x + box.width <= 1004; })";
    assert_eq!(browser.eval(bars), json!(true));
    picture(&mut browser, "waived.png");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn nothing_of_a_hosts_text_runs() {
    let (report, topology) = hostile();
    let certificates = report.certificates.clone();
    let report = v1::Report::new(&report, &Default::default());
    let stamp = |second: i64| Some(k8sdoctor::logs::Stamp { nanos: second * 1_000_000_000, digits: 0, absolute: true });
    let event = |kind| Event {
        host: HOSTILE.to_owned(),
        program: Some(HOSTILE.to_owned()),
        kind,
        first: stamp(1_767_225_600),
        last: stamp(1_767_225_700),
        count: 2,
        line: LogLine { path: HOSTILE.to_owned(), line: 1, text: HOSTILE.to_owned(), matter: 0..0 },
    };
    let message = EventKind::Message {
        rule: HOSTILE.to_owned(),
        severity: Severity::Error,
        title: HOSTILE.to_owned(),
        values: Default::default(),
        counts: true,
    };
    let events = [event(message), event(EventKind::Start)];
    let content = Content {
        report: &report,
        certificates: &certificates,
        topology: Some(&topology),
        events: &events,
        language: Language::English,
        hidden: 0,
    };
    let page = render(&content);
    // Without a browser too: nothing of it is markup.
    for bad in ["<img", "<svg onload", "</title></style>", "<a href=javascript", "\u{202e}", "\u{0}"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    // Escaping must hold by itself: once more without the policy that would keep a script from running.
    let (before, rest) = page.split_once("<meta http-equiv=").expect("a policy");
    let unguarded = format!("{before}{}", rest.split_once('\n').expect("a line").1);
    for page in [page.clone(), unguarded] {
        let Some(mut browser) = open(&page, folder.path()) else { return };
        browser.press(&["/", "i", "m", "g", "Escape", "j"]);
        assert_eq!(browser.eval("typeof window.ran"), json!("undefined"));
        assert_eq!(browser.eval("document.querySelectorAll('script').length"), json!(1));
        assert_eq!(browser.eval("document.querySelectorAll('img, iframe, object, link, base').length"), json!(0));
        let handlers =
            "Array.from(document.querySelectorAll('*')).filter((one) => Array.from(one.attributes).some((own) =>
            own.name.startsWith('on') || own.name === 'style' || own.value.startsWith('javascript:'))).length";
        assert_eq!(browser.eval(handlers), json!(0));
        assert_eq!(browser.eval("document.querySelectorAll('article.finding').length"), json!(2));
        assert_eq!(browser.eval("document.querySelectorAll('main > section').length"), json!(6));
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}
