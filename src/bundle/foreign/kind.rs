//! `kind export logs`: a directory for each node with its services' journals and its pods' logs, and kind-version.txt.

use std::sync::Arc;

use super::pods::Hosts;
use crate::bundle::archive::Archive;
use crate::source::SourceRef;

/// Of a node. journal.log has the others' lines too.
const SERVICES: &[&str] = &["kubelet.log", "containerd.log"];

pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let Some(root) = archive.nodes.keys().find_map(|name| name.strip_suffix("kind-version.txt")) else {
        return Vec::new();
    };
    let mut hosts = Hosts::default();
    for name in archive.nodes.keys() {
        let Some((node, rest)) = name.strip_prefix(root).and_then(|rest| rest.split_once('/')) else { continue };
        if archive.file(name).is_none() {
            continue;
        }
        let has_services = || SERVICES.iter().any(|service| archive.file(&format!("{root}{node}/{service}")).is_some());
        let is_service = SERVICES.contains(&rest) || (rest == "journal.log" && !has_services());
        if is_service || rest.starts_with("pods/") {
            hosts.add(node, format!("/var/log/{rest}"), name);
        }
    }
    hosts.into_sources(label, archive)
}
