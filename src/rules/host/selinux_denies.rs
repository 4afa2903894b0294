//! host-selinux-denies: SELinux is in force, and its policy knows nothing of containers.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::report::Confidence;
use crate::rules::support::runs_containers;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "host-selinux-denies", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !runs_containers(host) {
        return;
    }
    let Some(selinux) = verdict.known(&host.system.selinux) else { return };
    let Some(selinux) = selinux.as_ref().filter(|selinux| selinux.enforcing) else { return };
    match &selinux.container_policy {
        Ok(true) => verdict.pass(),
        Ok(false) => verdict.fail(Draft::new().message("no_policy").confidence(Confidence::Medium).at(
            &host.name,
            &selinux.origin,
            "in force, and the policy has no module for containers",
        )),
        Err(unknown) => verdict.unknown(unknown.clone()),
    }
}
