//! The files of sources, to be read and replaced. A tree's paths are resolved within it, no link leads out of it, and a file
//! that is itself a link is not changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::report::Report;
use crate::source::SourceKind;

/// Larger files are not changed.
const LIMIT: u64 = 4 << 20;

/// Where a host's files are on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    /// A host's own root, or a tree of one.
    Host(PathBuf),
    /// A file or folder that was named; paths are as the user can open them.
    Named(PathBuf),
    /// A bundle, or standard input.
    Nowhere,
}

pub struct Files {
    roots: BTreeMap<String, Root>,
}

/// A file's folder, opened, and its name in it.
struct Found {
    folder: OwnedFd,
    name: String,
}

impl Files {
    pub fn of(report: &Report) -> Files {
        let roots = report.hosts.iter().map(|host| {
            let root = match host.kind {
                SourceKind::Live => Root::Host(PathBuf::from("/")),
                SourceKind::Tree => Root::Host(PathBuf::from(&host.source)),
                SourceKind::File if host.source != "-" => Root::Named(PathBuf::from(&host.source)),
                SourceKind::File | SourceKind::Bundle => Root::Nowhere,
            };
            (host.name.clone(), root)
        });
        Files { roots: roots.collect() }
    }

    /// The path as the user can open it.
    pub fn shown(&self, host: &str, path: &str) -> String {
        match self.roots.get(host) {
            Some(Root::Host(root)) if root != Path::new("/") => {
                format!("{}{path}", root.display().to_string().trim_end_matches('/'))
            }
            _ => path.to_owned(),
        }
    }

    /// The file's text; `Ok(None)` when there is no such file.
    ///
    /// # Errors
    ///
    /// Why it cannot be read or is not to be changed.
    pub fn read(&self, host: &str, path: &str) -> Result<Option<String>, String> {
        let Some(found) = self.find(host, path, false)? else { return Ok(None) };
        Ok(open(&found)?.map(|(_, text)| text))
    }

    /// Replaces a file whose text is `before`, or makes one that there is not. Gives the path of the copy of what it was.
    ///
    /// # Errors
    ///
    /// Why nothing was changed.
    pub fn write(
        &self,
        host: &str,
        path: &str,
        before: Option<&str>,
        after: &str,
        stamp: &str,
    ) -> Result<Option<String>, String> {
        let found = self.find(host, path, before.is_none())?.ok_or("is gone")?;
        let known = open(&found)?;
        if known.as_ref().map(|(_, text)| text.as_str()) != before {
            return Err("was changed meanwhile".to_owned());
        }
        let beside = format!(".{}.k8sdoctor-{stamp}", found.name);
        let Some((file, text)) = known else {
            put(&found, &format!("{beside}.new"), &found.name, after, None)?;
            return Ok(None);
        };
        // The kubelet and other readers of whole folders leave names out that begin with a dot.
        let backup = create(&found.folder, &beside, Some(&file)).and_then(|mut copy| {
            copy.write_all(text.as_bytes()).and_then(|()| copy.sync_all()).map_err(|error| error.to_string())
        });
        backup.map_err(|why| format!("the copy {beside}: {why}"))?;
        put(&found, &format!("{beside}.new"), &found.name, after, Some(&file))?;
        let shown = self.shown(host, path);
        let folder = shown.rsplit_once('/').map_or("", |(folder, _)| folder);
        Ok(Some(if shown.contains('/') { format!("{folder}/{beside}") } else { beside }))
    }

    /// The file's folder; made when it is missing and `make` says so, else none.
    fn find(&self, host: &str, path: &str, make: bool) -> Result<Option<Found>, String> {
        let root = self.roots.get(host).ok_or("is of no host that was looked at")?;
        let (base, inner) = match root {
            Root::Nowhere => return Err("a bundle or a stream cannot be changed".to_owned()),
            Root::Host(root) => (root.clone(), path.strip_prefix('/').ok_or("is no absolute path")?.to_owned()),
            Root::Named(named) => within(named, path)?,
        };
        let parts: Vec<&str> = inner.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let Some((name, folders)) = parts.split_last() else { return Err("is no file".to_owned()) };
        if parts.contains(&"..") || inner.contains('\0') {
            return Err("is no plain path".to_owned());
        }
        let base = rustix::fs::openat(CWD, &base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(said)?;
        let Some(folder) = folder(base, folders, make)? else { return Ok(None) };
        Ok(Some(Found { folder, name: (*name).to_owned() }))
    }
}

/// The folder of what was named, and the path in it.
fn within(named: &Path, path: &str) -> Result<(PathBuf, String), String> {
    let refused = || "is not part of the source".to_owned();
    let path = Path::new(path);
    if named.is_dir() {
        let inner = path.strip_prefix(named).map_err(|_| refused())?;
        return Ok((named.to_owned(), inner.to_str().ok_or_else(refused)?.to_owned()));
    }
    if path != named {
        return Err(refused());
    }
    let name = named.file_name().and_then(|name| name.to_str()).ok_or_else(refused)?;
    let folder = named.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((folder.to_owned(), name.to_owned()))
}

fn folder(base: OwnedFd, parts: &[&str], make: bool) -> Result<Option<OwnedFd>, String> {
    let open = |inner: &str| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let inner = if inner.is_empty() { "." } else { inner };
        rustix::fs::openat2(&base, inner, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    };
    match open(&parts.join("/")) {
        Ok(found) => return Ok(Some(found)),
        Err(Errno::NOENT) if make => {}
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(said(errno)),
    }
    for depth in 1..=parts.len() {
        let inner = parts[..depth].join("/");
        if matches!(open(&inner), Err(Errno::NOENT)) {
            let above = open(&parts[..depth - 1].join("/")).map_err(said)?;
            rustix::fs::mkdirat(&above, parts[depth - 1], Mode::from_raw_mode(0o755)).map_err(said)?;
        }
    }
    open(&parts.join("/")).map(Some).map_err(said)
}

/// The file and its text; none when there is none.
fn open(found: &Found) -> Result<Option<(File, String)>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&found.folder, &found.name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err("is a link; change what it points at".to_owned()),
        Err(errno) => return Err(said(errno)),
    };
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mut text = String::new();
    let length = (&file).take(LIMIT + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if length as u64 > LIMIT {
        return Err("is larger than 4 MiB".to_owned());
    }
    Ok(Some((file, text)))
}

/// A new file beside, with owner, permissions and security label of another.
fn create(folder: &OwnedFd, name: &str, like: Option<&File>) -> Result<File, String> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = if like.is_some() { 0o600 } else { 0o644 };
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode)).map_err(said)?);
    if let Some(like) = like {
        let stat = rustix::fs::fstat(like).map_err(said)?;
        let new = rustix::fs::fstat(&file).map_err(said)?;
        if (stat.st_uid, stat.st_gid) != (new.st_uid, new.st_gid) {
            let (owner, group) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
            rustix::fs::fchown(&file, Some(owner), Some(group)).map_err(said)?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(said)?;
        let mut label = [0_u8; 256];
        if let Ok(length) = rustix::fs::fgetxattr(like, "security.selinux", &mut label[..]) {
            // Where it cannot be set, the folder's own rule has given one.
            let _ = rustix::fs::fsetxattr(&file, "security.selinux", &label[..length], rustix::fs::XattrFlags::empty());
        }
    }
    Ok(file)
}

/// Writes a file beside and puts it in the other's place.
fn put(found: &Found, beside: &str, name: &str, text: &str, like: Option<&File>) -> Result<(), String> {
    let mut file = create(&found.folder, beside, like)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| error.to_string());
    let done = written.and_then(|()| rustix::fs::renameat(&found.folder, beside, &found.folder, name).map_err(said));
    if done.is_err() {
        let _ = rustix::fs::unlinkat(&found.folder, beside, AtFlags::empty());
    }
    done
}

fn said(errno: Errno) -> String {
    match errno {
        Errno::ACCESS | Errno::PERM => "permission denied: run as root".to_owned(),
        Errno::NOSYS => "this kernel is too old to change files of a tree safely (it lacks openat2)".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}
