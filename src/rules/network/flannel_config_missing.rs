//! flannel-network-config-missing: none of the etcd endpoints that flannel is given has its network configuration, neither in
//! the v2 store nor in the v3 one.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "flannel-network-config-missing", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(flanneld) = host.component(ComponentName::Flanneld) else { return };
    let answers = &host.probes.flannel;
    // Which of the two stores this release reads is not known: one of them having it is enough.
    if answers.iter().any(|answer| answer.in_v2 == Ok(true) || answer.in_v3 == Ok(true)) {
        return verdict.pass();
    }
    let absent: Vec<_> =
        answers.iter().filter(|answer| answer.in_v2 == Ok(false) && answer.in_v3 == Ok(false)).collect();
    let Some(first) = absent.first() else {
        for answer in answers {
            verdict.unknowns.extend([&answer.in_v2, &answer.in_v3].into_iter().filter_map(|store| store.clone().err()));
        }
        return;
    };
    let endpoints: Vec<String> = absent.iter().map(|answer| answer.endpoint.clone()).collect();
    let pods = [ComponentName::KubeControllerManager, ComponentName::KubeProxy].into_iter().find_map(|name| {
        let range = host.component(name)?.flag("cluster-cidr")?.value.trim();
        range.parse::<ipnet::IpNet>().ok()
    });
    let files = ["etcd-cafile", "etcd-certfile", "etcd-keyfile"].map(|flag| Some(&flanneld.flag(flag)?.value));
    let mut draft = Draft::new()
        .subject(&first.key)
        .message("live")
        .value("key", &first.key)
        .value("at", in_words(&endpoints))
        .value("endpoints", endpoints.join(","))
        .maybe_value("pod_network", pods)
        .maybe_value("cafile", files[0])
        .maybe_value("certfile", files[1])
        .maybe_value("keyfile", files[2]);
    for answer in &absent {
        let origin = Origin::answer(format!("{} of {}", answer.key, answer.endpoint));
        let said = "neither the v2 store nor the v3 store has this key";
        draft = draft.evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, said));
    }
    for flag in ["etcd-endpoints", "etcd-prefix"] {
        if let Some(value) = flanneld.flag_in_file(flag) {
            draft = draft.at(&host.name, &value.origin, "where flannel looks for it");
        }
    }
    verdict.fail(draft);
}
