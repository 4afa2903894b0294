//! Paths of this machine as they are, followed by the kernel.

use std::fs::File;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{absolute, no_directory, not_found};
use crate::source::handle::{self, CONTENT};
use crate::source::silent_mounts::SilentMounts;
use crate::source::{Entry, ReadError};

/// The path with its first symbolic link followed; none when there is none on the way, as far as it may be looked at.
pub(super) fn first_link(path: &str, silent: &SilentMounts) -> Option<String> {
    // The links of a process lead anywhere, and none of them is asked for by its target.
    if path.starts_with("/proc/") || path.starts_with("/sys/") {
        return None;
    }
    let mut walked = String::new();
    let mut names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
    while let Some(name) = names.next() {
        if name == ".." {
            walked.truncate(walked.rfind('/').unwrap_or(0));
            continue;
        }
        let here = format!("{walked}/{name}");
        if silent.over(&here).is_some() {
            // The rest may not be looked at; the caller refuses it.
            return (here != path).then_some(here);
        }
        if let Ok(target) = rustix::fs::readlink(here.as_str(), Vec::new()) {
            let target = target.to_string_lossy();
            let base = if target.starts_with('/') { "" } else { walked.as_str() };
            let rest: String = names.flat_map(|name| ["/", name]).collect();
            return Some(format!("{base}/{target}{rest}"));
        }
        walked = here;
    }
    None
}

pub(super) fn refusal(path: &str, errno: Errno) -> ReadError {
    match handle::refusal(path, errno) {
        ReadError::NotFound { .. } => not_found(path),
        other => other,
    }
}

/// Whether a path is the kernel's own file, where there is no device to wake and no FIFO, so one look is spared. The
/// links of a process (`fd`, `root`, ...) lead anywhere.
fn is_kernel_file(path: &str) -> bool {
    let links = ["/fd/", "/root/", "/cwd/", "/map_files/", "/exe"];
    (path.starts_with("/proc/") || path.starts_with("/sys/")) && !links.iter().any(|link| path.contains(link))
}

pub(super) fn open(path: &str) -> Result<(File, u64), ReadError> {
    absolute(path)?;
    let refused = |errno| refusal(path, errno);
    if !is_kernel_file(path) {
        let stat = rustix::fs::stat(path).map_err(refused)?;
        handle::require_file(path, &stat)?;
    }
    handle::regular(path, rustix::fs::open(path, CONTENT, Mode::empty()).map_err(refused)?)
}

pub(super) fn list(path: &str) -> Result<Vec<Entry>, ReadError> {
    match rustix::fs::open(absolute(path)?, CONTENT | OFlags::DIRECTORY, Mode::empty()) {
        Ok(directory) => handle::entries(path, directory),
        // Either the path itself is something else, or one of its parents is.
        Err(Errno::NOTDIR) => match rustix::fs::stat(path) {
            Ok(stat) => Err(no_directory(path, handle::stat_kind(&stat))),
            Err(errno) => Err(refusal(path, errno)),
        },
        Err(errno) => Err(refusal(path, errno)),
    }
}
