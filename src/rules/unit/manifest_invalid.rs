//! manifest-invalid: a file of the manifest directory that the kubelet cannot use.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "manifest-invalid", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (origin, reason) in &host.kubernetes.invalid_manifests {
        let file = origin.path().unwrap_or_default();
        verdict.fail(Draft::new().subject(file).value("file", file).value("reason", reason).at(
            &host.name,
            origin,
            reason.clone(),
        ));
    }
    if let Some(pods) = verdict.known(&host.kubernetes.static_pods) {
        pods.iter().for_each(|_| verdict.pass());
    }
}

/// An editor's temporary file was there for a moment, and the kubelet complained of it: it is gone.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let (Some(file), Ok(pods)) = (hit.captures.get("file"), &host.kubernetes.static_pods) else {
        return Refined::Keep(Vec::new());
    };
    let invalid = host.kubernetes.invalid_manifests.iter().filter_map(|(origin, _)| origin.path());
    let mut there = pods.iter().map(|pod| pod.path.as_str()).chain(invalid);
    if there.any(|path| path == file) { Refined::Keep(Vec::new()) } else { Refined::Drop }
}
