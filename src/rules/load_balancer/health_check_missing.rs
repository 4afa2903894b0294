//! lb-health-check-missing: haproxy or LVS sends to servers without ever asking whether they answer.

use super::frontends::{before_apiservers, note_unread, unit_of};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "lb-health-check-missing", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    note_unread(host, &["haproxy", "keepalived"], verdict);
    for balanced in before_apiservers(context.cluster, host) {
        // nginx takes a server out by itself after a failed connection.
        if balanced.balancer == "nginx" {
            continue;
        }
        let live: Vec<_> = balanced.backends.iter().filter(|backend| !backend.disabled).collect();
        if live.len() < 2 {
            continue;
        }
        let unchecked: Vec<_> = live.iter().filter(|backend| !backend.checked).collect();
        // Servers of one list are one fault, mended together.
        let Some(first) = unchecked.first() else {
            verdict.pass();
            continue;
        };
        let file = first.address.origin.path().unwrap_or(balanced.path);
        let addresses: Vec<String> = unchecked.iter().map(|backend| backend.address.value.clone()).collect();
        let edits: Option<Vec<String>> = unchecked
            .iter()
            .map(|backend| {
                let span = backend.address.origin.span()?;
                let is_here = backend.address.origin.path() == Some(file);
                is_here.then(|| format!("-e '{}s#{}#& check#'", span.line, backend.address.value))
            })
            .collect();
        let is_haproxy = balanced.balancer == "haproxy";
        let mut draft = Draft::new()
            .subject(balanced.name)
            .message(if balanced.balancer == "keepalived" { "lvs" } else { "default" })
            .value("balancer", balanced.balancer)
            .value("frontend", balanced.name)
            .value("address", in_words(&addresses))
            .value("unit", unit_of(host, balanced.component()))
            .value("file", file)
            .maybe_value("line", first.address.origin.span().map(|span| span.line))
            .maybe_value("edits", edits.filter(|_| is_haproxy).map(|edits| edits.join(" ")));
        for backend in unchecked {
            draft = draft.at(&host.name, &backend.address.origin, "used also when it does not answer");
        }
        verdict.fail(draft);
    }
}
