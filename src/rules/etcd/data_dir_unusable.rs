//! etcd-data-dir-unusable: the data directory is in memory, or two starters share one.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{ComponentName, LayerKind};
use crate::report::Severity;
use crate::rules::support::{file_of, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-data-dir-unusable", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    for layer in etcd.layers.iter().filter(|layer| layer.kind != LayerKind::Process || etcd.layers.len() == 1) {
        let Some(value) = layer.flags.get("data-dir").and_then(|values| values.last()) else { continue };
        let path = value.value.trim_end_matches('/');
        if !path.starts_with('/') {
            continue;
        }
        let Some(mounts) = verdict.known(&host.system.mounts) else { continue };
        let within = |target: &str| {
            target == "/" || path == target || path.starts_with(&format!("{}/", target.trim_end_matches('/')))
        };
        // Of several mounts on one place the last one counts.
        let mount = mounts.iter().rev().filter(|mount| within(&mount.target)).max_by_key(|mount| mount.target.len());
        match mount {
            // Where the whole host lives in memory (live images, containers), that is its owner's wish.
            Some(mount) if mount.target != "/" && matches!(mount.fs_type.as_str(), "tmpfs" | "ramfs") => verdict.fail(
                Draft::new()
                    .subject(path)
                    .message("in_memory")
                    .severity(Severity::Warning)
                    .value("directory", path)
                    .value("mount", &mount.target)
                    .value("fs_type", &mount.fs_type)
                    .maybe_value("file", file_of(value))
                    .maybe_value("unit", unit_of(layer))
                    .at(&host.name, &value.origin, format!("in {}, which is a {}", mount.target, mount.fs_type))
                    .at(&host.name, &mount.origin, "all of it is gone after a restart of the host"),
            ),
            _ => verdict.pass(),
        }
    }
}
