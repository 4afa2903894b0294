//! Journal files that systemd wrote, compared entry for entry with what journalctl says is in them.

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use k8sdoctor::logs::format::export::ExportReader;
use k8sdoctor::logs::format::journal::JournalReader;

const WRITER: &str = "/lib/systemd/systemd-journal-remote";
const START: u64 = 1_700_000_000_000_000;

/// An export of entries of several units: short, long enough to be packed, with line ends and bytes that are no text.
fn export(entries: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let boot = "0123456789abcdef0123456789abcdef";
    for index in 0..entries {
        let unit = ["kubelet", "docker", "ssh", "cron"][(index % 4) as usize];
        let transport = if index % 50 == 7 { "kernel" } else { "stdout" };
        let time = START + index * 1_500_000;
        write!(
            out,
            "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot}\n_HOSTNAME=m1\n\
             _SYSTEMD_UNIT={unit}.service\nSYSLOG_IDENTIFIER={unit}\n_COMM={unit}\n_PID={}\nPRIORITY=6\n\
             _TRANSPORT={transport}\n_CMDLINE=/usr/bin/{unit} --number={}\n",
            index + 1,
            1000 + index % 97,
            index % 31,
        )
        .expect("memory");
        let message = match index % 10 {
            3 => format!("long message {index} ").repeat(90).into_bytes(),
            6 => format!("two\nlines {index}\0\u{1b}[1m").into_bytes(),
            _ => format!("ordinary message {index}").into_bytes(),
        };
        out.extend_from_slice(b"MESSAGE\n");
        out.extend_from_slice(&(message.len() as u64).to_le_bytes());
        out.extend_from_slice(&message);
        out.extend_from_slice(b"\n\n");
    }
    out
}

/// Files that systemd makes of the export.
fn written(folder: &Path, entries: u64, settings: &[(&str, &str)]) -> Vec<PathBuf> {
    let from = folder.join("in.export");
    std::fs::write(&from, export(entries)).expect("the export");
    let done = Command::new(WRITER)
        .arg("--output")
        .arg(folder.join("x.journal"))
        .arg(&from)
        .envs(settings.iter().copied())
        .output()
        .expect("it starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let entries = std::fs::read_dir(folder).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|name| name == "journal")).collect()
}

fn ours(path: &Path, units: Option<&[&str]>, from: Option<u64>) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("the journal");
    let from = from.map(|from| jiff::Timestamp::from_microsecond(from as i64).expect("a time"));
    let mut text = Vec::new();
    JournalReader::open(file, units, from).expect("a journal").read_to_end(&mut text).expect("it is whole");
    text
}

fn journalctl(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let run = Command::new("journalctl")
        .args(["--output=export", "--quiet", "--no-pager", "--file"])
        .arg(path)
        .args(arguments)
        .output()
        .expect("journalctl starts");
    let mut text = Vec::new();
    ExportReader::new(Cursor::new(run.stdout)).read_to_end(&mut text).expect("memory");
    text
}

fn assert_equal(path: &Path, ours: &[u8], theirs: &[u8]) {
    let differs = ours.split(|byte| *byte == b'\n').zip(theirs.split(|byte| *byte == b'\n')).position(|(a, b)| a != b);
    assert!(ours == theirs, "{}: {} and {} bytes, line {differs:?}", path.display(), ours.len(), theirs.len());
}

#[test]
fn reads_what_systemd_writes() {
    if !Path::new(WRITER).exists() {
        return crate::harness::skip(&format!("{WRITER} is missing: apt-get install systemd-journal-remote"));
    }
    // What older systemd releases write, as far as this one can: without compact mode, with hashes without key.
    for settings in [
        &[][..],
        &[("SYSTEMD_JOURNAL_COMPACT", "0")],
        &[("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0")],
        &[("SYSTEMD_JOURNAL_COMPRESS", "LZ4")],
        &[("SYSTEMD_JOURNAL_COMPRESS", "XZ"), ("SYSTEMD_JOURNAL_COMPACT", "0")],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let entries = 3000;
        let paths = written(folder.path(), entries, settings);
        let mut lines = 0;
        for path in &paths {
            let all = ours(path, None, None);
            assert_equal(path, &all, &journalctl(path, &[]));
            lines += all.iter().filter(|byte| **byte == b'\n').count();
            for second in [0, 1, 700, 2999, 4498] {
                let from = START + second * 1_000_000;
                let since = format!("--since=@{}", from / 1_000_000);
                assert_equal(path, &ours(path, None, Some(from)), &journalctl(path, &[&since]));
            }
            let matches = ["_SYSTEMD_UNIT=kubelet.service", "+", "_TRANSPORT=kernel"];
            assert_equal(path, &ours(path, Some(&["kubelet"]), None), &journalctl(path, &matches));
        }
        assert_eq!(lines as u64, entries, "{settings:?}");
    }
}
