//! etcd-not-running: a manifest or an enabled unit would start etcd, or the apiserver beside it dials it, and no
//! process of it is there.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::support::Url;
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-not-running", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let etcd = host.component(ComponentName::Etcd);
    if let Some((etcd, starter)) = etcd.and_then(|one| Some((one, not_running::starter(host, one)?))) {
        return not_running::judge(host, etcd, starter, verdict);
    }
    // An apiserver that dials only its own host has a member of etcd beside it, or a proxy to one.
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let servers: Vec<Url> =
        apiserver.flag_items("etcd-servers").iter().filter_map(|item| Url::parse(&item.value)).collect();
    if servers.is_empty() || !servers.iter().all(Url::is_loopback) {
        return;
    }
    let Ok(Ok(listeners)) = host.network.as_ref().map(|network| network.listeners.as_ref()) else { return };
    if !listeners.iter().any(|listener| servers.iter().any(|url| url.port_or_default() == listener.port)) {
        not_running::judge_removed(host, ComponentName::Etcd, apiserver, verdict);
    }
}
