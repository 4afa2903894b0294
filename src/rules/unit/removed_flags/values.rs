//! Values that a program refuses in any of its releases: a mode that there is none of, a port that is none, a URL that etcd
//! cannot take apart.

use super::Subject;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{ComponentName, Layer, LayerKind, split_items};
use crate::origin::Sourced;
use crate::rules::support::unit_of;

const AUTHORIZATION_MODES: [&str; 6] = ["AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook", "RBAC", "Node"];
const TLS_VERSIONS: [&str; 5] = ["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];
/// Those of etcd that hold URLs; `initial-cluster` has names before them.
const URL_FLAGS: [&str; 6] = [
    "listen-peer-urls",
    "listen-client-urls",
    "listen-metrics-urls",
    "initial-advertise-peer-urls",
    "advertise-client-urls",
    "initial-cluster",
];
const URL_SCHEMES: [&str; 4] = ["http", "https", "unix", "unixs"];

/// Whether every value that is judged here is one that the program takes.
pub(super) fn judge(host: &Host, subject: &Subject<'_>, layers: &[&Layer], verdict: &mut Verdict) -> bool {
    let mut is_clean = true;
    let mut seen: Vec<&str> = Vec::new();
    for layer in layers.iter().filter(|layer| layer.kind != LayerKind::Process) {
        for (flag, values) in &layer.flags {
            let Some(value) = values.last().filter(|_| !seen.contains(&flag.as_str())) else { continue };
            let Some((item, reason)) = refused(subject.name, flag, value) else { continue };
            // What runs with the value takes it.
            let running = subject.process.and_then(|process| process.flags.get(flag)?.last());
            if running.is_some_and(|running| running.value == value.value) {
                continue;
            }
            seen.push(flag);
            is_clean = false;
            let name = subject.name.name();
            let mut draft = Draft::new()
                .subject(flag.as_str())
                .message("value")
                .value("program", name)
                .value("flag", format!("--{flag}"))
                .value("value", &item.value)
                .value("why", &reason)
                .maybe_value("bad_file", item.origin.path())
                .maybe_value("unit", unit_of(layer))
                .at(&host.name, &item.origin, reason);
            if let Some(span) = item.origin.span() {
                draft = draft.value("bad_line", span.line);
            }
            verdict.fail(draft);
        }
    }
    is_clean
}

/// The part of the value that the program refuses, and why.
fn refused(name: ComponentName, flag: &str, value: &Sourced<String>) -> Option<(Sourced<String>, String)> {
    use ComponentName::{Etcd, KubeApiserver, KubeControllerManager, KubeScheduler};
    let is_control_plane = matches!(name, KubeApiserver | KubeControllerManager | KubeScheduler);
    match flag {
        // A variable that nothing defines is another rule's matter.
        _ if value.value.contains('$') => None,
        "authorization-mode" if name == KubeApiserver => split_items(value)
            .into_iter()
            .find(|mode| !AUTHORIZATION_MODES.contains(&mode.value.as_str()))
            .map(|mode| (mode, format!("no such mode: there are {}", AUTHORIZATION_MODES.join(", ")))),
        "secure-port" if is_control_plane => {
            let least = if name == KubeApiserver { 1 } else { 0 };
            let is_port = value.value.trim().parse::<i64>().is_ok_and(|port| (least..=65_535).contains(&port));
            (!is_port).then(|| (value.clone(), format!("not a port from {least} to 65535")))
        }
        "tls-min-version" if is_control_plane => (!TLS_VERSIONS.contains(&value.value.trim()))
            .then(|| (value.clone(), format!("no such version: there are {}", TLS_VERSIONS[1..].join(", ")))),
        _ if name == Etcd && URL_FLAGS.contains(&flag) => split_items(value).into_iter().find_map(|item| {
            let url = match (flag, item.value.split_once('=')) {
                ("initial-cluster", Some((_, url))) => url.to_owned(),
                ("initial-cluster", None) => return None,
                _ => item.value.clone(),
            };
            url_refused(&url).map(|reason| (item, reason.to_owned()))
        }),
        _ => None,
    }
}

/// Why etcd does not take a URL. An address that is a name, or none, is another rule's matter.
fn url_refused(url: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = url.trim().split_once("://") else { return Some("no scheme: http:// or https://") };
    if !URL_SCHEMES.contains(&scheme) {
        return Some("its scheme is none of http, https, unix and unixs");
    }
    if scheme.starts_with("unix") {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() {
        return Some("a path after the port");
    }
    match authority.rsplit_once(':') {
        Some((host, _)) if host.starts_with('[') && !host.ends_with(']') => Some("no port"),
        Some((_, port)) if port.parse::<u16>().is_ok() => None,
        Some(_) => Some("what stands for the port is no number up to 65535"),
        None => Some("no port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    #[test]
    fn what_is_refused() {
        use ComponentName::{Etcd, KubeApiserver, KubeControllerManager};
        let table = [
            (KubeApiserver, "authorization-mode", "Node,RBAC", None),
            (KubeApiserver, "authorization-mode", "Node,RBACC", Some("RBACC")),
            (KubeApiserver, "authorization-mode", "Node, RBAC", None),
            (KubeApiserver, "secure-port", "6443", None),
            (KubeApiserver, "secure-port", "0", Some("0")),
            (KubeControllerManager, "secure-port", "0", None),
            (KubeApiserver, "secure-port", "65536", Some("65536")),
            (KubeApiserver, "tls-min-version", "VersionTLS12", None),
            (KubeApiserver, "tls-min-version", "VersionTLS14", Some("VersionTLS14")),
            (Etcd, "listen-client-urls", "https://10.0.0.1:2379,https://127.0.0.1:2379", None),
            (Etcd, "listen-client-urls", "https://10.0.0.1", Some("https://10.0.0.1")),
            (Etcd, "listen-peer-urls", "10.0.0.1:2380", Some("10.0.0.1:2380")),
            (Etcd, "listen-peer-urls", "https://[2001:db8::1]:2380", None),
            (Etcd, "listen-peer-urls", "https://[2001:db8::1]", Some("https://[2001:db8::1]")),
            (Etcd, "listen-client-urls", "https://:2379", None),
            (Etcd, "listen-client-urls", "unix:///run/etcd.sock", None),
            (Etcd, "listen-client-urls", "https://10.0.0.1:2379/", None),
            (Etcd, "listen-client-urls", "htps://10.0.0.1:2379", Some("htps://10.0.0.1:2379")),
            (Etcd, "listen-client-urls", "https://${IP}:2379", None),
            (Etcd, "initial-cluster", "m1=https://10.0.0.1:2380,m2=10.0.0.2:2380", Some("m2=10.0.0.2:2380")),
            (Etcd, "data-dir", "/var/lib/etcd", None),
        ];
        for (name, flag, value, expected) in table {
            let value = Sourced::new(value.to_owned(), Origin::answer("a test"));
            let found = refused(name, flag, &value).map(|(item, _)| item.value);
            assert_eq!(found.as_deref(), expected, "{flag}={}", value.value);
        }
    }
}
