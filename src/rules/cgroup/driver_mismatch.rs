//! cgroup-driver-mismatch: a host that is to join has a runtime with another cgroup driver than the kubelets of the cluster,
//! whose configuration it will be given. What one host's files say among themselves is in the card.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Sourced;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "cgroup-driver-mismatch", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    // A host with a configuration of its own, or that has joined, goes by that.
    let joins = host.component(ComponentName::Kubelet).is_some()
        && matches!(host.kubernetes.kubelet_configuration, Ok(None))
        && host.kubernetes.kubeconfigs.is_empty()
        && host.component(ComponentName::Kubelet).is_some_and(|kubelet| kubelet.flag("cgroup-driver").is_none());
    let Some((program, runtime)) = runtime(host).filter(|_| joins) else { return };
    let theirs = context.cluster.hosts.iter().filter(|other| other.name != host.name).find_map(|other| {
        let document = other.kubernetes.kubelet_configuration.as_ref().ok()?.as_ref()?;
        Some((other, document.get("cgroupDriver")?))
    });
    let Some((other, driver)) = theirs else { return };
    if driver.value == runtime.value {
        return verdict.pass();
    }
    verdict.fail(
        Draft::new()
            .message("joins")
            .value("kubelet", &driver.value)
            .value("runtime", &runtime.value)
            .value("program", program)
            .value("other", &other.name)
            .at(&host.name, &runtime.origin, format!("{program} uses {}", runtime.value))
            .evidence(Evidence::new(
                EvidenceKind::Cluster,
                &other.name,
                driver.origin.clone(),
                format!("the kubelets of the cluster use {}", driver.value),
            )),
    );
}

/// The runtime that the kubelet will have, and its driver as its file sets it.
fn runtime(host: &Host) -> Option<(&'static str, Sourced<String>)> {
    let has = |name| host.component(name).is_some();
    if has(ComponentName::Dockerd) && !has(ComponentName::Containerd) {
        let daemon = host.runtimes.docker_daemon.as_ref().ok()?.as_ref()?;
        let (_, option) = daemon
            .iter()
            .find(|(key, value)| key.starts_with("exec-opts.") && value.value.starts_with("native.cgroupdriver="))?;
        let driver = option.clone().map(|text| text.trim_start_matches("native.cgroupdriver=").to_owned());
        return Some(("dockerd", driver));
    }
    let containerd = host.runtimes.containerd.as_ref().ok()?.as_ref()?;
    // containerd 2 tells the kubelet its driver.
    let setting = containerd.systemd_cgroup.clone().filter(|_| containerd.version <= 2 && !has(ComponentName::Crio))?;
    Some(("containerd", setting.map(|systemd| if systemd { "systemd" } else { "cgroupfs" }.to_owned())))
}
