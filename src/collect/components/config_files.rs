//! Configuration files whose keys stand for flags.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::new_layer;
use crate::facts::component::{Layer, LayerKind};
use crate::facts::kubernetes::ConfigDocument;
use crate::origin::{Origin, Sourced, Span};
use crate::parse::Problem;
use crate::parse::command_line::Flags;

/// KubeletConfiguration's keys by the flag that they took over from (kubelet.config.k8s.io/v1beta1).
const KUBELET: &[(&str, &str)] = &[
    ("address", "address"),
    ("authentication.anonymous.enabled", "anonymous-auth"),
    ("authentication.webhook.enabled", "authentication-token-webhook"),
    ("authentication.x509.clientCAFile", "client-ca-file"),
    ("authorization.mode", "authorization-mode"),
    ("cgroupDriver", "cgroup-driver"),
    ("cgroupRoot", "cgroup-root"),
    ("cgroupsPerQOS", "cgroups-per-qos"),
    ("clusterDomain", "cluster-domain"),
    ("containerRuntimeEndpoint", "container-runtime-endpoint"),
    ("failCgroupV1", "fail-cgroupv1"),
    ("failSwapOn", "fail-swap-on"),
    ("hairpinMode", "hairpin-mode"),
    ("healthzBindAddress", "healthz-bind-address"),
    ("healthzPort", "healthz-port"),
    ("imageServiceEndpoint", "image-service-endpoint"),
    ("kubeReservedCgroup", "kube-reserved-cgroup"),
    ("maxPods", "max-pods"),
    ("podCIDR", "pod-cidr"),
    ("podPidsLimit", "pod-max-pids"),
    ("port", "port"),
    ("protectKernelDefaults", "protect-kernel-defaults"),
    ("providerID", "provider-id"),
    ("readOnlyPort", "read-only-port"),
    ("registerNode", "register-node"),
    ("resolvConf", "resolv-conf"),
    ("rotateCertificates", "rotate-certificates"),
    ("runtimeRequestTimeout", "runtime-request-timeout"),
    ("serializeImagePulls", "serialize-image-pulls"),
    ("serverTLSBootstrap", "rotate-server-certificates"),
    ("staticPodPath", "pod-manifest-path"),
    ("staticPodURL", "manifest-url"),
    ("systemReservedCgroup", "system-reserved-cgroup"),
    ("tlsCertFile", "tls-cert-file"),
    ("tlsMinVersion", "tls-min-version"),
    ("tlsPrivateKeyFile", "tls-private-key-file"),
    ("volumePluginDir", "volume-plugin-dir"),
];

/// KubeletConfiguration's lists and maps, whose flags take commas.
const KUBELET_LISTS: &[(&str, &str)] = &[
    ("clusterDNS", "cluster-dns"),
    ("enforceNodeAllocatable", "enforce-node-allocatable"),
    ("tlsCipherSuites", "tls-cipher-suites"),
];

pub fn kubelet(document: &ConfigDocument) -> Layer {
    let mut flags = Flags::default();
    for (key, flag) in KUBELET {
        if let Some(value) = document.get(key) {
            flags.flags.insert((*flag).to_owned(), vec![value.clone()]);
        }
    }
    for (key, flag) in KUBELET_LISTS {
        let items = document.list(key);
        if let Some(first) = items.first() {
            let all: Vec<&str> = items.iter().map(|item| item.value.as_str()).collect();
            let joined = Sourced::new(all.join(","), first.origin.clone());
            flags.flags.insert((*flag).to_owned(), vec![joined]);
        }
    }
    let gates: Vec<(&str, &Sourced<String>)> =
        document.values.iter().filter_map(|(key, value)| Some((key.strip_prefix("featureGates.")?, value))).collect();
    if let Some((_, first)) = gates.first() {
        let all: Vec<String> = gates.iter().map(|(gate, value)| format!("{gate}={}", value.value)).collect();
        flags.flags.insert("feature-gates".to_owned(), vec![Sourced::new(all.join(","), first.origin.clone())]);
    }
    new_layer(LayerKind::ConfigFile, Origin::file(document.path.as_str(), None), flags)
}

/// etcd's configuration file: flags' names as keys, those of TLS under two sections.
pub fn etcd(path: &Arc<str>, text: &str) -> (Layer, Vec<Problem>) {
    let mut values: BTreeMap<String, Vec<Sourced<String>>> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut section: Option<&'static str> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let content = line.trim_end();
        let trimmed = content.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed == "---" || trimmed == "..." {
            continue;
        }
        let indent = content.len() - trimmed.len();
        let Some((key, rest)) = trimmed.split_once(':').filter(|(_, rest)| rest.is_empty() || rest.starts_with(' '))
        else {
            let span = Span::of(text, start + indent, start + content.len());
            problems.push(Problem::new(Some(span), "a line of the form `key: value` was expected"));
            continue;
        };
        let key = key.trim().trim_matches(['"', '\'']);
        if indent == 0 {
            section = match key {
                "client-transport-security" => Some(""),
                "peer-transport-security" => Some("peer-"),
                _ => None,
            };
            if section.is_some() {
                continue;
            }
        }
        let lead = rest.len() - rest.trim_start().len();
        let from = start + content.len() - rest.len() + lead;
        let (value, within) = scalar(&content[from - start..]);
        if value.is_empty() || (indent > 0 && section.is_none()) {
            continue;
        }
        let flag = match (indent, section) {
            (0, _) | (_, None) => key.to_owned(),
            // The sections' own names for what the flags call cert-file and trusted-ca-file.
            (_, Some(prefix)) if key == "ca-file" => format!("{prefix}trusted-ca-file"),
            (_, Some(prefix)) => format!("{prefix}{key}"),
        };
        let span = Span::of(text, from + within, from + within + value.len());
        let origin = Origin::file(path.clone(), Some(span));
        values.insert(flag, vec![Sourced::new(value.to_owned(), origin)]);
    }
    let flags = Flags { flags: values, ..Flags::default() };
    (new_layer(LayerKind::ConfigFile, Origin::file(path.clone(), None), flags), problems)
}

/// A scalar of one line without quotes and comment, and where it begins.
fn scalar(text: &str) -> (&str, usize) {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = &text[1..];
            (&inner[..inner.find(quote).unwrap_or(inner.len())], 1)
        }
        Some('#') | None => ("", 0),
        _ => (text.split(" #").next().unwrap_or(text).trim_end(), 0),
    }
}
