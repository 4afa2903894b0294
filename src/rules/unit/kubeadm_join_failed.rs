//! kubeadm-join-failed: the cluster that a host is to join does not know the token, or has another authority than the one given.
//! What kubeadm itself says of it, and of the rest, is in the card.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::parse::config_document::token_id;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "kubeadm-join-failed", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let (Some(plan), Some(info)) = (host.kubernetes.kubeadm_plan(), &host.probes.cluster_info) else { return };
    let Some(endpoint) = plan.discovery_endpoint() else { return };
    let info = match info {
        Ok(info) => info,
        Err(unknown) => return verdict.unknown(unknown.clone()),
    };
    let draft = |kind: &'static str| {
        Draft::new().subject(kind).message(kind).value("kind", kind).value("endpoint", &endpoint.value)
    };
    let mut is_good = true;
    let token = plan.discovery_token().and_then(|token| Some((token, token_id(&token.value)?)));
    if let Some((token, id)) = token.filter(|(_, id)| !info.token_ids.iter().any(|known| known == id)) {
        is_good = false;
        let known = match info.token_ids.is_empty() {
            true => "it knows no token".to_owned(),
            false => format!("it knows {}", info.token_ids.join(", ")),
        };
        verdict.fail(draft("token").value("id", id).at(&host.name, &token.origin, known));
    }
    let hashes = plan.authority_hashes();
    let is_pinned = |authority: &String| hashes.iter().any(|hash| hash.value.eq_ignore_ascii_case(authority));
    if let (Some(hash), Some(authority), false) =
        (hashes.first(), info.authorities.first(), info.authorities.iter().any(is_pinned))
    {
        is_good = false;
        let label = format!("the cluster's is {authority}");
        verdict.fail(draft("hash").value("authority", authority).at(&host.name, &hash.origin, label));
    }
    if is_good {
        verdict.pass();
    }
}
