//! Clusters of testdata/hosts/ and what is laid over them. Every tree that is judged is a copy in a directory of its own:
//! a repository keeps no file modes, and private keys must not be readable by others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_saphyr::from_str;
use tempfile::TempDir;

use crate::fixtures::{folders, name, testdata};

/// cluster.yaml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// What it is, in one sentence.
    #[expect(dead_code, reason = "for readers")]
    pub what: String,
    /// RFC 3339: what dates are judged against.
    pub at: String,
    /// Directories that hosts have and git cannot keep because nothing is in them.
    #[serde(default)]
    pub directories: Vec<At>,
    /// Findings of the corrected cluster that are right, none above info.
    #[serde(default)]
    pub allowed: Vec<Expected>,
}

/// expect.yaml of a case: what is changed beside the files that lie next to it, and what is found then.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is wrong, in one sentence.
    #[expect(dead_code, reason = "for readers")]
    pub why: String,
    #[serde(default)]
    pub edit: Vec<Edit>,
    #[serde(default)]
    pub append: Vec<Append>,
    #[serde(default)]
    pub remove: Vec<At>,
    #[serde(default)]
    pub mode: Vec<Mode>,
    /// Processes that do not run.
    #[serde(default)]
    pub stop: Vec<Stop>,
    /// Exactly these are root causes.
    #[serde(default)]
    pub roots: Vec<Expected>,
    /// Exactly these are consequences.
    #[serde(default)]
    pub consequences: Vec<Expected>,
    /// No host alone shows it: only hosts that are judged together do.
    #[serde(default)]
    pub together: bool,
}

/// A file or directory of a host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    pub host: String,
    pub path: String,
}

/// Every `from` in a file becomes `to`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    pub host: String,
    pub path: String,
    pub from: String,
    pub to: String,
}

/// `text` goes at a file's end, with what a log says of the fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append {
    pub host: String,
    pub path: String,
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    pub host: String,
    pub path: String,
    /// Octal, as for chmod.
    pub mode: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    pub host: String,
    pub pid: u32,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub rule: String,
    /// The hosts that the finding names, in any order, with a space between them.
    pub host: String,
    /// The rule that explains it; only of consequences, and only where it is worth saying.
    #[serde(default)]
    pub of: Option<String>,
    /// No rule finds it yet.
    #[serde(default)]
    pub pending: bool,
}

pub struct Cluster {
    pub name: String,
    pub root: PathBuf,
    pub file: ClusterFile,
    /// The corrected hosts, copied when first asked for.
    corrected: OnceLock<Arc<TempDir>>,
}

#[track_caller]
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn done<T>(path: &Path, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The clusters of testdata/hosts/, all or the one of `HOSTS=<cluster>[/<fault>]`.
pub fn clusters() -> Vec<Cluster> {
    let of = |root: PathBuf| {
        let file = root.join("cluster.yaml");
        let parsed = from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Cluster { name: name(&root), root, file: parsed, corrected: OnceLock::new() }
    };
    let only = std::env::var("HOSTS").ok();
    let only = only.as_deref().map(|only| only.split('/').next().unwrap_or_default());
    let clusters = folders(&testdata("hosts")).into_iter().map(of);
    clusters.filter(|cluster| only.is_none_or(|only| cluster.name == only)).collect()
}

impl Cluster {
    /// Its cases: the one of a folder that holds expect.yaml, or those of a folder of such folders.
    pub fn cases(&self, folder: &str) -> Vec<(String, PathBuf, Case)> {
        let root = self.root.join(folder);
        let case = |root: PathBuf| {
            let file = root.join("expect.yaml");
            let parsed: Case = from_str(&read(&file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            (format!("{}/{}", self.name, name(&root)), root, parsed)
        };
        let only = std::env::var("HOSTS").ok();
        let only = only.as_deref().and_then(|only| only.split_once('/')).map(|(_, case)| case.to_owned());
        let roots = if root.join("expect.yaml").exists() {
            vec![root]
        } else if root.is_dir() {
            folders(&root)
        } else {
            Vec::new()
        };
        roots.into_iter().filter(|root| only.as_ref().is_none_or(|only| name(root) == *only)).map(case).collect()
    }

    fn corrected(&self) -> &Arc<TempDir> {
        self.corrected.get_or_init(|| {
            let hosts = Hosts { corrected: Arc::new(temporary()), changed: None, absent: BTreeSet::new() };
            for host in folders(&self.root.join("corrected")) {
                copy(&host, &hosts.tree(&name(&host)));
            }
            for At { host, path } in &self.file.directories {
                let path = hosts.path(host, path);
                done(&path, fs::create_dir_all(&path));
            }
            hosts.corrected
        })
    }

    /// The corrected hosts, those that a case changes as copies of their own.
    pub fn hosts(&self, case: Option<(&Path, &Case)>) -> Hosts {
        let mut hosts = Hosts { corrected: Arc::clone(self.corrected()), changed: None, absent: BTreeSet::new() };
        if let Some((root, case)) = case {
            let changed = temporary();
            for host in case.changed(root) {
                copy(&hosts.corrected.path().join(&host), &changed.path().join(&host));
            }
            hosts.changed = Some(changed);
            hosts.absent = case.remove.iter().filter(|at| at.path == "/").map(|at| at.host.clone()).collect();
            hosts.lay_over(root, case);
        }
        hosts
    }
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"))
}

impl Case {
    /// The hosts that it changes.
    fn changed(&self, root: &Path) -> BTreeSet<String> {
        let edited = self.edit.iter().map(|it| &it.host).chain(self.append.iter().map(|it| &it.host));
        let named = edited.chain(self.remove.iter().map(|it| &it.host)).chain(self.mode.iter().map(|it| &it.host));
        let named = named.chain(self.stop.iter().map(|it| &it.host)).cloned();
        named.chain(folders(root).iter().map(|folder| name(folder))).collect()
    }
}

/// Trees in temporary directories, one a host.
pub struct Hosts {
    corrected: Arc<TempDir>,
    /// Those that differ from the corrected ones.
    changed: Option<TempDir>,
    /// Those that the case has not.
    absent: BTreeSet<String>,
}

impl Hosts {
    fn tree(&self, host: &str) -> PathBuf {
        let changed = self.changed.as_ref().map(|changed| changed.path().join(host));
        changed.filter(|tree| tree.is_dir()).unwrap_or_else(|| self.corrected.path().join(host))
    }

    fn path(&self, host: &str, path: &str) -> PathBuf {
        self.tree(host).join(path.trim_start_matches('/'))
    }

    /// All trees, by the hosts' names.
    pub fn trees(&self) -> Vec<PathBuf> {
        let all = folders(self.corrected.path());
        all.iter()
            .map(|tree| name(tree))
            .filter(|host| !self.absent.contains(host))
            .map(|host| self.tree(&host))
            .collect()
    }

    #[track_caller]
    fn lay_over(&self, root: &Path, case: &Case) {
        for host in folders(root) {
            copy(&host, &self.tree(&name(&host)));
        }
        for At { host, path } in &case.remove {
            let path = self.path(host, path);
            let is_directory = path.is_dir() && !path.is_symlink();
            done(&path, if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) });
        }
        for Edit { host, path, from, to } in &case.edit {
            let path = self.path(host, path);
            let before = String::from_utf8(done(&path, fs::read(&path))).unwrap_or_default();
            let after = before.replace(from, to);
            assert_ne!(before, after, "{}: {} has no {from:?} to change", root.display(), path.display());
            done(&path, fs::write(&path, after));
        }
        for Append { host, path, text } in &case.append {
            let path = self.path(host, path);
            done(&path, fs::write(&path, format!("{}{text}", read(&path))));
        }
        for Stop { host, pid } in &case.stop {
            self.stop(host, *pid);
        }
        for Mode { host, path, mode } in &case.mode {
            let path = self.path(host, path);
            let bits = u32::from_str_radix(mode, 8).unwrap_or_else(|error| panic!("mode {mode}: {error}"));
            done(&path, fs::set_permissions(&path, fs::Permissions::from_mode(bits)));
        }
    }
}

impl Hosts {
    /// Takes a process out of /proc, and what it listens on out of the tables of sockets.
    #[track_caller]
    fn stop(&self, host: &str, pid: u32) {
        let process = self.path(host, &format!("/proc/{pid}"));
        let sockets: Vec<String> = match fs::read_dir(process.join("fd")) {
            Ok(entries) => entries
                .flatten()
                .filter_map(|entry| fs::read_link(entry.path()).ok())
                .filter_map(|to| Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
                .collect(),
            Err(_) => Vec::new(),
        };
        done(&process, fs::remove_dir_all(&process));
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let path = self.path(host, table);
            // The tenth word is the socket's inode.
            let is_own =
                |line: &&str| line.split_whitespace().nth(9).is_some_and(|inode| sockets.iter().any(|it| it == inode));
            let kept: Vec<String> =
                read(&path).lines().filter(|line| !is_own(line)).map(|line| format!("{line}\n")).collect();
            done(&path, fs::write(&path, kept.concat()));
        }
    }
}

/// Copies a tree over another: links stay links, files with a private key are closed to others.
fn copy(from: &Path, to: &Path) {
    done(to, fs::create_dir_all(to));
    for entry in done(from, fs::read_dir(from)) {
        let entry = done(from, entry);
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = done(&source, entry.file_type());
        if kind.is_dir() {
            copy(&source, &target);
            continue;
        }
        if target.is_symlink() || target.is_file() {
            done(&target, fs::remove_file(&target));
        }
        if kind.is_symlink() {
            done(&target, symlink(done(&source, fs::read_link(&source)), &target));
            continue;
        }
        let content = done(&source, fs::read(&source));
        done(&target, fs::write(&target, &content));
        let text = String::from_utf8_lossy(&content);
        let is_secret = ["PRIVATE KEY-----", "client-key-data:", "token:"].iter().any(|mark| text.contains(mark));
        let is_executable = done(&source, fs::metadata(&source)).permissions().mode() & 0o111 != 0;
        let mode = match (is_secret, is_executable) {
            (true, _) => 0o600,
            (false, true) => 0o755,
            (false, false) => 0o644,
        };
        done(&target, fs::set_permissions(&target, fs::Permissions::from_mode(mode)));
    }
}
