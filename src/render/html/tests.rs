use super::*;
use crate::render::sample;

fn page(change: impl FnOnce(&mut crate::report::Report), language: Language) -> String {
    let (mut report, texts) = sample::floating_address();
    change(&mut report);
    let certificates = report.certificates.clone();
    let report = Report::new(&report, &texts);
    render(&Content { report: &report, certificates: &certificates, topology: None, events: &[], language, hidden: 2 })
}

#[test]
fn what_a_reader_needs() {
    let text = page(|_| {}, Language::English);
    for part in [
        "<h1>1 root cause</h1>",
        "<mark>203.0.113.12</mark> no interface has it",
        "m2:/etc/kubernetes/manifests/etcd.yaml:9",
        "bind: cannot assign requested address",
        "<article tabindex=\"-1\" id=\"f4\" class=\"finding consequence\"",
        "sed -i &#39;s#listen-peer-urls",
        "the member did not answer in 3 s",
        "2 findings below --severity is not shown",
        "<time>2024-05-02T09:45:12Z</time></td><td>m2 etcd</td>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // A consequence of a consequence stands beneath the root, a step deeper.
    let causes = text.split("<ol class=\"causes\">").nth(1).unwrap().split("</ol>").next().unwrap();
    assert_eq!(causes.matches("<a href=\"#f").count(), 4, "{causes}");
    assert!(causes.contains("<span class=\"step\">↳ </span><a href=\"#f3\">"), "{causes}");
    assert!(page(|_| {}, Language::Chinese).contains("<html lang=\"zh\">"));
}

#[test]
fn nothing_found_is_not_all_fine_when_something_is_missing() {
    let clean = |report: &mut crate::report::Report| {
        report.findings.clear();
        report.unjudged.clear();
        report.counts.unknown = 0;
    };
    assert!(page(clean, Language::English).contains("<h1>nothing wrong was found</h1>"));
    for text in [
        page(|report| (clean(report), report.hosts[0].incomplete = true).0, Language::English),
        page(|report| (clean(report), report.counts.unknown = 1).0, Language::English),
    ] {
        assert!(text.contains("<h1>nothing wrong was found in what could be judged</h1>"));
    }
}

#[test]
fn the_policy_allows_its_own_script_alone() {
    let text = page(|_| {}, Language::English);
    assert_eq!(text.matches("<script").count(), 1);
    assert_eq!(text.matches("<style").count(), 1);
    assert!(text.contains(&format!("script-src 'sha256-{}'", hash(SCRIPT)).replace('\'', "'")));
    for bad in ["http://", "https://", " src=", " style=", " onclick", "unsafe-inline", "@import", "url("] {
        let own = text.replace("https://203.0.113.12", "").replace("https://10.77.0.12", "");
        assert!(!own.contains(bad), "{bad}");
    }
}

#[test]
fn what_is_waived_is_shown_as_waived() {
    use crate::report::{Suppression, SuppressionKind};
    let waive = |report: &mut crate::report::Report| {
        report.findings[0].suppressed = Some(Suppression {
            kind: SuppressionKind::Waiver,
            reason: "moves <next week>".to_owned(),
            owner: Some("ops".to_owned()),
            until: Some("2026-12-31".to_owned()),
            place: "k8sdoctor.toml:12".to_owned(),
        });
    };
    let title = sample::floating_address().0.findings[0].title.clone();
    let text = page(waive, Language::English);
    for part in [
        "data-suppressed=\"waiver\"",
        "<p class=\"waived\"><strong>waived</strong>: moves &lt;next week&gt; <small>k8sdoctor.toml:12 · ops · until <time>2026-12-31",
        "<b>1</b> waived</li>",
        "<label><input id=\"open\"",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let of_causes = |text: &str| {
        text.split("<ol class=\"causes\">").nth(1).map(|rest| rest.split("</ol>").next().unwrap().to_owned())
    };
    let escaped = title.replace('\'', "&#39;");
    assert!(of_causes(&page(|_| {}, Language::English)).is_some_and(|causes| causes.contains(&escaped)));
    assert!(of_causes(&text).is_none_or(|causes| !causes.contains(&escaped)), "it is no open cause");
    let without = page(|_| {}, Language::English);
    assert!(!without.contains("data-suppressed=") && without.contains("<label hidden><input id=\"open\""));
    assert!(!without.contains(" waived</li>"));
}
