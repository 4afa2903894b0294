//! lb-health-check-missing: haproxy or LVS sends to servers without ever asking whether they answer.

use super::frontends::{before_apiservers, note_unread, unit_of};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
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
        for backend in live {
            if backend.checked {
                verdict.pass();
                continue;
            }
            verdict.fail(
                Draft::new()
                    .subject(format!("{} {}", balanced.name, backend.address.value))
                    .message(if balanced.balancer == "keepalived" { "lvs" } else { "default" })
                    .value("balancer", balanced.balancer)
                    .value("frontend", balanced.name)
                    .value("address", &backend.address.value)
                    .value("unit", unit_of(host, balanced.component()))
                    .value("file", backend.address.origin.path().unwrap_or(balanced.path))
                    .maybe_value("line", backend.address.origin.span().map(|span| span.line))
                    .maybe_value("haproxy", (balanced.balancer == "haproxy").then_some("haproxy"))
                    .at(&host.name, &backend.address.origin, "used also when it does not answer"),
            );
        }
    }
}
