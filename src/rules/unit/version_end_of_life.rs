//! version-end-of-life: a release whose support has ended on the day that dates are judged by.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::versions::{Support, Supported, support};
use crate::origin::{Origin, Place, Sourced, Unknown};
use crate::report::Confidence;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "version-end-of-life", judge: Judge::Host(judge), refine: None };

/// A component's version, and how surely it is the one that is installed.
struct Version {
    version: Sourced<String>,
    confidence: Confidence,
}

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let today = context.cluster.at.to_zoned(TimeZone::UTC).date();
    // Components of Kubernetes that are of one release are one thing to upgrade.
    let mut ended: BTreeMap<(String, String), Draft> = BTreeMap::new();
    let mut unversioned = Vec::new();
    for component in &host.components {
        let name = component.name;
        if !name.is_kubernetes()
            && !matches!(name, ComponentName::Etcd | ComponentName::Dockerd | ComponentName::Containerd)
        {
            continue;
        }
        let Some(found) = version(host, component) else {
            unversioned.push(component);
            continue;
        };
        let Some(Support { line, supported }) = support(name, &found.version.value, today) else {
            unversioned.push(component);
            continue;
        };
        match supported {
            Supported::Yes(_) => verdict.pass(),
            Supported::Unknown => {
                let why = format!("is newer than the releases that this k8sdoctor knows (it is {line})");
                verdict.unknown(
                    Unknown::new(format!("support of {}", name.name()), why).with_remedy("use a newer k8sdoctor"),
                );
            }
            Supported::Ended(end) => {
                let program = if name.is_kubernetes() { "Kubernetes" } else { name.name() };
                let draft = ended.remove(&(program.to_owned(), line.clone())).unwrap_or_else(|| {
                    Draft::new()
                        .subject(format!("{program} {line}"))
                        .message("default")
                        .value("program", program)
                        .value("line", &line)
                        .value("end", end)
                        .confidence(found.confidence)
                });
                let label = format!("{} {}", name.name(), found.version.value);
                // A release that was asked about stands nowhere: the component itself is shown.
                let asked = context.kubernetes_version.is_some() && name.is_kubernetes();
                let configured = component.layers.first().filter(|_| asked).map(|layer| &layer.origin);
                let origin = configured.unwrap_or(&found.version.origin);
                ended.insert((program.to_owned(), line), draft.at(&host.name, origin, label));
            }
        }
    }
    // One component of Kubernetes whose release is known speaks for the others.
    let kubernetes_is_known =
        host.components.iter().any(|component| component.name.is_kubernetes() && component.version.is_some());
    for component in unversioned {
        if !(component.name.is_kubernetes() && kubernetes_is_known) {
            let what = format!("the release of {}", component.name.name());
            verdict.unknown(Unknown::new(what, "nothing says it"));
        }
    }
    ended.into_values().for_each(|draft| verdict.fail(draft));
}

fn version(host: &Host, component: &Component) -> Option<Version> {
    let answered = match component.name {
        ComponentName::Dockerd => match &host.probes.docker {
            Some(Ok(answer)) => Some(Sourced::new(answer.version.clone(), Origin::answer("docker's /version"))),
            _ => None,
        },
        ComponentName::Containerd => match &host.probes.cri {
            Some(Ok(answer)) => answer
                .runtime
                .strip_prefix("containerd ")
                .map(|version| Sourced::new(version.to_owned(), Origin::answer(answer.socket.as_str()))),
            _ => None,
        },
        _ => None,
    };
    if let Some(version) = answered {
        return Some(Version { version, confidence: Confidence::High });
    }
    let version = component.version.clone()?;
    let of_image =
        component.layers.iter().filter_map(|layer| layer.image.as_ref()).any(|image| image.origin == version.origin);
    // What kubeadm was given once may have been upgraded since.
    let is_sure = of_image || !matches!(version.origin.place, Place::File { .. });
    Some(Version { version, confidence: if is_sure { Confidence::High } else { Confidence::Low } })
}
