//! `kubectl cluster-info dump --output-directory`: nodes.json, and by namespace pods.json and POD/logs.txt.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pods::{self, Hosts, Pod};
use crate::bundle::archive::Archive;
use crate::bundle::reader::text;
use crate::source::SourceRef;

pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let mut nodes = BTreeMap::new();
    archive
        .nodes
        .keys()
        .filter(|name| name.ends_with("/pods.json"))
        .for_each(|name| pods::nodes(archive, name, &mut nodes));
    let mut hosts = Hosts::default();
    for name in archive.nodes.keys() {
        let Some(directory) = name.strip_suffix("/logs.txt") else { continue };
        let mut parts = directory.rsplit('/');
        let (Some(pod), Some(namespace)) = (parts.next(), parts.next()) else { continue };
        let pod = Pod { namespace, name: pod };
        // ==== START logs for container etcd of pod kube-system/etcd-m1 ====
        let head = text(archive, name, 4096).unwrap_or_default();
        let container = head.split_once("logs for container ").and_then(|(_, rest)| rest.split(' ').next());
        let Some(container) = container.filter(|container| !container.contains('/')) else { continue };
        hosts.add_log(&pods::node_of(&nodes, &pod), &pod, container, "0.log", name);
    }
    hosts.into_sources(label, archive)
}
