//! pki-expires-soon: a certificate in use ends within 30 days, and what should have renewed it has not.

use jiff::{SignedDuration, Timestamp};

use super::expired::dates;
use super::inventory::{Held, held, served_evidence, served_only};
use super::renewal::with_renewal;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::Certificate;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-expires-soon", judge: Judge::Host(judge), refine: None };

const DAYS: u32 = 30;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let at = context.cluster.at;
    let all = held(host, at, verdict);
    let mut of_kubeadm: Vec<&Held<'_>> = Vec::new();
    for one in &all {
        let end = one.certificate.not_after;
        // One that has ended is another rule's.
        if end < at {
            continue;
        }
        if !ends_soon(one.certificate, at, host.expected.certificate_expiry_days) {
            verdict.pass();
        } else if one.kubeadm().is_some() {
            of_kubeadm.push(one);
        } else {
            let draft = draft(&[one], host, at).subject(one.path);
            verdict.fail(with_renewal(draft, context, host, &all, one));
        }
    }
    for (answer, leaf) in served_only(host, &all) {
        if leaf.not_after < at {
            continue;
        }
        if !ends_soon(leaf, at, host.expected.certificate_expiry_days) {
            verdict.pass();
            continue;
        }
        let said = format!("served a certificate of {} that ends {}", leaf.subject, leaf.not_after);
        let draft = dates(Draft::new(), leaf.not_after, at).message("served").subject(leaf.sha256.clone());
        let draft = draft.value("target", &answer.target).value("subject", &leaf.subject);
        verdict.fail(draft.evidence(served_evidence(host, answer, &said)));
    }
    // kubeadm issues them on one day, and renews them with one command.
    if let Some(first) = of_kubeadm.iter().min_by_key(|one| one.certificate.not_after) {
        let mut draft = draft(&of_kubeadm, host, at).subject(first.path);
        draft = with_renewal(draft, context, host, &all, first).value("count", of_kubeadm.len());
        if of_kubeadm.len() > 1 {
            draft = draft.message("several").value("kubeadm_certificate", "all");
        }
        verdict.fail(draft);
    }
}

/// Whether the end is near: 30 days, or a tenth of the life of a certificate that is renewed more often. What renews
/// itself (kubelet, cert-manager) has done so by then. Who asks for other days gets them, but no more than a third of the
/// certificate's life.
fn ends_soon(certificate: &Certificate, at: Timestamp, days: Option<u32>) -> bool {
    let life = certificate.not_after.duration_since(certificate.not_before);
    let limit = SignedDuration::from_hours(i64::from(days.unwrap_or(DAYS)) * 24);
    let limit = limit.min(if days.is_some() { life / 3 } else { life / 10 });
    certificate.not_after.duration_since(at) < limit
}

fn draft(of: &[&Held<'_>], host: &Host, at: Timestamp) -> Draft {
    let first = of.iter().map(|one| one.certificate.not_after).min().unwrap_or(at);
    let mut draft = dates(Draft::new(), first, at);
    for one in of {
        let label = format!("{}, ends {}", one.certificate.subject, one.certificate.not_after);
        draft = draft.at(&host.name, &one.file.origin, label);
    }
    draft
}
