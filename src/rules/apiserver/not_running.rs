//! apiserver-not-running: a manifest or an enabled unit would start kube-apiserver, and no process of it is there.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "apiserver-not-running", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let Some(starter) = not_running::starter(host, apiserver) else { return };
    not_running::judge(host, apiserver, starter, verdict);
}
