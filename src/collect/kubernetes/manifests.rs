//! Static pod manifests, as the kubelet finds them: every file of the directory whose name does not begin with a dot, a
//! backup copy as well.

use std::collections::BTreeSet;

use super::super::{Files, Problems};
use crate::facts::kubernetes::StaticPod;
use crate::origin::{Origin, Unknown};
use crate::parse::static_pod;
use crate::source::{Entry, FileKind, ReadError};

/// Where manifests lie when the kubelet's configuration does not say so.
const USUAL_DIRECTORIES: &[&str] = &[
    "/etc/kubernetes/manifests",
    "/var/lib/rancher/rke2/agent/pod-manifests",
    "/var/lib/rancher/k3s/agent/pod-manifests",
    "/etc/kubelet.d",
];

/// What the kubelet reads of one file.
const SIZE_LIMIT: usize = 10 << 20;
/// Files of one directory; a node has a handful.
const FILE_LIMIT: usize = 500;

/// What manifest directories hold.
pub(super) struct Found {
    pub pods: Vec<StaticPod>,
    /// Directories and files that could not be read, and those that the source does not cover when it covers none.
    pub unread: Vec<Unknown>,
}

/// The Pods of the named directories, or of the usual ones when none is named.
pub(super) fn collect(
    files: &Files,
    problems: &Problems,
    named: &[String],
    invalid: &mut Vec<(Origin, String)>,
) -> Found {
    let named: BTreeSet<&str> = named.iter().map(|path| trimmed(path)).collect();
    let directories: Vec<&str> =
        if named.is_empty() { USUAL_DIRECTORIES.to_vec() } else { named.into_iter().collect() };
    let mut pods = Vec::new();
    let mut unread = Vec::new();
    let mut not_covered = None;
    let mut looked = false;
    for directory in directories {
        let paths: Vec<String> = match files.list(directory) {
            Ok(entries) => {
                for entry in entries.iter().filter(|entry| stands_for_a_file(entry)) {
                    let message = format!("is a {}, not a file: the kubelet does not read it", entry.kind.name());
                    problems.add(&format!("{directory}/{}", entry.name), None, message, None);
                }
                let wanted = entries.iter().filter(|entry| {
                    !entry.name.starts_with('.') && matches!(entry.kind, FileKind::File | FileKind::Link)
                });
                wanted.map(|entry| format!("{directory}/{}", entry.name)).collect()
            }
            // The kubelet's path may also be one file.
            Err(ReadError::WrongKind { .. }) => vec![directory.to_owned()],
            Err(error) if error.is_absent() => Vec::new(),
            Err(error @ ReadError::NotCovered { .. }) => {
                not_covered.get_or_insert(error);
                continue;
            }
            Err(error) => {
                unread.push(error.unknown());
                continue;
            }
        };
        looked = true;
        if paths.len() > FILE_LIMIT {
            let message = format!("{} files in a manifest directory; {FILE_LIMIT} of them are read", paths.len());
            problems.add(directory, None, message, None);
        }
        for path in paths.into_iter().take(FILE_LIMIT) {
            if let Err(error) = read(files, problems, &path, &mut pods, invalid) {
                unread.push(error.unknown());
            }
        }
    }
    if let Some(error) = not_covered
        && !looked
        && unread.is_empty()
    {
        unread.push(error.unknown());
    }
    Found { pods, unread }
}

/// Something else in the place of a manifest. A directory may well be one on purpose, unless its name says otherwise.
fn stands_for_a_file(entry: &Entry) -> bool {
    match entry.kind {
        FileKind::File | FileKind::Link => false,
        FileKind::Directory => [".yaml", ".yml", ".json"].iter().any(|ending| entry.name.ends_with(ending)),
        FileKind::Fifo | FileKind::Socket | FileKind::Device => !entry.name.starts_with('.'),
    }
}

fn trimmed(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path }
}

fn read(
    files: &Files,
    problems: &Problems,
    path: &str,
    pods: &mut Vec<StaticPod>,
    invalid: &mut Vec<(Origin, String)>,
) -> Result<(), ReadError> {
    let file = match files.text(path) {
        Ok(file) => file,
        // A link to a directory or into nothing: the kubelet passes over it.
        Err(ReadError::WrongKind { .. } | ReadError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    // A file that was given without a host is told by the name that the user has it under.
    let path = &*file.path;
    if file.text.len() > SIZE_LIMIT {
        let why = format!("{} bytes, more than the {SIZE_LIMIT} that the kubelet reads", file.text.len());
        invalid.push((Origin::file(path, None), why));
        return Ok(());
    }
    if file.lossy {
        let at = file.text.find('\u{fffd}').unwrap_or(0);
        let span = file.span(at, at + '\u{fffd}'.len_utf8());
        invalid.push((Origin::file(path, Some(span)), "not UTF-8 text".to_owned()));
        return Ok(());
    }
    let manifest = static_pod::parse(path, &file.text);
    problems.add_parsed(path, manifest.problems);
    for (origin, why) in &manifest.invalid {
        problems.add(path, origin.span(), why.clone(), None);
    }
    invalid.extend(manifest.invalid);
    let modified = files.metadata(path).ok().map(|metadata| metadata.modified).filter(|modified| *modified > 0);
    pods.extend(manifest.pods.into_iter().map(|pod| StaticPod { modified, ..pod }));
    Ok(())
}
