//! Archives that are broken, cut off or made to do harm: what can be read is judged, the rest is told, and nothing is ever
//! taken for healthy that is not whole. And archives that are as they should be, packed in every way.

#![expect(clippy::disallowed_methods, reason = "archives are written and read")]

mod fixtures;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixtures::testdata;
use k8sdoctor::bundle::archive::{Limits, Node, open_file};
use k8sdoctor::engine::run::{Checker, RunError, RunOptions, run};

fn tree() -> PathBuf {
    testdata("clusters").join("peer-on-floating-address").join("m2")
}

fn check(bundle: &Path) -> (i32, String, serde_json::Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"))
        .args(["check", "--format", "json", "--at", "2026-01-01"])
        .arg(bundle)
        .output()
        .expect("the program runs");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned(), json)
}

/// A healthy host's bundle: nothing but what is missing can make it fail.
fn bundle(directory: &Path) -> PathBuf {
    let root = directory.join("m1");
    fs::create_dir_all(root.join("etc/kubernetes")).expect("a directory");
    fs::create_dir_all(root.join("var/log")).expect("a directory");
    fs::write(root.join("etc/hostname"), "m1\n").expect("a file");
    // Content that does not pack well, so that the bundle is long enough to be cut.
    let mut state = 1_u64;
    let log: String = (0..400)
        .map(|line| {
            let words: Vec<String> = (0..6)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    format!("{:x}", state >> 40)
                })
                .collect();
            format!("Jan  1 00:00:{:02} m1 kubelet[1]: {}\n", line % 60, words.join(" "))
        })
        .collect();
    fs::write(root.join("var/log/messages"), log).expect("a file");
    let path = directory.join("m1.tar.zst");
    let status = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"))
        .args(["collect", &root.display().to_string(), "-o", &path.display().to_string()])
        .output()
        .expect("the program runs");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    path
}

#[test]
fn a_cut_or_changed_bundle_is_never_healthy() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = bundle(directory.path());
    let whole = fs::read(&path).expect("a bundle");
    assert_eq!(check(&path).0, 0, "the whole one is fine");
    let broken = directory.path().join("broken.tar.zst");
    let mut tries: Vec<(String, Vec<u8>)> =
        (0..whole.len()).step_by(1000).map(|at| (format!("cut at {at}"), whole[..at].to_vec())).collect();
    for at in (0..whole.len()).step_by(whole.len() / 12 + 1) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        tries.push((format!("changed at {at}"), changed));
    }
    for (what, bytes) in tries {
        fs::write(&broken, &bytes).expect("a file");
        let (code, error, _) = check(&broken);
        assert_eq!(code, 3, "{what}: {error}");
        assert!(!error.contains("has a bug"), "{what}: {error}");
    }
}

/// Every bit of the first bytes and of the last, and bits all over what is between.
#[test]
fn one_changed_bit_is_never_healthy() {
    const FLIPS: usize = 640;
    let directory = tempfile::tempdir().expect("a directory");
    let path = bundle(directory.path());
    let whole = fs::read(&path).expect("a bundle");
    let plain = zstd::decode_all(whole.as_slice()).expect("zstd");
    let options = RunOptions {
        sources: vec![path.display().to_string()],
        at: "2026-01-01T00:00:00Z".parse().ok(),
        only: vec!["host-hostname-invalid".to_owned()],
        ..RunOptions::default()
    };
    let checker = Checker::new(&options).expect("cards");
    let is_whole = || match checker.run(&options) {
        Ok(run) => Ok(run.report.hosts.iter().all(|host| !host.incomplete) && run.report.unopened.is_empty()),
        Err(RunError::Sources(errors)) => Err(errors.iter().map(ToString::to_string).collect::<String>()),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(is_whole(), Ok(true));
    let bits = whole.len() * 8;
    let ends = (0..128).chain(bits - 64..bits);
    let between = (0..FLIPS - 192).map(|number| 128 + number * (bits - 192) / (FLIPS - 192) + number % 8);
    let (mut incomplete, mut refused) = (0, 0);
    for bit in ends.chain(between).map(|bit| bit.min(bits - 1)) {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Bits that mean nothing, as of how much memory unpacking may take.
        if zstd::decode_all(changed.as_slice()).is_ok_and(|text| text == plain) {
            continue;
        }
        fs::write(&path, &changed).expect("a file");
        match is_whole() {
            Ok(whole) => {
                assert!(!whole, "bit {bit} is taken for healthy");
                incomplete += 1;
            }
            Err(error) => {
                assert!(
                    error.contains(&path.display().to_string()) && error.len() > path.as_os_str().len() + 10,
                    "{error}"
                );
                refused += 1;
            }
        }
    }
    assert!(incomplete + refused >= 500 && incomplete > 0 && refused > 0, "{incomplete}, {refused}");
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // As it is: the library itself would refuse such names.
    let field = &mut header.as_old_mut().name;
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn write_tar(path: &Path, entries: &[(&str, tar::EntryType, &[u8])]) {
    let mut out = Vec::new();
    for (name, kind, content) in entries {
        let mut header = header(name, *kind, content.len() as u64);
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header = self::header(name, *kind, 0);
            header.set_link_name_literal(content).expect("a target");
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
            continue;
        }
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        out.resize(out.len().div_ceil(512) * 512, 0);
    }
    out.resize(out.len() + 1024, 0);
    fs::write(path, out).expect("an archive");
}

#[test]
fn entries_that_do_harm_are_refused_and_the_rest_is_read() {
    use tar::EntryType as Kind;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.tar");
    let deep = "d/".repeat(45) + "x";
    write_tar(
        &path,
        &[
            ("etc/hostname", Kind::Regular, b"m1\n"),
            ("/etc/absolute", Kind::Regular, b"x"),
            ("../outside", Kind::Regular, b"x"),
            ("etc/../../outside", Kind::Regular, b"x"),
            ("etc/hostname", Kind::Regular, b"other\n"),
            ("dev/sda", Kind::Block, b""),
            ("dev/null", Kind::Char, b""),
            ("etc/fifo", Kind::Fifo, b""),
            (&deep, Kind::Regular, b"x"),
            ("etc/hostname/below", Kind::Regular, b"x"),
            ("etc/shadow", Kind::Symlink, b"/etc/passwd"),
            ("etc/up", Kind::Symlink, b"../../../../../../etc/passwd"),
            ("etc/loop", Kind::Symlink, b"loop"),
            ("etc/hard", Kind::Link, b"etc/none"),
            ("etc/hard2", Kind::Link, b"etc/hostname"),
            ("var/log/messages", Kind::Regular, b"Jan  1 00:00:00 m1 kubelet[1]: x\n"),
        ],
    );
    let archive = open_file(File::open(&path).expect("a file"), Limits::default()).expect("an archive");
    assert_eq!(archive.damage, None);
    assert_eq!(archive.refused_count, 10, "{:?}", archive.refused);
    assert!(matches!(archive.nodes.get("etc/hard2"), Some(Node::File(_))));
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("a host");
    let source = &sources[0];
    assert_eq!(source.read("/etc/hostname").expect("read"), b"m1\n");
    // This machine's file is there; the archive's is not.
    assert!(
        source.read("/etc/shadow").is_err() && source.read("/etc/up").is_err() && source.read("/etc/loop").is_err()
    );
    let (_, error, report) = check(&path);
    let problems = report["problems"].to_string();
    for why in
        ["absolute", "leads out", "two entries", "device", "FIFO", "directories deep", "no directory", "hard link"]
    {
        assert!(problems.contains(why), "{why}: {problems} {error}");
    }
}

#[test]
fn bombs_are_put_down() {
    use tar::EntryType as Kind;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.tar");
    let zeros = vec![0; 8 << 20];
    write_tar(&path, &[("etc/hostname", Kind::Regular, b"m1\n"), ("var/log/messages", Kind::Regular, &zeros)]);
    let packed = directory.path().join("x.tar.zst");
    let plain = fs::read(&path).expect("read");
    fs::write(&packed, zstd::encode_all(plain.as_slice(), 19).expect("packed")).expect("a file");
    for (what, limits) in [
        ("ratio", Limits { ratio: 100, free: 1 << 20, ..Limits::default() }),
        ("size", Limits { total: 1 << 20, ..Limits::default() }),
        ("one entry", Limits { entry: 1 << 20, ..Limits::default() }),
        ("count", Limits { entries: 2, ..Limits::default() }),
    ] {
        let archive = open_file(File::open(&packed).expect("a file"), limits).expect("an archive");
        assert!(archive.damage.is_some(), "{what}");
        assert!(archive.file("etc/hostname").is_some(), "{what}: what came before is read");
    }
}

#[test]
fn a_tree_is_judged_alike_in_every_packing() {
    let directory = tempfile::tempdir().expect("a directory");
    let shape = |source: &Path| {
        let options = RunOptions {
            sources: vec![source.display().to_string()],
            at: "2026-01-01T00:00:00Z".parse().ok(),
            ..RunOptions::default()
        };
        let run = run(&options).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        let findings: Vec<(String, String)> =
            run.report.findings.iter().map(|finding| (finding.rule.clone(), finding.title.clone())).collect();
        (findings, run.report.counts)
    };
    let expected = shape(&tree());
    assert!(!expected.0.is_empty(), "a tree with a fault");
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("some/where/m2", tree()).expect("an archive");
    let plain = builder.into_inner().expect("an archive");
    let pack = |name: &str, bytes: Vec<u8>| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("packed");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).expect("packed");
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&plain).expect("packed");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for entry in tar::Archive::new(plain.as_slice()).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        if entry.header().entry_type().is_file() {
            let options =
                zip::write::SimpleFileOptions::default().unix_permissions(entry.header().mode().expect("a mode"));
            zip.start_file(name, options).expect("an entry");
            std::io::copy(&mut entry, &mut zip).expect("content");
        }
    }
    for path in [
        pack("a.tar", plain.clone()),
        pack("b.tar.gz", gzip.finish().expect("packed")),
        pack("c.tar.xz", xz.finish().expect("packed")),
        pack("d.tar.bz2", bzip.finish().expect("packed")),
        pack("e.tar.zst", zstd::encode_all(plain.as_slice(), 1).expect("packed")),
        pack("f.zip", zip.finish().expect("packed").into_inner()),
    ] {
        assert_eq!(shape(&path), expected, "{}", path.display());
    }
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    // /dev/full is a device that is always full; what is beside it cannot be written either way.
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("old.tar.zst");
    fs::write(&path, "old").expect("a file");
    let missing = directory.path().join("no/such/directory/x.tar.zst");
    let output = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"))
        .args(["collect", &tree().display().to_string(), "-o", &missing.display().to_string()])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("there is no directory") && error.contains("no/such/directory"), "{error}");
    assert!(!error.contains("still there"), "nothing was: {error}");
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 8; exec \"$0\" collect \"$1\" -o \"$2\""])
        .args([env!("CARGO_BIN_EXE_k8sdoctor"), &tree().display().to_string(), &path.display().to_string()])
        .output()
        .expect("the program runs");
    if !output.status.success() {
        assert_eq!(fs::read(&path).expect("the old file"), b"old");
    }
}
