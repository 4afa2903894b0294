//! OpenShift's must-gather: namespaces/NAMESPACE/pods/POD/CONTAINER/CONTAINER/logs/current.log, host_service_logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::merged;
use super::pods::{self, Hosts, Pod};
use crate::bundle::archive::Archive;
use crate::bundle::reader::text;
use crate::source::{SourceRef, Stand};

const NAMESPACES: &str = "namespaces/";

pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let has = |part: &str| archive.nodes.keys().any(|name| name.contains(part));
    if !has("/cluster-scoped-resources") || !has(NAMESPACES) {
        return Vec::new();
    }
    let mut nodes = BTreeMap::new();
    for name in archive.nodes.keys().filter(|name| name.ends_with(".yaml")) {
        let Some(pod) = pod_of(name).filter(|(pod, rest)| *rest == format!("{}.yaml", pod.name)) else { continue };
        let yaml = text(archive, name, 1 << 20).unwrap_or_default();
        let node = yaml.lines().find_map(|line| line.trim().strip_prefix("nodeName:"));
        if let Some(node) = node {
            nodes.insert((pod.0.namespace.to_owned(), pod.0.name.to_owned()), node.trim().trim_matches('"').to_owned());
        }
    }
    let known = Nodes::of(archive, nodes.values());
    let mut hosts = Hosts::default();
    for name in archive.nodes.keys().filter(|name| archive.file(name).is_some()) {
        if let Some((pod, rest)) = pod_of(name) {
            let parts: Vec<&str> = rest.split('/').collect();
            let [container, _, "logs", file] = parts.as_slice() else { continue };
            let file = match *file {
                "current.log" => "0.log",
                "previous.log" => "0.log.previous",
                _ => continue,
            };
            hosts.add_log(&pods::node_of(&nodes, &pod), &pod, container, file, name);
        } else if let Some((_, service)) = name.split_once("/host_service_logs/") {
            // Of all nodes of a role in one file, or of one node that was asked for.
            let (group, file) = service.split_once('/').unwrap_or(("masters", service));
            if !(file.starts_with("kubelet") || file.starts_with("crio")) {
                continue;
            }
            let found = merged::hosts(archive, name);
            if found.len() < 2 {
                let host = found.keys().next().map_or(group, |host| known.node_of(host));
                hosts.add(host, format!("/var/log/{file}"), name);
                continue;
            }
            for (host, length) in &found {
                let lines = Stand::Lines { entry: name.clone(), host: host.clone(), length: *length };
                hosts.add_part(known.node_of(host), format!("/var/log/{}", file.trim_end_matches(".gz")), lines);
            }
        }
    }
    hosts.into_sources(label, archive)
}

/// Names of the cluster's nodes.
struct Nodes(BTreeSet<String>);

impl Nodes {
    /// Those that have a manifest, and those that pods run on.
    fn of<'a>(archive: &Archive, of_pods: impl Iterator<Item = &'a String>) -> Nodes {
        let manifests = archive.nodes.keys().filter_map(|name| {
            let (_, file) = name.split_once("/cluster-scoped-resources/core/nodes/")?;
            file.strip_suffix(".yaml").map(str::to_owned)
        });
        Nodes(manifests.chain(of_pods.cloned()).collect())
    }

    /// The node that a host calls itself by its first or its whole name; the host's own name when that is not certain.
    fn node_of<'a>(&'a self, host: &'a str) -> &'a str {
        let is_longer = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'));
        if self.0.contains(host) {
            return host;
        }
        let mut fitting = self.0.iter().filter(|node| is_longer(node, host) || is_longer(host, node));
        match (fitting.next(), fitting.next()) {
            (Some(node), None) => node,
            _ => host,
        }
    }
}

/// The pod that an entry is of, and the rest of its name.
fn pod_of(name: &str) -> Option<(Pod<'_>, &str)> {
    let (_, rest) = name.split_once(NAMESPACES)?;
    let (namespace, rest) = rest.split_once("/pods/")?;
    let (name, rest) = rest.split_once('/')?;
    Some((Pod { namespace, name }, rest))
}
