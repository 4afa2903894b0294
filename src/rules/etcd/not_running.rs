//! etcd-not-running: a manifest or an enabled unit would start etcd, or the apiserver beside it dials it, and no
//! process of it is there.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::support::Url;
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-not-running", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let etcd = host.component(ComponentName::Etcd);
    if let Some((etcd, starter)) = etcd.and_then(|one| Some((one, not_running::starter(host, one)?))) {
        return not_running::judge(host, etcd, starter, verdict);
    }
    // A unit that nobody enabled is one to run all the same where an apiserver dials it.
    if let Some((etcd, unit)) =
        etcd.filter(|etcd| etcd.pid.is_none()).and_then(|one| Some((one, not_running::unit_layer(one)?)))
        && is_dialled(context, host)
    {
        return not_running::judge(host, etcd, unit, verdict);
    }
    // An apiserver that dials only its own host has a member of etcd beside it, or a proxy to one.
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let servers: Vec<Url> =
        apiserver.flag_items("etcd-servers").iter().filter_map(|item| Url::parse(&item.value)).collect();
    if servers.is_empty() || !servers.iter().all(Url::is_loopback) {
        return;
    }
    let Some(network) = verdict.known(&host.network) else { return };
    let Some(listeners) = verdict.known(&network.listeners) else { return };
    if !listeners.iter().any(|listener| servers.iter().any(|url| url.port_or_default() == listener.port)) {
        not_running::judge_removed(host, ComponentName::Etcd, apiserver, verdict);
    }
}

/// Whether an apiserver of the cluster names this host among its servers of etcd.
fn is_dialled(context: &Context<'_>, host: &Host) -> bool {
    let Ok(network) = &host.network else { return false };
    let is_own = |url: &Url| {
        url.address()
            .is_some_and(|address| !address.is_loopback() && network.addresses().any(|(_, net)| net.addr() == address))
    };
    let apiservers = context.cluster.hosts.iter().filter_map(|other| other.component(ComponentName::KubeApiserver));
    apiservers
        .flat_map(|apiserver| apiserver.flag_items("etcd-servers"))
        .any(|item| Url::parse(&item.value).is_some_and(|url| is_own(&url)))
}
