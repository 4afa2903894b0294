//! How full file systems are, where a tree has what df printed. Of the live host the kernel is asked ([`super::probes`]).

use super::Files;
use crate::facts::filesystem::FilesystemUse;
use crate::origin::{Fact, Unknown};
use crate::parse::df;

/// Files with df's table of blocks: sosreport's, by release, and `answers/`, where captures keep what commands printed.
const BLOCKS: [&str; 5] = [
    "/sos_commands/filesys/df_-al_-x_autofs",
    "/sos_commands/filesys/df_-al",
    "/sos_commands/filesys/df_-aliT_-x_autofs",
    "/answers/df.txt",
    "/answers/df",
];
/// The same with inodes.
const INODES: [&str; 4] = [
    "/sos_commands/filesys/df_-ali_-x_autofs",
    "/sos_commands/filesys/df_-ali",
    "/answers/df-inodes.txt",
    "/answers/df-i.txt",
];

pub fn collect(files: &Files) -> Fact<Vec<FilesystemUse>> {
    let unknown = || {
        Unknown::new("how full file systems are", "df's output is not part of this source")
            .with_remedy("record it too: df -PT > answers/df.txt")
    };
    if files.is_of_live_host() {
        return Err(Unknown::new("how full file systems are", Unknown::NOT_ASKED));
    }
    let mut found = BLOCKS
        .iter()
        .filter_map(|path| files.text(path).ok())
        .find_map(|file| df::blocks(&file.text, &file.path))
        .ok_or_else(unknown)?;
    for path in INODES {
        if let Ok(file) = files.text(path) {
            df::add_inodes(&mut found, &file.text);
        }
    }
    Ok(found)
}
