//! cgroup-not-mounted: a controller that the kernel offers is mounted nowhere.

use super::required::{Standing, is_v2, required, standing};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::facts::system::Cgroups;
use crate::origin::{Origin, Unknown};
use crate::rules::support::{in_words, runs_containers};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "cgroup-not-mounted", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !runs_containers(host) && !context.is_preflight() {
        return;
    }
    let Some(cgroups) = verdict.known(&host.system.cgroups) else { return };
    let mut missing = Vec::new();
    for controller in required(context, host, cgroups) {
        match standing(host, cgroups, controller) {
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
    let v2 = is_v2(cgroups);
    let mounted: Vec<String> = cgroups.mounted_v1.keys().filter(|name| !name.starts_with("name=")).cloned().collect();
    let mut draft =
        Draft::new().value("controllers", in_words(&missing)).value("controller", &missing[0]).note(if v2 {
            "cgroup v2 is mounted, and its root's cgroup.controllers does not list it".to_owned()
        } else if mounted.is_empty() {
            "no cgroup controller is mounted at all".to_owned()
        } else {
            format!("mounted are {}", in_words(&mounted))
        });
    let label =
        if v2 { "the controllers that the kernel offers here" } else { "enabled in the kernel, mounted nowhere" };
    for controller in &missing {
        let row = cgroups.controllers.iter().find(|row| &row.name == controller);
        let origin = match (v2, row) {
            (true, _) => &Origin::file("/sys/fs/cgroup/cgroup.controllers", None),
            (false, row) => row.map_or(&cgroups.origin, |row| &row.origin),
        };
        draft = draft.at(&host.name, origin, label);
        if v2 {
            break;
        }
    }
    if v2 {
        draft = draft.message("not_delegated").value("v2", "true");
        let elsewhere = missing.iter().filter_map(|controller| {
            Some(format!("{controller} is mounted as cgroup v1 at {}", cgroups.mounted_v1.get(controller)?))
        });
        draft = elsewhere.fold(draft, Draft::note);
    } else {
        draft = draft.value("mount_commands", mount_commands(host, cgroups, &missing));
    }
    verdict.fail(draft);
}

/// One command that makes and mounts each missing hierarchy, as systemd would have at boot. Controllers that a hierarchy
/// still holds together can only be mounted together.
fn mount_commands(host: &Host, cgroups: &Cgroups, missing: &[String]) -> String {
    let row = |name: &str| cgroups.controllers.iter().find(|row| row.name == name);
    let mut groups: Vec<String> = Vec::new();
    for controller in missing {
        let hierarchy = row(controller).map_or(0, |row| row.hierarchy);
        let together: Vec<&str> = match hierarchy {
            0 => vec![controller],
            _ => cgroups
                .controllers
                .iter()
                .filter(|row| row.hierarchy == hierarchy)
                .map(|row| row.name.as_str())
                .collect(),
        };
        let group = together.join(",");
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let root = host.system.mounts.iter().flatten().rfind(|mount| mount.target == "/sys/fs/cgroup");
    let first = match root {
        None => "mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup; ",
        // systemd makes it read-only once everything is mounted.
        Some(mount) if mount.options.iter().any(|option| option == "ro") => "mount -o remount,rw /sys/fs/cgroup; ",
        Some(_) => "",
    };
    format!(
        "{first}for c in {}; do mkdir -p /sys/fs/cgroup/$c; mountpoint -q /sys/fs/cgroup/$c || mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done",
        groups.join(" ")
    )
}

/// A message from before somebody mounted the controllers that it names is no evidence any more.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let (Some(named), Ok(cgroups)) = (hit.captures.get("controllers"), &host.system.cgroups) else {
        return Refined::Keep(Vec::new());
    };
    let mut named = named.split_whitespace().map(str::to_lowercase).peekable();
    let all_usable = named.peek().is_some() && named.all(|name| standing(host, cgroups, &name) == Standing::Usable);
    if all_usable { Refined::Drop } else { Refined::Keep(Vec::new()) }
}
