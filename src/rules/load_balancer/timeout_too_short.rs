//! lb-timeout-too-short: a proxy that cuts connections which are idle between two events.

use super::frontends::{before_apiservers, note_unread, unit_of};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "lb-timeout-too-short", judge: Judge::Host(judge), refine: None };

/// Seconds. Clients since 1.20 ask an idle HTTP/2 connection every 30 s; what is cut earlier than that is cut always.
const BETWEEN_PINGS: f64 = 30.0;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    note_unread(host, &["haproxy", "nginx"], verdict);
    for balanced in before_apiservers(context.cluster, host) {
        let Some(frontend) = balanced.frontend else { continue };
        for (side, timeout) in [("client", &frontend.client_timeout), ("server", &frontend.server_timeout)] {
            let Some(timeout) = timeout else { continue };
            // Zero is none.
            if timeout.value <= 0.0 || timeout.value > BETWEEN_PINGS {
                verdict.pass();
                continue;
            }
            verdict.fail(
                Draft::new()
                    .subject(format!("{} {}", timeout.origin, timeout.value))
                    .value("balancer", balanced.balancer)
                    .value("side", side)
                    .value("seconds", timeout.value)
                    .value("unit", unit_of(host, balanced.component()))
                    .value("file", timeout.origin.path().unwrap_or(balanced.path))
                    .maybe_value("line", timeout.origin.span().map(|span| span.line))
                    .maybe_value("haproxy", (balanced.balancer == "haproxy").then_some("haproxy"))
                    .at(&host.name, &timeout.origin, "watches are idle for longer"),
            );
        }
    }
}
