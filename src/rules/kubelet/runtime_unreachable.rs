//! kubelet-runtime-unreachable: the kubelet's endpoint is one that nothing serves.

use super::runtime::chosen;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Unknown;
use crate::rules::support::{file_of, is_running};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-runtime-unreachable", judge: Judge::Host(judge), refine: None };

/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 3;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    let Some(chosen) = chosen(host, kubelet) else { return };
    let Some(endpoint) = chosen.endpoint else { return };
    let draft = |message: &str| {
        Draft::new()
            .message(message)
            .value("socket", &endpoint.value)
            .value("runtime", chosen.runtime.name())
            .maybe_value("version", kubelet.version.as_ref().map(|version| &version.value))
            .maybe_value("file", file_of(endpoint))
    };
    let underlined = kubelet.flag_in_file("container-runtime-endpoint").unwrap_or(endpoint);
    if chosen.runtime == ComponentName::Dockerd {
        // Only dockershim served it, which the kubelet lost in 1.24.
        match kubelet.is_at_least(1, 24) {
            Some(true) => {
                verdict.fail(draft("dockershim").at(&host.name, &underlined.origin, "nothing serves it since 1.24"));
            }
            Some(false) => verdict.pass(),
            None => verdict.unknown(Unknown::new("the kubelet's release", "nothing says it")),
        }
        return;
    }
    // A node that has not joined has no use for a runtime yet.
    if kubelet.pid.is_none() {
        return;
    }
    match is_running(host, chosen.runtime) {
        Some(true) => verdict.pass(),
        Some(false) if host.system.processes.as_ref().is_ok_and(|processes| processes.len() < FEWEST) => {}
        Some(false) => {
            let name = chosen.runtime.name();
            let label = format!("{name} serves it, and no process of it is there");
            verdict.fail(draft("not_running").at(&host.name, &underlined.origin, label));
        }
        None => verdict.known(&host.system.processes).map_or((), |_| ()),
    }
}
