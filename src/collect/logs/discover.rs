//! Where logs stand on a host.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Discovered, audit, why};
use crate::collect::Files;
use crate::source::{FileKind, ReadError, SourceKind};

const LOG: &str = "/var/log";
/// More logs of one host are not read.
const FILE_LIMIT: usize = 20_000;
/// Beginnings of the names of files in /var/log that are read, with what rotation adds to them.
const NAMES: &[&str] = &[
    "messages",
    "syslog",
    "kern.log",
    "daemon.log",
    "dmesg",
    "kube",
    "etcd",
    "docker",
    "containerd",
    "crio",
    "cri-dockerd",
    "haproxy",
    "keepalived",
    "flannel",
    "journal",
    "k3s",
    "rke2",
    "apiserver",
    "controller-manager",
    "scheduler",
];
/// Directories of logs, and how deep they go.
const DIRECTORIES: &[(&str, usize)] = &[
    ("/var/log/pods", 2),
    ("/var/log/kubernetes", 3),
    ("/var/log/kube-apiserver", 1),
    ("/var/log/kubelet", 1),
    ("/var/log/etcd", 1),
    ("/var/log/containerd", 1),
    ("/var/log/crio", 0),
    ("/var/log/haproxy", 0),
    ("/var/log/keepalived", 0),
];
/// Below it start scripts write `./log/etcd.log`.
const HOME: &str = "/home/work";
const HOME_DEPTH: usize = 3;
/// Directories that are listed there.
const HOME_LIMIT: usize = 200;
/// An apiserver's audit log tells what users did, not what is wrong; what auditd writes is another matter ([`audit`]).
const IGNORED: &[&str] = &["audit", "access"];

/// Finds the logs; those that were last written before `from` are left out.
pub fn discover(files: &Files, from: Option<Timestamp>) -> Discovered {
    let mut found = Discovery { files, paths: BTreeSet::new(), journals: BTreeSet::new(), left_out: Vec::new() };
    if files.kind() == SourceKind::File {
        found.directory(LOG, 0, &|_| true);
    } else {
        found.directory(LOG, 0, &is_system_log);
        for (directory, depth) in DIRECTORIES {
            found.directory(directory, *depth, &is_log);
        }
        found.directory(audit::DIRECTORY, 0, &audit::is_log);
        found.directory("/var/log/nginx", 0, &|name| name.starts_with("error.log"));
        found.containers();
        found.start_scripts();
    }
    found.binary_journals();
    found.finish(from)
}

struct Discovery<'f> {
    files: &'f Files,
    paths: BTreeSet<String>,
    journals: BTreeSet<String>,
    left_out: Vec<(String, String)>,
}

impl Discovery<'_> {
    fn directory(&mut self, path: &str, depth: usize, wanted: &dyn Fn(&str) -> bool) {
        let entries = match self.files.list(path) {
            Ok(entries) => entries,
            Err(error) => {
                // Few hosts have all of them; that there is no /var/log at all is worth saying.
                if path == LOG || !matches!(error, ReadError::NotFound { .. } | ReadError::NotCovered { .. }) {
                    self.left_out.push((path.to_owned(), why(path, &error)));
                }
                return;
            }
        };
        for entry in entries.iter() {
            if self.paths.len() >= FILE_LIMIT {
                return;
            }
            let full = format!("{path}/{}", entry.name);
            // Where it stands is what counts for a link: container engines keep their logs elsewhere.
            let kind = match entry.kind {
                FileKind::Link => self.files.metadata(&full).map_or(FileKind::File, |found| found.kind),
                kind => kind,
            };
            match kind {
                FileKind::Directory if depth > 0 && entry.kind == FileKind::Directory => {
                    self.directory(&full, depth - 1, wanted);
                }
                FileKind::File if wanted(&entry.name) => {
                    self.paths.insert(full);
                }
                _ => {}
            }
        }
    }

    /// /var/log/containers has links to what /var/log/pods has; only others are read.
    fn containers(&mut self) {
        let path = "/var/log/containers";
        let Ok(entries) = self.files.list(path) else { return };
        let has_pods = self.paths.iter().any(|path| path.starts_with("/var/log/pods/"));
        for entry in entries.iter() {
            let full = format!("{path}/{}", entry.name);
            let is_copy = has_pods
                && self
                    .files
                    .read_link(&full)
                    .is_ok_and(|target| target.contains("/pods/") || target.starts_with("../pods"));
            if is_log(&entry.name) && !is_copy {
                self.paths.insert(full);
            }
        }
    }

    fn start_scripts(&mut self) {
        let mut pending = vec![(HOME.to_owned(), 0)];
        let mut listed = 0;
        while let Some((directory, depth)) = pending.pop() {
            listed += 1;
            if listed > HOME_LIMIT {
                break;
            }
            let Ok(entries) = self.files.list(&directory) else { continue };
            for entry in entries.iter().filter(|entry| entry.kind == FileKind::Directory) {
                let path = format!("{directory}/{}", entry.name);
                if matches!(entry.name.as_str(), "log" | "logs") {
                    self.directory(&path, 0, &is_system_log);
                } else if depth < HOME_DEPTH && !entry.name.starts_with('.') {
                    pending.push((path, depth + 1));
                }
            }
        }
    }

    /// systemd's own: one folder for each machine whose messages were kept there.
    fn binary_journals(&mut self) {
        for path in ["/var/log/journal", "/run/log/journal"] {
            let Ok(machines) = self.files.list(path) else { continue };
            for machine in machines.iter().filter(|entry| entry.kind == FileKind::Directory) {
                let folder = format!("{path}/{}", machine.name);
                match self.files.list(&folder) {
                    Ok(entries) => self.journals.extend(
                        entries
                            .iter()
                            // What users' own programs say is none of a node's matters.
                            .filter(|entry| entry.kind == FileKind::File && !entry.name.starts_with("user-"))
                            .filter(|entry| entry.name.ends_with(".journal") || entry.name.ends_with(".journal~"))
                            .take(FILE_LIMIT)
                            .map(|entry| format!("{folder}/{}", entry.name)),
                    ),
                    Err(error) => self.left_out.push((folder.clone(), why(&folder, &error))),
                }
            }
        }
    }

    fn finish(self, from: Option<Timestamp>) -> Discovered {
        let Discovery { files, paths, journals, mut left_out } = self;
        if paths.len() >= FILE_LIMIT {
            left_out.push((LOG.to_owned(), format!("more than {FILE_LIMIT} logs; the others are not read")));
        }
        let mut old = 0usize;
        let mut newest_first = |paths: BTreeSet<String>| {
            let mut kept: Vec<(String, i64)> = Vec::new();
            for path in paths {
                match files.metadata(&path) {
                    Ok(found) if found.size == 0 && files.kind() != SourceKind::File => {}
                    Ok(found) => {
                        // Not every source knows when a file was written.
                        let is_old = from.is_some_and(|from| found.modified > 0 && found.modified < from.as_second());
                        if is_old {
                            old += 1;
                        } else {
                            kept.push((path, found.modified));
                        }
                    }
                    Err(error) => left_out.push((path.clone(), why(&path, &error))),
                }
            }
            // Stable: paths are sorted, and those of one log are in the order of time.
            kept.sort_by_key(|(_, modified)| std::cmp::Reverse(*modified));
            kept.into_iter().map(|(path, _)| path).collect::<Vec<String>>()
        };
        let (paths, journals) = (newest_first(paths), newest_first(journals));
        if let (Some(from), true) = (from, old > 0) {
            left_out.push((LOG.to_owned(), format!("{old} logs that were last written before {from:.0}")));
        }
        Discovered { paths, journals, left_out }
    }
}

fn is_system_log(name: &str) -> bool {
    NAMES.iter().any(|known| name.starts_with(known)) && is_log(name)
}

fn is_log(name: &str) -> bool {
    !IGNORED.iter().any(|word| name.contains(word))
        && ![".journal", ".pos", ".offset", ".tar", ".tgz", ".zip", ".bz2", ".yaml", ".yml"]
            .iter()
            .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    fn files(source: MemorySource) -> Files {
        Files::new(Arc::new(source))
    }

    #[test]
    fn finds_the_logs_that_matter() {
        let tree = [
            "/var/log/messages",
            "/var/log/messages-20261114.gz",
            "/var/log/syslog.1",
            "/var/log/kubelet.log",
            "/var/log/journal.txt",
            "/var/log/pods/kube-system_etcd-m1_1/etcd/0.log",
            "/var/log/pods/kube-system_etcd-m1_1/etcd/0.log.20261121-104256.gz",
            "/var/log/kubernetes/kube-apiserver/kube-apiserver.INFO",
            "/var/log/nginx/error.log",
            "/var/log/audit/audit.log",
            "/var/log/audit/audit.log.1",
            "/var/log/containers/web_default_web-0123.log",
            "/home/work/etcd/log/etcd.log",
            "/home/work/kubernetes/master/log/kube-apiserver.log.1",
        ];
        let not = [
            "/var/log/auth.log",
            "/var/log/kube-apiserver-audit.log",
            "/var/log/kubernetes/audit/audit.log",
            "/var/log/nginx/access.log",
            "/var/log/audit/audit.log.2.gz",
            "/home/work/web/log/access.log",
            "/home/work/etcd/etcd.log",
        ];
        let mut source = MemorySource::new("m1");
        for path in tree.iter().chain(&not) {
            source = source.file(*path, "x\n");
        }
        source =
            source.file("/var/log/kubeempty.log", "").file("/var/log/journal/0123/system.journal", "LPKSHHRH").link(
                "/var/log/containers/etcd-m1_kube-system_etcd-0.log",
                "/var/log/pods/kube-system_etcd-m1_1/etcd/0.log",
            );
        let found = discover(&files(source), None);
        let mut expected: Vec<String> = tree.iter().map(|path| (*path).to_owned()).collect();
        expected.sort();
        let mut paths = found.paths;
        paths.sort();
        assert_eq!(paths, expected);
        assert_eq!(found.journals, ["/var/log/journal/0123/system.journal"]);
        assert_eq!(found.left_out, []);
    }

    #[test]
    fn says_what_it_may_not_read() {
        let source =
            MemorySource::new("m1").file("/var/log/messages", "x").denied("/var/log/pods").denied("/var/log/syslog");
        let found = discover(&files(source), None);
        assert_eq!(found.paths, ["/var/log/messages"]);
        assert_eq!(found.left_out, [("/var/log/pods".to_owned(), "permission denied: run as root".to_owned())]);
        let found = discover(&files(MemorySource::new("m1")), None);
        assert_eq!(found.left_out.len(), 1);
    }
}
