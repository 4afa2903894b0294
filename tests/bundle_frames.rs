//! Bundles of many frames: large logs are read where they are in the archive, the same as in any other packing, and damage in
//! them is told whether or not anybody reads them.

#![expect(clippy::disallowed_methods, reason = "archives are written and read")]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use k8sdoctor::bundle::archive::{Archive, Limits, open_file};

const PROGRAM: &str = env!("CARGO_BIN_EXE_k8sdoctor");
const LARGE: &str = "m1/var/log/messages";

/// Lines that do not pack well.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut text = Vec::with_capacity(size + 64);
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(format!("Jan  1 00:00:00 m1 kubelet[1]: {state:x}\n").as_bytes());
    }
    text
}

/// Entries of a tar archive, each by itself, and its end.
fn entries() -> Vec<Vec<u8>> {
    let files = [
        ("m1/etc/hostname", b"m1\n".to_vec()),
        (LARGE, noise(300_000)),
        ("m1/var/log/syslog", b"Jan  1 00:00:00 m1 kubelet[1]: the same\n".repeat(10_000)),
        ("m1/etc/hosts", b"127.0.0.1 localhost\n".to_vec()),
    ];
    let mut entries: Vec<Vec<u8>> = files
        .into_iter()
        .map(|(name, content)| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            let mut tar = tar::Builder::new(Vec::new());
            tar.append_data(&mut header, name, content.as_slice()).expect("an entry");
            std::mem::take(tar.get_mut())
        })
        .collect();
    entries.push(vec![0; 1024]);
    entries
}

/// A frame that tells its size, with a checksum.
fn frame(content: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("zstd");
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).expect("zstd");
    compressor.compress(content).expect("packed")
}

fn open(directory: &Path, bytes: &[u8], limits: Limits) -> Archive {
    let path = directory.join("x.tar.zst");
    fs::write(&path, bytes).expect("a file");
    open_file(File::open(&path).expect("a file"), limits).expect("an archive")
}

fn content(archive: &Archive, name: &str) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = archive.file(name).unwrap_or_else(|| panic!("no {name}"));
    archive.open(file).read_to_end(&mut content).map(|_| content)
}

#[test]
fn every_framing_has_the_same_content() {
    let directory = tempfile::tempdir().expect("a directory");
    let entries = entries();
    let whole = entries.concat();
    let expected = open(directory.path(), &zstd::encode_all(whole.as_slice(), 1).expect("packed"), Limits::default());
    let without_sizes = || entries.iter().flat_map(|entry| zstd::encode_all(entry.as_slice(), 1).expect("packed"));
    for (what, bytes) in [
        ("a frame for each entry", entries.iter().flat_map(|entry| frame(entry)).collect::<Vec<u8>>()),
        ("frames that do not tell their size", without_sizes().collect()),
        ("frames that are cut anywhere", whole.chunks(10_007).flat_map(frame).collect()),
        ("two frames", [frame(&whole[..1024]), frame(&whole[1024..])].concat()),
        ("an empty frame between", [frame(&whole[..1024]), frame(b""), frame(&whole[1024..])].concat()),
    ] {
        let archive = open(directory.path(), &bytes, Limits::default());
        assert_eq!((&archive.damage, archive.late_damage()), (&None, None), "{what}");
        assert!(archive.nodes.keys().eq(expected.nodes.keys()), "{what}");
        for name in ["m1/etc/hostname", LARGE, "m1/var/log/syslog", "m1/etc/hosts"] {
            assert_eq!(
                archive.file(name).map(|file| file.size()),
                expected.file(name).map(|file| file.size()),
                "{what}"
            );
            // Twice, since it is unpacked each time.
            for _ in 0..2 {
                assert!(content(&archive, name).ok() == content(&expected, name).ok(), "{what}: {name}");
            }
        }
    }
}

#[test]
fn damage_of_a_frame_is_told_when_it_is_read_or_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let frames: Vec<Vec<u8>> = entries().iter().map(|entry| frame(entry)).collect();
    let bytes = frames.concat();
    let at = frames[0].len() + frames[1].len() / 2;
    let mut changed = bytes.clone();
    changed[at] ^= 0x10;
    let archive = open(directory.path(), &changed, Limits::default());
    assert_eq!(archive.damage, None, "nobody has read it yet");
    assert!(content(&archive, "m1/etc/hosts").is_ok(), "what is behind it is read");
    assert!(archive.late_damage().is_some());
    assert!(content(&archive, LARGE).is_err());
    let archive = open(directory.path(), &changed, Limits::default());
    assert!(content(&archive, LARGE).is_err());
    assert!(archive.late_damage().is_some());
    // Its checksum.
    let mut changed = bytes.clone();
    changed[frames[0].len() + frames[1].len() - 1] ^= 1;
    assert!(content(&open(directory.path(), &changed, Limits::default()), LARGE).is_err());
    for cut in [at, frames[0].len() + frames[1].len() + 3, bytes.len() - 5] {
        let archive = open(directory.path(), &bytes[..cut], Limits::default());
        assert!(archive.damage.is_some() || archive.late_damage().is_some(), "cut at {cut}");
    }
}

#[test]
fn frames_that_unpack_to_too_much_are_put_down() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut entries = entries();
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 20);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "m1/var/log/zeros", vec![0; 8 << 20].as_slice()).expect("an entry");
    entries.insert(1, std::mem::take(tar.get_mut()));
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| frame(entry)).collect();
    for (what, limits) in [
        ("ratio", Limits { ratio: 10, free: 1 << 20, ..Limits::default() }),
        ("size", Limits { total: 1 << 20, ..Limits::default() }),
        ("one entry", Limits { entry: 1 << 20, ..Limits::default() }),
        ("count", Limits { entries: 2, ..Limits::default() }),
    ] {
        let archive = open(directory.path(), &bytes, limits);
        assert!(archive.damage.is_some(), "{what}");
        assert!(archive.file("m1/etc/hostname").is_some(), "{what}: what came before is read");
    }
}

/// A host with a log of several pieces and a message in the last of them.
fn tree(directory: &Path) -> PathBuf {
    let root = directory.join("m1");
    fs::create_dir_all(root.join("etc")).expect("a directory");
    fs::create_dir_all(root.join("var/log")).expect("a directory");
    fs::write(root.join("etc/hostname"), "m1\n").expect("a file");
    let mut log = noise(9 << 20);
    log.extend_from_slice(b"Jan  1 00:00:01 m1 dockerd[9]: failed to start daemon: unable to add return rule in DOCKER-ISOLATION-STAGE-1 chain\n");
    fs::write(root.join("var/log/messages"), &log).expect("a file");
    fs::write(root.join("var/log/kubelet.log"), noise(5 << 20)).expect("a file");
    root
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("it runs")
}

#[test]
fn large_logs_are_judged_as_in_their_tree_and_never_healthy_when_damaged() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = tree(directory.path()).display().to_string();
    let bundle = directory.path().join("m1.tar.zst").display().to_string();
    assert!(run(&["collect", &root, "-o", &bundle]).status.success());
    let judged = |source: &str, rule: &str| {
        let output = run(&["check", "--at", "2026-01-02", "--format", "json", "--only", rule, source]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
        (output.status.code(), report)
    };
    const RULE: &str = "docker-iptables-failed";
    let (of_tree, of_bundle) = (judged(&root, RULE), judged(&bundle, RULE));
    assert_eq!(of_tree.0, of_bundle.0);
    assert_eq!(of_tree.1["findings"].as_array().map(Vec::len), Some(1), "{}", of_tree.1);
    assert_eq!(of_tree.1["findings"][0]["evidence"], of_bundle.1["findings"][0]["evidence"]);
    assert_eq!(of_tree.1["counts"], of_bundle.1["counts"]);
    assert!(run(&["bundle", "verify", &bundle]).status.success());

    let whole = fs::read(&bundle).expect("a bundle");
    let again = directory.path().join("again.tar.zst").display().to_string();
    for part in 1..8 {
        let mut changed = whole.clone();
        changed[whole.len() * part / 8] ^= 0x10;
        fs::write(&bundle, changed).expect("a file");
        for rule in [RULE, "host-hostname-invalid"] {
            let (exit, report) = judged(&bundle, rule);
            assert!(exit != Some(0), "{part} {rule}: {report}");
            assert_eq!(report["hosts"][0]["incomplete"], true, "{part} {rule}: {report}");
        }
        assert_eq!(run(&["bundle", "verify", &bundle]).status.code(), Some(3), "{part}");
        // Written again it is no more whole than it was.
        assert_eq!(run(&["bundle", "redact", &bundle, "-o", &again]).status.code(), Some(3), "{part}");
        assert_eq!(judged(&again, "host-hostname-invalid").1["hosts"][0]["incomplete"], true, "{part}");
    }
}
