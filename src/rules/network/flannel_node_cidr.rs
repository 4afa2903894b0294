//! flannel-node-cidr-missing: flannel takes a node's range from the Node object, and no controller-manager writes one there.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Unknown;
use crate::rules::support::configured_layers;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "flannel-node-cidr-missing", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let cni = host.runtimes.cni.iter().flatten();
    let flannel = cni.into_iter().find(|config| config.plugins.iter().any(|plugin| plugin == "flannel"));
    let Some(flannel) = flannel.filter(|_| asks_kubernetes(host)) else { return };
    let Some(subnet) = verdict.known(&host.runtimes.flannel_subnet) else { return };
    // What flannel has written it had from somewhere.
    if subnet.is_some() {
        return verdict.pass();
    }
    let what = || format!("whether nodes such as {} are given a range", host.name);
    let managers: Vec<(&Host, &Component)> = context
        .cluster
        .hosts
        .iter()
        .filter_map(|host| Some((host, host.component(ComponentName::KubeControllerManager)?)))
        .collect();
    let [(on, manager), ..] = managers[..] else {
        let unknown = Unknown::new(what(), "no host with a kube-controller-manager was given");
        return verdict.unknown(unknown.with_remedy("give the evidence of the masters too"));
    };
    if let Some(unread) = managers.iter().find_map(|(_, manager)| manager.unread.first()) {
        return verdict.unknown(unread.clone());
    }
    // A cloud's own controller may write it in their place.
    let by_cloud = |manager: &Component| manager.flag("cloud-provider").is_some_and(|cloud| !cloud.value.is_empty());
    if managers.iter().any(|(_, manager)| allocates(manager) || by_cloud(manager)) {
        return verdict.pass();
    }
    let Some(layer) = configured_layers(manager).first().copied() else {
        return verdict.unknown(Unknown::new(what(), "the flags of kube-controller-manager are not known"));
    };
    let origin = ["allocate-node-cidrs", "cluster-cidr"]
        .into_iter()
        .find_map(|flag| manager.flag_in_file(flag))
        .map_or(&layer.origin, |flag| &flag.origin);
    verdict.fail(
        Draft::new()
            .subject(host.name.clone())
            .message("not_allocated")
            .value("node", &host.name)
            .value("manager_on", &on.name)
            .maybe_value("manager_file", layer.origin.path())
            .at(&host.name, &flannel.origin, "flannel, which has written no /run/flannel/subnet.env")
            .at(&on.name, origin, "no --allocate-node-cidrs=true with a --cluster-cidr"),
    );
}

/// flanneld with etcd keeps the ranges itself; the DaemonSet of today's asks Kubernetes.
fn asks_kubernetes(host: &Host) -> bool {
    match host.component(ComponentName::Flanneld) {
        Some(flanneld) => flanneld.flag("kube-subnet-mgr").is_some_and(|flag| flag.value != "false"),
        None => host.component(ComponentName::Kubelet).is_some_and(|kubelet| kubelet.flag("pod-cidr").is_none()),
    }
}

fn allocates(manager: &Component) -> bool {
    let is_on = manager.flag("allocate-node-cidrs").is_some_and(|flag| flag.value != "false");
    is_on && manager.flag("cluster-cidr").is_some_and(|range| !range.value.is_empty())
}
