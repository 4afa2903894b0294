//! What stands at paths that configuration names, as far as rules ask for it: nothing is read, only looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::Files;
use crate::facts::kubernetes::Kubernetes;
use crate::facts::path::PathKind;
use crate::facts::runtime::Runtimes;
use crate::facts::unit::{CommandLine, Script, Unit};
use crate::origin::{Fact, Unknown};
use crate::source::{FileKind, ReadError};

/// The sockets that kubeadm looks for, and what else rules ask for on every host.
const USUAL: [&str; 9] = [
    "/run/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/crio/crio.sock",
    "/run/dockershim.sock",
    "/run/xtables.lock",
    "/etc/kubernetes/admin.conf",
    "/root/.kube/config",
    "/var/log",
    "/opt/cni/bin",
];
/// Where runtimes look for CNI plug-ins when nothing says so, by distribution.
pub const CNI_DIRECTORIES: [&str; 4] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni", "/usr/local/lib/cni"];
/// More than any host's configuration names.
const PATH_LIMIT: usize = 2_000;
/// Entries of a directory in a tree from which on what it lacks is absent, and not left out by whoever copied a few files.
const WHOLE_DIRECTORY: usize = 2;

/// What names paths.
pub struct Named<'a> {
    pub units: &'a [Unit],
    pub scripts: &'a [Script],
    pub kubernetes: &'a Kubernetes,
    pub runtimes: &'a Runtimes,
}

/// Looks at every path that is named.
pub fn collect(files: &Files, named: &Named<'_>) -> BTreeMap<String, Fact<Option<PathKind>>> {
    let mut wanted: BTreeSet<String> = USUAL.iter().map(|path| (*path).to_owned()).collect();
    for unit in named.units.iter().filter(|unit| !unit.masked) {
        wanted.extend(unit.exec_start.iter().filter_map(program).map(str::to_owned));
        wanted.extend(log_directories(unit).into_iter().map(|log| log.directory));
    }
    for script in named.scripts {
        let base = working_directory_of_script(named.units, script);
        for command in &script.commands {
            wanted.extend(output_directory(command, base).map(|(path, _)| path));
            wanted.extend(command.words.first().and_then(|program| absolute(base, &program.value)));
        }
    }
    for pod in named.kubernetes.static_pods.iter().flatten() {
        wanted.extend(pod.host_paths.iter().map(|path| path.path.value.clone()));
    }
    for plugin in named.runtimes.cni.iter().flatten().flat_map(|config| &config.plugins) {
        wanted.extend(cni_directories(named.runtimes).into_iter().map(|directory| format!("{directory}/{plugin}")));
    }
    if let Ok(Some(containerd)) = &named.runtimes.containerd {
        let authority = |key: &&String| key.ends_with(".tls.ca_file");
        wanted.extend(containerd.values.iter().filter(|(key, _)| authority(key)).map(|(_, path)| path.value.clone()));
    }
    let usable = |path: &String| path.starts_with('/') && !path.contains(['\0', '\n', '$']);
    wanted
        .into_iter()
        .filter(usable)
        .take(PATH_LIMIT)
        .map(|path| {
            let found = look(files, &path);
            (path, found)
        })
        .collect()
}

/// The program that a command starts, by its absolute path.
pub fn program(command: &CommandLine) -> Option<&str> {
    let first = command.words.first()?.value.trim_start_matches(['-', '@', ':', '+', '!']);
    first.starts_with('/').then_some(first)
}

/// A directory that a component's log needs, and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirectory<'a> {
    pub directory: String,
    pub value: &'a crate::origin::Sourced<String>,
}

/// The directories of the logs that a unit writes to: its shell's redirections and StandardOutput=append: and its kin.
pub fn log_directories(unit: &Unit) -> Vec<LogDirectory<'_>> {
    let base = setting(unit, "WorkingDirectory").unwrap_or("/");
    let redirected = unit.exec_start.iter().filter_map(|command| output_directory(command, base));
    let standard = ["Service.StandardOutput", "Service.StandardError"]
        .iter()
        .filter_map(|key| unit.settings.get(*key)?.last())
        .filter_map(|value| {
            let path = ["append:", "file:", "truncate:"].iter().find_map(|kind| value.value.strip_prefix(kind))?;
            Some((parent(path)?.to_owned(), value))
        });
    redirected.chain(standard).map(|(directory, value)| LogDirectory { directory, value }).collect()
}

/// The directory of the file that a command's output is redirected to, `base` being where the command runs.
pub fn output_directory<'a>(
    command: &'a CommandLine,
    base: &str,
) -> Option<(String, &'a crate::origin::Sourced<String>)> {
    let output = command.output.as_ref()?;
    let path = absolute(base, &output.value)?;
    Some((parent(&path)?.to_owned(), output))
}

/// Where a script's relative paths begin: the working directory of the unit that runs it, else the script's own, which is
/// where people start those from that call `./bin/etcd`.
pub fn working_directory_of_script<'a>(units: &'a [Unit], script: &'a Script) -> &'a str {
    let runs =
        |unit: &&Unit| unit.exec_start.iter().flat_map(|command| &command.words).any(|word| word.value == script.path);
    match units.iter().find(runs) {
        Some(unit) => setting(unit, "WorkingDirectory").unwrap_or("/"),
        None => parent(&script.path).unwrap_or("/"),
    }
}

/// Where the runtimes of a host look for CNI plug-ins: what containerd's or CRI-O's configuration says, else the usual.
pub fn cni_directories(runtimes: &Runtimes) -> Vec<String> {
    let containerd = runtimes.containerd.as_ref().ok().and_then(Option::as_ref).map(|config| &config.values);
    let crio = runtimes.crio.as_ref().ok().and_then(Option::as_ref);
    let mut named: Vec<String> = Vec::new();
    for (key, value) in containerd.into_iter().chain(crio).flatten() {
        let of_containerd = key.ends_with(".cni.bin_dir") || key.contains(".cni.bin_dirs.");
        let of_crio = key.contains("network.plugin_dir");
        if of_containerd || of_crio {
            named.push(value.value.trim_end_matches('/').to_owned());
        }
    }
    for usual in CNI_DIRECTORIES {
        if !named.iter().any(|known| known == usual) {
            named.push(usual.to_owned());
        }
    }
    named
}

fn setting<'a>(unit: &'a Unit, key: &str) -> Option<&'a str> {
    let value = unit.settings.get(&format!("Service.{key}"))?.last()?.value.trim_start_matches('-');
    value.starts_with('/').then_some(value)
}

/// A path as seen from `base`; nothing for one that holds what only a shell can fill in.
pub fn absolute(base: &str, path: &str) -> Option<String> {
    if path.is_empty() || path.contains(['$', '`', '*']) {
        return None;
    }
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

fn parent(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    (!name.is_empty() && path.starts_with('/')).then_some(if directory.is_empty() { "/" } else { directory })
}

fn look(files: &Files, path: &str) -> Fact<Option<PathKind>> {
    match files.metadata(path) {
        Ok(found) => Ok(Some(match found.kind {
            FileKind::File => PathKind::File,
            FileKind::Directory => PathKind::Directory,
            FileKind::Socket => PathKind::Socket,
            FileKind::Link | FileKind::Fifo | FileKind::Device => PathKind::Other,
        })),
        Err(error) if error.is_absent() && believable(files, path) => Ok(None),
        Err(ReadError::NotFound { .. }) => {
            Err(Unknown::new(path, "not part of this source").with_remedy("give a source that holds it"))
        }
        Err(error) => Err(error.unknown()),
    }
}

/// Whether a path that is not there is absent on the host too.
fn believable(files: &Files, path: &str) -> bool {
    files.is_of_live_host()
        || path.ends_with(".sock") && path.starts_with("/run/")
        || parent(path).is_some_and(|parent| files.list(parent).is_ok_and(|entries| entries.len() >= WHOLE_DIRECTORY))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    #[test]
    fn absent_is_believed_where_a_directory_is_whole() {
        let tree = || {
            MemorySource::new("m1")
                .file("/srv/etcd/start.sh", "")
                .file("/srv/etcd/bin/etcd", "")
                .file("/opt/one/start.sh", "")
        };
        for (why, source, path, expected) in [
            ("a file", tree(), "/srv/etcd/start.sh", Ok(Some(PathKind::File))),
            ("a directory", tree(), "/srv/etcd/bin", Ok(Some(PathKind::Directory))),
            ("beside others", tree(), "/srv/etcd/log", Ok(None)),
            ("one file was picked", tree(), "/opt/one/log", Err(())),
            ("on the live host", tree().live(), "/opt/one/log", Ok(None)),
            ("refused", tree().denied("/srv/etcd/log"), "/srv/etcd/log", Err(())),
        ] {
            let found = look(&Files::new(Arc::new(source)), path).map_err(|_| ());
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn relative_outputs() {
        for (base, path, expected) in [
            ("/srv/etcd", "./log/etcd.log", Some("/srv/etcd/log")),
            ("/srv/etcd/", "etcd.log", Some("/srv/etcd")),
            ("/", "log/etcd.log", Some("/log")),
            ("/srv", "/var/log/etcd/etcd.log", Some("/var/log/etcd")),
            ("/srv/bin", "../log/etcd.log", Some("/srv/log")),
            ("/srv", "../../../log/etcd.log", Some("/log")),
            ("/srv", "$LOG/etcd.log", None),
            ("/srv", "", None),
        ] {
            let found = absolute(base, path);
            assert_eq!(found.as_deref().and_then(parent), expected, "{base} {path}");
        }
    }
}
