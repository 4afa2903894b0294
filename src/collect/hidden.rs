//! Components of which nothing is known because what configures them could not be read. Without them a rule would have
//! nothing to judge, and would seem not to apply.

use std::collections::BTreeMap;

use crate::facts::component::{Component, ComponentName};
use crate::facts::kubernetes::Kubernetes;
use crate::origin::Unknown;
use crate::source::ReadError;

/// What a static pod may run.
const CONTROL_PLANE: [ComponentName; 4] = [
    ComponentName::Etcd,
    ComponentName::KubeApiserver,
    ComponentName::KubeControllerManager,
    ComponentName::KubeScheduler,
];

/// The components without any layer that a refused unit file, a refused manifest (directory) or an invalid manifest
/// stands for, with why.
pub fn components(
    known: &[Component],
    kubernetes: &Kubernetes,
    refused: &[ReadError],
) -> BTreeMap<ComponentName, Unknown> {
    let mut hidden = BTreeMap::new();
    let mut hide = |names: &[ComponentName], unknown: &Unknown| {
        for name in names {
            if !known.iter().any(|component| component.name == *name) {
                hidden.entry(*name).or_insert_with(|| unknown.clone());
            }
        }
    };
    for error in refused {
        if let Some(name) = of_unit_file(error.path()) {
            hide(&[name], &error.unknown());
        }
    }
    // A source that does not hold the manifests says nothing about whether there are any.
    let unread = kubernetes.unread_manifests.iter();
    for unknown in unread.filter(|unknown| refused.iter().any(|error| error.path() == unknown.what)) {
        hide(&of_manifest(&unknown.what), unknown);
    }
    for (origin, why) in &kubernetes.invalid_manifests {
        let path = origin.path().unwrap_or_default();
        hide(&of_manifest(path), &Unknown::new(path, format!("not valid: {why}")).with_remedy("mend the file"));
    }
    hidden
}

/// By the file's name; a directory, or a file named otherwise, may hold any of the control plane.
fn of_manifest(path: &str) -> Vec<ComponentName> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    match CONTROL_PLANE.iter().find(|name| name.name() == stem) {
        Some(name) => vec![*name],
        None if file.contains('.') && ComponentName::ALL.iter().all(|name| !stem.contains(name.name())) => Vec::new(),
        None => CONTROL_PLANE.to_vec(),
    }
}

/// `etcd.service` and the drop-ins in `etcd.service.d` are etcd's.
fn of_unit_file(path: &str) -> Option<ComponentName> {
    let unit = path.split('/').find_map(|part| {
        let unit = part.strip_suffix(".d").unwrap_or(part);
        unit.strip_suffix(".service")
    })?;
    if !path.contains("/systemd/") {
        return None;
    }
    let unit = unit.split('@').next().unwrap_or(unit);
    ComponentName::ALL.into_iter().find(|name| name.name() == unit || name.name().strip_suffix('d') == Some(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_stands_for() {
        use ComponentName::{Dockerd, Etcd, Flanneld, KubeApiserver};
        for (path, unit, manifest) in [
            ("/etc/systemd/system/etcd.service", Some(Etcd), vec![]),
            ("/etc/systemd/system/docker.service.d/proxy.conf", Some(Dockerd), vec![]),
            ("/usr/lib/systemd/system/flanneld.service", Some(Flanneld), vec![]),
            ("/etc/etcd.service", None, vec![]),
            ("/etc/kubernetes/manifests/etcd.yaml", None, vec![Etcd]),
            ("/etc/kubernetes/manifests/kube-apiserver.manifest", None, vec![KubeApiserver]),
            ("/etc/kubernetes/manifests/kube-vip.yaml", None, vec![]),
            ("/etc/kubernetes/manifests", None, CONTROL_PLANE.to_vec()),
        ] {
            assert_eq!(of_unit_file(path), unit, "{path}");
            if unit.is_none() && path.contains("manifests") {
                assert_eq!(of_manifest(path), manifest, "{path}");
            }
        }
    }
}
