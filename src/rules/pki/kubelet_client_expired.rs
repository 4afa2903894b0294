//! kubelet-client-certificate-expired: what the kubelet signs in with has ended.

use super::expired::dates;
use super::inventory::{Role, held, kubelet_kubeconfig};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::report::Severity;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-client-certificate-expired", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let at = context.cluster.at;
    let config = kubelet_kubeconfig(host);
    let mut unread = Verdict::default();
    let all = held(host, at, &mut unread);
    let mut judged = 0;
    for one in all.iter().filter(|one| one.role == Role::KubeletClient) {
        // A kubeconfig that signs in with another certificate or a token does not use the file that rotation keeps.
        let from_rotation = one.path.ends_with("/kubelet-client-current.pem");
        if from_rotation && one.entry.is_none() && signs_in_otherwise(host, one.path) {
            continue;
        }
        judged += 1;
        if one.certificate.not_after >= at {
            verdict.pass();
            continue;
        }
        let rotated = all.iter().find(|other| {
            one.entry.is_some()
                && other.path.ends_with("/kubelet-client-current.pem")
                && other.certificate.not_after > at
        });
        let message = match (one.entry, rotated) {
            (Some(_), Some(_)) => "embedded_rotated",
            (Some(_), None) => "embedded",
            (None, _) => "default",
        };
        let server = config.and_then(|config| config.current_cluster()?.server.as_ref());
        let mut draft = dates(Draft::new(), one.certificate.not_after, at)
            .message(message)
            .maybe_value("rotated", rotated.map(|other| other.path))
            .maybe_value("user", one.entry)
            .maybe_value("apiserver", server.map(|server| &server.value))
            .subject(one.path)
            .value("certificate", one.path)
            .maybe_value("kubeconfig", config.map(|config| &config.path))
            .maybe_value("node", node_name(one.certificate.common_name.as_deref()))
            .at(
                &host.name,
                &one.file.origin,
                format!("of {}, ended {}", one.certificate.subject, one.certificate.not_after),
            );
        if let Some(rotated) = rotated {
            let end = rotated.certificate.not_after;
            draft = draft.severity(Severity::Warning).note(format!("{} is valid until {end}", rotated.path));
        }
        verdict.fail(draft);
    }
    if judged == 0 {
        let of_kubelet = |what: &str| what.contains("kubelet");
        for unknown in unread.unknowns.into_iter().filter(|unknown| of_kubelet(&unknown.what)) {
            verdict.unknown(unknown);
        }
    }
}

/// Whether the kubelet's kubeconfig is there and has another way to sign in than this file.
fn signs_in_otherwise(host: &Host, path: &str) -> bool {
    kubelet_kubeconfig(host).and_then(|config| config.current_user()).is_some_and(|user| {
        user.client_certificate.as_ref().is_some_and(|named| named.value != path)
            || user.client_certificate_data.is_some()
            || user.has_token
    })
}

fn node_name(common_name: Option<&str>) -> Option<&str> {
    common_name?.strip_prefix("system:node:")
}
