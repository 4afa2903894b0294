//! Who wrote a line: names of programs as logs and files have them, and the names that rules use.

use std::borrow::Cow;

/// What a log's path says about who writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// [`canonical`] name.
    pub program: String,
    /// The path says so for certain (a container's log); otherwise lines of other programs may stand in it as well.
    pub certain: bool,
    /// The file begins with the program's start, as each log of a container does.
    pub begins_with_start: bool,
}

/// Names that are given to the same program, by the name that rules use.
const ALIASES: &[(&str, &[&str])] = &[
    (
        "etcd",
        &[
            "etcd2",
            "etcd3",
            "etcd-server",
            "etcd-member",
            "etcd-wrapper",
            "etcd-events",
            "etcd-main",
            "etcd-docker",
            // The packages that etcd 2.0 puts before each message.
            "etcdmain",
            "etcdserver",
            "etcdhttp",
            "rafthttp",
            "raft",
            "sender",
        ],
    ),
    ("kube-apiserver", &["apiserver", "kube-api-server", "kubernetes-apiserver"]),
    (
        "kube-controller-manager",
        &[
            "controller-manager",
            "kube-controller",
            "kube-controller-",
            "kube-controller-m",
            "kubernetes-controller-manager",
        ],
    ),
    ("kube-scheduler", &["scheduler", "kubernetes-scheduler"]),
    ("kube-proxy", &["kubeproxy", "kubernetes-proxy"]),
    ("kubelet", &["kubernetes-kubelet", "kubelet-wrapper", "kube-kubelet"]),
    (
        "dockerd",
        &["docker", "docker-current", "dockerd-current", "docker-daemon", "docker-containerd-current", "rundocker"],
    ),
    ("containerd", &["docker-containerd", "k3s-containerd", "cri-containerd", "containerd-shim"]),
    ("crio", &["cri-o"]),
    ("cri-dockerd", &["cri-docker"]),
    ("flanneld", &["flannel", "kube-flannel", "kube-flannel-ds", "flannel-wrapper"]),
    ("keepalived", &["keepalived_vrrp", "keepalived_healthcheckers"]),
    ("chronyd", &["chrony"]),
    ("ntpd", &["ntp"]),
    ("haproxy", &["haproxy-systemd-wrapper"]),
];

/// Programs that run others, or several components in one: a line of theirs may be anyone's.
const ANYONE: &[&str] = &[
    "hyperkube",
    "k3s",
    "k3s-agent",
    "k3s-server",
    "rke2",
    "rke2-server",
    "rke2-agent",
    "k0s",
    "kubelite",
    "minikube",
    // Packages of Go that write lines of their own.
    "grpc",
    "http",
    "http2",
    "transport",
    "sh",
    "bash",
    "dash",
    "sudo",
    "env",
    "nohup",
    "exe",
    "unknown",
    "supervisord",
    "runsv",
    "rkt",
    "snap",
    "journal",
    "logger",
    "python",
    "python3",
    "localkube",
    "cloud-init",
    "sdnotify-proxy",
    "origin-node",
    "atomic-openshift-node",
];

/// File names that say nothing about the program.
const COLLECTIONS: &[&str] = &[
    "messages",
    "syslog",
    "daemon",
    "journal",
    "journalctl",
    "error",
    "access",
    "user",
    "user.log",
    "log",
    "output",
    "stdin",
    "-",
    "all",
    "system",
    "console",
    "debug",
    "warn",
    "secure",
    "boot",
    "default",
];

/// The name that rules use for a program as a log names it: `docker-current` is `dockerd`, `/usr/bin/etcd` is `etcd`.
/// None when the name says nothing: a shell, `hyperkube`, a container's id.
pub fn canonical(name: &str) -> Option<Cow<'_, str>> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let base = base.strip_suffix(".service").unwrap_or(base);
    // docker's names of a pod's containers: k8s_etcd_etcd-m1_kube-system_22568ebd_0
    let base = base.strip_prefix("k8s_").and_then(|rest| rest.split('_').next()).unwrap_or(base);
    // snaps: microk8s.daemon-kubelet
    let base = base.rsplit_once(".daemon-").map_or(base, |(_, program)| program);
    let base: Cow<'_, str> = if base.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(base.to_ascii_lowercase())
    } else {
        Cow::Borrowed(base)
    };
    if base.is_empty()
        || ANYONE.contains(&&*base)
        || base.ends_with(".sh")
        || (base.len() >= 12 && base.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return None;
    }
    match ALIASES.iter().find(|(_, names)| names.contains(&&*base)) {
        Some((name, _)) => Some(Cow::Borrowed(name)),
        None => Some(base),
    }
}

/// Who writes the log at a path, as far as the path says.
pub fn attribute_path(path: &str) -> Option<Attribution> {
    let certain = |container: &str, begins_with_start| {
        let program = canonical(container)?.into_owned();
        Some(Attribution { program, certain: true, begins_with_start })
    };
    if let Some((_, rest)) = path.split_once("/pods/") {
        // <namespace>_<pod>_<uid>/<container>/<restarts>.log, rotated as <restarts>.log.<time>
        let mut parts = rest.split('/');
        if let (Some(_), Some(container), Some(file), None) = (parts.next(), parts.next(), parts.next(), parts.next()) {
            return certain(container, file.contains(".log"));
        }
    }
    if let Some((_, file)) = path.split_once("/containers/") {
        // <pod>_<namespace>_<container>-<id>.log
        if let Some((name, _)) = file.strip_suffix(".log").and_then(|stem| stem.rsplit_once('-')) {
            let mut parts = name.splitn(3, '_');
            if let (Some(_), Some(_), Some(container)) = (parts.next(), parts.next(), parts.next()) {
                return certain(container, true);
            }
        }
    }
    if path.contains("/nginx/") {
        return Some(Attribution { program: "nginx".to_owned(), certain: false, begins_with_start: false });
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    // logrotate's dateext: kubelet-20260101
    let stem = stem
        .rsplit_once('-')
        .filter(|(_, date)| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(stem, |(stem, _)| stem);
    let stem = stem.to_ascii_lowercase();
    if COLLECTIONS.contains(&stem.as_str()) || stem.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let stem = if stem == "kern" || stem == "dmesg" { "kernel".to_owned() } else { stem };
    let program = canonical(&stem)?.into_owned();
    Some(Attribution { program, certain: false, begins_with_start: false })
}

/// A path without what rotation adds to it, and whether it had something.
pub(crate) fn rotation_base(path: &str) -> (&str, bool) {
    let mut base = path;
    for suffix in [".gz", ".xz", ".zst"] {
        base = base.strip_suffix(suffix).unwrap_or(base);
    }
    let is_rotation = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        digits > 0 && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    match base.rsplit_once(['.', '-']) {
        Some((stem, part)) if is_rotation(part) && stem.contains('/') && !stem.ends_with('/') => {
            // <restarts>.log.20261121-104256 was cut at its last hyphen.
            match stem.rsplit_once('.') {
                Some((stem, part)) if is_rotation(part) => (stem, true),
                _ => (stem, true),
            }
        }
        _ => (base, base.len() != path.len()),
    }
}

/// What a program writes when it starts: the program, or none for the one that wrote the line, and a pattern.
pub(crate) const STARTS: &[(Option<&str>, &str)] = &[
    (Some("etcd"), r"etcd Version: \d|starting an etcd server|starting etcd"),
    (Some("kubelet"), r"Kubelet version|Starting kubelet"),
    (None, r"\] Version: v1\."),
    (None, r#"\] \\?"Golang settings"#),
    (Some("dockerd"), r#"msg=\\?"Starting up"#),
    (Some("containerd"), r"starting containerd"),
    (Some("crio"), r"Starting CRI-O, version"),
    (Some("keepalived"), r"Starting Keepalived v"),
    (Some("flanneld"), r"CLI flags config: \{etcdEndpoints"),
    (Some("kernel"), r"Linux version \d+\.\d+"),
    (
        Some("systemd"),
        r"\]: Started (?P<unit>[\w@.-]+\.service|Docker Application Container Engine|containerd container runtime|kubelet: The Kubernetes Node Agent|Kubernetes Kubelet|[Ee]tcd)",
    ),
];

/// Whether it is one of the programs that make a host a node; `kernel` starts when the host does.
pub(crate) fn is_of_node(program: &str) -> bool {
    const PROGRAMS: &[&str] = &[
        "etcd",
        "kubelet",
        "dockerd",
        "containerd",
        "crio",
        "cri-dockerd",
        "haproxy",
        "keepalived",
        "nginx",
        "kernel",
    ];
    PROGRAMS.contains(&program) || program.starts_with("kube-") || program.starts_with("flannel")
}

/// The program whose unit systemd says it started.
pub(crate) fn started_unit(unit: &str) -> Option<Cow<'_, str>> {
    match unit {
        "Docker Application Container Engine" => Some("dockerd".into()),
        "containerd container runtime" => Some("containerd".into()),
        "kubelet: The Kubernetes Node Agent" | "Kubernetes Kubelet" => Some("kubelet".into()),
        _ => canonical(unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let cases = [
            ("docker-current", Some("dockerd")),
            ("/usr/local/bin/etcd", Some("etcd")),
            ("kubelet.service", Some("kubelet")),
            ("microk8s.daemon-apiserver", Some("kube-apiserver")),
            ("kube-controller", Some("kube-controller-manager")),
            ("kubelet-wrapper", Some("kubelet")),
            ("docker/k8s_kube-apiserver_kube-apiserver-m1_kube-system_9ec6a903_0", Some("kube-apiserver")),
            ("rafthttp", Some("etcd")),
            ("Keepalived_vrrp", Some("keepalived")),
            ("hyperkube", None),
            ("start-etcd.sh", None),
            ("8d6f2a1b9c0e", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(canonical(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn paths() {
        let cases = [
            ("/var/log/pods/kube-system_etcd-m1_22568ebd/etcd/0.log", Some(("etcd", true))),
            ("/var/log/pods/kube-system_etcd-m1_22568ebd/etcd/0.log.20261121-104256.gz", Some(("etcd", true))),
            ("/var/log/containers/web-0_default_nginx-0123456789abcdef.log", Some(("nginx", true))),
            ("/var/log/kubelet.log", Some(("kubelet", false))),
            ("/var/log/kubelet.log.1.gz", Some(("kubelet", false))),
            ("/var/log/kubelet-20260101", Some(("kubelet", false))),
            ("/var/log/apiserver.log", Some(("kube-apiserver", false))),
            ("/var/log/nginx/error.log", Some(("nginx", false))),
            ("/var/log/kern.log", Some(("kernel", false))),
            ("/var/log/messages", None),
            ("/var/log/syslog.2.gz", None),
            ("/var/log/journal.txt", None),
        ];
        for (path, expected) in cases {
            let found = attribute_path(path).map(|found| (found.program, found.certain));
            assert_eq!(found, expected.map(|(name, certain)| (name.to_owned(), certain)), "{path}");
        }
    }

    #[test]
    fn rotations() {
        let cases = [
            ("/var/log/syslog", ("/var/log/syslog", false)),
            ("/var/log/syslog.1", ("/var/log/syslog", true)),
            ("/var/log/syslog.2.gz", ("/var/log/syslog", true)),
            ("/var/log/messages-20260101", ("/var/log/messages", true)),
            ("/var/log/pods/a_b_c/etcd/0.log", ("/var/log/pods/a_b_c/etcd/0.log", false)),
            ("/var/log/pods/a_b_c/etcd/0.log.20261121-104256", ("/var/log/pods/a_b_c/etcd/0.log", true)),
            ("/1", ("/1", false)),
        ];
        for (path, expected) in cases {
            assert_eq!(rotation_base(path), expected, "{path}");
        }
    }
}
