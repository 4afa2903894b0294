//! leader-election-disabled: several controller-managers or schedulers, and one that works without being elected.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::origin::Unknown;
use crate::rules::support::{file_of, in_words, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "leader-election-disabled", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for name in [ComponentName::KubeControllerManager, ComponentName::KubeScheduler] {
        let Some(component) = host.component(name) else { continue };
        let mut hosts: Vec<String> = context
            .cluster
            .hosts
            .iter()
            .filter(|other| other.component(name).is_some())
            .map(|other| other.name.clone())
            .collect();
        if hosts.len() < 2 {
            hosts.extend(leads_elsewhere(host, name));
        }
        if hosts.len() < 2 {
            continue;
        }
        if component.flag("leader-elect").is_none() && component.flag("config").is_some() {
            let what = format!("whether the configuration file of {} turns election off", name.name());
            verdict.unknown(Unknown::new(what, "it is not read"));
            continue;
        }
        let Some(value) = component.flag_or_default("leader-elect") else {
            let what = format!("the version of {} on {}", name.name(), host.name);
            verdict.unknown(Unknown::new(what, "the default of --leader-elect depends on it"));
            continue;
        };
        if matches!(value.value.as_str(), "" | "1" | "t" | "T" | "true" | "TRUE" | "True") {
            verdict.pass();
            continue;
        }
        verdict.fail(draft(host, component, &hosts));
    }
}

/// The leader on another host that this host's apiserver tells of: one that has renewed its lease in the last minute.
fn leads_elsewhere(host: &Host, name: ComponentName) -> Option<String> {
    let clusters = host.probes.apiservers.iter().filter_map(|answer| answer.cluster.as_ref());
    let leases = clusters.filter_map(|cluster| Some((cluster.at?, cluster.leases.as_ref().ok()?)));
    let mut leases = leases.flat_map(|(at, leases)| leases.iter().map(move |lease| (at, lease)));
    let (_, lease) = leases.find(|(at, lease)| {
        let is_fresh = lease.renewed.is_some_and(|renewed| at.duration_since(renewed).as_secs() < 60);
        lease.name == name.name() && is_fresh
    })?;
    // `m1_6e1cb0b4-...`: the host's name and an id.
    let (holder, _) = lease.holder.rsplit_once('_')?;
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    (short(holder) != short(&host.name)).then(|| holder.to_owned())
}

fn draft(host: &Host, component: &Component, hosts: &[String]) -> Draft {
    let name = component.name.name();
    let mut draft = Draft::new()
        .subject(name)
        .value("program", name)
        .value("hosts", in_words(hosts))
        .note(format!("{name} is set up on {}", in_words(hosts)));
    match component.flag_in_file("leader-elect") {
        Some(value) => {
            draft = draft
                .value("old", format!("--leader-elect={}", value.value))
                .maybe_value("file", file_of(value))
                .at(&host.name, &value.origin, "works beside the others, not in their place");
        }
        None => {
            if let Some(layer) = component.layers.iter().find(|layer| layer.kind != LayerKind::Process) {
                draft = draft.message("by_default").at(&host.name, &layer.origin, "has no --leader-elect");
            } else if let Some(layer) = component.layers.first() {
                draft = draft.message("by_default").at(&host.name, &layer.origin, "has no --leader-elect");
            }
        }
    }
    draft.maybe_value("unit", component.layers.iter().find_map(unit_of))
}
