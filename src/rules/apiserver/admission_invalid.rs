//! apiserver-admission-invalid: an admission plug-in that this kube-apiserver does not have, or two ways of naming them.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, split_items};
use crate::origin::{Sourced, Unknown};
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-admission-invalid", judge: Judge::Host(judge), refine: None };

/// Plug-ins that were taken out, and the minor release of Kubernetes 1 that has them no more.
const REMOVED: [(&str, u32); 6] = [
    ("GenericAdmissionWebhook", 9),
    ("InitialResources", 11),
    ("Initializers", 14),
    ("PodSecurityPolicy", 25),
    ("SecurityContextDeny", 30),
    ("PersistentVolumeLabel", 31),
];

/// The plug-ins that some release of Kubernetes has had (`plugins.go` of kube-apiserver), without those taken out above.
const KNOWN: [&str; 40] = [
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "DenyEscalatingExec",
    "DenyExecOnPrivileged",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "NamespaceLifecycle",
    "NodeRestriction",
    "OwnerReferencesPermissionEnforcement",
    "PVCProtection",
    "PersistentVolumeClaimResize",
    "PodNodeSelector",
    "PodPreset",
    "PodSecurity",
    "PodTolerationRestriction",
    "PodTopologyLabels",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let old = apiserver.flag_in_file("admission-control");
    let new = ["enable-admission-plugins", "disable-admission-plugins"]
        .into_iter()
        .find_map(|flag| apiserver.flag_in_file(flag));
    if let (Some(old), Some(new)) = (old, new) {
        // Only together in one place do they exclude each other.
        let together = apiserver.layers.iter().any(|layer| {
            layer.flags.contains_key("admission-control")
                && (layer.flags.contains_key("enable-admission-plugins")
                    || layer.flags.contains_key("disable-admission-plugins"))
        });
        if together {
            verdict.fail(
                Draft::new()
                    .subject("admission-control")
                    .message("both")
                    .maybe_value("file", file_of(old))
                    .at(&host.name, &old.origin, "the old way to name plug-ins")
                    .at(&host.name, &new.origin, "the new way; kube-apiserver refuses both together"),
            );
        }
    }
    for flag in ["enable-admission-plugins", "admission-control"] {
        for item in apiserver.flag_in_file(flag).map(split_items).unwrap_or_default() {
            judge_plugin(context, host, apiserver, flag, &item, verdict);
        }
    }
    if verdict.passes == 0
        && verdict.drafts.is_empty()
        && let Some(unread) = apiserver.unread.first()
    {
        verdict.unknown(unread.clone());
    }
}

fn judge_plugin(
    context: &Context<'_>,
    host: &Host,
    apiserver: &Component,
    flag: &str,
    item: &Sourced<String>,
    verdict: &mut Verdict,
) {
    let Some((name, minor)) = REMOVED.into_iter().find(|(name, _)| *name == item.value) else {
        // Builds of their own have plug-ins of their own, so only what looks like a slip counts.
        let meant = meant_by(&item.value).filter(|_| apiserver.pid.is_none());
        let Some(meant) = meant else { return verdict.pass() };
        return verdict.fail(
            Draft::new()
                .message("misspelt")
                .subject(&item.value)
                .value("misspelt", &item.value)
                .value("meant", meant)
                .value("flag", flag)
                .maybe_value("file", file_of(item))
                .at(&host.name, &item.origin, format!("{meant} is meant")),
        );
    };
    match apiserver.is_at_least(1, minor) {
        Some(false) => verdict.pass(),
        // It runs, so it knows the plug-in.
        _ if apiserver.pid.is_some() && context.kubernetes_version.is_none() => verdict.pass(),
        None => {
            verdict.unknown(Unknown::new("kube-apiserver's release", format!("nothing says whether it has {name}")))
        }
        Some(true) => verdict.fail(
            Draft::new()
                .subject(name)
                .value("plugin", name)
                .value("flag", flag)
                .value("removed", format!("1.{minor}"))
                .maybe_value("version", apiserver.version.as_ref().map(|version| &version.value))
                .maybe_value("file", file_of(item))
                .at(&host.name, &item.origin, format!("taken out in 1.{minor}")),
        ),
    }
}

/// The plug-in that an unknown name differs from by its case or by one letter.
fn meant_by(name: &str) -> Option<&'static str> {
    let known = || KNOWN.into_iter().chain(REMOVED.into_iter().map(|(removed, _)| removed));
    if known().any(|known| known == name) {
        return None;
    }
    known().find(|known| known.eq_ignore_ascii_case(name) || is_one_letter_apart(known.as_bytes(), name.as_bytes()))
}

/// Whether one letter more, less or other makes `a` of `b`.
fn is_one_letter_apart(a: &[u8], b: &[u8]) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    let same = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    a.len() - same <= 1 && b.len() - same <= 1
}

#[cfg(test)]
mod tests {
    use super::meant_by;

    #[test]
    fn slips_are_told_from_other_names() {
        for (name, meant) in [
            ("LimitRangers", Some("LimitRanger")),
            ("LimitRange", Some("LimitRanger")),
            ("NodeRestricton", Some("NodeRestriction")),
            ("serviceaccount", Some("ServiceAccount")),
            ("ResourseQuota", Some("ResourceQuota")),
            ("NodeRestriction", None),
            ("PodSecurityPolicy", None),
            ("RestrictedEndpointsAdmission", None),
            ("", None),
        ] {
            assert_eq!(meant_by(name), meant, "{name}");
        }
    }
}
