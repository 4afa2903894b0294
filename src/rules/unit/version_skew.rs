//! version-skew: kubelets, apiservers and the other components are further apart than Kubernetes supports.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName};
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Place, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::{Url, owners, version_numbers};
use crate::rules::{Context, Detector, Judge, Refined};
use crate::source::SourceKind;

pub(super) const DETECTOR: Detector =
    Detector { id: "version-skew", judge: Judge::Cluster(judge), refine: Some(refine) };

/// The capture of the card's patterns for what a program says of itself.
const OWN_VERSION: &str = "own_version";

/// A component of a host with its minor version.
struct Versioned<'a> {
    host: &'a Host,
    /// The host where it runs, or the address where it answered `host`.
    on: String,
    name: &'static str,
    minor: u32,
    version: Sourced<String>,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let mut apiservers = versions(context.cluster, ComponentName::KubeApiserver);
    apiservers.extend(answered(context.cluster, &apiservers));
    let oldest = apiservers.iter().min_by_key(|apiserver| apiserver.minor);
    let newest = apiservers.iter().max_by_key(|apiserver| apiserver.minor);
    // Files without a host need not say which release they are for.
    let is_host = |host: &&Host| host.kind != SourceKind::File;
    let count =
        |name| context.cluster.hosts.iter().filter(is_host).filter(|host| host.component(name).is_some()).count();
    let (masters, nodes) = (count(ComponentName::KubeApiserver), count(ComponentName::Kubelet));
    let (Some(oldest), Some(newest)) = (oldest, newest) else {
        if masters > 1 || (masters > 0 && nodes > 0) {
            verdict.unknown(Unknown::new("the version of kube-apiserver", "no image says it"));
        }
        return;
    };
    if apiservers.len() < masters {
        verdict.unknown(Unknown::new("the version of every kube-apiserver", "not every image says it"));
    }
    if apiservers.len() > 1 {
        if newest.minor - oldest.minor > 1 {
            verdict.fail(draft("masters", newest, oldest));
        } else {
            verdict.pass();
        }
    }
    for name in [ComponentName::KubeControllerManager, ComponentName::KubeScheduler] {
        for component in versions(context.cluster, name) {
            // It may dial any apiserver of the cluster; where it dials its own host's, that one counts.
            let own = apiservers.iter().find(|apiserver| apiserver.host.name == component.host.name);
            let against = own.unwrap_or(oldest);
            if component.minor > against.minor {
                verdict.fail(draft("newer", &component, against));
            } else if against.minor - component.minor > 1 {
                verdict.fail(draft("older", &component, against));
            } else {
                verdict.pass();
            }
        }
    }
    let kubelets = versions(context.cluster, ComponentName::Kubelet);
    if kubelets.len() < nodes {
        let unknown = |host: &&Host| {
            host.component(ComponentName::Kubelet).is_some()
                && kubelets.iter().all(|kubelet| kubelet.host.name != host.name)
        };
        if let Some(host) = context.cluster.hosts.iter().find(unknown) {
            let why = "neither its log nor the packages database says it";
            verdict.unknown(Unknown::new(format!("the version of the kubelet on {}", host.name), why));
        }
    }
    for kubelet in kubelets {
        // Since 1.28 a kubelet may be three releases behind, before that two.
        let allowed = if kubelet.minor >= 25 { 3 } else { 2 };
        if kubelet.minor > oldest.minor {
            verdict.fail(draft("newer", &kubelet, oldest));
        } else if newest.minor - kubelet.minor > allowed {
            verdict.fail(draft("older", &kubelet, newest));
        } else {
            verdict.pass();
        }
    }
}

fn versions(cluster: &Cluster, name: ComponentName) -> Vec<Versioned<'_>> {
    cluster
        .hosts
        .iter()
        .filter_map(|host| {
            let component = host.component(name)?;
            // Before it is a node, the kubelet that kubeadm is to start counts, not one that has tried.
            let has_run = name == ComponentName::Kubelet && host.kubernetes.kubeadm_plan().is_none();
            let logged = if has_run { logged(host) } else { None };
            let of_files = || component.version.clone().filter(|version| is_its_own(component, version));
            let version = logged.or_else(of_files)?;
            let &[1, minor, ..] = version_numbers(&version.value).as_slice() else { return None };
            Some(Versioned { host, on: host.name.clone(), name: name.name(), minor, version })
        })
        .collect()
}

/// Apiservers that answered a given host and whose own files do not tell their version: other hosts' mostly.
fn answered<'a>(cluster: &'a Cluster, known: &[Versioned<'a>]) -> Vec<Versioned<'a>> {
    let mut found: Vec<Versioned<'a>> = Vec::new();
    for host in &cluster.hosts {
        for answer in &host.probes.apiservers {
            let (Some(url), Ok(version)) = (Url::parse(&answer.endpoint), &answer.version) else { continue };
            let owner = match url.is_loopback() {
                true => Some(host),
                false => url.address().and_then(|address| owners(cluster, address).next()),
            };
            let is_known = owner.is_some_and(|owner| known.iter().any(|known| known.on == owner.name));
            let on = owner.map_or_else(|| url.host.clone(), |owner| owner.name.clone());
            let &[1, minor, ..] = version_numbers(version).as_slice() else { continue };
            if !is_known && found.iter().all(|found| found.on != on) {
                let origin = Origin::answer(format!("{}/version", answer.endpoint));
                let version = Sourced::new(version.clone(), origin);
                found.push(Versioned { host, on, name: ComponentName::KubeApiserver.name(), minor, version });
            }
        }
    }
    found
}

/// What the kubelet said of itself when it last started.
fn logged(host: &Host) -> Option<Sourced<String>> {
    let said = host.logs.hits.iter().filter(|hit| hit.rule == DETECTOR.id && hit.captures.contains_key(OWN_VERSION));
    let last = said.max_by(|a, b| a.last.cmp(&b.last))?;
    let line = last.lines.last()?;
    Some(Sourced::new(last.captures.get(OWN_VERSION)?.clone(), Origin::file(line.path.as_str(), None)))
}

/// A program that says its version is no fault by itself.
fn refine(_: &Context<'_>, _: &Host, hit: &LogHit) -> Refined {
    if hit.captures.contains_key(OWN_VERSION) { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

/// An image's tag and the packages database tell the component's version; what kubeadm's configuration says is the
/// cluster's, at some time, unless kubeadm is about to make it.
fn is_its_own(component: &Component, version: &Sourced<String>) -> bool {
    component.is_planned()
        || version.origin.path() == Some("/var/lib/dpkg/status")
        || component.layers.iter().filter_map(|layer| layer.image.as_ref()).any(|image| image.origin == version.origin)
}

fn draft(message: &str, one: &Versioned<'_>, other: &Versioned<'_>) -> Draft {
    let evidence = |versioned: &Versioned<'_>| {
        let origin: Origin = versioned.version.origin.clone();
        let label = format!("{} on {} is {}", versioned.name, versioned.on, versioned.version.value);
        let kind = match origin.place {
            Place::Answer { .. } => EvidenceKind::Probe,
            _ => EvidenceKind::Cluster,
        };
        Evidence::new(kind, &versioned.host.name, origin, label)
    };
    Draft::new()
        .subject(format!("{} on {}", one.name, one.on))
        .message(message)
        .value("program", one.name)
        .value("on", &one.on)
        .value("version", &one.version.value)
        .value("other_program", other.name)
        .value("other_on", &other.on)
        .value("other_version", &other.version.value)
        .value("minor", format!("1.{}", other.minor))
        .hosts([one.host.name.clone(), other.host.name.clone()])
        .evidence(evidence(one))
        .evidence(evidence(other))
}
