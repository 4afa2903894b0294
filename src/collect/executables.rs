//! Programs that daemons run, looked up as those daemons would.

use std::collections::BTreeMap;

use super::Files;
use super::processes::program_name;
use crate::facts::system::Process;
use crate::origin::{Fact, Unknown};

/// The programs that rules ask for: what kubeadm's preflight and the kubelet need, and what dockerd, containerd and
/// kube-proxy start.
pub const EXECUTABLES: &[&str] = &[
    "conntrack",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v2",
    "cp",
    "crictl",
    "crio",
    "crun",
    "docker",
    "docker-containerd",
    "docker-containerd-shim",
    "docker-init",
    "docker-proxy",
    "docker-runc",
    "dockerd",
    "ebtables",
    "etcd",
    "etcdctl",
    "ethtool",
    "ip",
    "ip6tables",
    "ipset",
    "iptables",
    "iptables-save",
    "kubeadm",
    "kubectl",
    "kubelet",
    "losetup",
    "mount",
    "nsenter",
    "runc",
    "socat",
    "tc",
    "touch",
    "umount",
];

/// What systemd gives a service that sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Daemons whose PATH counts instead, when it can be read.
const DAEMONS: [&str; 4] = ["containerd", "crio", "dockerd", "kubelet"];

/// Programs that no Linux host lacks: a source that holds none of them holds no directory of programs as it was.
const ALWAYS_THERE: [&str; 5] = ["mount", "sh", "ls", "cat", "touch"];

/// Directories of a PATH that are looked at.
const DIRECTORY_LIMIT: usize = 64;

/// Takes the path of each program, or none when it is in no directory. Unknown where a directory cannot be read, or
/// where the source evidently was not given the host's programs.
pub fn collect(
    files: &Files,
    processes: &Fact<Vec<Process>>,
    names: &[&str],
) -> BTreeMap<String, Fact<Option<String>>> {
    let directories = search_path(processes);
    let is_covered = ALWAYS_THERE.iter().any(|name| matches!(find(files, &directories, name), Ok(Some(_))));
    names
        .iter()
        .map(|name| {
            let found = match find(files, &directories, name) {
                Ok(None) if !is_covered => Err(Unknown::new(*name, "the host's programs are not part of this source")
                    .with_remedy("give a source that holds it")),
                found => found,
            };
            ((*name).to_owned(), found)
        })
        .collect()
}

/// Every directory in a daemon's PATH, each once; those of systemd's default when no daemon's is known.
fn search_path(processes: &Fact<Vec<Process>>) -> Vec<String> {
    let mut paths: Vec<&str> = processes
        .as_deref()
        .unwrap_or_default()
        .iter()
        .filter(|process| DAEMONS.contains(&program_name(process)))
        .filter_map(|process| process.environment.get("PATH"))
        .map(String::as_str)
        .collect();
    if paths.is_empty() {
        paths.push(DEFAULT_PATH);
    }
    let mut directories: Vec<String> = Vec::new();
    for directory in paths.iter().flat_map(|path| path.split(':')).map(|path| path.trim_end_matches('/')) {
        let is_new = !directories.iter().any(|known| known == directory);
        if directory.starts_with('/') && is_new && directories.len() < DIRECTORY_LIMIT {
            directories.push(directory.to_owned());
        }
    }
    directories
}

fn find(files: &Files, directories: &[String], name: &str) -> Fact<Option<String>> {
    let mut unknown = None;
    for directory in directories {
        let path = format!("{directory}/{name}");
        match files.is_executable(&path) {
            Ok(true) => return Ok(Some(path)),
            // A link that leads out of what a tree holds (/etc/alternatives) proves nothing; on the live host it is dead.
            Ok(false) if !files.is_of_live_host() && is_dangling(files, &path) => {
                unknown.get_or_insert_with(|| Unknown::new(path, "a link to what is not part of this source"));
            }
            Ok(false) => {}
            Err(error) => {
                unknown.get_or_insert_with(|| error.unknown());
            }
        }
    }
    unknown.map_or(Ok(None), Err)
}

fn is_dangling(files: &Files, path: &str) -> bool {
    files.read_link(path).is_ok() && files.exists(path) == Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    fn daemon(comm: &str, path: &str) -> Process {
        Process {
            pid: 1,
            comm: comm.to_owned(),
            exe: None,
            argv: vec![comm.to_owned()],
            cwd: None,
            environment: BTreeMap::from([("PATH".to_owned(), path.to_owned())]),
            network_namespace: None,
            stopped: false,
            started_ticks: None,
        }
    }

    #[test]
    fn looked_up_as_daemons_do() {
        let host = || {
            MemorySource::new("m1")
                .file_with_mode("/usr/bin/mount", "", 0o755)
                .file_with_mode("/usr/bin/conntrack", "", 0o644)
                .file_with_mode("/usr/bin/xtables-nft", "", 0o755)
                .link("/usr/sbin/iptables", "/usr/bin/xtables-nft")
                .link("/usr/sbin/ebtables", "/etc/alternatives/ebtables")
                .file_with_mode("/opt/bin/runc", "", 0o755)
        };
        let none = || Err(Unknown::new("processes", "denied"));
        let mount_only = || MemorySource::new("m1").file_with_mode("/opt/bin/runc", "", 0o755);
        let at = |path: &str| Ok(Some(path.to_owned()));
        for (why, source, processes, name, expected) in [
            ("there", host(), none(), "mount", at("/usr/bin/mount")),
            ("through a link", host(), none(), "iptables", at("/usr/sbin/iptables")),
            ("not executable", host(), none(), "conntrack", Ok(None)),
            ("absent", host(), none(), "socat", Ok(None)),
            ("a link out of the tree", host(), none(), "ebtables", Err(())),
            ("a dead link", host().live(), none(), "ebtables", Ok(None)),
            ("not in the default path", host(), none(), "runc", Ok(None)),
            ("in the daemon's", host(), Ok(vec![daemon("dockerd", "/usr/bin:/opt/bin/")]), "runc", at("/opt/bin/runc")),
            ("only the daemon's counts", host(), Ok(vec![daemon("kubelet", "/usr/bin")]), "iptables", Ok(None)),
            ("others do not count", host(), Ok(vec![daemon("bash", "/opt/bin")]), "runc", Ok(None)),
            ("no programs in the source", MemorySource::new("m1"), none(), "socat", Err(())),
            ("only one that was put there", mount_only(), Ok(vec![daemon("crio", "/opt/bin")]), "socat", Err(())),
            ("refused", host().denied("/usr/sbin/socat"), none(), "socat", Err(())),
        ] {
            let mut found = collect(&Files::new(Arc::new(source)), &processes, &[name]);
            assert_eq!(found.remove(name).unwrap().map_err(|_| ()), expected, "{why}");
        }
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(EXECUTABLES.is_sorted());
    }
}
