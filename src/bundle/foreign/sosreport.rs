//! sosreport: a host's files at their own places, picked one by one, and what commands printed in sos_commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plain;
use crate::bundle::archive::Archive;
use crate::bundle::reader::is_directory;
use crate::source::{ArchiveSource, SourceRef, Stand};

/// What commands printed, and the file of the host that it is as good as. The first that is there is taken.
const COMMANDS: &[(&str, &str)] = &[
    ("sos_commands/logs/journalctl_--no-pager", "/var/log/journal.txt"),
    ("sos_commands/logs/journalctl_--no-pager_--boot", "/var/log/journal.txt"),
    ("sos_commands/logs/journalctl_--no-pager_--catalog_--boot", "/var/log/journal.txt"),
    ("sos_commands/kernel/dmesg", "/var/log/dmesg"),
    ("sos_commands/kernel/dmesg_-T", "/var/log/dmesg"),
];

pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let roots = archive.nodes.keys().filter_map(|name| {
        let root = if name == "sos_commands" { Some("") } else { name.strip_suffix("/sos_commands") };
        root.filter(|root| is_directory(archive, name) && root.matches('/').count() < 4)
    });
    roots
        .map(|root| {
            let mut stands = BTreeMap::new();
            for (command, path) in COMMANDS {
                let entry = if root.is_empty() { (*command).to_owned() } else { format!("{root}/{command}") };
                if archive.file(&entry).is_some_and(|file| file.size() > 0) {
                    stands.entry((*path).to_owned()).or_insert(Stand::Entry(entry));
                }
            }
            let source = ArchiveSource::new(label, Arc::clone(archive), root).picked().with_stands(stands);
            Arc::new(source.with_recording(plain::recording(archive))) as SourceRef
        })
        .collect()
}
