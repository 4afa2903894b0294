//! Kernel settings: /proc/sys.

use std::collections::BTreeMap;

use super::Files;
use crate::origin::Fact;

/// The settings that rules ask for.
pub const SYSCTLS: &[&str] = &[
    "fs.file-max",
    "fs.file-nr",
    "fs.inotify.max_queued_events",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.may_detach_mounts",
    "fs.nr_open",
    "kernel.keys.root_maxbytes",
    "kernel.keys.root_maxkeys",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.bridge.bridge-nf-call-arptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
    "net.core.somaxconn",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.forwarding",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.lo.arp_ignore",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_tw_recycle",
    "net.ipv4.vs.conntrack",
    "net.ipv6.bindv6only",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.disable_ipv6",
    "net.ipv6.conf.default.forwarding",
    "net.ipv6.conf.lo.disable_ipv6",
    "net.ipv6.ip_nonlocal_bind",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "user.max_user_namespaces",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "vm.swappiness",
];

/// Entries of a group of settings (/proc/sys/net) in a tree from which on it is taken for a whole one, and not for the
/// few files that somebody picked.
const WHOLE_GROUP: usize = 3;

/// Takes settings by dotted key. A key is left out when the kernel is known not to have it (`net.bridge.*` without
/// br_netfilter): on the live host, or when the source holds the group that it would stand in.
pub fn collect(files: &Files, keys: &[&str]) -> BTreeMap<String, Fact<String>> {
    keys.iter()
        .filter_map(|key| {
            let value = match files.line(&format!("/proc/sys/{}", key.replace('.', "/"))) {
                // Several values are separated by tabs in some files and by blanks in others.
                Ok(value) => Ok(value.split_whitespace().collect::<Vec<_>>().join(" ")),
                Err(error) if error.is_absent() && holds_group(files, key) => return None,
                Err(error) => Err(error.unknown()),
            };
            Some(((*key).to_owned(), value))
        })
        .collect()
}

fn holds_group(files: &Files, key: &str) -> bool {
    let group = format!("/proc/sys/{}", key.split('.').next().unwrap_or_default());
    let wanted = if files.is_of_live_host() { 1 } else { WHOLE_GROUP };
    files.list(&group).is_ok_and(|entries| entries.len() >= wanted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    #[test]
    fn set_absent_and_unknown() {
        let source = MemorySource::new("m1")
            .file("/proc/sys/net/ipv4/ip_forward", "1\n")
            .file("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
            .file("/proc/sys/net/ipv4/ip_nonlocal_bind", "0\n")
            .file("/proc/sys/net/core/somaxconn", "4096\n")
            .file("/proc/sys/net/unix/max_dgram_qlen", "512\n")
            .file("/proc/sys/fs/file-max", "100\n")
            .denied("/proc/sys/net/ipv4/ip_nonlocal_bind");
        let found = collect(&Files::new(Arc::new(source)), SYSCTLS);
        let value = |key: &str| found.get(key).map(|value| value.as_deref().map_err(|unknown| unknown.why.clone()));
        assert_eq!(value("net.ipv4.ip_forward"), Some(Ok("1")));
        assert_eq!(value("net.ipv4.ip_local_port_range"), Some(Ok("32768 60999")));
        assert_eq!(value("net.bridge.bridge-nf-call-iptables"), None);
        assert_eq!(value("net.ipv4.ip_nonlocal_bind"), Some(Err("permission denied".to_owned())));
        assert!(matches!(value("kernel.pid_max"), Some(Err(_))), "no such group in the source");
        assert!(matches!(value("fs.nr_open"), Some(Err(_))), "a single file was picked");
    }

    #[test]
    fn the_list_is_sorted_and_plain() {
        assert!(SYSCTLS.is_sorted());
        assert!(SYSCTLS.iter().all(|key| !key.contains('/') && key.contains('.')));
    }
}
