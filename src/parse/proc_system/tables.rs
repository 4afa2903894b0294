//! /proc/mounts, /proc/cgroups, /proc/swaps, /proc/meminfo, /proc/cpuinfo.

use super::lines::lines;
use crate::facts::system::Memory;
use crate::origin::Span;
use crate::parse::Problem;

/// Decodes the octal escapes that the kernel writes for blanks, newlines and backslashes in names: `\040`.
pub fn unescape_octal(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).filter(|digits| {
            byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) && digits.first() <= Some(&b'3')
        });
        match digits {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                at += 4;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRow {
    pub source: String,
    pub target: String,
    pub fs_type: String,
    pub options: Vec<String>,
    pub span: Span,
}

/// The rows of /proc/mounts, in the order of mounting: a later one hides an earlier one at the same place.
pub fn mounts(text: &str) -> (Vec<MountRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.text.trim().is_empty()) {
        // Blanks are escaped, but a source can be the empty string: split at each blank.
        let words: Vec<_> = line.text.split(' ').collect();
        match words.as_slice() {
            [source, target, fs_type, options, ..] if target.starts_with('/') => found.push(MountRow {
                source: unescape_octal(source),
                target: unescape_octal(target),
                fs_type: (*fs_type).to_owned(),
                options: options.split(',').map(unescape_octal).collect(),
                span: line.span(),
            }),
            _ if problems.len() < 5 => {
                problems
                    .push(Problem::new(Some(line.span()), "not a mount: source, target, type and options expected"));
            }
            _ => {}
        }
    }
    (found, problems)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupRow {
    pub name: String,
    pub hierarchy: u32,
    pub enabled: bool,
    pub span: Span,
}

/// The rows of /proc/cgroups.
pub fn cgroups(text: &str) -> (Vec<CgroupRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.text.trim().is_empty() && !line.text.starts_with('#')) {
        let words: Vec<_> = line.words().collect();
        let row = match words.as_slice() {
            [name, hierarchy, _, enabled] => hierarchy.parse().ok().map(|hierarchy| CgroupRow {
                name: (*name).to_owned(),
                hierarchy,
                enabled: *enabled != "0",
                span: line.span(),
            }),
            _ => None,
        };
        match row {
            Some(row) => found.push(row),
            None if problems.len() < 5 => {
                problems.push(Problem::new(Some(line.span()), "not a controller with hierarchy, count and state"));
            }
            None => {}
        }
    }
    (found, problems)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapRow {
    pub device: String,
    pub kib: u64,
    pub span: Span,
}

/// The rows of /proc/swaps.
pub fn swaps(text: &str) -> (Vec<SwapRow>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for line in lines(text).filter(|line| !line.text.trim().is_empty() && !line.text.starts_with("Filename")) {
        let mut words = line.words();
        match (words.next(), words.nth(1).and_then(|size| size.parse().ok())) {
            (Some(device), Some(kib)) => {
                found.push(SwapRow { device: unescape_octal(device), kib, span: line.span() });
            }
            _ if problems.len() < 5 => {
                problems.push(Problem::new(Some(line.span()), "not a swap area with type and size"));
            }
            _ => {}
        }
    }
    (found, problems)
}

/// The totals of /proc/meminfo; none without `MemTotal`.
pub fn memory(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        lines(text)
            .find_map(|line| line.text.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
    };
    Some(Memory { total_kib: field("MemTotal")?, available_kib: field("MemAvailable") })
}

/// Logical CPUs by /proc/cpuinfo (`processor : 0`, on s390x `processor 0: ...`) or /proc/stat (`cpu0 ...`); none when
/// the text has no such line.
pub fn cpus(text: &str) -> Option<u32> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let count = lines(text)
        .filter(|line| match line.text.strip_prefix("processor") {
            Some(rest) => rest.split_once(':').is_some_and(|(index, value)| {
                is_number(index.trim()) || index.trim().is_empty() && is_number(value.trim())
            }),
            None => line.words().next().and_then(|word| word.strip_prefix("cpu")).is_some_and(is_number),
        })
        .count();
    u32::try_from(count).ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_escapes() {
        for (text, expected) in [
            ("/plain", "/plain"),
            ("/a\\040b\\011c\\012d\\134e", "/a b\tc\nd\\e"),
            ("/\\303\\274", "/ü"),
            ("/\\04", "/\\04"),
            ("/\\777x", "/\\777x"),
            ("\\", "\\"),
        ] {
            assert_eq!(unescape_octal(text), expected);
        }
    }

    #[test]
    fn mounts_with_blanks_in_names() {
        let text = "tmpfs /sys/fs/cgroup tmpfs rw,nosuid,mode=755 0 0\n /mnt/no\\040name ext4 ro 0 0\nbad\n";
        let (rows, problems) = mounts(text);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].options, ["rw", "nosuid", "mode=755"]);
        assert_eq!((rows[1].source.as_str(), rows[1].target.as_str(), rows[1].span.line), ("", "/mnt/no name", 2));
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn controllers_and_swaps() {
        let (rows, problems) =
            cgroups("#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t119\t1\nmemory\t0\t1\t0\nx\n");
        let shown: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.hierarchy, row.enabled)).collect();
        assert_eq!(shown, [("cpuset", 3, true), ("memory", 0, false)]);
        assert_eq!((rows[1].span.line, problems.len()), (3, 1));

        let (rows, problems) = swaps(
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/zram0      partition\t8388604\t\t0\t\t100\n\
             /swap\\040file   file\t\t524284\t\t0\t\t-2\n/x file\n",
        );
        let shown: Vec<_> = rows.iter().map(|row| (row.device.as_str(), row.kib)).collect();
        assert_eq!(shown, [("/dev/zram0", 8_388_604), ("/swap file", 524_284)]);
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn memory_and_cpus() {
        assert_eq!(
            memory("MemTotal:       24684084 kB\nMemFree: 1 kB\nMemAvailable:   22911612 kB\n"),
            Some(Memory { total_kib: 24_684_084, available_kib: Some(22_911_612) })
        );
        assert_eq!(memory("MemTotal:  100 kB\n").map(|memory| memory.available_kib), Some(None));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        for (text, expected) in [
            ("processor\t: 0\nvendor_id\t: x\nprocessor\t: 1\n", Some(2)),
            ("processor 0: version = FF\nprocessor 1: version = FF\n", Some(2)),
            ("Processor\t: ARMv7\nprocessor\t: 0\nprocessor\t: model\n", Some(1)),
            ("cpu  1 2\ncpu0 1 2\ncpu1 1 2\nintr 5\n", Some(2)),
            ("", None),
        ] {
            assert_eq!(cpus(text), expected, "{text}");
        }
    }
}
