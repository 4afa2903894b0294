//! pki-served-stale: a server of this host serves another certificate than the file holds that it is configured with: it
//! read the file when it started, and the file was replaced since.

use super::expired::dates;
use super::inventory::flag_file;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::{Certificate, CertificateFile};
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::probe::TlsAnswer;
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{at_least, unit_of};
use crate::rules::{Context, Detector, Judge, reach};

pub(super) const DETECTOR: Detector = Detector { id: "pki-served-stale", judge: Judge::Host(judge), refine: None };

/// Component, the flag of its certificate, the flag that says where it listens, and the release since which it takes up a
/// new file by itself.
const SERVED: [(ComponentName, &str, &str, (u32, u32)); 4] = [
    // kubernetes pull request 84200
    (ComponentName::KubeApiserver, "tls-cert-file", "", (1, 17)),
    // At every connection, since 3.2.
    (ComponentName::Etcd, "cert-file", "listen-client-urls", (3, 2)),
    (ComponentName::Etcd, "peer-cert-file", "listen-peer-urls", (3, 2)),
    // kubernetes pull request 124574
    (ComponentName::Kubelet, "tls-cert-file", "", (1, 31)),
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (name, flag, listening, reloads_since) in SERVED {
        let Some(component) = host.component(name).filter(|_| host.probes.taken) else { continue };
        let Some((path, file)) = flag_file(host, name, flag) else { continue };
        let targets = reach::own_targets(component, listening);
        for answer in host.probes.handshakes.iter().filter(|answer| targets.contains(&answer.target)) {
            let Some(served) = answer.chain.as_ref().ok().and_then(|chain| chain.first()) else { continue };
            let Some(file) = verdict.known(file) else { continue };
            if is_chosen_by_name(component, answer) || !reads_this_file(host, component, &path.value) {
                continue;
            }
            if file.certificates.iter().any(|certificate| certificate.sha256 == served.sha256) {
                verdict.pass();
                continue;
            }
            let Some(on_disk) = file.certificates.first() else { continue };
            let why = match version(host, component, &answer.target) {
                Some(version) if !at_least(&version, reloads_since.0, reloads_since.1) => None,
                Some(_) => Some("this release takes up a new file by itself within a minute"),
                None => Some("newer releases take up a new file by themselves, and the release is not known"),
            };
            match why {
                Some(why) => {
                    let what = format!("whether {} at {} was to serve {}", name.name(), answer.target, path.value);
                    let remedy = format!("check again in a minute; if it stays, restart {}", name.name());
                    verdict.unknown(Unknown::new(what, why).with_remedy(remedy));
                }
                None => verdict.fail(draft(context, host, component, path, file, (answer, served, on_disk))),
            }
        }
    }
}

/// Whether the server may choose by the name that was asked for: an address is sent along by nobody.
fn is_chosen_by_name(component: &Component, answer: &TlsAnswer) -> bool {
    component.flag("tls-sni-cert-key").is_some() || answer.server_name.parse::<std::net::IpAddr>().is_err()
}

/// Whether the path means the same file to the process: a static pod may mount another one there.
fn reads_this_file(host: &Host, component: &Component, path: &str) -> bool {
    let manifests = component.layers.iter().filter(|layer| layer.kind == LayerKind::Manifest);
    manifests.filter_map(|layer| layer.origin.path()).all(|manifest| {
        let Some(pod) = host.kubernetes.static_pods.iter().flatten().find(|pod| pod.path == manifest) else {
            return false;
        };
        let within = |directory: &str| {
            path.strip_prefix(directory.trim_end_matches('/'))
                .is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
        };
        let mounts = pod.containers.iter().flat_map(|container| &container.mounts);
        let nearest = mounts.filter(|(at, _)| within(at)).max_by_key(|(at, _)| at.len());
        nearest.is_some_and(|(at, volume)| {
            let from = pod.host_paths.iter().find(|known| known.volume == *volume);
            from.is_some_and(|from| from.path.value.trim_end_matches('/') == at.trim_end_matches('/'))
        })
    })
}

/// The release that answers there, else the one that its files say.
fn version(host: &Host, component: &Component, target: &str) -> Option<String> {
    let endpoint = format!("https://{target}");
    let answered = match component.name {
        ComponentName::Etcd => {
            let answer = host.probes.etcd.iter().find(|answer| answer.endpoint == endpoint);
            answer.and_then(|answer| Some(answer.status.as_ref().ok()?.version.clone()))
        }
        ComponentName::KubeApiserver => {
            let answer = host.probes.apiservers.iter().find(|answer| answer.endpoint == endpoint);
            answer.and_then(|answer| answer.version.as_ref().ok().cloned())
        }
        _ => None,
    };
    answered.filter(|version| !version.is_empty()).or_else(|| Some(component.version.as_ref()?.value.clone()))
}

fn draft(
    context: &Context<'_>,
    host: &Host,
    component: &Component,
    path: &Sourced<String>,
    file: &CertificateFile,
    (answer, served, on_disk): (&TlsAnswer, &Certificate, &Certificate),
) -> Draft {
    let at = context.cluster.at;
    let name = component.name.name();
    let is_over = served.not_after < at || served.not_before > at;
    let layer =
        component.layers.iter().find(|layer| layer.kind == LayerKind::Unit || layer.kind == LayerKind::Manifest);
    let evidence = Evidence::new(
        EvidenceKind::Probe,
        &host.name,
        Origin::answer(format!("TLS handshake with {}", answer.target)),
        format!("served a certificate of {} that ends {}", served.subject, served.not_after),
    );
    let draft = dates(Draft::new(), served.not_after, at)
        .message(if served.not_after < at { "ended" } else { "default" })
        .subject(path.value.clone())
        .value("certificate", &path.value)
        .value("server", name)
        .value("target", &answer.target)
        .value("served_serial", &served.serial)
        .maybe_value("unit", layer.and_then(unit_of))
        .maybe_value("pid", component.pid.filter(|_| layer.is_some_and(|layer| layer.kind == LayerKind::Manifest)))
        .evidence(evidence)
        .at(&host.name, &file.origin, format!("of {}, ends {}", on_disk.subject, on_disk.not_after));
    if is_over { draft.severity(Severity::Error) } else { draft }
}
