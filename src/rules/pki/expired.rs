//! pki-expired: a certificate in use has passed its end. An authority explains all that it has issued; the kubelet's own
//! client certificate is a rule of its own.

use jiff::Timestamp;

use super::inventory::{Held, Role, held, issuer_of};
use super::renewal::with_renewal;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::certificates::Certificate;
use crate::facts::{Cluster, Host};
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-expired", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let at = context.cluster.at;
    let all = held(host, at, verdict);
    for one in &all {
        if one.role == Role::KubeletClient {
            continue;
        }
        if one.certificate.not_after >= at {
            verdict.pass();
            continue;
        }
        if one.role == Role::Authority {
            if let Some(draft) = authority(context, host, one, &all) {
                verdict.fail(draft);
            }
            continue;
        }
        // Issuing it again is of no use before the authority itself is replaced, and is told there.
        if issuer_of(&all, one.certificate).is_some_and(|issuer| issuer.certificate.not_after < at) {
            continue;
        }
        let label = format!("of {}, ended {}", one.certificate.subject, one.certificate.not_after);
        let draft = dates(Draft::new(), one.certificate.not_after, at)
            .message(if one.entry.is_some() { "embedded" } else { "default" })
            .subject(one.path)
            .at(&host.name, &one.file.origin, label);
        verdict.fail(with_renewal(draft, context, host, &all, one));
    }
    served(context, host, &all, verdict);
}

/// One finding for all hosts that hold the authority, on the first of them.
fn authority(context: &Context<'_>, host: &Host, one: &Held<'_>, all: &[Held<'_>]) -> Option<Draft> {
    let at = context.cluster.at;
    let mut draft = dates(Draft::new(), one.certificate.not_after, at)
        .message("authority")
        .subject(one.path)
        .value("certificate", one.path)
        .maybe_value("file", one.entry.is_none().then_some(one.path))
        .value("subject", &one.certificate.subject);
    let mut hosts = Vec::new();
    for (holder, path, origin) in holders(context.cluster, one.certificate, at) {
        if hosts.is_empty() && holder != host.name {
            return None;
        }
        if !hosts.contains(&holder) {
            hosts.push(holder.clone());
        }
        draft = draft.at(&holder, &origin, format!("{path} ended {}", one.certificate.not_after));
    }
    let issued = |other: &&Held<'_>| {
        issuer_of(all, other.certificate).is_some_and(|issuer| issuer.certificate.sha256 == one.certificate.sha256)
    };
    for other in all.iter().filter(issued) {
        draft = draft.note(format!("{} was issued by it and is not accepted either", other.path));
    }
    Some(draft.hosts(hosts))
}

/// Every place of the cluster where a certificate lies, host by host.
fn holders(cluster: &Cluster, certificate: &Certificate, at: Timestamp) -> Vec<(String, String, Origin)> {
    let mut found = Vec::new();
    for host in &cluster.hosts {
        for other in held(host, at, &mut Verdict::default()) {
            if other.certificate.sha256 == certificate.sha256 {
                found.push((host.name.clone(), other.path.to_owned(), other.file.origin.clone()));
            }
        }
    }
    found
}

/// What is served although no file that was judged is the same.
fn served(context: &Context<'_>, host: &Host, all: &[Held<'_>], verdict: &mut Verdict) {
    let at = context.cluster.at;
    for answer in &host.probes.handshakes {
        let Ok(chain) = &answer.chain else { continue };
        let Some(leaf) = chain.first() else { continue };
        if leaf.not_after >= at {
            verdict.pass();
            continue;
        }
        let on_disk = all.iter().find(|one| one.certificate.sha256 == leaf.sha256);
        let evidence = Evidence::new(
            EvidenceKind::Probe,
            &host.name,
            Origin::answer(format!("TLS handshake with {}", answer.target)),
            format!(
                "served a certificate of {} that ended {}; dialled by {}",
                leaf.subject, leaf.not_after, answer.dialled_by
            ),
        );
        let draft = dates(Draft::new(), leaf.not_after, at)
            .message("served")
            .subject(on_disk.map_or(leaf.sha256.as_str(), |one| one.path))
            .value("target", &answer.target)
            .value("subject", &leaf.subject)
            .evidence(evidence);
        verdict.fail(draft);
    }
}

/// `2025-11-02` and `60 days ago` in words.
pub(super) fn dates(draft: Draft, end: Timestamp, at: Timestamp) -> Draft {
    draft.value("date", end.strftime("%Y-%m-%d")).value("distance", distance(end, at))
}

/// How far two times are apart: `1 day`, `60 days`, `5 hours`.
pub(super) fn distance(one: Timestamp, other: Timestamp) -> String {
    let hours = one.duration_since(other).as_hours().unsigned_abs();
    match (hours / 24, hours) {
        (0, 0) => "less than an hour".to_owned(),
        (0, 1) => "1 hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_apart() {
        let table = [
            ("2026-01-01T00:00:00Z", "less than an hour"),
            ("2026-01-01T01:30:00Z", "1 hour"),
            ("2025-12-31T01:00:00Z", "23 hours"),
            ("2025-12-30T23:00:00Z", "1 day"),
            ("2026-03-02T00:00:00Z", "60 days"),
        ];
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        for (text, expected) in table {
            assert_eq!(distance(text.parse().expect("a time"), at), expected, "{text}");
        }
    }
}
