//! kubelet-disk-pressure: what the apiserver says of the nodes, and what is left on the disks of a host with a kubelet, by the
//! thresholds that its configuration sets.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::filesystem::FilesystemUse;
use crate::rules::filesystems::{KUBELET, RUNTIMES, below, in_words};
use crate::rules::kubelet::allocatable_invalid::quantity;
use crate::rules::objects::{host_of, on_host, told};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "kubelet-disk-pressure", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if let Some((told, nodes)) = told(context, host, verdict, |cluster| &cluster.nodes) {
        for node in nodes {
            let Some(pressure) = node.condition("DiskPressure").filter(|pressure| pressure.status == "True") else {
                verdict.pass();
                continue;
            };
            let said = format!("DiskPressure: {}", pressure.message);
            let draft = Draft::new().message("node").value("node", &node.name).evidence(told.evidence(
                host,
                &format!("/api/v1/nodes/{}", node.name),
                said,
            ));
            let owner = host_of(context.cluster, node);
            // A finding of the host's own disks is the same one.
            let is_own = owner.is_some_and(|owner| owner.name == host.name);
            let draft = if is_own { draft } else { draft.subject(&node.name) };
            verdict.fail(on_host(draft, owner));
        }
    }
    judge_disks(host, verdict);
}

/// What the kubelet itself will find the next time that it looks.
fn judge_disks(host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet).filter(|kubelet| kubelet.pid.is_some()) else { return };
    let Ok(known) = &host.filesystems else { return };
    let nodefs = below(known, kubelet.flag("root-dir").map_or(KUBELET, |directory| directory.value.as_str()));
    // The runtime whose directory is on a disk of its own has the images there.
    let imagefs =
        RUNTIMES.into_iter().filter_map(|directory| below(known, directory)).max_by_key(|one| one.target.len());
    for (one, signal, default) in
        [(nodefs, "nodefs.available", 10.0), (imagefs, "imagefs.available", 15.0), (nodefs, "nodefs.inodesFree", 5.0)]
    {
        let Some(one) = one else { continue };
        let Some(threshold) = threshold(host, kubelet, signal, default) else { continue };
        let Some((left, percent)) = left(one, signal) else { continue };
        let (is_less, least) = match threshold {
            Threshold::Percent(least) => (percent < least, format!("{least:.0} %")),
            Threshold::Amount(least) => (left < least, format!("{least:.0}")),
        };
        if !is_less {
            verdict.pass();
            continue;
        }
        let shown = if signal.ends_with("inodesFree") { format!("{left:.0} inodes") } else { in_words(left as u64) };
        let label = format!("{shown} left, {percent:.1} %; the kubelet wants {least} ({signal})");
        verdict.fail(
            Draft::new()
                .message("disk")
                .value("path", &one.target)
                .value("left", &shown)
                .value("percent", format!("{percent:.1}"))
                .value("signal", signal)
                .value("least", &least)
                .at(&host.name, &one.origin, label),
        );
    }
}

enum Threshold {
    Percent(f64),
    Amount(f64),
}

/// What the kubelet is told; none when it cannot be read or the signal is turned off. A configuration that sets some signals
/// leaves the others without a threshold.
fn threshold(host: &Host, kubelet: &Component, signal: &str, default: f64) -> Option<Threshold> {
    if kubelet.flag("eviction-hard").is_some() {
        return None;
    }
    let document = host.kubernetes.kubelet_configuration.as_ref().ok()?;
    let value = match document {
        Some(document) => match document.get(&format!("evictionHard.{signal}")) {
            Some(value) => value.value.as_str(),
            None if document.values.keys().any(|key| key.starts_with("evictionHard.")) => return None,
            None => return Some(Threshold::Percent(default)),
        },
        None => return Some(Threshold::Percent(default)),
    };
    match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse().ok().map(Threshold::Percent),
        None => quantity(value).map(Threshold::Amount),
    }
}

/// What is left of the signal's resource, and that in percent.
fn left(one: &FilesystemUse, signal: &str) -> Option<(f64, f64)> {
    if signal.ends_with("inodesFree") {
        let (_, free) = one.inodes?;
        return Some((free as f64, one.free_inodes_percent()?));
    }
    Some((one.available as f64, one.available_percent()))
}
