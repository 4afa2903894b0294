//! A host's file system: this machine's own, or an extracted copy of one in a directory.
//!
//! In a tree every path is resolved here, component by component from the tree's root and with directory handles: links
//! that are absolute start again at the root, `..` stops there, and nobody who exchanges a directory for a link meanwhile
//! gets us out of it. A tree is seldom complete. What it lacks in a directory that it has is absent; what it lacks
//! altogether is not covered.

mod live;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::handle::{self, CONTENT, LOOK};
use super::silent_mounts::SilentMounts;
use super::{Entry, FileKind, Metadata, ReadError, ReadSeek, Source, SourceError, SourceKind};

/// As many as Linux itself follows in one path.
const LINK_LIMIT: usize = 40;
/// Deeper than any path of a host; each level holds a file descriptor while a path is resolved.
const DEPTH_LIMIT: usize = 128;
/// A file at a tree's root that names the host's unix sockets, one path a line: archives cannot hold sockets.
pub(super) const SOCKET_LIST: &str = "run-sockets.txt";
const SOCKET_LIMIT: usize = 20_000;

/// The live host, or a tree.
pub struct FsSource {
    label: String,
    /// None for the live host.
    tree: Option<Tree>,
    /// Of the live host.
    silent: SilentMounts,
}

impl FsSource {
    /// This machine, from `/`.
    pub fn live() -> FsSource {
        let mounts = "/proc/self/mounts";
        let mounts =
            live::open(mounts).and_then(|(file, size)| handle::content(mounts, file, size)).unwrap_or_default();
        let silent = SilentMounts::ask(&String::from_utf8_lossy(&mounts));
        FsSource { label: "this host".to_owned(), tree: None, silent }
    }

    /// A directory that is a host's root. It is held open: renaming it later does not matter.
    pub fn tree(root: &Path) -> Result<FsSource, SourceError> {
        let label = root.display().to_string();
        let directory = rustix::fs::openat(CWD, root, LOOK | OFlags::DIRECTORY, Mode::empty())
            .map_err(|errno| SourceError::refused(&label, errno))?;
        let mut tree = Tree { root: directory, sockets: None, no_openat2: AtomicBool::new(false) };
        tree.sockets = tree.socket_list();
        Ok(FsSource { label, tree: Some(tree), silent: SilentMounts::default() })
    }

    /// The path of the live host, when it does not lead to a file system that hangs.
    fn answering<'a>(&self, path: &'a str) -> Result<&'a str, ReadError> {
        if self.silent.is_empty() {
            return Ok(path);
        }
        // Links are looked at one by one: to follow one all the way is to touch what it leads to.
        let mut seen = path.to_owned();
        for _ in 0..LINK_LIMIT {
            if let Some(mount) = self.silent.over(&seen) {
                let message = format!("the file system at {mount} does not answer");
                return Err(ReadError::Io { path: path.to_owned(), message });
            }
            match live::first_link(&seen, &self.silent) {
                Some(next) => seen = next,
                None => return Ok(path),
            }
        }
        Err(ReadError::LinkLoop { path: path.to_owned() })
    }

    /// As on a kernel that lacks openat2.
    #[cfg(test)]
    pub(super) fn without_openat2(self) -> FsSource {
        if let Some(tree) = &self.tree {
            tree.no_openat2.store(true, Ordering::Relaxed);
        }
        self
    }
}

impl Source for FsSource {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> SourceKind {
        if self.tree.is_some() { SourceKind::Tree } else { SourceKind::Live }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let (file, size) = match &self.tree {
            Some(tree) => tree.open(path)?,
            None => live::open(self.answering(path)?)?,
        };
        handle::content(path, file, size)
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, ReadError> {
        let (file, _) = match &self.tree {
            Some(tree) => tree.open(path)?,
            None => live::open(self.answering(path)?)?,
        };
        Ok(Box::new(file))
    }

    fn open_seek(&self, path: &str) -> Result<Box<dyn ReadSeek>, ReadError> {
        let (file, _) = match &self.tree {
            Some(tree) => tree.open(path)?,
            None => live::open(self.answering(path)?)?,
        };
        Ok(Box::new(file))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let mut entries = match &self.tree {
            Some(tree) => tree.list(path)?,
            None => live::list(self.answering(path)?)?,
        };
        entries.sort();
        Ok(entries)
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        match &self.tree {
            Some(tree) => tree.metadata(path),
            None => {
                let stat =
                    rustix::fs::stat(absolute(self.answering(path)?)?).map_err(|errno| live::refusal(path, errno))?;
                Ok(handle::metadata_of(&stat))
            }
        }
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let target = match &self.tree {
            Some(tree) => return tree.read_link(path),
            None => rustix::fs::readlink(absolute(self.answering(path)?)?, Vec::new()),
        };
        match target {
            Ok(target) => Ok(target.to_string_lossy().into_owned()),
            Err(Errno::INVAL) => {
                let kind = self.metadata(path)?.kind.name();
                Err(ReadError::WrongKind { path: path.to_owned(), kind, wanted: "symbolic link" })
            }
            Err(errno) => Err(live::refusal(path, errno)),
        }
    }
}

fn absolute(path: &str) -> Result<&str, ReadError> {
    if path.starts_with('/') && !path.contains('\0') {
        Ok(path)
    } else {
        Err(ReadError::Io { path: path.to_owned(), message: "not an absolute path".to_owned() })
    }
}

/// A name that was listed with U+FFFD cannot be found again; that is no proof that it is absent.
fn not_found(path: &str) -> ReadError {
    if path.contains('\u{fffd}') {
        ReadError::Io { path: path.to_owned(), message: "its name is not UTF-8, so it cannot be opened".to_owned() }
    } else {
        ReadError::NotFound { path: path.to_owned() }
    }
}

fn no_directory(path: &str, kind: FileKind) -> ReadError {
    ReadError::WrongKind { path: path.to_owned(), kind: kind.name(), wanted: "directory" }
}

/// An extracted host.
struct Tree {
    root: OwnedFd,
    /// The sockets of [`SOCKET_LIST`] by their path with links resolved; none when the tree has no such list.
    sockets: Option<BTreeSet<String>>,
    /// Set when the kernel (before 5.6) or a seccomp filter does not allow openat2.
    no_openat2: AtomicBool,
}

/// A directory on the way to a path.
struct Step {
    name: String,
    directory: OwnedFd,
}

/// What a path leads to.
enum Found {
    /// Something in the tree; `directories` lead to it, and end with itself when it is one.
    Real { directories: Vec<Step>, name: String, look: Option<OwnedFd>, stat: Stat },
    /// Something that the host has and the tree holds no file of: a listed socket, a directory on the way to one,
    /// `/dev/null`.
    Stated { path: String, kind: FileKind },
}

impl Tree {
    fn socket_list(&self) -> Option<BTreeSet<String>> {
        let (file, size) = self.open(&format!("/{SOCKET_LIST}")).ok()?;
        let content = handle::content(SOCKET_LIST, file, size).ok()?;
        let mut sockets = BTreeSet::new();
        for line in String::from_utf8_lossy(&content).lines().take(SOCKET_LIMIT) {
            let line = line.trim();
            if line.starts_with('/') && !line.contains("..") {
                // /var/run is /run on every host of the last decade; the list may say either.
                let names = line.split('/').filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/");
                sockets.insert(match names.strip_prefix("var/run/") {
                    Some(rest) => format!("/run/{rest}"),
                    None => format!("/{names}"),
                });
            }
        }
        Some(sockets)
    }

    /// Opens a path that has no link in it with one system call, where the kernel can. Anything else, also every
    /// refusal, is for [`Tree::walk`] to judge.
    fn direct(&self, path: &str, flags: OFlags) -> Option<OwnedFd> {
        if self.no_openat2.load(Ordering::Relaxed) {
            return None;
        }
        let relative = path.trim_matches('/');
        let relative = if relative.is_empty() { "." } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.root, relative, flags, Mode::empty(), resolve) {
            Ok(fd) => Some(fd),
            Err(Errno::NOSYS) => {
                self.no_openat2.store(true, Ordering::Relaxed);
                None
            }
            Err(_) => None,
        }
    }

    fn at<'a>(&'a self, directories: &'a [Step]) -> BorrowedFd<'a> {
        directories.last().map_or(self.root.as_fd(), |step| step.directory.as_fd())
    }

    /// Resolves a path. `follow` says whether a link at its very end is followed.
    fn walk(&self, path: &str, follow: bool) -> Result<Found, ReadError> {
        let names = |text: &str| {
            text.split('/').filter(|name| !name.is_empty() && *name != ".").map(str::to_owned).collect::<Vec<_>>()
        };
        let mut pending: VecDeque<String> = names(absolute(path)?).into();
        let mut directories: Vec<Step> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                directories.pop();
                continue;
            }
            let flags = LOOK | OFlags::NOFOLLOW;
            let look = match rustix::fs::openat(self.at(&directories), name.as_str(), flags, Mode::empty()) {
                Ok(look) => look,
                Err(Errno::NOENT) => return self.missing(path, &directories, name, &pending, links > 0),
                Err(errno) => return Err(handle::refusal(path, errno)),
            };
            let stat = handle::stat(path, &look)?;
            match handle::stat_kind(&stat) {
                FileKind::Directory if directories.len() == DEPTH_LIMIT => {
                    let message = format!("more than {DEPTH_LIMIT} directories deep");
                    return Err(ReadError::Io { path: path.to_owned(), message });
                }
                FileKind::Directory => directories.push(Step { name, directory: look }),
                FileKind::Link if follow || !pending.is_empty() => {
                    // Such a link leads out of this host's view, into a container's file system.
                    if is_process_directory(&directories) {
                        return Err(ReadError::NotCovered { path: path.to_owned() });
                    }
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(ReadError::LinkLoop { path: path.to_owned() });
                    }
                    let target = link_target(path, &look)?;
                    if target.starts_with('/') {
                        directories.clear();
                    }
                    for name in names(&target).into_iter().rev() {
                        pending.push_front(name);
                    }
                }
                _ if pending.is_empty() => return Ok(Found::Real { directories, name, look: Some(look), stat }),
                _ => return Err(not_found(path)),
            }
        }
        let stat = handle::stat(path, self.at(&directories))?;
        Ok(Found::Real { directories, name: ".".to_owned(), look: None, stat })
    }

    /// What is to be said of a path whose component `name` is not in `directories`; `linked` when a link led there.
    fn missing(
        &self,
        path: &str,
        directories: &[Step],
        name: String,
        pending: &VecDeque<String>,
        linked: bool,
    ) -> Result<Found, ReadError> {
        let parents = directories.iter().map(|step| step.name.as_str());
        let rest = pending.iter().map(String::as_str);
        let resolved: String = parents.chain([name.as_str()]).chain(rest).flat_map(|name| ["/", name]).collect();
        if let Some(kind) = self.stated(&resolved) {
            return Ok(Found::Stated { path: resolved, kind });
        }
        // The list is of all sockets, three levels below /run at the most.
        let listed = self.sockets.is_some()
            && resolved.starts_with("/run/")
            && resolved.ends_with(".sock")
            && resolved.matches('/').count() <= 4;
        // A link into a directory that the tree lacks: what was copied is the link, not what it leads to.
        let beyond = directories.is_empty() || (linked && !pending.is_empty());
        if beyond && !listed {
            return Err(ReadError::NotCovered { path: path.to_owned() });
        }
        Err(not_found(path))
    }

    fn stated(&self, resolved: &str) -> Option<FileKind> {
        // Masked units point at it, and no archive has it.
        if resolved == "/dev/null" {
            return Some(FileKind::Device);
        }
        let sockets = self.sockets.as_ref()?;
        if sockets.contains(resolved) {
            return Some(FileKind::Socket);
        }
        let below = format!("{resolved}/");
        let next = sockets.range(below.clone()..).next()?;
        next.starts_with(&below).then_some(FileKind::Directory)
    }

    fn open(&self, path: &str) -> Result<(File, u64), ReadError> {
        absolute(path)?;
        if let Some(look) = self.direct(path, LOOK) {
            handle::require_file(path, &handle::stat(path, &look)?)?;
            if let Some(fd) = self.direct(path, CONTENT) {
                return handle::regular(path, fd);
            }
        }
        match self.walk(path, true)? {
            Found::Real { directories, name, stat, .. } => {
                handle::require_file(path, &stat)?;
                let flags = CONTENT | OFlags::NOFOLLOW;
                let fd = rustix::fs::openat(self.at(&directories), name, flags, Mode::empty())
                    .map_err(|errno| handle::refusal(path, errno))?;
                handle::regular(path, fd)
            }
            Found::Stated { kind, .. } => {
                Err(ReadError::WrongKind { path: path.to_owned(), kind: kind.name(), wanted: "file" })
            }
        }
    }

    fn metadata(&self, path: &str) -> Result<Metadata, ReadError> {
        absolute(path)?;
        if let Some(look) = self.direct(path, LOOK) {
            return Ok(handle::metadata_of(&handle::stat(path, &look)?));
        }
        match self.walk(path, true)? {
            Found::Real { stat, .. } => Ok(handle::metadata_of(&stat)),
            Found::Stated { kind, .. } => Ok(Metadata { kind, size: 0, mode: 0o755, uid: 0, gid: 0, modified: 0 }),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let (resolved, mut entries) = match self.walk(path, true)? {
            Found::Real { directories, stat, .. } => {
                if handle::stat_kind(&stat) != FileKind::Directory {
                    return Err(no_directory(path, handle::stat_kind(&stat)));
                }
                let flags = CONTENT | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let directory = rustix::fs::openat(self.at(&directories), ".", flags, Mode::empty())
                    .map_err(|errno| handle::refusal(path, errno))?;
                let resolved: String = directories.iter().flat_map(|step| ["/", step.name.as_str()]).collect();
                (resolved, handle::entries(path, directory)?)
            }
            Found::Stated { path: resolved, kind: FileKind::Directory } => (resolved, Vec::new()),
            Found::Stated { kind, .. } => return Err(no_directory(path, kind)),
        };
        for (name, kind) in self.sockets_below(&resolved) {
            if !entries.iter().any(|entry| entry.name == name) {
                entries.push(Entry { name: name.to_owned(), kind });
            }
        }
        Ok(entries)
    }

    /// Sockets of the list in a directory, and directories there that hold some.
    fn sockets_below(&self, directory: &str) -> BTreeMap<&str, FileKind> {
        let mut below = BTreeMap::new();
        let Some(sockets) = &self.sockets else { return below };
        let prefix = format!("{directory}/");
        for socket in sockets.range(prefix.clone()..).map_while(|socket| socket.strip_prefix(&prefix)) {
            match socket.split_once('/') {
                Some((name, _)) => below.insert(name, FileKind::Directory),
                None => below.insert(socket, FileKind::Socket),
            };
        }
        below
    }

    fn read_link(&self, path: &str) -> Result<String, ReadError> {
        let kind = match self.walk(path, false)? {
            Found::Real { look: Some(look), stat, .. } if handle::stat_kind(&stat) == FileKind::Link => {
                return link_target(path, &look);
            }
            Found::Real { stat, .. } => handle::stat_kind(&stat),
            Found::Stated { kind, .. } => kind,
        };
        Err(ReadError::WrongKind { path: path.to_owned(), kind: kind.name(), wanted: "symbolic link" })
    }
}

/// The text of a link that was opened with O_PATH.
fn link_target(path: &str, look: &OwnedFd) -> Result<String, ReadError> {
    let target = rustix::fs::readlinkat(look, "", Vec::new()).map_err(|errno| handle::refusal(path, errno))?;
    // A target that is no UTF-8 leads nowhere that could be named; U+FFFD makes it end as such.
    Ok(String::from_utf8_lossy(&target.into_bytes()).into_owned())
}

/// Whether the directories are `/proc/PID` or below.
fn is_process_directory(directories: &[Step]) -> bool {
    match directories {
        [proc, pid, ..] => proc.name == "proc" && pid.name.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

/// A file of this machine that the user named, links followed; the same caution as for a host's.
pub(super) fn open_named(path: &Path, shown: &str) -> Result<(File, u64), ReadError> {
    let refused = |errno| handle::refusal(shown, errno);
    let stat = rustix::fs::stat(path).map_err(refused)?;
    handle::require_file(shown, &stat)?;
    handle::regular(shown, rustix::fs::open(path, CONTENT, Mode::empty()).map_err(refused)?)
}
