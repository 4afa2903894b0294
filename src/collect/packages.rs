//! Versions that the packages database knows, for components whose files say none.

use super::Files;
use super::components::version_of;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::unit::Unit;
use crate::origin::{Origin, Sourced};
use crate::parse::dpkg_status::installed_version;

/// dpkg's database.
pub const DPKG_STATUS: &str = "/var/lib/dpkg/status";

/// Components that distributions and Kubernetes' own repositories package: the package, and where it puts the program.
const PACKAGED: &[(ComponentName, &[&str], &str)] = &[
    (ComponentName::Kubelet, &["kubelet"], "/usr/bin/kubelet"),
    (ComponentName::Etcd, &["etcd-server", "etcd"], "/usr/bin/etcd"),
];

/// Gives components the version of the package that their unit starts. An image's tag says what runs, and stays; what
/// kubeadm's configuration says is the cluster's version at some time, and gives way.
pub fn add_versions(components: &mut [Component], files: &Files, units: &[Unit]) {
    for (name, packages, program) in PACKAGED {
        let Some(component) = components.iter_mut().find(|component| component.name == *name) else { continue };
        let by_unit = units
            .iter()
            .flat_map(|unit| &unit.exec_start)
            .any(|command| command.words.first().is_some_and(|word| word.value == *program));
        let by_container =
            component.layers.iter().any(|layer| layer.kind == LayerKind::Manifest || layer.image.is_some());
        if !by_unit || by_container {
            continue;
        }
        // Other distributions have no such file; that it could not be read is among the problems.
        let Ok(status) = files.text(DPKG_STATUS) else { return };
        let found = packages.iter().find_map(|package| installed_version(&status.text, package));
        if let Some(range) = found
            && let Some(version) = status.text.get(range.clone()).and_then(version_of)
        {
            let span = status.span(range.start, range.end);
            component.version = Some(Sourced::new(version, Origin::file(DPKG_STATUS, Some(span))));
        }
    }
}
