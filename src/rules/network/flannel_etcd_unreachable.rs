//! flannel-etcd-unreachable: none of the etcd endpoints that flannel is given answers on this host.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::topology::{Edge, edges};
use crate::rules::reach;
use crate::rules::support::unit_of;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "flannel-etcd-unreachable", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(flanneld) = host.component(ComponentName::Flanneld).filter(|_| host.probes.taken) else { return };
    if flanneld.flag_bool("kube-subnet-mgr") == Some(true) {
        return;
    }
    let edges = edges(context.cluster);
    let is_flannels = |edge: &&Edge| edge.client_host == host.name && edge.client == ComponentName::Flanneld.name();
    let file = |flag: &str| flanneld.flag(flag).map(|value| value.value.clone());
    reach::judge_any(host, edges.iter().filter(is_flannels), verdict, |draft, edge, url, reason| {
        draft
            .subject(ComponentName::Flanneld.name())
            .value("endpoint", &edge.url.value)
            .value("reason", format!("{}: {reason}", reach::target(url)))
            .maybe_value("ca", file("etcd-cafile"))
            .maybe_value("certificate", file("etcd-certfile"))
            .maybe_value("key", file("etcd-keyfile"))
            .maybe_value("dependent", dependent(host, flanneld))
    });
}

/// docker's unit, where systemd starts it with flanneld only.
fn dependent<'a>(host: &'a Host, flanneld: &Component) -> Option<&'a str> {
    let docker = host.component(ComponentName::Dockerd)?.layers.iter().find_map(unit_of)?;
    let flanneld = flanneld.layers.iter().find_map(unit_of)?;
    let names = |unit: &str, key: &str, other: &str| {
        let values = host.unit(unit).and_then(|unit| unit.settings.get(key)).into_iter().flatten();
        values.flat_map(|value| value.value.split_whitespace()).any(|name| name == other)
    };
    let needs = ["Unit.Requires", "Unit.BindsTo", "Unit.Requisite"].iter().any(|key| names(docker, key, flanneld));
    (needs || names(flanneld, "Install.RequiredBy", docker)).then_some(docker)
}
