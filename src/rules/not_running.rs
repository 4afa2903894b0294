//! What the rules on processes that are gone have in common: a component that the host's files would start, and that does
//! not run.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::probe::ConnectOutcome;
use crate::facts::system::Process;
use crate::facts::unit::Unit;
use crate::origin::{Origin, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::reach;
use crate::rules::support::unit_of;

/// Seconds after boot within which nothing needs to run yet: the kubelet starts first, then the runtime pulls and starts.
const GRACE: u64 = 60;
/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 3;
/// /proc's clock ticks in a second, on every architecture that Kubernetes runs on.
const TICKS: u64 = 100;

/// Judges whether the component runs, given the file that would start it.
pub fn judge(host: &Host, component: &Component, starter: &Layer, verdict: &mut Verdict) {
    if let Some(pid) = component.pid {
        match stopped(host, pid) {
            Some(process) => verdict.fail(stopped_draft(host, component.name.name(), process)),
            None => verdict.pass(),
        }
        return;
    }
    // Its own process may be one that is not seen from here.
    if reach::listens(host, component) {
        return verdict.pass();
    }
    let Some(processes) = verdict.known(&host.system.processes) else { return };
    // Where something else than systemd is process 1 (a container, a build machine) an enabled unit starts nothing.
    let init = processes.iter().find(|process| process.pid == 1);
    let is_systemd = init.is_none_or(|init| {
        let names = [Some(init.comm.as_str()), init.exe.as_deref(), init.argv.first().map(String::as_str)];
        names.into_iter().flatten().any(|name| matches!(name.rsplit('/').next(), Some("systemd" | "init")))
    });
    if starter.kind == LayerKind::Unit && !is_systemd {
        return;
    }
    if let Some(unknown) = too_early(host, component.name, processes) {
        return verdict.unknown(unknown);
    }
    let name = component.name.name();
    let mut draft = Draft::new()
        .value("component", name)
        .value("processes", processes.len())
        .maybe_value("file", starter.origin.path())
        .maybe_value("unit", unit_of(starter))
        .maybe_value("dependents", unit_of(starter).and_then(|unit| dependents(host, unit)))
        .at(&host.name, &starter.origin, format!("would start {name}, and no process of it is there"));
    let targets = reach::own_targets(component, "listen-client-urls");
    for refused in host.probes.connects.iter().filter(|answer| targets.contains(&answer.target)) {
        let origin = Origin::answer(format!("dialling {}", refused.target));
        let said = match &refused.outcome {
            ConnectOutcome::Refused => "connection refused",
            _ => continue,
        };
        draft = draft.evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, said));
    }
    if starter.kind == LayerKind::Script {
        draft = draft.message("script").value("script", starter.origin.path().unwrap_or_default());
    }
    if starter.kind == LayerKind::Manifest {
        draft = draft.value("manifest", starter.origin.path().unwrap_or_default()).message("manifest");
        if host.component(ComponentName::Kubelet).is_none_or(|kubelet| kubelet.pid.is_none()) {
            draft = draft.note("the kubelet, which would start it, does not run either");
        }
    }
    verdict.fail(draft);
}

/// The enabled units that systemd stops together with one, and does not start again with it, with blanks between.
fn dependents(host: &Host, unit: &str) -> Option<String> {
    let mut gone = vec![unit];
    // Each round finds those that need one of the round before.
    for _ in 0..host.units.len() {
        let needs = |other: &Unit| {
            let needed = ["Unit.Requires", "Unit.BindsTo"].iter().filter_map(|key| other.settings.get(*key)).flatten();
            needed.flat_map(|value| value.value.split_whitespace()).any(|name| gone.contains(&name))
        };
        let is_new =
            |other: &&Unit| !other.masked && other.enabled == Some(true) && !gone.contains(&other.name.as_str());
        let found: Vec<&str> =
            host.units.iter().filter(is_new).filter(|other| needs(other)).map(|other| other.name.as_str()).collect();
        if found.is_empty() {
            break;
        }
        gone.extend(found);
    }
    let others = gone.get(1..).filter(|others| !others.is_empty())?;
    Some(others.join(" "))
}

/// The process, when a signal has stopped it.
pub fn stopped(host: &Host, pid: u32) -> Option<&Process> {
    let processes = host.system.processes.as_ref().ok()?;
    processes.iter().find(|process| process.pid == pid).filter(|process| process.stopped)
}

/// The draft of a process that is there and does nothing: message `stopped`.
pub fn stopped_draft(host: &Host, name: &str, process: &Process) -> Draft {
    let origin = Origin::file(format!("/proc/{}/stat", process.pid), None);
    Draft::new().message("stopped").value("component", name).value("stopped_pid", process.pid).at(
        &host.name,
        &origin,
        "stopped by a signal (state T)",
    )
}

/// Judges a component that a static pod beside it needs, and whose own manifest is gone: somebody moved it away, and the
/// kubelet ended the pod.
pub fn judge_removed(host: &Host, name: ComponentName, neighbour: &Component, verdict: &mut Verdict) {
    let known = host.component(name);
    if known.is_some_and(|component| component.pid.is_some() || !component.layers.is_empty()) {
        return;
    }
    let Some(manifest) = neighbour.layers.iter().find(|layer| layer.kind == LayerKind::Manifest) else { return };
    let Some((directory, _)) = manifest.origin.path().and_then(|path| path.rsplit_once('/')) else { return };
    // Without all manifests and all processes it may be there, unseen.
    let (Ok(_), Ok(processes)) = (&host.kubernetes.static_pods, &host.system.processes) else { return };
    if processes.iter().any(|process| process.comm == name.name()) {
        return;
    }
    if let Some(unknown) = too_early(host, name, processes) {
        return verdict.unknown(unknown);
    }
    let missing = format!("{directory}/{}.yaml", name.name());
    let label = format!("{} runs by this manifest, and {missing} is not there", neighbour.name.name());
    verdict.fail(
        Draft::new()
            .message("removed")
            .value("component", name.name())
            .value("neighbour", neighbour.name.name())
            .value("directory", directory)
            .value("missing", &missing)
            .at(&host.name, &manifest.origin, label),
    );
}

/// Why an absent process says nothing: the list is no whole one, or the host has just booted.
fn too_early(host: &Host, name: ComponentName, processes: &[Process]) -> Option<Unknown> {
    let what = format!("whether {} runs", name.name());
    let Some(init) = processes.iter().find(|process| process.pid == 1).filter(|_| processes.len() >= FEWEST) else {
        return Some(Unknown::new(what, "only some of the host's processes are part of this source"));
    };
    age(host, init).filter(|age| *age < GRACE).map(|age| Unknown::new(what, booted(age)))
}

/// Why something that does not answer says nothing yet: the host has just booted, and all of it is about to start.
pub fn just_booted(host: &Host) -> Option<Unknown> {
    let init = host.system.processes.as_ref().ok()?.iter().find(|process| process.pid == 1)?;
    let age = age(host, init).filter(|age| *age < GRACE)?;
    Some(Unknown::new("whether everything has started", booted(age)).with_remedy("check again in a minute"))
}

/// Why a server that takes connections and does not answer says nothing yet: its process has just started.
pub fn just_started(host: &Host, name: ComponentName) -> Option<Unknown> {
    let pid = host.component(name)?.pid?;
    let process = host.system.processes.as_ref().ok()?.iter().find(|process| process.pid == pid)?;
    let age = process.started_ticks.and(age(host, process)).filter(|age| *age < GRACE)?;
    let why = format!("{} had started only {age} s before", name.name());
    Some(Unknown::new(format!("whether {} answers", name.name()), why).with_remedy("check again in a minute"))
}

/// Seconds since the host booted; a container that plays a host has booted when its first process started.
fn age(host: &Host, init: &Process) -> Option<u64> {
    let uptime = host.system.uptime_seconds.as_ref().ok()?;
    Some(uptime.saturating_sub(init.started_ticks.unwrap_or(0) / TICKS))
}

fn booted(age: u64) -> String {
    format!("the host had booted only {age} s before")
}

/// The manifest, the enabled unit or the script run at boot that would start the component, strongest first. Another
/// script does not say that anybody starts it.
pub fn starter<'a>(host: &Host, component: &'a Component) -> Option<&'a Layer> {
    component.layers.iter().find(|layer| match layer.kind {
        LayerKind::Manifest => true,
        LayerKind::Unit => {
            unit_of(layer).and_then(|name| host.unit(name)).is_some_and(|unit| unit.enabled == Some(true))
        }
        LayerKind::Script => {
            let path = layer.origin.path();
            host.scripts.iter().any(|script| script.at_boot && Some(script.path.as_str()) == path)
        }
        _ => false,
    })
}

/// The unit that would start the component, enabled or not.
pub fn unit_layer(component: &Component) -> Option<&Layer> {
    component.layers.iter().find(|layer| layer.kind == LayerKind::Unit)
}
