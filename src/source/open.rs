//! From what the user names to a source.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::folder;
use super::sniff::{self, FileIdentity};
use super::tree::{SOCKET_LIST, open_named};
use super::{FileKind, FsSource, SingleSource, Source, SourceError, SourceRef};

/// Directories that a host's root has; one of them is enough.
const ROOT_DIRECTORIES: [&str; 14] =
    ["etc", "proc", "var", "usr", "sys", "run", "lib", "opt", "srv", "root", "home", "boot", "bin", "dev"];

/// Those of which one is enough wherever it is.
const CERTAIN_DIRECTORIES: [&str; 5] = ["etc", "proc", "var", "usr", "sys"];

/// The source that an argument names: none is this host, `-` standard input, a directory a host's root, else one file.
pub fn open(argument: Option<&str>) -> Result<SourceRef, SourceError> {
    match argument {
        None => Ok(Arc::new(FsSource::live())),
        Some("-") => Ok(Arc::new(SingleSource::stream("-", Box::new(std::io::stdin()))?)),
        Some(argument) => open_path(Path::new(argument)),
    }
}

/// A disk that answers at all does so within this time, however little the rest may take.
const LEAST_PATIENCE: Duration = Duration::from_millis(300);

/// As [`open_all`], unless what it names is on a disk that does not answer within `patience`.
pub fn open_all_within(argument: &str, patience: Duration) -> Result<Vec<SourceRef>, SourceError> {
    if !answers(argument, patience) {
        let patience = patience.max(LEAST_PATIENCE).as_secs_f64();
        let message = format!("no answer within {patience:.1} s: its disk hangs");
        return Err(SourceError::Io { path: argument.to_owned(), message });
    }
    open_all(Some(argument))
}

/// Whether the disk of what an argument names answers within `patience`, or 300 ms if that is less. That there is nothing is an answer too.
pub fn answers(argument: &str, patience: Duration) -> bool {
    let (tell, told) = std::sync::mpsc::channel();
    let path = PathBuf::from(argument);
    let touch = move || {
        let _ = rustix::fs::stat(&path);
        let _ = tell.send(());
    };
    // Standard input is no disk, and without a thread nobody could be asked.
    let is_asked = argument != "-" && std::thread::Builder::new().name("ask".to_owned()).spawn(touch).is_ok();
    !is_asked || told.recv_timeout(patience.max(LEAST_PATIENCE)).is_ok()
}

/// The hosts that an argument names: a folder of configuration files may hold those of several, and so may an archive.
pub fn open_all(argument: Option<&str>) -> Result<Vec<SourceRef>, SourceError> {
    let Some(path) = argument.map(Path::new).filter(|path| *path != Path::new("-")) else {
        return Ok(vec![open(argument)?]);
    };
    if !path.is_dir() {
        return match archive_of(path)? {
            Some(file) => crate::bundle::reader::hosts(&path.display().to_string(), file),
            None => Ok(vec![open_path(path)?]),
        };
    }
    if let Some(hosts) = of_tool(path)? {
        return Ok(hosts);
    }
    if !is_host(path)? {
        let hosts = folder::hosts(path)?;
        if !hosts.is_empty() {
            return Ok(hosts);
        }
    }
    Ok(vec![open(argument)?])
}

/// Files and directories by which the folders of other tools are known.
const OF_TOOLS: [&str; 6] = [
    "kind-version.txt",
    "nodes.json",
    "host-collectors",
    "cluster-resources",
    "cluster-scoped-resources",
    "sos_commands",
];

/// The hosts of a folder that another tool wrote, or that its archive was unpacked to; none when it is no such folder.
fn of_tool(path: &Path) -> Result<Option<Vec<SourceRef>>, SourceError> {
    let source = FsSource::tree(path)?;
    let Ok(entries) = source.list("/") else { return Ok(None) };
    let is_of_tool = |entries: &[super::Entry]| entries.iter().any(|entry| OF_TOOLS.contains(&entry.name.as_str()));
    // must-gather has a directory for each image, and archives have one for all.
    let inner = || {
        entries
            .iter()
            .filter(|entry| entry.kind == FileKind::Directory)
            .take(64)
            .any(|entry| source.list(&format!("/{}", entry.name)).is_ok_and(|inner| is_of_tool(&inner)))
    };
    if !is_of_tool(&entries) && !inner() {
        return Ok(None);
    }
    let hosts = crate::bundle::reader::hosts_of_folder(&path.display().to_string(), Arc::new(source));
    Ok((!hosts.is_empty()).then_some(hosts))
}

/// Whether a directory is a host's root, or holds such: what programs' own folders are called (`bin`, `lib`) makes it one
/// only where there is nothing else that could be judged.
fn is_host(path: &Path) -> Result<bool, SourceError> {
    let source = FsSource::tree(path)?;
    let Ok(entries) = source.list("/") else { return Ok(true) };
    let is_directory = |entry: &super::Entry| matches!(entry.kind, FileKind::Directory | FileKind::Link);
    let has = |entries: &[super::Entry], names: &[&str]| {
        entries
            .iter()
            .any(|entry| entry.name == SOCKET_LIST || names.contains(&entry.name.as_str()) && is_directory(entry))
    };
    if has(&entries, &CERTAIN_DIRECTORIES) {
        return Ok(true);
    }
    let holds_hosts = entries
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory)
        .take(256)
        .any(|entry| source.list(&format!("/{}", entry.name)).is_ok_and(|inner| has(&inner, &CERTAIN_DIRECTORIES)));
    if holds_hosts {
        return Ok(true);
    }
    // A tree may hold but one of a host's directories; a repository has others beside it.
    let has_others = entries.iter().any(|entry| !ROOT_DIRECTORIES.contains(&entry.name.as_str()));
    Ok(has(&entries, &ROOT_DIRECTORIES) && !(has_others && folder::holds_files(&source)))
}

/// The file, when it is one that kubeadm is given with `--config`. Standard input is never taken for one: it can be read only once.
pub fn kubeadm_configuration(argument: &str) -> Option<SingleSource> {
    let path = Path::new(argument);
    if argument == "-" || path.is_dir() {
        return None;
    }
    SingleSource::file(path).ok().filter(|file| file.identity() == FileIdentity::KubeadmConfig)
}

/// The file, when it is an archive by its beginning.
pub fn archive_of(path: &Path) -> Result<Option<std::fs::File>, SourceError> {
    use std::io::{Read, Seek, SeekFrom};
    let shown = path.display().to_string();
    let (mut file, _) = open_named(path, &shown).map_err(SourceError::from_read)?;
    let mut head = Vec::new();
    let io = |error: std::io::Error| SourceError::Io { path: shown.clone(), message: error.to_string() };
    (&mut file).take(sniff::HEAD as u64).read_to_end(&mut head).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    Ok((sniff::identify(&shown, &head) == FileIdentity::Archive).then_some(file))
}

/// A directory or file of this machine.
pub fn open_path(path: &Path) -> Result<SourceRef, SourceError> {
    if path.is_dir() { Ok(Arc::new(open_tree(path)?)) } else { Ok(Arc::new(SingleSource::file(path)?)) }
}

fn open_tree(path: &Path) -> Result<FsSource, SourceError> {
    let source = FsSource::tree(path)?;
    let entries = source.list("/").map_err(|error| match SourceError::from_read(error) {
        SourceError::PermissionDenied { .. } => SourceError::PermissionDenied { path: path.display().to_string() },
        other => other,
    })?;
    let is_root = |entries: &[super::Entry]| {
        entries.iter().any(|entry| {
            entry.name == SOCKET_LIST
                || (ROOT_DIRECTORIES.contains(&entry.name.as_str())
                    && matches!(entry.kind, FileKind::Directory | FileKind::Link))
        })
    };
    if is_root(&entries) {
        return Ok(source);
    }
    let mut hosts = Vec::new();
    let mut files = Vec::new();
    for entry in entries.iter().take(256) {
        let inner = format!("/{}", entry.name);
        match entry.kind {
            FileKind::Directory if source.list(&inner).is_ok_and(|inner| is_root(&inner)) => {
                hosts.push(path.join(&entry.name).display().to_string());
            }
            FileKind::File if is_configuration(&source, &inner) => {
                files.push(path.join(&entry.name).display().to_string());
            }
            _ => {}
        }
    }
    let some = |mut paths: Vec<String>| {
        let more = if paths.len() > 8 { " ..." } else { "" };
        paths.truncate(8);
        format!("{}{more}", paths.join(" "))
    };
    let remedy = if !hosts.is_empty() {
        format!("it holds such directories; give them instead: {}", some(hosts))
    } else if !files.is_empty() {
        format!("give its files one by one: {}", some(files))
    } else {
        "give the directory that holds the host's etc/, proc/ and var/".to_owned()
    };
    let lacks = "no etc, proc, var or usr in it";
    Err(SourceError::NotATree { path: path.display().to_string(), lacks, remedy })
}

/// Whether a file is one that could be given alone, a log apart: any text is one.
fn is_configuration(source: &FsSource, path: &str) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let Ok(file) = source.open(path) else { return false };
    if file.take(sniff::HEAD as u64).read_to_end(&mut head).is_err() {
        return false;
    }
    let unfit = [FileIdentity::Log, FileIdentity::Archive, FileIdentity::Journal, FileIdentity::Unknown];
    !unfit.contains(&sniff::identify(path, &head))
}
