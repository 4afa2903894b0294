//! Opening and reading files that may be anything: never blocking, never a device or a FIFO, never more than a limit, and
//! with the system's refusals turned into [`ReadError`].

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use super::{Entry, FileKind, Metadata, READ_LIMIT, ReadError};

/// How content is opened: a FIFO's missing writer, a terminal or a swapped link must not hold us up.
pub(super) const CONTENT: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Looks at a file without opening it: some devices act when they are opened (watchdogs, tapes).
pub(super) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// More entries than any directory of a host has that is listed; a hostile tree could hold millions.
const LIST_LIMIT: usize = 1 << 18;

pub(super) fn kind_of(kind: FileType) -> FileKind {
    match kind {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        FileType::RegularFile | FileType::Unknown => FileKind::File,
    }
}

pub(super) fn stat_kind(stat: &Stat) -> FileKind {
    kind_of(FileType::from_raw_mode(stat.st_mode))
}

// The field types differ by architecture, so a cast that does nothing here does something elsewhere.
#[allow(clippy::unnecessary_cast)]
pub(super) fn metadata_of(stat: &Stat) -> Metadata {
    Metadata {
        kind: stat_kind(stat),
        size: stat.st_size.max(0) as u64,
        mode: stat.st_mode as u32 & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: stat.st_mtime as i64,
    }
}

/// What a system call's refusal says about `path`.
pub(super) fn refusal(path: &str, errno: Errno) -> ReadError {
    let path = path.to_owned();
    match errno {
        // A process that ended between listing /proc and reading its file answers ESRCH.
        Errno::NOENT | Errno::NOTDIR | Errno::SRCH => ReadError::NotFound { path },
        Errno::ACCESS | Errno::PERM => ReadError::PermissionDenied { path },
        Errno::LOOP => ReadError::LinkLoop { path },
        Errno::ISDIR => ReadError::WrongKind { path, kind: "directory", wanted: "file" },
        Errno::NXIO => ReadError::WrongKind { path, kind: "socket", wanted: "file" },
        Errno::AGAIN => ReadError::Io { path, message: "nothing can be read without waiting".to_owned() },
        other => ReadError::Io { path, message: message(&io::Error::from(other)) },
    }
}

pub(super) fn io_refusal(path: &str, error: &io::Error) -> ReadError {
    match Errno::from_io_error(error) {
        Some(errno) => refusal(path, errno),
        None => ReadError::Io { path: path.to_owned(), message: message(error) },
    }
}

/// The error's text in lower case and without the number that the standard library adds.
pub(super) fn message(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if chars.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

pub(super) fn stat(path: &str, fd: impl AsFd) -> Result<Stat, ReadError> {
    rustix::fs::fstat(fd).map_err(|errno| refusal(path, errno))
}

/// Refuses what is no regular file.
pub(super) fn require_file(path: &str, stat: &Stat) -> Result<(), ReadError> {
    match stat_kind(stat) {
        FileKind::File => Ok(()),
        other => Err(ReadError::WrongKind { path: path.to_owned(), kind: other.name(), wanted: "file" }),
    }
}

/// The opened file, once more looked at: it may have been swapped since it was found.
pub(super) fn regular(path: &str, fd: OwnedFd) -> Result<(File, u64), ReadError> {
    let stat = stat(path, &fd)?;
    require_file(path, &stat)?;
    Ok((File::from(fd), stat.st_size.max(0) as u64))
}

/// The content up to [`READ_LIMIT`]. The stated size is a hint only: it is 0 in /proc, and a file can grow.
pub(super) fn content(path: &str, file: File, size: u64) -> Result<Vec<u8>, ReadError> {
    let too_large = |size| ReadError::TooLarge { path: path.to_owned(), size, limit: READ_LIMIT };
    if size > READ_LIMIT {
        return Err(too_large(size));
    }
    let mut content = Vec::with_capacity(if size == 0 { 4096 } else { size as usize + 1 });
    file.take(READ_LIMIT + 1).read_to_end(&mut content).map_err(|error| io_refusal(path, &error))?;
    if content.len() as u64 > READ_LIMIT {
        return Err(too_large(content.len() as u64));
    }
    Ok(content)
}

/// The entries of an opened directory, unsorted. Names that are no UTF-8 are shown with U+FFFD.
pub(super) fn entries(path: &str, directory: OwnedFd) -> Result<Vec<Entry>, ReadError> {
    let mut reader = rustix::fs::Dir::new(directory).map_err(|errno| refusal(path, errno))?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.read() {
        let entry = entry.map_err(|errno| refusal(path, errno))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entries.len() == LIST_LIMIT {
            let message = format!("holds more than {LIST_LIMIT} entries");
            return Err(ReadError::Io { path: path.to_owned(), message });
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let fd = reader.fd().map_err(|errno| refusal(path, errno))?;
                match rustix::fs::statat(fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat_kind(&stat),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(refusal(path, errno)),
                }
            }
            known => kind_of(known),
        };
        entries.push(Entry { name: String::from_utf8_lossy(name.to_bytes()).into_owned(), kind });
    }
    Ok(entries)
}
