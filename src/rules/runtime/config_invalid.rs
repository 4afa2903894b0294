//! runtime-config-invalid: a runtime's configuration file that the runtime refuses.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "runtime-config-invalid", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let runtimes = &host.runtimes;
    for (origin, reason) in &runtimes.invalid {
        let path = origin.path().unwrap_or_default();
        let program = match path {
            path if path.contains("docker") => ComponentName::Dockerd,
            path if path.contains("crio") => ComponentName::Crio,
            _ => ComponentName::Containerd,
        };
        verdict.fail(
            Draft::new().subject(path).value("file", path).value("program", program.name()).value("reason", reason).at(
                &host.name,
                origin,
                reason.clone(),
            ),
        );
    }
    for (name, known) in [
        (ComponentName::Dockerd, runtimes.docker_daemon.as_ref().map(Option::is_some)),
        (ComponentName::Containerd, runtimes.containerd.as_ref().map(Option::is_some)),
        (ComponentName::Crio, runtimes.crio.as_ref().map(Option::is_some)),
    ] {
        match known {
            Ok(true) => verdict.pass(),
            Ok(false) => {}
            Err(unknown) if host.component(name).is_some() => verdict.unknown(unknown.clone()),
            Err(_) => {}
        }
    }
}
