//! Pods' logs in archives that order them by namespace and pod: where a node has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use super::plain;
use crate::bundle::archive::Archive;
use crate::source::{ArchiveSource, Recording, SourceRef, Stand};

/// Bytes of a list of pods.
const LIST_LIMIT: u64 = 64 << 20;

/// What there is of hosts, by their names.
#[derive(Debug, Default)]
pub struct Hosts(BTreeMap<String, Parts>);

#[derive(Debug, Default)]
struct Parts {
    /// By path on the host.
    stands: BTreeMap<String, Stand>,
    addresses: Option<BTreeMap<String, Vec<IpNet>>>,
}

impl Hosts {
    fn stand(&mut self, host: &str, path: String, stand: impl FnOnce() -> Stand) {
        self.0.entry(host.to_owned()).or_default().stands.entry(path).or_insert_with(stand);
    }

    /// An entry of the archive that stands at this path of the host.
    pub fn add(&mut self, host: &str, path: String, entry: &str) {
        self.stand(host, path, || Stand::Entry(entry.to_owned()));
    }

    /// A part of an entry.
    pub fn add_part(&mut self, host: &str, path: String, part: Stand) {
        self.stand(host, path, || part);
    }

    /// A file of the host as it is made of something in the archive.
    pub fn add_content(&mut self, host: &str, path: String, content: String) {
        self.stand(host, path, || Stand::Content(content.into_bytes().into()));
    }

    pub fn add_addresses(&mut self, host: &str, addresses: BTreeMap<String, Vec<IpNet>>) {
        self.0.entry(host.to_owned()).or_default().addresses.get_or_insert(addresses);
    }

    /// A container's log.
    pub fn add_log(&mut self, host: &str, pod: &Pod<'_>, container: &str, file: &str, entry: &str) {
        self.add(host, log_path(pod, container, file), entry);
    }

    pub fn into_sources(self, label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
        self.0
            .into_iter()
            .map(|(host, parts)| {
                // Nothing of the archive is at its own place but what is named here.
                let source = ArchiveSource::new(label, Arc::clone(archive), NOWHERE).picked().with_stands(parts.stands);
                let recording = Recording { host: Some(host), addresses: parts.addresses, ..plain::recording(archive) };
                Arc::new(source.with_recording(recording)) as SourceRef
            })
            .collect()
    }
}

/// Where a node has a container's log.
pub fn log_path(pod: &Pod<'_>, container: &str, file: &str) -> String {
    format!("/var/log/pods/{}_{}_0/{container}/{file}", pod.namespace, pod.name)
}

/// A directory that no archive has: its name is no path.
pub const NOWHERE: &str = "\u{0}";

pub struct Pod<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
}

/// By namespace and name of the pod, the node that it runs on, as a list of pods in JSON says.
pub fn nodes(archive: &Archive, entry: &str, found: &mut BTreeMap<(String, String), String>) {
    let Some(file) = archive.file(entry).filter(|file| file.size() <= LIST_LIMIT) else { return };
    let Ok(list) = serde_json::from_reader::<_, Value>(std::io::BufReader::new(archive.open(file))) else { return };
    // A list as the apiserver gives it, or its items alone.
    for pod in list.get("items").unwrap_or(&list).as_array().into_iter().flatten() {
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
