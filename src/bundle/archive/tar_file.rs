//! Tar archives of any maker.

use std::io::{self, Read};
use std::sync::Arc;

use tar::{Entries, EntryType};

use super::frames::{Cursor, Frames};
use super::{Archive, Builder, FileNode, Limits, Node, Piece};

/// Reads an archive from its beginning. An error is that it is no tar archive at all.
pub(super) fn read(reader: impl Read, limits: Limits) -> io::Result<Archive> {
    let mut builder = Builder::new(limits);
    let mut tar = tar::Archive::new(reader);
    let damage = entries(&mut builder, tar.entries()?, &|_, _| None)?;
    Ok(finish(builder, tar, damage))
}

/// Reads an archive of many frames: what has a frame of its own is left there.
pub(super) fn read_frames(frames: Frames, limits: Limits) -> io::Result<Archive> {
    let frames = Arc::new(frames);
    let mut builder = Builder::new(limits);
    let mut tar = tar::Archive::new(Cursor::new(&frames));
    let stays = |at, length| frames.piece(at, length).map(Piece::Packed);
    let damage = entries(&mut builder, tar.entries_with_seek()?, &stays)?;
    let mut archive = finish(builder, tar, damage);
    archive.frames = Some(frames);
    Ok(archive)
}

fn finish(builder: Builder, tar: tar::Archive<impl Read>, mut damage: Option<String>) -> Archive {
    // What packed it knows only at its end whether all of it was right.
    if damage.is_none() && builder.archive.damage.is_none() {
        damage = io::copy(&mut tar.into_inner(), &mut io::sink()).err().map(|error| error.to_string());
    }
    builder.finish(damage)
}

/// Takes the entries, and tells what is wrong with the archive. `stays` says of content, by its place and length, where it
/// can be read later.
fn entries<R: Read>(
    builder: &mut Builder,
    entries: Entries<'_, R>,
    stays: &dyn Fn(u64, u64) -> Option<Piece>,
) -> io::Result<Option<String>> {
    let mut is_first = true;
    for entry in entries {
        if builder.is_full() {
            break;
        }
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_first => return Err(error),
            Err(error) => return Ok(Some(error.to_string())),
        };
        is_first = false;
        let header = entry.header();
        let kind = header.entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            continue;
        }
        let file = FileNode {
            pieces: Vec::new(),
            outside: None,
            mode: header.mode().unwrap_or(0o600) & 0o7777,
            uid: header.uid().ok().and_then(|id| u32::try_from(id).ok()).unwrap_or_default(),
            gid: header.gid().ok().and_then(|id| u32::try_from(id).ok()).unwrap_or_default(),
            modified: header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or_default(),
        };
        let raw = entry.path_bytes().into_owned();
        let Some(name) = builder.name(&raw) else { continue };
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                let is_plain = kind == EntryType::Regular && size <= builder.limits.entry;
                if let Some(piece) = stays(entry.raw_file_position(), size).filter(|_| is_plain) {
                    builder.node(&name, Node::File(FileNode { pieces: vec![piece], ..file }));
                } else if !builder.file(&name, file, Some(size), &mut entry) {
                    break;
                }
            }
            EntryType::Directory => builder.directory(&name, file),
            EntryType::Symlink => match entry.link_name_bytes() {
                Some(target) if target.len() <= super::NAME_LIMIT => {
                    let target = String::from_utf8_lossy(&target).into_owned();
                    builder.node(&name, Node::Link(target));
                }
                _ => builder.refuse(&name, "it is a link without a target"),
            },
            EntryType::Link => {
                let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
                if let Some(target) = builder.name(&target) {
                    builder.hard_link(&name, &target);
                }
            }
            EntryType::Char | EntryType::Block => builder.refuse(&name, "it is a device"),
            EntryType::Fifo => builder.refuse(&name, "it is a FIFO"),
            _ => builder.refuse(&name, "it is a kind of entry that no host's file is"),
        }
    }
    Ok(None)
}
