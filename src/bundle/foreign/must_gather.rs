//! OpenShift's must-gather: namespaces/NAMESPACE/pods/POD/CONTAINER/CONTAINER/logs/current.log, host_service_logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pods::{self, Hosts, Pod};
use crate::bundle::archive::Archive;
use crate::bundle::reader::text;
use crate::source::SourceRef;

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
            // Of all masters in one file.
            let (group, file) = service.split_once('/').unwrap_or(("masters", service));
            if file.starts_with("kubelet") || file.starts_with("crio") {
                hosts.add(group, format!("/var/log/{file}"), name);
            }
        }
    }
    hosts.into_sources(label, archive)
}

/// The pod that an entry is of, and the rest of its name.
fn pod_of(name: &str) -> Option<(Pod<'_>, &str)> {
    let (_, rest) = name.split_once(NAMESPACES)?;
    let (namespace, rest) = rest.split_once("/pods/")?;
    let (name, rest) = rest.split_once('/')?;
    Some((Pod { namespace, name }, rest))
}
