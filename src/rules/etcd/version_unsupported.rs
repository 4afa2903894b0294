//! etcd-version-unsupported: an etcd older than the Kubernetes release asks for, or one that gets no more fixes while that
//! release is set up with a newer one.

use jiff::Timestamp;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName};
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::Severity;
use crate::rules::support::version_numbers;
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-version-unsupported", judge: Judge::Host(judge), refine: Some(refine) };

/// From this minor release of Kubernetes 1 on kubeadm refuses an etcd below this version (its MinExternalEtcdVersion). A
/// release whose own constant was not looked up has that of the one before, which is never higher.
const MINIMUM: [(u32, [u32; 3]); 6] =
    [(6, [3, 0, 14]), (10, [3, 1, 12]), (13, [3, 2, 18]), (31, [3, 5, 11]), (36, [3, 5, 24]), (u32::MAX, [0, 0, 0])];

/// The minor release of etcd that kubeadm sets up from this minor release of Kubernetes 1 on.
const USUAL: [(u32, u32); 7] = [(6, 0), (9, 1), (11, 2), (14, 3), (17, 4), (22, 5), (34, 6)];

/// Releases of etcd 3 up to this minor one got their last fix when the one two later came out.
const ENDED: [(u32, &str); 3] = [(2, "2019-08-30"), (3, "2021-06-15"), (4, "2025-05-15")];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    judge_external(context, host, verdict);
    let Some(etcd) = host.component(ComponentName::Etcd).filter(|etcd| !etcd.is_planned()) else { return };
    let Some(kubernetes) = kubernetes(context.cluster) else {
        // An etcd that serves something else is no business of this rule.
        if context.cluster.hosts.iter().any(|host| host.component(ComponentName::KubeApiserver).is_some()) {
            verdict.unknown(Unknown::new("the release of Kubernetes", "no image and no kubeadm configuration says it"));
        }
        return;
    };
    let Some(version) = version(host, etcd) else {
        let unknown =
            Unknown::new(format!("the version of etcd on {}", host.name), "neither its log nor an image says it");
        return verdict.unknown(unknown.with_remedy("run k8sdoctor check on the host itself, which asks etcd"));
    };
    let numbers = version_numbers(&version.value);
    let (Some(minor), Some(&[major, at, patch])) = (kubernetes.minor, numbers.first_chunk::<3>()) else {
        return verdict.unknown(Unknown::new(format!("the version {}", version.value), "has not three numbers"));
    };
    let uses_v2 = kubernetes.apiserver.flag("storage-backend").is_some_and(|backend| backend.value == "etcd2");
    if uses_v2 && minor < 13 {
        return verdict.pass();
    }
    let draft = || {
        Draft::new()
            .value("version", &version.value)
            .value("release", format!("1.{minor}"))
            .value("kubernetes_version", &kubernetes.version.value)
            .at(&host.name, &version.origin, "this etcd")
            .at(&kubernetes.host.name, &kubernetes.version.origin, format!("Kubernetes 1.{minor}"))
    };
    let minimum = MINIMUM.iter().take_while(|(from, _)| *from <= minor).last().map(|(_, version)| *version);
    if let Some(minimum) = minimum.filter(|minimum| [major, at, patch] < *minimum) {
        let [a, b, c] = minimum;
        return verdict.fail(draft().value("minimum", format!("{a}.{b}.{c}")));
    }
    let usual = USUAL.iter().take_while(|(from, _)| *from <= minor).last().map(|(_, etcd)| *etcd);
    let ended = ENDED.iter().find(|(last, _)| major < 3 || at <= *last).and_then(|(_, day)| {
        let at = format!("{day}T00:00:00Z").parse::<Timestamp>().ok()?;
        (at <= context.cluster.at).then_some(*day)
    });
    match (usual, ended) {
        (Some(usual), Some(day)) if major < 3 || at < usual => verdict.fail(
            draft().message("ended").value("ended", day).value("usual", format!("3.{usual}")).severity(Severity::Info),
        ),
        _ => verdict.pass(),
    }
}

/// The etcd of other hosts that kubeadm is told to use, by its own answer.
fn judge_external(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(plan) = host.kubernetes.kubeadm_plan().filter(|plan| !plan.external_endpoints().is_empty()) else {
        return;
    };
    let Some(Kubernetes { minor: Some(minor), version, .. }) = kubernetes(context.cluster) else { return };
    let least = MINIMUM.iter().take_while(|(from, _)| *from <= minor).last().map(|(_, version)| *version);
    let endpoint = plan.external_endpoints().first().map(|endpoint| endpoint.origin.clone());
    for answer in &host.probes.etcd {
        // An etcd that does not answer is another condition.
        let Ok(status) = &answer.status else { continue };
        let (Some(&found), Some(least)) = (version_numbers(&status.version).first_chunk::<3>(), least) else {
            continue;
        };
        if found >= least {
            verdict.pass();
            continue;
        }
        let [a, b, c] = least;
        let mut draft = Draft::new()
            .subject(&answer.endpoint)
            .value("version", &status.version)
            .value("release", format!("1.{minor}"))
            .value("kubernetes_version", &version.value)
            .value("minimum", format!("{a}.{b}.{c}"))
            .at(&host.name, &Origin::answer(answer.endpoint.as_str()), "this etcd")
            .at(&host.name, &version.origin, format!("Kubernetes 1.{minor}"));
        if let Some(origin) = &endpoint {
            draft = draft.at(&host.name, origin, "kubeadm is told to use it");
        }
        verdict.fail(draft);
    }
}

struct Kubernetes<'a> {
    host: &'a Host,
    apiserver: &'a Component,
    version: &'a Sourced<String>,
    minor: Option<u32>,
}

/// The newest apiserver whose version is known.
fn kubernetes(cluster: &Cluster) -> Option<Kubernetes<'_>> {
    let known = cluster.hosts.iter().filter_map(|host| {
        let apiserver = host.component(ComponentName::KubeApiserver)?;
        let version = apiserver.version.as_ref()?;
        let minor = match apiserver.version_numbers()? {
            (1, minor, _) => Some(minor),
            _ => None,
        };
        Some(Kubernetes { host, apiserver, version, minor })
    });
    known.max_by_key(|known| known.minor)
}

/// What etcd answers, else what it said of itself when it started, else its image's tag.
fn version(host: &Host, etcd: &Component) -> Option<Sourced<String>> {
    let answered = host.probes.etcd.iter().find_map(|answer| {
        let status = answer.status.as_ref().ok().filter(|_| host.probes.etcd.len() == 1)?;
        Some(Sourced::new(status.version.clone(), Origin::answer(format!("the status of {}", answer.endpoint))))
    });
    answered.or_else(|| logged(host)).or_else(|| etcd.version.clone())
}

/// What etcd said of itself when it last started.
fn logged(host: &Host) -> Option<Sourced<String>> {
    let last = host.logs.hits.iter().filter(|hit| hit.rule == DETECTOR.id).max_by(|a, b| a.last.cmp(&b.last))?;
    let line = last.lines.last()?;
    Some(Sourced::new(last.captures.get("own_version")?.clone(), Origin::file(line.path.as_str(), None)))
}

/// A program that says its version is no fault by itself.
fn refine(_: &Context<'_>, _: &Host, _: &LogHit) -> Refined {
    Refined::Drop
}
