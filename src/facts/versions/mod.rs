//! What is known of releases: when their support ends, which flags and feature gates they do not take any more, which API
//! versions of configuration files they read, which etcd goes with them. The tables beside this file hold it; a cell that
//! is empty is not known, and never "no".
//!
//! Sources: the changelogs of Kubernetes, etcd, docker and flannel, containerd's RELEASES.md, the release pages of
//! kubernetes.io and endoflife.date.

mod kubeadm;
mod release;
mod removed;
mod support;

pub use kubeadm::{KUBEADM_APIS, KubeadmApi, kubeadm_api};
pub use release::{Release, kubernetes, newest_kubernetes};
pub use removed::{RemovedFlag, locked_gate, removed_flags, removed_gate};
pub use support::{Support, Supported, support};

/// The rows of a table: lines that are neither empty nor begin with `#`.
fn rows(table: &'static str) -> impl Iterator<Item = impl Iterator<Item = &'static str>> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| line.split('\t'))
}

/// `1.9`, `v1.34.4`, `3.5.0-0` as numbers for comparing, as far as they go.
pub fn numbers(version: &str) -> Vec<u32> {
    version
        .trim()
        .trim_start_matches('v')
        .split(['.', '-', '+', '~', '_'])
        .map_while(|part| part.parse().ok())
        .collect()
}

/// Major and minor; none when it is no version.
pub fn line(version: &str) -> Option<(u32, u32)> {
    let numbers = numbers(version);
    Some((*numbers.first()?, *numbers.get(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_numbers() {
        for (text, expected) in [
            ("1.9", Some((1, 9))),
            ("v1.34.4", Some((1, 34))),
            ("3.5.0-0", Some((3, 5))),
            ("1.6.20~ds1", Some((1, 6))),
            ("18.09.7-ce", Some((18, 9))),
            ("28", None),
            ("latest", None),
            ("", None),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
    }
}
