//! etcd-member-already-bootstrapped: a member that is to start a new cluster with an empty data directory, while the other
//! members of that cluster have theirs.

use super::settings::{is_proxy, members, others};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::Origin;
use crate::report::Confidence;
use crate::rules::support::{file_of, is_running, starting_layers, unit_to_restart};
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-member-already-bootstrapped", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| !is_proxy(etcd)) else { return };
    if etcd.is_planned() {
        return judge_left(host, etcd, verdict);
    }
    let own = members(etcd);
    // A list of one, or none, starts a cluster of its own.
    if own.len() < 2 {
        return;
    }
    let Some(directory) = etcd.flag_in_file("data-dir") else { return };
    let state = etcd.flag_in_file("initial-cluster-state");
    if state.is_some_and(|state| state.value != "new") {
        return verdict.pass();
    }
    let Some(holds) = host.etcd_data.get(&directory.value).and_then(|holds| verdict.known(holds)) else { return };
    if *holds {
        return verdict.pass();
    }
    let running = is_running(host, ComponentName::Etcd);
    if running == Some(true) {
        // It has another directory than the files name, which its own flag says.
        return verdict.pass();
    }
    let is_started = |other: &Host, its: &Component| {
        let path = its.flag_in_file("data-dir").map(|path| path.value.clone()).unwrap_or_default();
        matches!(other.etcd_data.get(&path), Some(Ok(true)))
    };
    let mut started = others(context.cluster, host)
        .filter(|(_, its)| members(its).iter().any(|(name, urls)| own.get(name).is_some_and(|known| known == urls)))
        .filter(|(other, its)| is_started(other, its));
    // A cluster that nobody has started yet starts so.
    let Some((other, its)) = started.next() else { return verdict.pass() };
    let layer = starting_layers(host, etcd).into_iter().next();
    let edited = state.and_then(|state| edit::edit(host, &state.origin, ("new", "existing"), ("new", "existing")));
    let mut draft = Draft::new()
        .message("empty")
        .value("directory", edit::quoted(&directory.value))
        .value("other_on", &other.name)
        .value("own_name", etcd.flag("name").map_or(host.name.as_str(), |name| &name.value))
        .maybe_value("new_peer_url", etcd.flag_in_file("initial-advertise-peer-urls").map(|url| url.value.clone()))
        .maybe_value("config", file_of(directory))
        .maybe_value("unit", layer.and_then(|layer| unit_to_restart(host, etcd, layer)))
        .maybe_value("edit", edited.and_then(|edited| edit::command(&[edited])))
        .at(&host.name, &directory.origin, "holds no member");
    if let Some(state) = state {
        draft = draft.at(&host.name, &state.origin, "starts a cluster anew");
    }
    if let Some(its) = its.flag_in_file("data-dir") {
        draft = draft.at(&other.name, &its.origin, format!("{} has its data", other.name));
    }
    verdict.fail(if running.is_none() { draft.confidence(Confidence::Medium) } else { draft });
}

/// The data of an earlier member where kubeadm is about to start a new one: it refuses, and etcd would take them for its own.
fn judge_left(host: &Host, etcd: &Component, verdict: &mut Verdict) {
    let Some(directory) = etcd.flag_in_file("data-dir") else { return };
    let Some(holds) = host.etcd_data.get(&directory.value).and_then(|holds| verdict.known(holds)) else { return };
    if !*holds {
        return verdict.pass();
    }
    let member = Origin::file(format!("{}/member", directory.value), None);
    verdict.fail(
        Draft::new()
            .subject(&directory.value)
            .message("left")
            .value("preflight", "true")
            .value("directory", edit::quoted(&directory.value))
            .at(&host.name, &member, "an earlier member's data")
            .at(&host.name, &directory.origin, format!("kubeadm is to start a new member in {}", directory.value)),
    );
}
