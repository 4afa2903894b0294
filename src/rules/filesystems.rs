//! The file systems that Kubernetes fills, for the rules on space.

use crate::facts::Host;
use crate::facts::filesystem::FilesystemUse;

pub const KUBELET: &str = "/var/lib/kubelet";
pub const RUNTIMES: [&str; 3] = ["/var/lib/containerd", "/var/lib/docker", "/var/lib/containers"];
const OTHERS: [&str; 4] = ["/", "/var", "/var/log", "/var/lib/etcd"];

/// The file system that a directory is on: the deepest mount above it.
pub fn below<'a>(known: &'a [FilesystemUse], directory: &str) -> Option<&'a FilesystemUse> {
    let holds = |target: &str| {
        target == "/" || directory == target || directory.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
    };
    known.iter().filter(|one| one.total > 0 && holds(&one.target)).max_by_key(|one| one.target.len())
}

/// Each file system that Kubernetes fills once.
pub fn filled<'a>(host: &Host, known: &'a [FilesystemUse]) -> Vec<&'a FilesystemUse> {
    let own = OTHERS.into_iter().chain(RUNTIMES).chain([KUBELET]);
    let mut found: Vec<&FilesystemUse> = Vec::new();
    for one in own.chain(host.etcd_data.keys().map(String::as_str)).filter_map(|directory| below(known, directory)) {
        if !found.iter().any(|known| known.target == one.target) {
            found.push(one);
        }
    }
    found
}

/// `12 GiB`, `340 MiB`, `4 KiB`.
pub fn in_words(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 10 << 30 => format!("{} GiB", bytes >> 30),
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}
