//! Troubleshoot's support bundles and preflight results: host-collectors (a host's files as copies, its units' journals),
//! and cluster-resources with the logs of pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::pods::{self, Hosts, Pod};
use crate::bundle::archive::Archive;
use crate::bundle::reader::is_directory;
use crate::source::{FileIdentity, SourceRef, identify};

/// Bytes of a file that tell what it is.
const HEAD: u64 = 64 << 10;

pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let parts = ["host-collectors", "cluster-resources"];
    let roots = archive.nodes.keys().filter_map(|name| {
        let root = parts.iter().find_map(|part| name.strip_suffix(part))?;
        let is_whole = root.is_empty() || root.ends_with('/');
        (is_whole && is_directory(archive, name) && root.matches('/').count() < 4).then(|| root.to_owned())
    });
    let mut roots: Vec<String> = roots.collect();
    roots.dedup();
    let mut hosts = Hosts::default();
    for root in &roots {
        let name = host_name(archive, root);
        let mut has_pods = false;
        let collectors = format!("{root}host-collectors/");
        for entry in archive.nodes.keys().filter(|entry| archive.file(entry).is_some()) {
            let Some(rest) = entry.strip_prefix(&collectors) else { continue };
            if let Some(path) = place(archive, entry, rest) {
                has_pods |= path.starts_with("/var/log/pods/");
                hosts.add(&name, path, entry);
            }
        }
        // The same logs once more, as the apiserver gave them.
        if !has_pods {
            cluster_logs(archive, root, &mut hosts);
        }
    }
    hosts.into_sources(label, archive)
}

/// What the host's own collector says, else what Kubernetes' static pods are called after is not asked: one name will do.
fn host_name(archive: &Archive, root: &str) -> String {
    let entry = format!("{root}host-collectors/system/hostos_info.json");
    let name = archive
        .file(&entry)
        .and_then(|file| archive.head(file, HEAD))
        .and_then(|json| serde_json::from_slice::<Value>(&json).ok())
        .and_then(|info| info.get("name").and_then(Value::as_str).map(str::to_owned));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "host".to_owned())
}

/// Where a file of the host collectors stood on the host, as far as that can be told.
fn place(archive: &Archive, entry: &str, rest: &str) -> Option<String> {
    let (collector, path) = rest.split_once('/')?;
    if collector == "errors" {
        return None;
    }
    if collector == "journald" {
        return path.strip_suffix(".txt").map(|unit| format!("/var/log/journal-{unit}.txt"));
    }
    // The copy keeps the last part of the directory that was copied.
    if let Some(below) = path.strip_prefix("kubernetes/") {
        return Some(format!("/etc/kubernetes/{below}"));
    }
    let parts: Vec<&str> = path.split('/').collect();
    if let Some(at) = parts.iter().position(|part| part.split('_').count() == 3)
        && parts.len() == at + 3
        && parts.last().is_some_and(|file| file.contains(".log"))
    {
        return Some(format!("/var/log/pods/{}", parts.get(at..)?.join("/")));
    }
    let head = archive.head(archive.file(entry)?, HEAD)?;
    match identify(entry, &head) {
        // Their own results are JSON.
        FileIdentity::Unknown | FileIdentity::Archive | FileIdentity::Journal => None,
        FileIdentity::Log => {
            path.ends_with(".log").then(|| format!("/var/log/{}", parts.last().copied().unwrap_or(path)))
        }
        _ if path.ends_with(".json") && !path.ends_with("daemon.json") => None,
        known => known.place(entry, &head),
    }
}

fn cluster_logs(archive: &Archive, root: &str, hosts: &mut Hosts) {
    let resources = format!("{root}cluster-resources/pods/");
    let mut nodes = BTreeMap::new();
    for entry in archive.nodes.keys().filter(|entry| entry.starts_with(&resources) && entry.ends_with(".json")) {
        pods::nodes(archive, entry, &mut nodes);
    }
    for entry in archive.nodes.keys().filter(|entry| archive.file(entry).is_some()) {
        let Some(rest) = entry.strip_prefix(&resources).and_then(|rest| rest.strip_prefix("logs/")) else { continue };
        let parts: Vec<&str> = rest.split('/').collect();
        let [namespace, name, file] = parts.as_slice() else { continue };
        let pod = Pod { namespace, name };
        let Some(container) = file.strip_suffix(".log") else { continue };
        let (container, file) = match container.strip_suffix("-previous") {
            Some(container) => (container, "0.log.previous"),
            None => (container, "0.log"),
        };
        hosts.add_log(&pods::node_of(&nodes, &pod), &pod, container, file, entry);
    }
}
