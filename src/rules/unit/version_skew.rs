//! version-skew: kubelets, apiservers and the other components are further apart than Kubernetes supports.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName};
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "version-skew", judge: Judge::Cluster(judge), refine: None };

/// A component of a host with its minor version.
struct Versioned<'a> {
    host: &'a Host,
    name: &'static str,
    minor: u32,
    version: &'a Sourced<String>,
}

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let apiservers = versions(context.cluster, ComponentName::KubeApiserver);
    let oldest = apiservers.iter().min_by_key(|apiserver| apiserver.minor);
    let newest = apiservers.iter().max_by_key(|apiserver| apiserver.minor);
    let (Some(oldest), Some(newest)) = (oldest, newest) else { return };
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
    for kubelet in versions(context.cluster, ComponentName::Kubelet) {
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
            let version = component.version.as_ref().filter(|version| is_its_own(component, version))?;
            let (1, minor, _) = component.version_numbers()? else { return None };
            Some(Versioned { host, name: name.name(), minor, version })
        })
        .collect()
}

/// An image's tag is the component's version; what kubeadm's configuration says is the cluster's, at some time.
fn is_its_own(component: &Component, version: &Sourced<String>) -> bool {
    component.layers.iter().filter_map(|layer| layer.image.as_ref()).any(|image| image.origin == version.origin)
}

fn draft(message: &str, one: &Versioned<'_>, other: &Versioned<'_>) -> Draft {
    let evidence = |versioned: &Versioned<'_>| {
        let origin: Origin = versioned.version.origin.clone();
        let label = format!("{} on {} is {}", versioned.name, versioned.host.name, versioned.version.value);
        Evidence::new(EvidenceKind::Cluster, &versioned.host.name, origin, label)
    };
    Draft::new()
        .subject(format!("{} on {}", one.name, one.host.name))
        .message(message)
        .value("program", one.name)
        .value("on", &one.host.name)
        .value("version", &one.version.value)
        .value("other_program", other.name)
        .value("other_on", &other.host.name)
        .value("other_version", &other.version.value)
        .value("minor", format!("1.{}", other.minor))
        .hosts([one.host.name.clone(), other.host.name.clone()])
        .evidence(evidence(one))
        .evidence(evidence(other))
}
