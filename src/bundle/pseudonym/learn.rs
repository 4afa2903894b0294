//! What a host's configuration names: hosts, domains, and the certificates that may have signed others.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::collect::host::{self, HostOptions};
use crate::facts::certificates::Certificate;
use crate::facts::log::Logs;
use crate::logs::ScanOptions;
use crate::source::SourceRef;

/// Names beyond this are not looked for.
const LIMIT: usize = 20_000;

/// What is no name of a host: words of the components, of Kubernetes and of the programs around it, which a configuration
/// would not survive without.
const WORDS: &[&str] = &[
    "admin",
    "all",
    "any",
    "apiserver",
    "backend",
    "cilium",
    "calico",
    "cluster",
    "config",
    "containerd",
    "control",
    "coredns",
    "crio",
    "default",
    "dns",
    "docker",
    "dockerd",
    "etcd",
    "external",
    "flannel",
    "frontend",
    "bin",
    "conf",
    "data",
    "dev",
    "etc",
    "gateway",
    "haproxy",
    "home",
    "image",
    "images",
    "json",
    "lib",
    "log",
    "logs",
    "mirror",
    "mirrors",
    "opt",
    "proc",
    "registry",
    "router",
    "run",
    "sys",
    "tmp",
    "usr",
    "var",
    "yaml",
    "host",
    "hostname",
    "hosts",
    "http",
    "https",
    "internal",
    "keepalived",
    "kube",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
    "kubernetes",
    "linux",
    "local",
    "localdomain",
    "localhost",
    "loopback",
    "main",
    "master",
    "name",
    "nginx",
    "node",
    "nodes",
    "none",
    "null",
    "peer",
    "plane",
    "pod",
    "private",
    "proxy",
    "public",
    "root",
    "runtime",
    "server",
    "service",
    "static",
    "system",
    "tcp",
    "true",
    "false",
    "udp",
    "ubuntu",
    "debian",
    "centos",
    "unix",
    "user",
    "worker",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
];

/// Domains of projects and registries, which are everybody's.
const PUBLIC: &[&str] = &[
    "cluster.local",
    "coreos.com",
    "debian.org",
    "docker.com",
    "docker.io",
    "freedesktop.org",
    "gcr.io",
    "ghcr.io",
    "github.com",
    "github.io",
    "google.com",
    "googleapis.com",
    "k8s.io",
    "kernel.org",
    "kubernetes.io",
    "man7.org",
    "ntp.org",
    "opencontainers.org",
    "quay.io",
    "redhat.com",
    "sigs.k8s.io",
    "ubuntu.com",
    "w3.org",
    "x-k8s.io",
];

/// Where configurations name hosts.
static NAMED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"://(?:[^\s/@]*@)?([A-Za-z0-9][A-Za-z0-9.-]*)",
        // A member in etcd's initial-cluster; a flag with a URL looks alike.
r#"[,=\s"']([A-Za-z0-9][A-Za-z0-9.-]*[0-9a-z])=https?://"#,
        r#"(?:--hostname-override|--name|--node-name|ETCD_NAME|HOSTNAME|NODE_NAME)[=\s]["']?([A-Za-z0-9][A-Za-z0-9.-]*)"#,
        r#"(?m)^\s*(?:nodeName|hostname|controlPlaneEndpoint|advertiseAddress)["']?:\s*["']?([A-Za-z0-9][A-Za-z0-9.-]*)"#,
        r"system:node:([A-Za-z0-9][A-Za-z0-9.-]*)",
        r"(?m)^\s*server\s+([A-Za-z0-9][A-Za-z0-9._-]*)",
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .collect()
});

#[derive(Debug, Default)]
pub(super) struct Learned {
    pub names: Vec<String>,
    pub certificates: Vec<Certificate>,
}

/// Reads the configuration as `check` does, without logs and probes.
pub(super) fn of(source: &SourceRef) -> Learned {
    let at = source.recording().and_then(|found| found.at).unwrap_or_else(crate::collect::now);
    let options = HostOptions { scan: ScanOptions { at, ..ScanOptions::default() }, probe_deadline: None, at };
    let host = host::collect_with(source.clone(), &options, |_, _| Logs::default());
    let certificates: Vec<Certificate> =
        host.kubernetes.certificates.values().flatten().flat_map(|file| file.certificates.clone()).collect();
    let mut names = BTreeSet::new();
    let mut learn = |name: &str, own: bool| {
        if names.len() < LIMIT {
            names.extend(of_host(name, own));
        }
    };
    let mut add = |name: &str| learn(name, true);
    add(&host.name);
    let read =
        |path: &str| source.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    for path in ["/etc/hostname", "/proc/sys/kernel/hostname"] {
        read(path).lines().for_each(&mut add);
    }
    for line in read("/etc/hosts").lines() {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).for_each(&mut add);
    }
    for path in ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"] {
        for line in read(path).lines() {
            let mut words = line.split_whitespace();
            if matches!(words.next(), Some("search" | "domain")) {
                words.for_each(&mut add);
            }
        }
    }
    for certificate in &certificates {
        certificate.dns_names.iter().for_each(|name| add(name.trim_start_matches("*.")));
        if let Some(node) = certificate.common_name.as_deref().and_then(|name| name.strip_prefix("system:node:")) {
            add(node);
        }
    }
    for text in host.texts.values() {
        for found in NAMED.iter().flat_map(|pattern| pattern.captures_iter(&text.text)) {
            learn(found.get(1).map_or("", |name| name.as_str()), false);
        }
    }
    Learned { names: names.into_iter().collect(), certificates }
}

/// What is looked for because of a name: itself, its domain, and for a host of the cluster its own label. Nothing for what is
/// no host's name.
fn of_host(name: &str, own: bool) -> Vec<String> {
    let name = name.trim().trim_matches('.').to_ascii_lowercase();
    let is_name = name.len() > 1
        && name.len() < 254
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        && name.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_public = |name: &str| {
        PUBLIC.iter().any(|public| name == *public || name.strip_suffix(public).is_some_and(|rest| rest.ends_with('.')))
            || name.starts_with("kubernetes.")
            || name.ends_with(".svc")
    };
    if !is_name || is_public(&name) {
        return Vec::new();
    }
    let mut found = Vec::new();
    match name.split_once('.') {
        Some((label, domain)) => {
            if own {
                found.extend(of_host(label, own));
            }
            if domain.contains('.') && !is_public(domain) {
                found.push(domain.to_owned());
            }
            found.push(name.clone());
        }
        None if WORDS.contains(&name.as_str()) => {}
        None => found.push(name.clone()),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_their_domains() {
        assert_eq!(of_host("mirrors.example.org", false), ["example.org", "mirrors.example.org"]);
        for (name, expected) in [
            ("m1", vec!["m1"]),
            ("M1.lab.internal", vec!["m1", "lab.internal", "m1.lab.internal"]),
            ("etcd.example.org", vec!["example.org", "etcd.example.org"]),
            ("lab.internal", vec!["lab", "lab.internal"]),
            ("registry.k8s.io", vec![]),
            ("kubernetes.default.svc", vec![]),
            ("etcd", vec![]),
            ("10.0.0.1", vec![]),
            ("a b", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(of_host(name, true), expected, "{name}");
        }
    }
}
