//! Pods' logs in archives that order them by namespace and pod: where a node has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::plain;
use crate::bundle::archive::Archive;
use crate::source::{ArchiveSource, Recording, SourceRef, Stand};

/// Bytes of a list of pods.
const LIST_LIMIT: u64 = 64 << 20;

/// Files of hosts by the host's name, and by their path there.
#[derive(Debug, Default)]
pub struct Hosts(BTreeMap<String, BTreeMap<String, Stand>>);

impl Hosts {
    /// An entry of the archive that stands at this path of the host.
    pub fn add(&mut self, host: &str, path: String, entry: &str) {
        self.0.entry(host.to_owned()).or_default().entry(path).or_insert_with(|| Stand::Entry(entry.to_owned()));
    }

    /// A container's log.
    pub fn add_log(&mut self, host: &str, pod: &Pod<'_>, container: &str, file: &str, entry: &str) {
        self.add(host, format!("/var/log/pods/{}_{}_0/{container}/{file}", pod.namespace, pod.name), entry);
    }

    pub fn into_sources(self, label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
        self.0
            .into_iter()
            .map(|(host, stands)| {
                // Nothing of the archive is at its own place but what is named here.
                let source = ArchiveSource::new(label, Arc::clone(archive), NOWHERE).picked().with_stands(stands);
                let recording = Recording { host: Some(host), ..plain::recording(archive) };
                Arc::new(source.with_recording(recording)) as SourceRef
            })
            .collect()
    }
}

/// A directory that no archive has: its name is no path.
const NOWHERE: &str = "\u{0}";

pub struct Pod<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
}

/// By namespace and name of the pod, the node that it runs on, as a list of pods in JSON says.
pub fn nodes(archive: &Archive, entry: &str, found: &mut BTreeMap<(String, String), String>) {
    let Some(file) = archive.file(entry).filter(|file| file.size() <= LIST_LIMIT) else { return };
    let Ok(list) = serde_json::from_reader::<_, Value>(std::io::BufReader::new(archive.open(file))) else { return };
    for pod in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if let (Some(namespace), Some(name), Some(node)) =
            (text("/metadata/namespace"), text("/metadata/name"), text("/spec/nodeName"))
        {
            found.insert((namespace, name), node);
        }
    }
}

/// The node of a pod; what is not known of one runs on a host that is called after that.
pub fn node_of(nodes: &BTreeMap<(String, String), String>, pod: &Pod<'_>) -> String {
    let key = (pod.namespace.to_owned(), pod.name.to_owned());
    nodes.get(&key).cloned().unwrap_or_else(|| "unknown-node".to_owned())
}
