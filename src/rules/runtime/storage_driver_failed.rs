//! docker-storage-driver-failed: docker runs with a storage driver that it can only half use.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "docker-storage-driver-failed", judge: Judge::Host(judge), refine: None };

/// What docker falls back to when it can use no other.
const LAST_RESORT: &str = "vfs";

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(dockerd) = host.component(ComponentName::Dockerd) else { return };
    let Some(answer) = &host.probes.docker else { return };
    // That docker does not answer is another rule's.
    let Ok(answer) = answer else { return };
    let Some(driver) = &answer.storage_driver else { return };
    let evidence = |said: String| {
        Evidence::new(EvidenceKind::Probe, &host.name, Origin::answer("docker info, Storage Driver"), said)
    };
    let below = answer.storage_status.get("Backing Filesystem").map(String::as_str);
    let draft = Draft::new().value("driver", driver).maybe_value("fs", below);
    if answer.storage_status.get("Supports d_type").is_some_and(|supports| supports == "false") {
        let said = format!("{driver} on {}, Supports d_type: false", below.unwrap_or("its file system"));
        let message = if below.is_some() { "d_type" } else { "no_d_type" };
        return verdict.fail(draft.message(message).evidence(evidence(said)));
    }
    if driver == LAST_RESORT && !is_chosen(host, dockerd) {
        let said = "vfs, which nothing asks for: docker could use no other".to_owned();
        return verdict.fail(draft.message("vfs").severity(Severity::Warning).evidence(evidence(said)));
    }
    verdict.pass();
}

/// Whether somebody wants vfs, or it cannot be said that nobody does.
fn is_chosen(host: &Host, dockerd: &crate::facts::component::Component) -> bool {
    let by_flag = ["storage-driver", "s"].into_iter().any(|flag| dockerd.flag(flag).is_some());
    let by_file = match &host.runtimes.docker_daemon {
        Ok(Some(daemon)) => daemon.contains_key("storage-driver"),
        Ok(None) => false,
        Err(_) => true,
    };
    by_flag || by_file || !dockerd.unread.is_empty()
}
