//! cgroup-not-mounted: a controller that the kernel offers is mounted nowhere.

use super::required::{Standing, required, standing};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::facts::system::CgroupMode;
use crate::origin::Unknown;
use crate::rules::support::{in_words, runs_containers};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "cgroup-not-mounted", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !runs_containers(host) && !context.preflight {
        return;
    }
    let Some(cgroups) = verdict.known(&host.system.cgroups) else { return };
    let mut missing = Vec::new();
    for &controller in required(cgroups) {
        match standing(cgroups, controller) {
            Standing::Usable => verdict.pass(),
            Standing::NotMounted => missing.push(controller.to_owned()),
            Standing::Unknown => {
                verdict.unknown(
                    Unknown::new(controller, "cgroup.controllers could not be read").with_remedy("run as root"),
                );
            }
            // Another condition: cgroup-controller-missing.
            Standing::Disabled | Standing::NotCompiled => {}
        }
    }
    if missing.is_empty() {
        return;
    }
    let mut draft = Draft::new().value("controllers", in_words(&missing)).value("controller", &missing[0]).note(
        match cgroups.mode {
            CgroupMode::None => "no cgroup filesystem is mounted at all".to_owned(),
            CgroupMode::V2 => "cgroup v2 is mounted, and these are not in its root's cgroup.controllers".to_owned(),
            CgroupMode::V1 | CgroupMode::Hybrid => {
                let mounted: Vec<String> = cgroups.mounted_v1.keys().cloned().collect();
                format!("mounted are {}", in_words(&mounted))
            }
        },
    );
    for controller in &missing {
        let row = cgroups.controllers.iter().find(|row| &row.name == controller);
        let origin = row.map_or(&cgroups.origin, |row| &row.origin);
        draft = draft.at(&host.name, origin, "enabled in the kernel, mounted nowhere");
    }
    if cgroups.mode == CgroupMode::V2 {
        draft = draft.message("not_delegated").value("v2", "true");
    } else {
        let directories: Vec<String> =
            missing.iter().map(|controller| format!("/sys/fs/cgroup/{controller}")).collect();
        // A shell loop needs no more lines the more controllers are missing.
        draft = draft
            .value("directories", directories.join(" "))
            .value("controller_list", missing.join(" "))
            .value("mount_commands", mount_commands(&missing, cgroups.mode));
    }
    verdict.fail(draft);
}

/// One command that makes and mounts each missing hierarchy, as systemd would have at boot.
fn mount_commands(missing: &[String], mode: CgroupMode) -> String {
    let tmpfs = if mode == CgroupMode::None {
        "mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup; "
    } else {
        ""
    };
    format!(
        "{tmpfs}for c in {}; do mkdir -p /sys/fs/cgroup/$c; mountpoint -q /sys/fs/cgroup/$c || mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done",
        missing.join(" ")
    )
}

/// A message from before somebody mounted the controllers that it names is no evidence any more.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let (Some(named), Ok(cgroups)) = (hit.captures.get("controllers"), &host.system.cgroups) else {
        return Refined::Keep(Vec::new());
    };
    let mut named = named.split_whitespace().map(str::to_lowercase).peekable();
    let all_usable = named.peek().is_some() && named.all(|name| standing(cgroups, &name) == Standing::Usable);
    if all_usable { Refined::Drop } else { Refined::Keep(Vec::new()) }
}
