//! Troubleshoot's support bundles and preflight results: host-collectors (a host's files as copies, its units' journals),
//! and cluster-resources with the logs of pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::ip;
use super::pods::{self, Hosts, Pod};
use crate::bundle::archive::Archive;
use crate::bundle::reader::{self, is_directory};
use crate::source::{FileIdentity, SourceRef, identify};

/// Bytes of a file that tell what it is.
const HEAD: u64 = 64 << 10;
/// Bytes of a collector's result.
const JSON_LIMIT: u64 = 16 << 20;

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
        let mut has_pods = false;
        let collectors = format!("{root}host-collectors/");
        let nodes = nodes(archive, &collectors);
        for entry in archive.nodes.keys().filter(|entry| archive.file(entry).is_some()) {
            let Some(rest) = entry.strip_prefix(&collectors) else { continue };
            // Of several nodes, each has a directory of its own.
            let of_node = rest.split_once('/').filter(|(first, _)| nodes.contains(*first));
            let (base, rest) = match of_node {
                Some((node, rest)) => (format!("{collectors}{node}/"), rest),
                None => (collectors.clone(), rest),
            };
            let name = host_name(archive, &base, of_node.map(|(node, _)| node));
            if made(archive, &base, rest, &name, &mut hosts) {
                continue;
            }
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

/// Directories of collectors whose names are fixed.
const COLLECTORS: &[&str] = &["system", "journald", "run-host", "diskUsage", "certificate", "dns", "errors"];

/// The nodes that collectors ran on, when they ran on several: each has a directory with collectors' directories in it.
fn nodes(archive: &Archive, collectors: &str) -> BTreeSet<String> {
    let directories = archive.nodes.keys().filter_map(|name| name.strip_prefix(collectors)?.split_once('/'));
    let of_nodes = directories.filter(|(first, rest)| {
        !COLLECTORS.contains(first) && rest.split('/').next().is_some_and(|second| COLLECTORS.contains(&second))
    });
    of_nodes.map(|(first, _)| first.to_owned()).collect()
}

fn json(archive: &Archive, entry: &str) -> Option<Value> {
    let file = archive.file(entry).filter(|file| file.size() <= JSON_LIMIT)?;
    serde_json::from_slice(&archive.head(file, JSON_LIMIT)?).ok()
}

/// What the host's own collector says, else what its directory is called; one name will do for what has none.
fn host_name(archive: &Archive, base: &str, node: Option<&str>) -> String {
    let info = json(archive, &format!("{base}system/hostos_info.json"));
    let name = info.as_ref().and_then(|info| info.get("name")).and_then(Value::as_str);
    node.or(name).filter(|name| !name.is_empty()).unwrap_or("host").to_owned()
}

/// Makes files of the host of what a collector says in JSON, or of what a command printed. False when it is neither.
fn made(archive: &Archive, base: &str, rest: &str, host: &str, hosts: &mut Hosts) -> bool {
    let entry = format!("{base}{rest}");
    match rest {
        "system/sysctl.json" => {
            // As `sysctl -a` prints them.
            for (key, value) in json(archive, &entry).as_ref().and_then(Value::as_object).into_iter().flatten() {
                let is_plain = key.split('.').all(|part| !part.is_empty()) && !key.contains(['/', '\0']);
                if let Some(value) = value.as_str().filter(|_| is_plain) {
                    hosts.add_content(host, format!("/proc/sys/{}", key.replace('.', "/")), format!("{value}\n"));
                }
            }
            true
        }
        "system/kernel_modules.json" => {
            let Some(Value::Object(modules)) = json(archive, &entry) else { return true };
            let is_loaded = |module: &Value| module.get("status").and_then(Value::as_str) == Some("loaded");
            let number = |module: &Value, key: &str| module.get(key).and_then(Value::as_u64).unwrap_or_default();
            let loaded =
                modules.iter().filter(|(name, module)| is_loaded(module) && !name.contains(char::is_whitespace));
            let lines = loaded.map(|(name, module)| {
                format!("{name} {} {} - Live 0x0000000000000000\n", number(module, "size"), number(module, "instances"))
            });
            let text: String = lines.collect();
            if !text.is_empty() {
                hosts.add_content(host, "/proc/modules".to_owned(), text);
            }
            true
        }
        "system/hostos_info.json" => {
            let info = json(archive, &entry);
            let text = |key: &str| info.as_ref().and_then(|info| info.get(key)).and_then(Value::as_str);
            if let Some(kernel) = text("kernelVersion").filter(|kernel| !kernel.is_empty()) {
                hosts.add_content(host, "/proc/sys/kernel/osrelease".to_owned(), format!("{kernel}\n"));
            }
            if let Some(name) = text("name").filter(|name| !name.is_empty()) {
                hosts.add_content(host, "/etc/hostname".to_owned(), format!("{name}\n"));
            }
            true
        }
        _ => match rest.strip_prefix("run-host/").and_then(|rest| rest.strip_suffix("-info.json")) {
            Some(collector) if !collector.contains('/') => {
                printed(archive, &entry, &format!("{base}run-host/{collector}.txt"), host, hosts);
                true
            }
            _ => false,
        },
    }
}

/// What a command printed that somebody had run: `info` says which and how it ended.
fn printed(archive: &Archive, info: &str, output: &str, host: &str, hosts: &mut Hosts) {
    let info = json(archive, info);
    let text = |key: &str| info.as_ref().and_then(|info| info.get(key)).and_then(Value::as_str).unwrap_or_default();
    let mut words = text("command").split_whitespace();
    let program = words.next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let words: Vec<&str> = words.collect();
    // Shells print what their commands do.
    if text("exitCode") != "0" || archive.file(output).is_none() {
        return;
    }
    let object = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    match (program, object) {
        ("ip", "a" | "addr" | "address") => {
            if let Some(found) = reader::text(archive, output, 1 << 20).and_then(|text| ip::addresses(&text)) {
                hosts.add_addresses(host, found);
            }
        }
        ("ip", "r" | "route") => {
            if let Some(table) = reader::text(archive, output, 1 << 20).and_then(|text| ip::route_table(&text)) {
                hosts.add_content(host, "/proc/net/route".to_owned(), table);
            }
        }
        ("journalctl", _) => {
            let name = output.rsplit('/').next().unwrap_or(output);
            hosts.add(host, format!("/var/log/journal-{name}"), output);
        }
        ("dmesg", _) => hosts.add(host, "/var/log/dmesg".to_owned(), output),
        _ => {}
    }
}

/// Where a file of the host collectors stood on the host, as far as that can be told.
fn place(archive: &Archive, entry: &str, rest: &str) -> Option<String> {
    let (collector, path) = rest.split_once('/')?;
    if collector == "errors" || collector == "run-host" && !path.contains('/') {
        return None;
    }
    if collector == "journald" {
        let output = path.strip_suffix(".txt").filter(|name| !name.ends_with("-stderr"));
        return output.map(|unit| format!("/var/log/journal-{unit}.txt"));
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
        // `CONTAINER-logs-errors.log` says why there is no log.
        let container = file.strip_suffix(".log").filter(|name| !name.ends_with("-logs-errors"));
        let Some(container) = container else { continue };
        let (container, file) = match container.strip_suffix("-previous") {
            Some(container) => (container, "0.log.previous"),
            None => (container, "0.log"),
        };
        hosts.add_log(&pods::node_of(&nodes, &pod), &pod, container, file, entry);
    }
}
