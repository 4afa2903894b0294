//! sosreport: a host's files at their own places, picked one by one, and what commands printed in sos_commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ip, plain};
use crate::bundle::archive::Archive;
use crate::bundle::reader::{is_directory, text};
use crate::source::{ArchiveSource, SourceRef, Stand};

/// What commands printed, and the file of the host that it is as good as. The first that is there is taken.
const COMMANDS: &[(&str, &str)] =
    &[("sos_commands/kernel/dmesg", "/var/log/dmesg"), ("sos_commands/kernel/dmesg_-T", "/var/log/dmesg")];

/// Directories that sos copies whole, a kernel without IPv6 has no if_inet6 in it.
const WHOLE: &[&str] = &["/proc/net"];

/// What `ip` printed, under the names that sos gave it over the years.
const ADDRESSES: &[&str] = &["ip_-d_address", "ip_address", "ip_-o_addr", "ip_addr"];
const ROUTES: &[&str] = &["ip_route_show_table_all", "ip_route"];

/// How sos calls what journalctl printed; options follow, spaces as underscores.
const JOURNAL: &str = "journalctl_--no-pager";

/// The journal: the whole one, or of this boot, which the plug-in for logs takes under names that changed from release to
/// release; without it those of the units that other plug-ins took.
fn journals(archive: &Archive, root: &str, stands: &mut BTreeMap<String, Stand>) {
    let commands = if root.is_empty() { "sos_commands/".to_owned() } else { format!("{root}/sos_commands/") };
    let found = archive.nodes.range(commands.clone()..).take_while(|(name, _)| name.starts_with(&commands));
    let mut whole: Vec<(&str, &str)> = Vec::new();
    let mut units: Vec<(&str, &str)> = Vec::new();
    for (name, _) in found {
        let Some(file) = archive.file(name).filter(|file| file.size() > 0) else { continue };
        let Some((plugin, command)) = name.get(commands.len()..).and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let Some(options) = command.strip_prefix(JOURNAL) else { continue };
        if let Some(unit) = options.strip_prefix("_--unit_") {
            units.push((unit, name));
        } else if plugin == "logs" && !options.contains("--boot_-1") && file.size() > 0 {
            whole.push((options, name));
        }
    }
    // The fewer options the more is in it.
    whole.sort();
    match whole.first() {
        Some((_, entry)) => {
            stands.insert("/var/log/journal.txt".to_owned(), Stand::Entry((*entry).to_owned()));
        }
        None => stands.extend(
            units
                .into_iter()
                .map(|(unit, entry)| (format!("/var/log/journal-{unit}.txt"), Stand::Entry(entry.to_owned()))),
        ),
    }
}

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
            journals(archive, root, &mut stands);
            let mut recording = plain::recording(archive);
            let entry = |name: &str| if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") };
            let printed = |names: &[&str]| {
                let place = |name: &&str| entry(&format!("sos_commands/networking/{name}"));
                names.iter().find_map(|name| text(archive, &place(name), 1 << 20).filter(|text| !text.is_empty()))
            };
            let has = |name: &str| archive.file(&entry(name)).is_some_and(|file| file.size() > 0);
            if !has("proc/net/fib_trie") {
                recording.addresses = printed(ADDRESSES).and_then(|text| ip::addresses(&text));
            }
            if !has("proc/net/route")
                && let Some(table) = printed(ROUTES).and_then(|text| ip::route_table(&text))
            {
                stands.insert("/proc/net/route".to_owned(), Stand::Content(table.into_bytes().into()));
            }
            let source =
                ArchiveSource::new(label, Arc::clone(archive), root).picked().with_whole(WHOLE).with_stands(stands);
            Arc::new(source.with_recording(recording)) as SourceRef
        })
        .collect()
}
