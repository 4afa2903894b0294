//! What somebody unpacked, or what a tool writes as a folder, as an archive: names are listed, content is read where it
//! stands.

use super::{Archive, Builder, FileNode, Limits, Node};
use crate::source::{FileKind, SourceRef};

/// The folder's content by name. Directories that cannot be listed are told as refused.
pub fn open_folder(folder: SourceRef, limits: Limits) -> Archive {
    let mut builder = Builder::new(limits);
    let mut pending = vec![String::new()];
    while let Some(directory) = pending.pop() {
        let entries = match folder.list(if directory.is_empty() { "/" } else { &directory }) {
            Ok(entries) => entries,
            Err(error) => {
                builder.refuse(&directory, error.unknown().why);
                continue;
            }
        };
        for entry in entries {
            if builder.is_full() {
                return finish(builder, folder);
            }
            let path = format!("{directory}/{}", entry.name);
            let Some(name) = builder.name(path.trim_start_matches('/').as_bytes()) else { continue };
            match entry.kind {
                FileKind::Directory => {
                    builder.directory(&name, FileNode { mode: 0o755, ..FileNode::default() });
                    pending.push(path);
                }
                FileKind::File => match folder.metadata(&path) {
                    Ok(found) => {
                        let file = FileNode {
                            outside: Some((path, found.size)),
                            mode: found.mode,
                            uid: found.uid,
                            gid: found.gid,
                            modified: found.modified,
                            ..FileNode::default()
                        };
                        builder.node(&name, Node::File(file));
                    }
                    Err(error) => builder.refuse(&name, error.unknown().why),
                },
                FileKind::Link => {
                    if let Ok(target) = folder.read_link(&path) {
                        builder.node(&name, Node::Link(target));
                    }
                }
                _ => builder.refuse(&name, "it is no file"),
            }
        }
    }
    finish(builder, folder)
}

fn finish(builder: Builder, folder: SourceRef) -> Archive {
    let mut archive = builder.finish(None);
    archive.folder = Some(folder);
    archive
}
