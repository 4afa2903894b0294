//! What `df` printed: blocks of 1024 bytes with `-k`, `-P` and by default, inodes with `-i`.

use crate::facts::filesystem::FilesystemUse;
use crate::origin::Span;
use crate::origin::{Origin, Place};

/// File systems beyond this are no host's.
const LIMIT: usize = 5000;

/// The rows of a table of blocks. None when it is none, or one of other units (`-h`).
pub fn blocks(text: &str, path: &str) -> Option<Vec<FilesystemUse>> {
    let mut lines = text.lines();
    let header = lines.find(|line| line.starts_with("Filesystem"))?;
    if !header.contains("1K-blocks") && !header.contains("1024-blocks") {
        return None;
    }
    let has_type = header.split_ascii_whitespace().nth(1) == Some("Type");
    let rows = rows(text, usize::from(has_type)).into_iter().filter_map(|row| {
        let kib = |index: usize| row.numbers.get(index).copied();
        Some(FilesystemUse {
            target: row.target.to_owned(),
            fs_type: row.fs_type.unwrap_or_default().to_owned(),
            total: kib(0)?.checked_mul(1024)?,
            available: kib(2)?.checked_mul(1024)?,
            inodes: None,
            origin: Origin { place: Place::File { path: path.into(), span: Some(row.span) }, via: None },
        })
    });
    Some(rows.collect())
}

/// Adds what a table of inodes says of the same mount points.
pub fn add_inodes(known: &mut [FilesystemUse], text: &str) {
    let Some(header) = text.lines().find(|line| line.starts_with("Filesystem")) else { return };
    if !header.contains("Inodes") {
        return;
    }
    let has_type = header.split_ascii_whitespace().nth(1) == Some("Type");
    for row in rows(text, usize::from(has_type)) {
        let (Some(total), Some(free)) = (row.numbers.first(), row.numbers.get(2)) else { continue };
        for found in known.iter_mut().filter(|found| found.target == row.target && *total > 0) {
            found.inodes = Some((*total, *free));
        }
    }
}

struct Row<'a> {
    fs_type: Option<&'a str>,
    /// In all, used, left.
    numbers: Vec<u64>,
    target: &'a str,
    span: Span,
}

/// `DEVICE [TYPE] TOTAL USED LEFT PERCENT% TARGET`; a long device stands on a line of its own.
fn rows(text: &str, types: usize) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let (mut offset, mut number) = (0, 0);
    for raw in text.split_inclusive('\n').take(LIMIT) {
        let start = offset;
        offset += raw.len();
        number += 1;
        let line = raw.trim_end();
        // The target may hold spaces: it is what follows the share.
        let Some(percent) = line.find("% ") else { continue };
        let (head, target) = line.split_at(percent + 1);
        let words: Vec<&str> = head.split_ascii_whitespace().collect();
        let Some(first) = words.len().checked_sub(4) else { continue };
        let numbers: Vec<u64> = words.iter().skip(first).take(3).filter_map(|word| word.parse().ok()).collect();
        if numbers.len() < 3 {
            continue;
        }
        let fs_type = first.checked_sub(1).filter(|_| types > 0).and_then(|at| words.get(at).copied());
        let span = Span { start, end: start + line.len(), line: number, column: 1 };
        rows.push(Row { fs_type, numbers, target: target.trim_start(), span });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_df() {
        let posix = "Filesystem     Type     1024-blocks     Used Available Capacity Mounted on\n\
            overlay        overlay    264212084 37924104  57577160      40% /\n\
            tmpfs          tmpfs        2468412     7464   2460948       1% /tmp\n";
        let found = blocks(posix, "/df").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].target.as_str(), found[0].fs_type.as_str()), ("/", "overlay"));
        assert_eq!((found[0].total, found[0].available), (264_212_084 * 1024, 57_577_160 * 1024));
        assert_eq!(found[1].origin.to_string(), "/df:3:1");

        let sos = "Filesystem               1K-blocks     Used Available Use% Mounted on\nsysfs                            0        0         0    - /sys\n\
            /dev/mapper/rhel_a-very_long_name\n                          51175000 51174996         4 100% /\n\
            /dev/vda1                  1038336   200000    838336  20% /mnt/with space\n";
        let mut found = blocks(sos, "/df").unwrap();
        let shown: Vec<_> = found.iter().map(|one| (one.target.as_str(), one.available / 1024)).collect();
        assert_eq!(shown, [("/", 4), ("/mnt/with space", 838_336)]);
        let inodes = "Filesystem       Inodes  IUsed   IFree IUse% Mounted on\n/dev/mapper/rhel 1000 1000 0 100% /\n\
            btrfs 0 0 0 - /mnt/with space\n";
        add_inodes(&mut found, inodes);
        assert_eq!(found.iter().map(|one| one.inodes).collect::<Vec<_>>(), [Some((1000, 0)), None]);
        assert_eq!(found[0].free_inodes_percent(), Some(0.0));

        for (text, why) in [
            ("Filesystem      Size  Used Avail Use% Mounted on\n/dev/vda 252G 33G 59G 36% /\n", "units of people"),
            ("df: command not found\n", "no table"),
            ("", "nothing"),
        ] {
            assert_eq!(blocks(text, "/df"), None, "{why}");
        }
    }
}
