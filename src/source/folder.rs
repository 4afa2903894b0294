//! A folder of configuration files, as a repository holds them: each file that is known by its content stands at the place
//! where a host has it. Everything else is not covered. Files that would stand at one place are of different hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::sniff::{self, FileIdentity, HEAD};
use super::{Entry, FileKind, FsSource, Metadata, ReadError, Source, SourceError, SourceKind, SourceRef};

/// Folders below each other, and files and folders in all, that are looked at.
const DEPTH: usize = 12;
const ENTRIES: usize = 20_000;
/// Folders that hold other people's files.
const FOREIGN: [&str; 3] = ["node_modules", "vendor", "target"];

/// A host of a folder's files.
pub struct FolderSource {
    label: String,
    folder: Arc<FsSource>,
    /// Place on the host to path in the folder.
    files: BTreeMap<String, String>,
    /// Files that a unit or flag names by a path of its own, by their names.
    movable: Vec<String>,
}

/// A file that was recognized, by its path in the folder.
#[derive(Debug, Clone)]
struct Known {
    path: String,
    place: String,
    /// Whether hosts have such a file wherever a unit or flag says.
    is_movable: bool,
}

/// The hosts that a folder's files are of; none when no file of it is recognized.
pub(super) fn hosts(root: &Path) -> Result<Vec<SourceRef>, SourceError> {
    let label = root.display().to_string();
    let folder = Arc::new(FsSource::tree(root)?);
    let known = recognize(&folder);
    let mut hosts: Vec<SourceRef> = Vec::new();
    for (name, files) in split(known, "") {
        let label = if name.is_empty() { label.clone() } else { format!("{}/{name}", label.trim_end_matches('/')) };
        let movable = files.iter().filter(|file| file.is_movable).map(|file| file.path.clone()).collect();
        let files = files.into_iter().map(|file| (file.place, file.path)).collect();
        hosts.push(Arc::new(FolderSource { label, folder: Arc::clone(&folder), files, movable }));
    }
    Ok(hosts)
}

/// Whether some file outside of the directories that a host has is one that could be given alone. `bin` or `lib` alone do
/// not make a directory a host.
pub(super) fn holds_files(folder: &FsSource) -> bool {
    !recognize(folder).is_empty()
}

fn recognize(folder: &FsSource) -> Vec<Known> {
    let mut known = Vec::new();
    let mut left = ENTRIES;
    // Folders wait with their depth; a link is not followed, so there are no circles.
    let mut waiting = vec![(String::from("/"), 0)];
    while let Some((directory, depth)) = waiting.pop() {
        let Ok(entries) = folder.list(&directory) else { continue };
        for entry in entries {
            if left == 0 {
                break;
            }
            left -= 1;
            let path = format!("{}/{}", directory.trim_end_matches('/'), entry.name);
            match entry.kind {
                FileKind::Directory => {
                    let is_foreign = entry.name.starts_with('.') || FOREIGN.contains(&entry.name.as_str());
                    if depth < DEPTH && !is_foreign {
                        waiting.push((path, depth + 1));
                    }
                }
                FileKind::File => known.extend(known_file(folder, path)),
                _ => {}
            }
        }
    }
    known.sort_by(|a, b| a.path.cmp(&b.path));
    known
}

/// The file with its place on a host; none when it is no configuration of one.
fn known_file(folder: &FsSource, path: String) -> Option<Known> {
    let mut head = Vec::new();
    folder.open(&path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
    if head.is_empty() {
        return None;
    }
    let identity = sniff::identify(&path, &head);
    let place = match identity {
        // Any text may look like these; a repository's are seldom a host's.
        FileIdentity::Log
        | FileIdentity::HostsFile
        | FileIdentity::ResolvConf
        | FileIdentity::Archive
        | FileIdentity::Journal
        | FileIdentity::Unknown => return None,
        // A repository may hold those of several clusters, and for init and join.
        FileIdentity::KubeadmConfig => {
            let name = path.trim_start_matches('/').replace('/', "-");
            let has_ending = [".yaml", ".yml", ".json", ".conf"].iter().any(|ending| name.ends_with(ending));
            format!("/etc/kubeadm/{name}{}", if has_ending { "" } else { ".yaml" })
        }
        FileIdentity::SystemdUnit => match drop_in(&path) {
            Some(place) => place,
            None => identity.place(&path, &head)?,
        },
        _ => identity.place(&path, &head)?,
    };
    let is_movable =
        matches!(identity, FileIdentity::EnvFile | FileIdentity::StartScript | FileIdentity::KubeletConfig);
    Some(Known { path, place, is_movable })
}

/// `kubelet.service.d/10-kubeadm.conf` belongs beside its unit.
fn drop_in(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/');
    let (name, parent) = (parts.next()?, parts.next()?);
    let of_unit = parent.strip_suffix(".d")?;
    let is_unit = [".service", ".socket", ".mount", ".timer"].iter().any(|ending| of_unit.ends_with(ending));
    (is_unit && name.ends_with(".conf")).then(|| format!("/etc/systemd/system/{parent}/{name}"))
}

/// Files by the host that they are of, with its path in the folder: all together where each has a place of its own, else
/// those of each folder apart, and in one folder those that come second at their place each alone.
fn split(files: Vec<Known>, below: &str) -> Vec<(String, Vec<Known>)> {
    if files.is_empty() {
        return Vec::new();
    }
    let places: BTreeSet<&str> = files.iter().map(|file| file.place.as_str()).collect();
    if places.len() == files.len() {
        return vec![(below.to_owned(), files)];
    }
    let mut groups: BTreeMap<String, Vec<Known>> = BTreeMap::new();
    for file in files {
        let rest = file.path.strip_prefix('/').and_then(|path| path.strip_prefix(below)).unwrap_or(&file.path);
        let next = rest.trim_start_matches('/').split_once('/').map_or("", |(next, _)| next);
        groups.entry(next.to_owned()).or_default().push(file);
    }
    let mut hosts = Vec::new();
    for (next, group) in groups {
        if !next.is_empty() {
            let below = if below.is_empty() { next } else { format!("{below}/{next}") };
            // Each step goes one folder deeper, of which there are at most DEPTH.
            hosts.extend(split(group, &below));
            continue;
        }
        let mut taken = BTreeSet::new();
        let (first, more): (Vec<Known>, Vec<Known>) =
            group.into_iter().partition(|file| taken.insert(file.place.clone()));
        hosts.push((below.to_owned(), first));
        hosts.extend(more.into_iter().map(|file| (file.path.trim_start_matches('/').to_owned(), vec![file])));
    }
    hosts
}

impl FolderSource {
    /// The folder's file that stands at a place. An environment file, script or kubelet configuration is also found by its
    /// name alone, when one file has it: the installation puts it where the unit says.
    fn find(&self, path: &str) -> Option<&String> {
        if let Some(found) = self.files.get(path) {
            return Some(found);
        }
        let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        let mut named = self.movable.iter().filter(|inner| inner.rsplit('/').next() == Some(name));
        let found = named.next().filter(|_| named.next().is_none())?;
        let is_of_kernel = path.starts_with("/proc/") || path.starts_with("/sys/");
        (!is_of_kernel && !self.is_parent(path)).then_some(found)
    }

    fn is_parent(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.keys().any(|place| place.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    fn not_here(&self, path: &str, wanted: &'static str) -> ReadError {
        let path = path.to_owned();
        if self.is_parent(&path) {
            ReadError::WrongKind { path, kind: "directory", wanted }
        } else {
            ReadError::NotCovered { path }
        }
    }
}

impl Source for FolderSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> SourceKind {
        SourceKind::File
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let inner = self.find(path).ok_or_else(|| self.not_here(path, "file"))?;
        self.folder.read(inner)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        let inner = self.find(path).ok_or_else(|| self.not_here(path, "file"))?;
        self.folder.open(inner)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        if self.files.contains_key(path) {
            return Err(ReadError::WrongKind { path: path.to_owned(), kind: "file", wanted: "directory" });
        }
        let parent = format!("{}/", path.trim_end_matches('/'));
        let entries: BTreeSet<Entry> = self
            .files
            .keys()
            .filter_map(|place| place.strip_prefix(parent.as_str()))
            .map(|rest| match rest.split_once('/') {
                Some((directory, _)) => Entry { name: directory.to_owned(), kind: FileKind::Directory },
                None => Entry { name: rest.to_owned(), kind: FileKind::File },
            })
            .collect();
        if entries.is_empty() {
            return Err(ReadError::NotCovered { path: path.to_owned() });
        }
        Ok(entries.into_iter().collect())
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        if self.is_parent(path) {
            return Ok(Metadata { kind: FileKind::Directory, size: 0, mode: 0o755, uid: 0, gid: 0, modified: 0 });
        }
        let inner = self.find(path).ok_or_else(|| ReadError::NotCovered { path: path.to_owned() })?;
        // The permissions and owner are those of the checkout, which say nothing about a host's.
        let size = self.folder.metadata(inner)?.size;
        Ok(Metadata { kind: FileKind::File, size, mode: 0o600, uid: 0, gid: 0, modified: 0 })
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let kind = self.metadata(path)?.kind.name();
        Err(ReadError::WrongKind { path: path.to_owned(), kind, wanted: "symbolic link" })
    }

    fn display_path(&self, path: &str) -> String {
        match self.find(path) {
            Some(inner) => format!("{}{inner}", self.folder.label().trim_end_matches('/')),
            None => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(paths: &[(&str, &str)]) -> Vec<Known> {
        paths
            .iter()
            .map(|(path, place)| Known { path: (*path).to_owned(), place: (*place).to_owned(), is_movable: false })
            .collect()
    }

    #[test]
    fn files_of_one_place_are_of_different_hosts() {
        for (files, expected) in [
            (vec![("/etcd.service", "/e"), ("/units/kubelet.service", "/k")], vec![("", 2)]),
            (vec![("/m1/etcd.service", "/e"), ("/m2/etcd.service", "/e")], vec![("m1", 1), ("m2", 1)]),
            (
                vec![("/a/m1/etcd.service", "/e"), ("/a/m2/etcd.service", "/e"), ("/b/kubelet.service", "/k")],
                vec![("a/m1", 1), ("a/m2", 1), ("b", 1)],
            ),
            (
                vec![("/u/master.yaml", "/c"), ("/u/worker.yaml", "/c"), ("/u/x.service", "/x")],
                vec![("u", 2), ("u/worker.yaml", 1)],
            ),
            (vec![], vec![]),
        ] {
            let hosts = split(known(&files), "");
            let shape: Vec<(&str, usize)> = hosts.iter().map(|(name, files)| (name.as_str(), files.len())).collect();
            assert_eq!(shape, expected, "{files:?}");
        }
    }

    #[test]
    fn drop_ins_stay_beside_their_unit() {
        for (path, expected) in [
            ("/x/kubelet.service.d/10-kubeadm.conf", Some("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")),
            ("/x/conf.d/10-kubeadm.conf", None),
            ("/kubelet.service", None),
        ] {
            assert_eq!(drop_in(path).as_deref(), expected, "{path}");
        }
    }
}
