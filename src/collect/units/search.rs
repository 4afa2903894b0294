//! Where systemd finds units (systemd.unit(5), "Unit File Load Path"), which of several wins, and what is enabled.

use std::collections::{BTreeMap, BTreeSet};

use super::{Names, add_refusal, matters};
use crate::collect::{Files, Problems};
use crate::source::{Entry, FileKind, ReadError};

/// Strongest first.
const DIRECTORIES: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Units of other names in /etc/systemd/system that are looked into.
const OTHERS_LIMIT: usize = 200;

/// Where a unit's text stands.
pub struct Fragment {
    pub path: String,
    pub masked: bool,
}

/// The listings of the load path.
pub struct SearchPath {
    /// Directory to its entries, strongest first.
    directories: Vec<(&'static str, Vec<Entry>)>,
    /// Link targets, by path.
    links: BTreeMap<String, String>,
    /// Units that a .wants or .requires directory of /etc or /run links, under the link's name and its target's.
    wanted: BTreeSet<String>,
    /// Whether all of those directories could be listed.
    complete: bool,
}

impl SearchPath {
    pub fn take(files: &Files, problems: &Problems) -> SearchPath {
        let mut search =
            SearchPath { directories: Vec::new(), links: BTreeMap::new(), wanted: BTreeSet::new(), complete: true };
        for &directory in DIRECTORIES {
            let entries = match files.list(directory) {
                Ok(entries) => entries,
                Err(error) => {
                    add_refusal(problems, &error);
                    // Evidence seldom holds /run, and little is enabled there.
                    let left_out = directory.starts_with("/run") && matches!(error, ReadError::NotCovered { .. });
                    if !error.is_absent() && is_local(directory) && !left_out {
                        search.complete = false;
                    }
                    continue;
                }
            };
            // A distribution with a merged /usr lists the same directory twice.
            if directory == "/lib/systemd/system"
                && search
                    .directories
                    .iter()
                    .any(|(known, listed)| *known == "/usr/lib/systemd/system" && *listed == *entries)
            {
                continue;
            }
            for entry in entries.iter() {
                let path = format!("{directory}/{}", entry.name);
                if entry.kind == FileKind::Link
                    && entry.name.ends_with(".service")
                    && (matters(&entry.name) || directory == "/etc/systemd/system")
                    && let Ok(target) = files.read_link(&path)
                {
                    search.links.insert(path, target);
                } else if is_local(directory) && (entry.name.ends_with(".wants") || entry.name.ends_with(".requires")) {
                    search.take_wants(files, problems, &path);
                }
            }
            search.directories.push((directory, entries.to_vec()));
        }
        // Every host enables something: where nothing is, the links were not copied.
        let is_wants = |entry: &Entry| entry.name.ends_with(".wants") || entry.name.ends_with(".requires");
        if !search.directories.iter().any(|(directory, entries)| is_local(directory) && entries.iter().any(is_wants)) {
            search.complete = false;
        }
        search
    }

    fn take_wants(&mut self, files: &Files, problems: &Problems, path: &str) {
        let entries = match files.list(path) {
            Ok(entries) => entries,
            Err(ReadError::NotFound { .. }) => return,
            Err(error) => {
                add_refusal(problems, &error);
                self.complete = false;
                return;
            }
        };
        for entry in entries.iter().filter(|entry| entry.name.ends_with(".service")) {
            self.wanted.insert(entry.name.clone());
            if let Ok(target) = files.read_link(&format!("{path}/{}", entry.name))
                && let Some((_, name)) = target.rsplit_once('/')
            {
                self.wanted.insert(name.to_owned());
            }
        }
    }

    /// The services to look at: those of a known name, and those that someone put into /etc/systemd/system.
    pub fn names(&self) -> Names {
        let mut names = Names::new();
        let mut others = 0;
        for (directory, entries) in &self.directories {
            for entry in entries.iter().filter(|entry| entry.name.ends_with(".service")) {
                if entry.kind == FileKind::Directory {
                    continue;
                }
                if !matters(&entry.name) {
                    if *directory != "/etc/systemd/system" || others >= OTHERS_LIMIT {
                        continue;
                    }
                    // Links are other units' aliases, or masks of units that are of no interest.
                    if entry.kind == FileKind::Link && !self.is_linked_in(directory, &entry.name) {
                        continue;
                    }
                    others += 1;
                }
                if !self.is_alias(directory, &entry.name) && !is_template(&entry.name) {
                    names.insert(entry.name.clone());
                }
            }
        }
        let instances = self.wanted.iter().filter(|name| matters(name) && template_of(name).is_some());
        names.extend(instances.cloned());
        names
    }

    /// `systemctl link`: the unit itself lies outside of the load path.
    fn is_linked_in(&self, directory: &str, name: &str) -> bool {
        self.links
            .get(&format!("{directory}/{name}"))
            .is_some_and(|target| target != "/dev/null" && !DIRECTORIES.iter().any(|known| target.starts_with(known)))
    }

    /// A second name of a unit that is in the load path under its own.
    fn is_alias(&self, directory: &str, name: &str) -> bool {
        let Some(target) = self.links.get(&format!("{directory}/{name}")) else { return false };
        let target_name = target.rsplit('/').next().unwrap_or(target);
        target_name != name && target_name.ends_with(".service") && self.fragment(target_name).is_some()
    }

    pub fn fragment(&self, name: &str) -> Option<Fragment> {
        let own = self.find(name);
        own.or_else(|| self.find(&template_of(name)?))
    }

    fn find(&self, name: &str) -> Option<Fragment> {
        let directory = self.directories.iter().find_map(|(directory, entries)| {
            entries.iter().any(|entry| entry.name == name && entry.kind != FileKind::Directory).then_some(directory)
        })?;
        let path = format!("{directory}/{name}");
        let masked = self.links.get(&path).is_some_and(|target| target == "/dev/null");
        Some(Fragment { path, masked })
    }

    pub fn enabled(&self, name: &str) -> Option<bool> {
        let wanted = self.wanted.contains(name);
        (wanted || self.complete).then_some(wanted)
    }

    /// The drop-ins of a unit in the order in which they count: by file name; of several with one name the strongest
    /// directory's, and the one of the more specific name.
    pub fn drop_ins(&self, files: &Files, problems: &Problems, name: &str) -> Vec<String> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for folder in drop_in_folders(name) {
            for (directory, entries) in &self.directories {
                if !entries.iter().any(|entry| entry.name == folder) {
                    continue;
                }
                let path = format!("{directory}/{folder}");
                match files.list(&path) {
                    Ok(entries) => {
                        for entry in entries.iter().filter(|entry| entry.name.ends_with(".conf")) {
                            found.entry(entry.name.clone()).or_insert_with(|| format!("{path}/{}", entry.name));
                        }
                    }
                    Err(error) => add_refusal(problems, &error),
                }
            }
        }
        found.into_values().filter(|path| !files.read_link(path).is_ok_and(|target| target == "/dev/null")).collect()
    }
}

fn is_local(directory: &str) -> bool {
    directory.starts_with("/etc/") || directory.starts_with("/run/")
}

fn is_template(name: &str) -> bool {
    name.trim_end_matches(".service").ends_with('@')
}

/// `etcd@.service` of `etcd@m1.service`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, instance) = name.trim_end_matches(".service").split_once('@')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.service"))
}

/// `kube-proxy.service.d`, then those of its template, of its dashed prefixes (`kube-.service.d`), of all services.
fn drop_in_folders(name: &str) -> Vec<String> {
    let mut folders = vec![format!("{name}.d")];
    let template = template_of(name);
    if let Some(template) = &template {
        folders.push(format!("{template}.d"));
    }
    let stem = name.trim_end_matches(".service");
    let (prefix, rest) = match stem.split_once('@') {
        Some((prefix, _)) => (prefix, "@"),
        None => (stem, ""),
    };
    for (at, _) in prefix.rmatch_indices('-') {
        folders.push(format!("{}-{rest}.service.d", &prefix[..at]));
    }
    folders.push("service.d".to_owned());
    folders
}
