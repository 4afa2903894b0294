//! leader-election-lost: a lease of the controller-manager or scheduler that nobody renews.

use jiff::SignedDuration;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Unknown;
use crate::rules::objects::{in_words, told};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "leader-election-lost", judge: Judge::Host(judge), refine: None };

/// --leader-elect-lease-duration when the lease does not say.
const DURATION: u32 = 15;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some((told, leases)) = told(context, host, verdict, |cluster| &cluster.leases) else { return };
    for lease in leases {
        let Some(renewed) = lease.renewed else {
            verdict.unknown(Unknown::new(format!("the lease {}", lease.name), "does not say when it was renewed"));
            continue;
        };
        let duration = lease.duration_seconds.unwrap_or(DURATION).clamp(1, 3600);
        let age = told.age(renewed);
        // Two rounds: one passes while another instance takes over.
        if age <= SignedDuration::from_secs(i64::from(duration) * 2 + 10) {
            verdict.pass();
            continue;
        }
        let holder = if lease.holder.is_empty() { "nobody" } else { &lease.holder };
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{}", lease.name);
        let said = format!("held by {holder} for {duration} s at a time, renewed {} ago", in_words(age));
        verdict.fail(
            Draft::new()
                .subject(&lease.name)
                .message("stale")
                .value("component", &lease.name)
                .value("lock", format!("kube-system/{}", lease.name))
                .value("holder", holder)
                .value("age", in_words(age))
                .evidence(told.evidence(host, &path, said)),
        );
    }
}
