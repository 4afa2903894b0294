//! `kubectl cluster-info dump --output-directory`: nodes.json, and by namespace pods.json and POD/logs.txt, in which the
//! containers of the pod follow one another.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use super::pods::{self, Hosts, Pod};
use crate::bundle::archive::Archive;
use crate::source::{SourceRef, Stand};

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
        let host = pods::node_of(&nodes, &pod);
        for section in sections(archive, name) {
            let path = pods::log_path(&pod, &section.container, "0.log");
            let part = Stand::Part { entry: name.clone(), from: section.from, length: section.length };
            hosts.add_part(&host, path, part);
        }
    }
    hosts.into_sources(label, archive)
}

/// A container's part of a file with the logs of all containers of a pod.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    container: String,
    from: u64,
    length: u64,
}

/// Containers of a pod; no pod has more.
const CONTAINERS: usize = 200;
/// Bytes of a line that are looked at.
const HEAD: usize = 1024;

/// The sections of a log, each between two lines such as
/// `==== START logs for container etcd of pod kube-system/etcd-m1 ====`.
fn sections(archive: &Archive, name: &str) -> Vec<Section> {
    let Some(file) = archive.file(name) else { return Vec::new() };
    let mut reader = BufReader::with_capacity(64 << 10, archive.open(file));
    let mut sections: Vec<Section> = Vec::new();
    let mut is_open = false;
    let mut at = 0;
    let mut line = Vec::new();
    while let Some(length) = next_line(&mut reader, &mut line) {
        let of = |begin: &str| {
            let rest = line.strip_prefix(b"==== ")?.strip_prefix(begin.as_bytes())?;
            let name = rest.split(|byte| *byte == b' ').next()?;
            let name = std::str::from_utf8(name).ok()?;
            (!name.is_empty() && !name.contains('/') && name != "..").then(|| name.to_owned())
        };
        if let Some(container) = of("START logs for container ") {
            if sections.len() >= CONTAINERS {
                break;
            }
            sections.push(Section { container, from: at + length, length: 0 });
            is_open = true;
        } else if of("END logs for container ").is_some() {
            is_open = false;
        } else if is_open && let Some(section) = sections.last_mut() {
            section.length += length;
        }
        at += length;
    }
    sections
}

/// The beginning of the next line, and how long it is with its end; none at the end.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Option<u64> {
    line.clear();
    let mut length = 0;
    loop {
        let bytes = reader.fill_buf().ok()?;
        if bytes.is_empty() {
            return (length > 0).then_some(length);
        }
        let end = memchr::memchr(b'\n', bytes);
        let count = end.map_or(bytes.len(), |at| at + 1);
        let room = HEAD.saturating_sub(line.len());
        line.extend_from_slice(bytes.get(..count.min(room)).unwrap_or_default());
        reader.consume(count);
        length += count as u64;
        if end.is_some() {
            return Some(length);
        }
    }
}
