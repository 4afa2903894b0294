//! etcd-not-running: a manifest or an enabled unit would start etcd, and no process of it is there.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-not-running", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    let Some(starter) = not_running::starter(host, etcd) else { return };
    not_running::judge(host, etcd, starter, verdict);
}
