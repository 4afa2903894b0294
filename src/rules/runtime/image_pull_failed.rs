//! image-pull-failed before a cluster exists: an image that kubeadm needs is not in the runtime's store, and the registry
//! that it is to come from does not answer.

use super::pause_image_missing::normalized;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::kubeadm::{KubeadmPlan, REGISTRY};
use crate::facts::log::LogHit;
use crate::facts::probe::ConnectOutcome;
use crate::origin::{Origin, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "image-pull-failed", judge: Judge::Host(judge), refine: Some(refine) };

/// Images whose tag is the release; those of etcd, CoreDNS and the sandbox only kubeadm itself knows.
const OF_RELEASE: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(plan) = host.kubernetes.kubeadm_plan().filter(|plan| !plan.is_join()) else { return };
    let Some(version) = plan.version() else { return };
    let Some(cri) = host.probes.cri.as_ref().and_then(|cri| verdict.known(cri)) else { return };
    let Some(images) = verdict.known(&cri.images) else { return };
    let known: Vec<String> = images.iter().map(|image| normalized(image)).collect();
    let repository = plan.image_repository().map_or(REGISTRY, |repository| repository.value.as_str());
    let release = version.value.trim_start_matches('v');
    let wanted = OF_RELEASE.iter().map(|name| format!("{repository}/{name}:v{release}"));
    let missing: Vec<String> = wanted.filter(|image| !known.contains(&normalized(image))).collect();
    let Some(first) = missing.first() else { return verdict.pass() };
    let target = registry_target(&plan);
    // A proxy of the runtime's own may reach what this host does not.
    let Some(answer) = host.probes.connects.iter().find(|answer| answer.target == target) else {
        return verdict.unknown(Unknown::new(&target, "whether images can be fetched from there was not asked"));
    };
    let why = match &answer.outcome {
        ConnectOutcome::Connected => return verdict.pass(),
        _ if has_proxy(host) => {
            return verdict
                .unknown(Unknown::new(&target, "a proxy is set for the container runtime, which was not asked"));
        }
        ConnectOutcome::Refused => "connection refused".to_owned(),
        ConnectOutcome::TimedOut => "it did not answer".to_owned(),
        ConnectOutcome::Unreachable(why) | ConnectOutcome::NotResolved(why) | ConnectOutcome::Other(why) => why.clone(),
    };
    let origin = plan.image_repository().unwrap_or(version);
    let images_of = Origin::answer(cri.socket.as_str());
    verdict.fail(
        Draft::new()
            .subject(plan.registry())
            .message("preflight")
            .value("image", first)
            .value("images", in_words(&missing))
            .value("registry", target.split(':').next().unwrap_or_default())
            .value("why", &why)
            .at(&host.name, &origin.origin, format!("kubeadm takes its images from {repository}"))
            .evidence(Evidence::new(
                EvidenceKind::Probe,
                &host.name,
                images_of,
                format!("has not {}", in_words(&missing)),
            ))
            .evidence(Evidence::new(
                EvidenceKind::Probe,
                &host.name,
                Origin::answer(format!("dialling {target}")),
                why,
            )),
    );
}

/// An image that the runtime has now was fetched since: the message is of before.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let capture = |name: &str| hit.captures.get(name).map(String::as_str);
    let by_path = || Some(format!("{}:{}", capture("path")?, capture("tag")?));
    let Some(image) = capture("image").map(str::to_owned).or_else(by_path) else { return Refined::Keep(Vec::new()) };
    let Some(Ok(images)) = host.probes.cri.as_ref().and_then(|cri| Some(cri.as_ref().ok()?.images.as_ref())) else {
        return Refined::Keep(Vec::new());
    };
    // Some messages name the repository's last part alone.
    let wanted = normalized(&image);
    let part = format!("/{image}");
    let is_there =
        images.iter().any(|known| normalized(known) == wanted || image.contains(':') && known.ends_with(&part));
    if is_there { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

/// `registry.k8s.io:443`
fn registry_target(plan: &KubeadmPlan<'_>) -> String {
    let registry = plan.registry();
    if registry.contains(':') { registry } else { format!("{registry}:443") }
}

fn has_proxy(host: &Host) -> bool {
    let is_proxy = |name: &str| name.to_ascii_lowercase().ends_with("_proxy") && !name.eq_ignore_ascii_case("no_proxy");
    let units = host.units.iter().filter(|unit| unit.name.starts_with("containerd") || unit.name.starts_with("crio"));
    units.flat_map(|unit| unit.environment.keys()).any(|name| is_proxy(name))
        || host
            .system
            .processes
            .iter()
            .flatten()
            .filter(|process| matches!(process.comm.as_str(), "containerd" | "crio" | "dockerd"))
            .flat_map(|process| process.environment.keys())
            .any(|name| is_proxy(name))
}
