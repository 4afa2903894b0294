//! Control groups: which controllers the kernel has, and where they are mounted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Files, Problems};
use crate::facts::system::{CgroupController, CgroupMode, Cgroups, Mount, Unified};
use crate::origin::{Fact, Origin};
use crate::parse::proc_system;

/// Where programs look for control groups.
const ROOT: &str = "/sys/fs/cgroup";

/// Controllers by the names that a v1 mount's options have for them; a kernel's own list in /proc/cgroups adds to it.
const CONTROLLERS: [&str; 14] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "debug",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
];

/// Takes the state of control groups. Unknown without the mounts, and without /proc/cgroups where v1 is in use or nothing
/// is mounted (with v2 it adds nothing).
pub fn collect(files: &Files, problems: &Problems, mounts: &Fact<Vec<Mount>>) -> Fact<Cgroups> {
    const TABLE: &str = "/proc/cgroups";
    let mounts = mounts.as_ref().map_err(Clone::clone)?;
    let table = files.text(TABLE);
    let controllers: Vec<_> = match &table {
        Ok(file) => {
            let (rows, found) = proc_system::cgroups(&file.text);
            problems.add_parsed(TABLE, found);
            rows.into_iter()
                .map(|row| CgroupController {
                    name: row.name,
                    hierarchy: row.hierarchy,
                    enabled: row.enabled,
                    origin: Origin::file(TABLE, Some(row.span)),
                })
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let known: BTreeSet<&str> =
        CONTROLLERS.into_iter().chain(controllers.iter().map(|controller| controller.name.as_str())).collect();
    let mounted_v1 = mounted_v1(mounts, &known);
    let unified = unified_mount(mounts);
    let mode = mode(&mounted_v1, unified);
    if let Err(error) = &table
        && mode != CgroupMode::V2
    {
        return Err(error.unknown());
    }
    let origin = match (&table, unified) {
        (Err(_), Some(mount)) => mount.origin.clone(),
        _ => Origin::file(TABLE, None),
    };
    let unified = unified.map(|mount| Unified {
        target: mount.target.clone(),
        controllers: words(files, &mount.target, "cgroup.controllers"),
        subtree_control: words(files, &mount.target, "cgroup.subtree_control"),
    });
    Ok(Cgroups { mode, controllers, mounted_v1, unified, origin })
}

fn is_within_root(target: &str) -> bool {
    target.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Controllers (and named hierarchies, `name=systemd`) to their mount point; the one below [`ROOT`] when there are more.
fn mounted_v1(mounts: &[Mount], known: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for mount in mounts.iter().filter(|mount| mount.fs_type == "cgroup") {
        for option in
            mount.options.iter().filter(|option| known.contains(option.as_str()) || option.starts_with("name="))
        {
            let slot = found.entry(option.clone()).or_insert_with(|| mount.target.clone());
            if !is_within_root(slot) && is_within_root(&mount.target) {
                *slot = mount.target.clone();
            }
        }
    }
    found
}

/// The cgroup2 mount that programs use. One elsewhere (network plug-ins have their own) is nothing to them.
fn unified_mount(mounts: &[Mount]) -> Option<&Mount> {
    mounts
        .iter()
        .filter(|mount| mount.fs_type == "cgroup2" && is_within_root(&mount.target))
        .min_by_key(|mount| mount.target.len())
}

/// Programs take a host for v2 only if cgroup2 is mounted at [`ROOT`] itself; below it, it stands beside v1, even when no
/// v1 controller is mounted.
fn mode(mounted_v1: &BTreeMap<String, String>, unified: Option<&Mount>) -> CgroupMode {
    let has_v1_controller = mounted_v1.keys().any(|name| !name.starts_with("name="));
    match unified {
        Some(mount) if mount.target == ROOT && !has_v1_controller => CgroupMode::V2,
        Some(_) => CgroupMode::Hybrid,
        None if mounted_v1.is_empty() => CgroupMode::None,
        None => CgroupMode::V1,
    }
}

fn words(files: &Files, directory: &str, name: &str) -> Fact<Vec<String>> {
    let line = files.line(&format!("{directory}/{name}")).map_err(|error| error.unknown())?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collect::system;
    use crate::source::MemorySource;

    const TABLE: &str =
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t123\t1\nmemory\t4\t129\t1\nnet_cls\t0\t160\t1\n";

    fn taken(mounts: &str, table: Option<&str>) -> Fact<Cgroups> {
        let mut source = MemorySource::new("m1")
            .file("/proc/mounts", format!("proc /proc proc rw 0 0\n{mounts}"))
            .file("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
            .file("/sys/fs/cgroup/unified/cgroup.controllers", "\n");
        if let Some(table) = table {
            source = source.file("/proc/cgroups", table);
        }
        let (files, problems) = (Files::new(Arc::new(source)), Problems::new("m1"));
        collect(&files, &problems, &system::mounts(&files, &problems))
    }

    #[test]
    fn modes() {
        let v1_cpu = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n";
        let systemd = "cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,release_agent=/x,name=systemd 0 0\n";
        let unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n";
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate,memory_recursiveprot 0 0\n";
        let plugin = "none /run/cilium/cgroupv2 cgroup2 rw 0 0\n";
        for (why, mounts, mode, v1, unified_at) in [
            ("nothing", String::new(), CgroupMode::None, "", None),
            ("v1", format!("{v1_cpu}{systemd}"), CgroupMode::V1, "cpu cpuacct name=systemd", None),
            ("v1 without controllers", systemd.to_owned(), CgroupMode::V1, "name=systemd", None),
            ("v2", v2.to_owned(), CgroupMode::V2, "", Some(ROOT)),
            ("hybrid", format!("{v1_cpu}{unified}"), CgroupMode::Hybrid, "cpu cpuacct", Some("/sys/fs/cgroup/unified")),
            ("hybrid, all unmounted", unified.to_owned(), CgroupMode::Hybrid, "", Some("/sys/fs/cgroup/unified")),
            ("v1 and a plug-in's", format!("{plugin}{v1_cpu}"), CgroupMode::V1, "cpu cpuacct", None),
            ("v2 and a plug-in's", format!("{plugin}{v2}"), CgroupMode::V2, "", Some(ROOT)),
        ] {
            let found = taken(&mounts, Some(TABLE)).unwrap();
            assert_eq!(found.mode, mode, "{why}");
            assert_eq!(found.mounted_v1.keys().map(String::as_str).collect::<Vec<_>>().join(" "), v1, "{why}");
            assert_eq!(found.unified.as_ref().map(|unified| unified.target.as_str()), unified_at, "{why}");
            let shown: Vec<_> = found.controllers.iter().map(|c| (c.name.as_str(), c.hierarchy, c.enabled)).collect();
            assert_eq!(shown, [("cpu", 1, true), ("memory", 4, true), ("net_cls", 0, true)], "{why}");
            assert_eq!(found.controllers[1].origin.span().unwrap().line, 3);
        }
        let found = taken(v2, None).unwrap();
        assert_eq!(found.controllers, []);
        let unified = found.unified.unwrap();
        assert_eq!(unified.controllers.unwrap(), ["cpuset", "cpu", "io", "memory", "pids"]);
        assert!(unified.subtree_control.is_err());
        assert!(taken(v1_cpu, None).is_err());
        assert!(taken("", None).is_err());
    }

    #[test]
    fn the_usual_place_counts() {
        let found = taken(
            "cgroup /mnt/c cgroup rw,memory 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
            Some(TABLE),
        );
        assert_eq!(found.unwrap().mounted_v1.get("memory").map(String::as_str), Some("/sys/fs/cgroup/memory"));
    }
}
