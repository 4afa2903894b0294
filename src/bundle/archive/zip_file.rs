//! Zip archives.

use std::fs::File;
use std::io::{self, BufReader, Read};

use super::{Archive, Builder, FileNode, Limits, Node};

pub(super) fn read(file: File, limits: Limits) -> io::Result<Archive> {
    let packed = file.metadata()?.len().max(1);
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(io::Error::other)?;
    let mut builder = Builder::new(limits);
    let mut left = limits.total.min(packed.saturating_mul(limits.ratio).max(limits.free));
    for index in 0..zip.len() {
        if builder.is_full() {
            break;
        }
        let shown = zip.name_for_index(index).and_then(Result::ok).unwrap_or_default().into_owned();
        let entry = match zip.by_index(index) {
            Ok(entry) => entry,
            Err(error) => {
                builder.refuse(&shown, format!("it cannot be unpacked: {error}"));
                continue;
            }
        };
        let raw = entry.name_raw().to_vec();
        let mode = entry.unix_mode();
        let (is_directory, is_link) = (entry.is_dir(), entry.is_symlink());
        let Some(name) = builder.name(&raw) else { continue };
        if is_directory {
            builder.directory(&name, FileNode { mode: mode.unwrap_or(0o755) & 0o7777, ..FileNode::default() });
        } else if is_link {
            let mut target = Vec::new();
            match entry.take(super::NAME_LIMIT as u64).read_to_end(&mut target) {
                Ok(_) => builder.node(&name, Node::Link(String::from_utf8_lossy(&target).into_owned())),
                Err(error) => builder.refuse(&name, error.to_string()),
            }
        } else {
            let file = FileNode { mode: mode.unwrap_or(0o644) & 0o7777, ..FileNode::default() };
            let mut bounded = Bounded { inner: entry, left };
            let went_on = builder.file(&name, file, None, &mut bounded);
            left = bounded.left;
            if !went_on {
                break;
            }
        }
    }
    Ok(builder.finish(None))
}

/// Ends with an error when more comes out than may.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("its content is out of all proportion to its size")),
        }
        Ok(count)
    }
}
