//! docker-not-running: the kubelet starts its pods with docker, and no docker daemon runs.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::log::LogHit;
use crate::rules::kubelet::runtime::chosen;
use crate::rules::{Context, Detector, Judge, Refined, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "docker-not-running", judge: Judge::Host(judge), refine: Some(refine) };

/// From so many complaints on it may be one that ends again and again.
const AGAIN_AND_AGAIN: u64 = 4;
/// Seconds within which such a one would have ended again.
const SOON: i64 = 30;

/// A daemon that answers runs, whatever came of starting it before.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let answers = matches!(host.probes.docker, Some(Ok(_)));
    let is_loop = hit.count >= AGAIN_AND_AGAIN && hit.quiet_seconds(&host.logs).is_none_or(|quiet| quiet < SOON);
    if answers && !is_loop { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    let Some(docker) = host.component(ComponentName::Dockerd) else { return };
    let uses_docker = chosen(host, kubelet)
        .is_some_and(|chosen| matches!(chosen.runtime, ComponentName::Dockerd | ComponentName::CriDockerd));
    // A kubelet that runs needs it whatever the unit says; else somebody has to mean docker to be there.
    let starter = match not_running::starter(host, docker) {
        Some(starter) => Some(starter),
        None => not_running::unit_layer(docker).filter(|_| kubelet.pid.is_some()),
    };
    if let Some(starter) = starter.filter(|_| uses_docker) {
        // Its own process may be one that is not seen from here.
        if matches!(host.probes.docker, Some(Ok(_))) {
            return verdict.pass();
        }
        not_running::judge(host, docker, starter, verdict);
    }
}
