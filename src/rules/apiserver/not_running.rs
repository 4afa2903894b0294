//! apiserver-not-running: a manifest or an enabled unit would start kube-apiserver, or a master has lost its manifest, and
//! no process of it is there.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::{ComponentName, LayerKind};
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "apiserver-not-running", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let apiserver = host.component(ComponentName::KubeApiserver);
    if let Some((apiserver, starter)) = apiserver.and_then(|one| Some((one, not_running::starter(host, one)?))) {
        return not_running::judge(host, apiserver, starter, verdict);
    }
    // kubeadm writes all three; a host with the other two is a master.
    let [Some(manager), Some(scheduler)] =
        [ComponentName::KubeControllerManager, ComponentName::KubeScheduler].map(|name| host.component(name))
    else {
        return;
    };
    if scheduler.layers.iter().any(|layer| layer.kind == LayerKind::Manifest) {
        not_running::judge_removed(host, ComponentName::KubeApiserver, manager, verdict);
    }
}
