//! Command lines: which component a command runs, and its flags.

pub mod marked;

use std::collections::BTreeMap;

use crate::facts::component::ComponentName;
use crate::facts::unit::CommandLine;
use crate::origin::{Origin, Place, Sourced};
use marked::Mark;

/// What stands in a fact in place of a password or token.
pub const HIDDEN: &str = "<hidden>";

/// A component's flags, as one command gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flags {
    /// By name without dashes, `_` as `-`, each occurrence in order. A bare flag has an empty value.
    pub flags: BTreeMap<String, Vec<Sourced<String>>>,
    /// `--etcd_servers`, `-v`: as written.
    pub spelt: Vec<Sourced<String>>,
    /// Words that are neither a flag nor a flag's value.
    pub arguments: Vec<Sourced<String>>,
}

pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn by_program(name: &str) -> Option<ComponentName> {
    Some(match name {
        "etcd" => ComponentName::Etcd,
        "kube-apiserver" => ComponentName::KubeApiserver,
        "kube-controller-manager" => ComponentName::KubeControllerManager,
        "kube-scheduler" => ComponentName::KubeScheduler,
        "kubelet" => ComponentName::Kubelet,
        "kube-proxy" => ComponentName::KubeProxy,
        "dockerd" | "dockerd-ce" => ComponentName::Dockerd,
        "containerd" => ComponentName::Containerd,
        "crio" => ComponentName::Crio,
        "cri-dockerd" => ComponentName::CriDockerd,
        "flanneld" | "flanneld-server" => ComponentName::Flanneld,
        "haproxy" | "haproxy-systemd-wrapper" => ComponentName::Haproxy,
        "nginx" => ComponentName::Nginx,
        "keepalived" => ComponentName::Keepalived,
        _ => return None,
    })
}

/// Which component a command runs, and at which word its flags begin: `hyperkube kubelet ...`, `docker daemon ...` and
/// `docker -d ...` (before 1.8) too.
pub fn identify(words: &[&str]) -> Option<(ComponentName, usize)> {
    let program = base_name(words.first()?).trim_end_matches(" (deleted)");
    let second = words.get(1).copied();
    match program {
        // Wrappers of images that run the words after their own flags.
        "go-runner" | "tini" | "dumb-init" => {
            let at = 1 + words.iter().skip(1).position(|word| !word.starts_with('-'))?;
            let (component, from) = identify(words.get(at..).filter(|rest| !is_wrapper(rest))?)?;
            Some((component, at + from))
        }
        "hyperkube" => {
            let name = match second?.trim_start_matches('/') {
                "apiserver" => "kube-apiserver",
                "controller-manager" => "kube-controller-manager",
                "scheduler" => "kube-scheduler",
                "proxy" => "kube-proxy",
                name => name,
            };
            let component = by_program(name)?;
            name.starts_with("kube").then_some((component, 2))
        }
        "docker" => match second? {
            "daemon" => Some((ComponentName::Dockerd, 2)),
            "-d" | "--daemon" => Some((ComponentName::Dockerd, 2)),
            _ => None,
        },
        _ => Some((by_program(program)?, 1)),
    }
}

fn is_wrapper(words: &[&str]) -> bool {
    words.first().is_some_and(|word| matches!(base_name(word), "go-runner" | "tini" | "dumb-init"))
}

/// Whether a command whose program is this may run a component; [`identify`] decides with more of its words.
pub fn may_be_component(program: &str) -> bool {
    let program = base_name(program);
    matches!(program, "hyperkube" | "docker" | "go-runner") || by_program(program).is_some()
}

/// Flags that stand alone: the word after them is not theirs. Components take `--flag=false` for the others too, but
/// never `--flag false`.
const BOOLEANS: &[&str] = &[
    "alsologtostderr",
    "allocate-node-cidrs",
    "allow-privileged",
    "anonymous-auth",
    "auto-tls",
    "bridge-nf-call",
    "cgroups-per-qos",
    "client-cert-auth",
    "configure-cbr0",
    "configure-cloud-routes",
    "containerized",
    "debug",
    "enable-bootstrap-token-auth",
    "enable-controller-attach-detach",
    "enable-debugging-handlers",
    "enable-garbage-collector",
    "enable-pprof",
    "enable-server",
    "enable-swagger-ui",
    "enable-v2",
    "experimental-initial-corrupt-check",
    "fail-swap-on",
    "force-new-cluster",
    "experimental-fail-swap-on",
    "help",
    "icc",
    "insecure-skip-tls-verify",
    "ip-forward",
    "ip-masq",
    "iptables",
    "iptables-sync",
    "ipv6",
    "keep-terminated-pod-volumes",
    "kube-subnet-mgr",
    "kubelet-https",
    "leader-elect",
    "live-restore",
    "logtostderr",
    "make-iptables-util-chains",
    "masquerade-all",
    "peer-auto-tls",
    "peer-client-cert-auth",
    "pre-vote",
    "profiling",
    "protect-kernel-defaults",
    "read-only",
    "register-node",
    "register-schedulable",
    "repair-malformed-updates",
    "rotate-certificates",
    "rotate-server-certificates",
    "runonce",
    "selinux-enabled",
    "serialize-image-pulls",
    "service-account-lookup",
    "strict-reconfig-check",
    "tls",
    "tlsverify",
    "unsafe-no-fsync",
    "use-service-account-credentials",
    "userland-proxy",
    "version",
];

/// dockerd's letters.
fn docker_letter(letter: &str) -> Option<&'static str> {
    Some(match letter {
        "H" => "host",
        "D" => "debug",
        "G" => "group",
        "b" => "bridge",
        "g" => "graph",
        "l" => "log-level",
        "p" => "pidfile",
        "s" => "storage-driver",
        _ => return None,
    })
}

/// The flags of a command from the word `from` on: `--name=value`, `--name value`, `-name value`, bare booleans, up to
/// `--`.
pub fn flags(component: ComponentName, command: &CommandLine, from: usize) -> Flags {
    let mut found = Flags::default();
    let mut words = command.words.iter().enumerate().skip(from).peekable();
    while let Some((index, word)) = words.next() {
        let text = word.value.as_str();
        if text == "--" {
            found.arguments.extend(words.map(|(_, word)| word.clone()));
            break;
        }
        let Some(name) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).filter(|name| is_flag_name(name))
        else {
            found.arguments.push(word.clone());
            continue;
        };
        let dashes = text.len() - name.len();
        let (name, given) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        let spelt = &text[..dashes + name.len()];
        let spelt = Sourced::new(spelt.to_owned(), part(word, 0, spelt.len()));
        let mut normal = name.replace('_', "-");
        if component == ComponentName::Dockerd
            && let Some(long) = docker_letter(name)
        {
            normal = long.to_owned();
        }
        let value = match given {
            Some(value) => {
                let known = command.values.get(index).cloned().flatten();
                let origin = known.unwrap_or_else(|| part(word, text.len() - value.len(), text.len()));
                Sourced::new(value.to_owned(), origin)
            }
            None => {
                let boolean = BOOLEANS.contains(&normal.as_str());
                match words.next_if(|(_, next)| !boolean && is_value(&next.value)) {
                    Some((_, value)) => value.clone(),
                    None => Sourced::new(String::new(), spelt.origin.clone()),
                }
            }
        };
        found.spelt.push(spelt);
        found.flags.entry(normal).or_default().push(value);
    }
    found
}

fn is_flag_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn is_value(word: &str) -> bool {
    match word.strip_prefix('-') {
        Some(rest) => rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()),
        None => true,
    }
}

/// Where `from..to` of a word stands: narrowed when the word stands in the file as it is.
fn part(word: &Sourced<String>, from: usize, to: usize) -> Origin {
    let mut origin = word.origin.clone();
    if let Place::File { span: Some(span), .. } = &mut origin.place
        && span.end - span.start == word.value.len()
    {
        *span = span.part(from, to);
    }
    origin
}

/// Whether a flag's or variable's value is a password or token. `ETCD_INITIAL_CLUSTER_TOKEN` is only a name.
pub fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    if name.ends_with("initial-cluster-token")
        || ["-file", "-path", "-dir", "-url"].iter().any(|end| name.ends_with(end))
    {
        return false;
    }
    let ends = ["password", "passwd", "passphrase", "secret", "token", "access-key", "secret-key", "private-key"];
    ends.iter().any(|end| name == *end || name.ends_with(&format!("-{end}")) || name.ends_with(&format!(".{end}")))
}

/// A value that may stand in a fact.
pub fn public(name: &str, value: &str) -> String {
    if is_secret(name) && !value.is_empty() { HIDDEN.to_owned() } else { value.to_owned() }
}

/// Characters of a value that may stand in a fact; those of a password all point at the place where it stands.
pub(crate) fn public_marks(name: &str, value: Vec<Mark>) -> Vec<Mark> {
    match (value.first(), marked::span(&value)) {
        (Some(first), Some(span)) if is_secret(name) => {
            HIDDEN.chars().map(|c| Mark { end: span.end as u32, ..first.with(c) }).collect()
        }
        _ => value,
    }
}

/// Replaces the values of flags that are passwords or tokens.
pub fn hide_secrets(words: &mut [Sourced<String>]) {
    let mut hide_next = false;
    for word in words {
        if std::mem::take(&mut hide_next) && is_value(&word.value) {
            word.value = HIDDEN.to_owned();
            continue;
        }
        if !word.value.starts_with('-') {
            continue;
        }
        match word.value.split_once('=') {
            Some((name, _)) if is_secret(name) => word.value = format!("{name}={HIDDEN}"),
            None if is_secret(&word.value) => hide_next = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
