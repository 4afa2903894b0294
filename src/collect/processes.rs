//! The processes of a host, containers' too: /proc/PID.

use std::collections::BTreeMap;

use super::{Files, Problems};
use crate::facts::system::Process;
use crate::origin::{Fact, Unknown};
use crate::parse::proc_system::{arguments, environment, link_inode, stat};
use crate::source::{FileKind, ReadError};

/// More processes than this are not looked at.
const PROCESS_LIMIT: usize = 65_536;

/// Programs, by the beginning of their name, whose environment and working directory are of interest.
const COMPONENTS: [&str; 15] = [
    "calico",
    "cilium",
    "containerd",
    "cri",
    "docker",
    "etcd",
    "flanneld",
    "haproxy",
    "hyperkube",
    "k0s",
    "k3s",
    "keepalived",
    "kube",
    "nginx",
    "rke2",
];

/// Takes all processes that have a command line, so no kernel threads, by pid. Unknown when the source holds no process
/// or when this user is not shown all of them.
pub fn collect(files: &Files, problems: &Problems) -> Fact<Vec<Process>> {
    const WHAT: &str = "processes";
    let entries = files.list("/proc").map_err(|error| error.unknown())?;
    let mut pids: Vec<u32> = entries
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory)
        .filter_map(|entry| entry.name.parse().ok())
        .collect();
    pids.sort_unstable();
    if pids.is_empty() {
        return Err(Unknown::new(WHAT, "no process is part of this source"));
    }
    if files.is_of_live_host() && pids.first() != Some(&1) {
        return Err(Unknown::new(WHAT, "only those of this user are shown").with_remedy("run as root"));
    }
    if pids.len() > PROCESS_LIMIT {
        problems.add("/proc", None, format!("only {PROCESS_LIMIT} of {} processes were looked at", pids.len()), None);
        pids.truncate(PROCESS_LIMIT);
    }
    let mut found = Vec::new();
    for pid in pids {
        match process(files, pid) {
            Ok(process) => found.extend(process),
            Err(error @ ReadError::PermissionDenied { .. }) => {
                return Err(Unknown { what: WHAT.to_owned(), ..error.unknown() });
            }
            // It ended meanwhile, or the source does not hold it.
            Err(_) => {}
        }
    }
    Ok(found)
}

fn process(files: &Files, pid: u32) -> Result<Option<Process>, ReadError> {
    let directory = format!("/proc/{pid}");
    let argv = arguments(&files.bytes(&format!("{directory}/cmdline"))?);
    let Some(first) = argv.first() else { return Ok(None) };
    let stat = files.line(&format!("{directory}/stat")).ok().and_then(|text| stat(&text));
    let comm = match &stat {
        Some(stat) => stat.comm.clone(),
        None => {
            files.line(&format!("{directory}/comm")).unwrap_or_else(|_| base_name(first).chars().take(15).collect())
        }
    };
    let link = |name: &str| files.read_link(&format!("{directory}/{name}")).ok();
    let mut process = Process {
        pid,
        comm,
        exe: link("exe"),
        argv,
        cwd: None,
        environment: BTreeMap::new(),
        network_namespace: link("ns/net").and_then(|target| link_inode(&target, "net")),
        stopped: stat.as_ref().is_some_and(|stat| stat.stopped),
        started_ticks: stat.and_then(|stat| stat.started_ticks),
    };
    if is_component(&process) {
        process.cwd = link("cwd");
        process.environment =
            files.bytes(&format!("{directory}/environ")).map(|bytes| environment(&bytes)).unwrap_or_default();
    }
    Ok(Some(process))
}

/// Shims are left out: there is one for each pod, and nothing is to be learned of them.
fn is_component(process: &Process) -> bool {
    let name = program_name(process);
    !name.contains("shim") && COMPONENTS.iter().any(|component| name.starts_with(component))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What the program is called: the kernel's name, which ends after 15 characters, as the program's file or its first
/// argument continue it: `kube-controller` is `kube-controller-manager`.
pub fn program_name(process: &Process) -> &str {
    let exe = process.exe.as_deref().map(|exe| base_name(exe.strip_suffix(" (deleted)").unwrap_or(exe)));
    let argument = process.argv.first().map(|first| base_name(first.split_whitespace().next().unwrap_or_default()));
    [exe, argument]
        .into_iter()
        .flatten()
        .find(|name| process.comm.len() >= 15 && name.starts_with(&process.comm))
        .unwrap_or(&process.comm)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    fn taken(source: MemorySource) -> Fact<Vec<Process>> {
        collect(&Files::new(Arc::new(source)), &Problems::new("m1"))
    }

    #[test]
    fn processes_as_they_run() {
        let stat = "S 1 1 1 0 -1 4194560 1 0 1 0 1 1 0 0 20 0 1 0 550670 1 1";
        let processes = taken(
            MemorySource::new("m1")
                .file("/proc/2/cmdline", "")
                .file("/proc/2/stat", format!("2 (kthreadd) {stat}"))
                .file("/proc/488/cmdline", "kube-controller-manager\0--leader-elect=true\0")
                .file("/proc/488/stat", format!("488 (kube-controller) {stat}"))
                .file("/proc/488/environ", "PATH=/bin\0KUBE_TOKEN=abc\0HOME=/\0")
                .link("/proc/488/exe", "/usr/local/bin/kube-controller-manager (deleted)")
                .link("/proc/488/cwd", "/")
                .link("/proc/488/ns/net", "net:[4026532178]")
                .file("/proc/90/cmdline", "/opt/a) b\0")
                .file("/proc/90/stat", format!("90 (a) b) {stat}"))
                .file("/proc/90/environ", "PATH=/bin\0")
                .file("/proc/7/cmdline", "/usr/bin/dbus-daemon-with-a-long-name\0--system\0")
                .file("/proc/9x/cmdline", "no process\0"),
        )
        .unwrap();
        let shown: Vec<_> =
            processes.iter().map(|process| (process.pid, process.comm.as_str(), program_name(process))).collect();
        assert_eq!(
            shown,
            [
                (7, "dbus-daemon-wit", "dbus-daemon-with-a-long-name"),
                (90, "a) b", "a) b"),
                (488, "kube-controller", "kube-controller-manager"),
            ]
        );
        assert_eq!(processes[1].environment, BTreeMap::new());
        let manager = &processes[2];
        assert_eq!(manager.argv, ["kube-controller-manager", "--leader-elect=true"]);
        assert_eq!(manager.environment, BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]));
        assert_eq!((manager.network_namespace, manager.started_ticks), (Some(4_026_532_178), Some(550_670)));
        assert_eq!(manager.cwd.as_deref(), Some("/"));
    }

    #[test]
    fn an_incomplete_list_is_unknown() {
        for (why, source, remedy) in [
            ("no /proc", MemorySource::new("m1").file("/etc/hostname", "m1"), None),
            ("no process", MemorySource::new("m1").file("/proc/net/route", ""), None),
            ("hidepid=2", MemorySource::new("m1").live().file("/proc/400/cmdline", "sh\0"), Some("run as root")),
            (
                "hidepid=1",
                MemorySource::new("m1").file("/proc/1/cmdline", "init\0").denied("/proc/1/cmdline"),
                Some("run as root"),
            ),
        ] {
            let unknown = taken(source).unwrap_err();
            assert_eq!(unknown.remedy.as_deref(), remedy, "{why}: {unknown}");
        }
    }
}
