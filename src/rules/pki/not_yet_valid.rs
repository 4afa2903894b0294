//! pki-not-yet-valid: a certificate in use begins in the future: it was issued by a clock that ran ahead, or this host's
//! clock runs behind.

use super::expired::{dates, distance};
use super::inventory::held;
use super::renewal::with_renewal;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-not-yet-valid", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let at = context.cluster.at;
    let all = held(host, at, verdict);
    for one in &all {
        let begins = one.certificate.not_before;
        if begins <= at {
            verdict.pass();
            continue;
        }
        let draft = dates(Draft::new(), begins, at)
            .message(if one.entry.is_some() { "embedded" } else { "default" })
            .subject(one.path)
            .at(&host.name, &one.file.origin, format!("of {}, begins {begins}", one.certificate.subject))
            .note(format!("judged as of {at}: a host whose clock says so refuses it for {}", distance(begins, at)));
        verdict.fail(with_renewal(draft, context, host, &all, one));
    }
    for answer in &host.probes.handshakes {
        let Ok(chain) = &answer.chain else { continue };
        let Some(leaf) = chain.first() else { continue };
        if leaf.not_before <= at {
            verdict.pass();
            continue;
        }
        let on_disk = all.iter().find(|one| one.certificate.sha256 == leaf.sha256);
        let evidence = Evidence::new(
            EvidenceKind::Probe,
            &host.name,
            Origin::answer(format!("TLS handshake with {}", answer.target)),
            format!("served a certificate of {} that begins {}", leaf.subject, leaf.not_before),
        );
        let draft = dates(Draft::new(), leaf.not_before, at)
            .message("served")
            .subject(on_disk.map_or(leaf.sha256.as_str(), |one| one.path))
            .value("target", &answer.target)
            .value("subject", &leaf.subject)
            .evidence(evidence);
        verdict.fail(draft);
    }
}
