// The tests make trees in temporary directories.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use super::*;

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

fn host() -> TempDir {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("host");
    write(outside.path(), "secret", "outside");
    write(&root, "etc/hosts", "127.0.0.1 localhost\n");
    write(&root, "usr/bin/kubelet", "");
    write(&root, "usr/lib/os-release", "ID=debian\n");
    write(&root, "etc/latin", b"caf\xe9\n");
    symlink("usr/bin", root.join("bin")).unwrap();
    symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
    symlink("/etc/hosts", root.join("etc/absolute")).unwrap();
    symlink("/run", root.join("var-run")).unwrap();
    symlink("../../../../../../../../etc/hosts", root.join("etc/up")).unwrap();
    symlink("../../secret", root.join("etc/escape")).unwrap();
    symlink(outside.path().join("secret"), root.join("etc/escape-absolute")).unwrap();
    symlink("loop-b", root.join("etc/loop-a")).unwrap();
    symlink("loop-a", root.join("etc/loop-b")).unwrap();
    symlink("/dev/null", root.join("etc/masked.service")).unwrap();
    symlink("/usr/share/zoneinfo/UTC", root.join("etc/localtime")).unwrap();
    symlink("hosts.none", root.join("etc/dangling")).unwrap();
    fs::create_dir_all(root.join("proc/12")).unwrap();
    symlink("/", root.join("proc/12/root")).unwrap();
    fifo(&root.join("etc/fifo"));
    fs::write(root.join("etc").join(std::ffi::OsStr::from_bytes(b"n\xff")), "x").unwrap();
    outside
}

fn tree(outside: &TempDir) -> FsSource {
    FsSource::tree(&outside.path().join("host")).unwrap()
}

fn outcome<T>(result: Result<T, ReadError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(ReadError::NotFound { .. }) => "not found",
        Err(ReadError::NotCovered { .. }) => "not covered",
        Err(ReadError::PermissionDenied { .. }) => "denied",
        Err(ReadError::WrongKind { kind, .. }) => kind,
        Err(ReadError::TooLarge { .. }) => "too large",
        Err(ReadError::LinkLoop { .. }) => "loop",
        Err(ReadError::Io { .. }) => "io",
    }
}

#[test]
fn a_tree_is_read_within_its_root() {
    let outside = host();
    let source = tree(&outside);
    for (path, expected) in [
        ("/etc/hosts", "ok"),
        ("/etc//./hosts", "ok"),
        ("/usr/../etc/hosts", "ok"),
        ("/../../etc/hosts", "ok"),
        ("/bin/kubelet", "ok"),
        ("/etc/os-release", "ok"),
        ("/etc/absolute", "ok"),
        ("/etc/up", "ok"),
        ("/etc/latin", "ok"),
        ("/etc/escape", "not covered"),
        ("/../secret", "not covered"),
        ("/etc/escape-absolute", "not covered"),
        ("/etc/loop-a", "loop"),
        ("/etc/fifo", "FIFO"),
        ("/etc", "directory"),
        ("/", "directory"),
        ("/etc/none", "not found"),
        ("/etc/none/deeper", "not found"),
        ("/etc/hosts/x", "not found"),
        ("/usr/bin/none", "not found"),
        ("/bin/none", "not found"),
        ("/sys/kernel/x", "not covered"),
        ("/run/x.sock", "not covered"),
        ("/proc/12/none", "not found"),
        ("/proc/12/root/etc/hosts", "not covered"),
        ("/etc/masked.service", "device"),
        ("/etc/localtime", "not covered"),
        ("/etc/dangling", "not found"),
        ("/usr/share/none", "not found"),
        ("/etc/n\u{fffd}", "io"),
        ("etc/hosts", "io"),
        ("/etc/ho\0sts", "io"),
    ] {
        assert_eq!(outcome(source.read(path)), expected, "read {path}");
        assert_eq!(outcome(source.open(path)), expected, "open {path}");
    }
    assert_eq!(source.read("/etc/os-release").unwrap(), b"ID=debian\n");
    assert_eq!(source.read("/etc/up").unwrap(), b"127.0.0.1 localhost\n");
    assert_eq!(source.kind(), SourceKind::Tree);
    assert_eq!(source.label(), outside.path().join("host").display().to_string());
}

#[test]
fn a_tree_without_openat2_says_the_same() {
    let outside = host();
    let (fast, slow) = (tree(&outside), tree(&outside).without_openat2());
    for path in
        ["/etc/hosts", "/usr/bin/../lib/os-release", "/etc", "/etc/fifo", "/etc/none", "/none/x", "/bin/kubelet"]
    {
        assert_eq!(fast.read(path), slow.read(path), "{path}");
        assert_eq!(fast.metadata(path), slow.metadata(path), "{path}");
        assert_eq!(fast.list(path), slow.list(path), "{path}");
    }
}

#[test]
fn directories_are_listed_with_their_entries_own_kinds() {
    let outside = host();
    let source = tree(&outside);
    let listed = source.list("/etc").unwrap();
    let kind = |name: &str| listed.iter().find(|entry| entry.name == name).map(|entry| entry.kind);
    assert_eq!(kind("hosts"), Some(FileKind::File));
    assert_eq!(kind("absolute"), Some(FileKind::Link));
    assert_eq!(kind("fifo"), Some(FileKind::Fifo));
    assert_eq!(kind("n\u{fffd}"), Some(FileKind::File));
    assert!(listed.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(source.list("/bin").unwrap().len(), 1);
    assert_eq!(outcome(source.list("/etc/hosts")), "file");
    assert_eq!(outcome(source.list("/etc/none")), "not found");
    assert_eq!(outcome(source.list("/run")), "not covered");
    assert_eq!(source.read_link("/bin").unwrap(), "usr/bin");
    assert_eq!(source.read_link("/etc/loop-a").unwrap(), "loop-b");
    assert_eq!(source.read_link("/etc/masked.service").unwrap(), "/dev/null");
    assert_eq!(outcome(source.read_link("/etc/hosts")), "file");
    assert_eq!(source.metadata("/bin").unwrap().kind, FileKind::Directory);
    assert_eq!(source.metadata("/etc/absolute").unwrap().size, 20);
}

#[test]
fn sockets_of_the_list_exist() {
    let outside = host();
    let root = outside.path().join("host");
    write(&root, "run-sockets.txt", "/run/containerd/containerd.sock\n/var/run/dbus/system_bus_socket\nrubbish\n");
    fs::create_dir_all(root.join("var")).unwrap();
    symlink("/run", root.join("var/run")).unwrap();
    let source = tree(&outside);
    for (path, expected) in [
        ("/run/containerd/containerd.sock", Ok(FileKind::Socket)),
        ("/var/run/containerd/containerd.sock", Ok(FileKind::Socket)),
        ("/run/dbus/system_bus_socket", Ok(FileKind::Socket)),
        ("/run/containerd", Ok(FileKind::Directory)),
        ("/run", Ok(FileKind::Directory)),
        // The list is of all sockets, so this one is none; of other files it says nothing.
        ("/run/cri-dockerd.sock", Err("not found")),
        ("/var/run/docker.sock", Err("not found")),
        ("/run/docker.pid", Err("not covered")),
        ("/run/a/b/c/d/deep.sock", Err("not covered")),
    ] {
        let found = source.metadata(path);
        match expected {
            Ok(kind) => assert_eq!(found.unwrap().kind, kind, "{path}"),
            Err(why) => assert_eq!(outcome(found), why, "{path}"),
        }
    }
    let socket = Entry { name: "containerd.sock".to_owned(), kind: FileKind::Socket };
    assert_eq!(source.list("/run/containerd").unwrap(), [socket]);
    assert_eq!(source.list("/run").unwrap().len(), 2);
    assert_eq!(outcome(source.read("/run/containerd/containerd.sock")), "socket");
}

#[test]
fn what_is_too_large_or_refused_says_so() {
    let outside = host();
    let root = outside.path().join("host");
    fs::File::create(root.join("etc/huge")).unwrap().set_len(READ_LIMIT + 1).unwrap();
    fs::File::create(root.join("etc/just")).unwrap().set_len(READ_LIMIT).unwrap();
    let source = tree(&outside);
    assert_eq!(outcome(source.read("/etc/huge")), "too large");
    assert_eq!(source.read("/etc/just").unwrap().len() as u64, READ_LIMIT);
    source.open("/etc/huge").unwrap().read_exact(&mut [0; 3]).unwrap();
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may read everything");
        return;
    }
    write(&root, "etc/denied", "x");
    rustix::fs::chmod(root.join("etc/denied"), Mode::empty()).unwrap();
    assert_eq!(outcome(source.read("/etc/denied")), "denied");
    assert_eq!(outcome(source.metadata("/etc/denied")), "ok");
}

#[test]
fn the_live_host_is_read() {
    let source = FsSource::live();
    assert_eq!(source.kind(), SourceKind::Live);
    assert!(source.read("/proc/self/status").unwrap().starts_with(b"Name:"));
    assert!(source.list("/proc/self").unwrap().iter().any(|entry| entry.name == "cmdline"));
    assert!(source.read_link("/proc/self/exe").unwrap().starts_with('/'));
    for (path, expected) in [
        ("/proc/none", "not found"),
        ("/proc/self", "directory"),
        ("/dev/null", "device"),
        ("/proc/self/status/x", "not found"),
        ("relative", "io"),
    ] {
        assert_eq!(outcome(source.read(path)), expected, "{path}");
    }
    assert_eq!(outcome(source.list("/proc/self/status")), "file");
    let outside = host();
    let base = outside.path().join("host/etc").display().to_string();
    for (name, expected) in [("hosts", "ok"), ("fifo", "FIFO"), ("loop-a", "loop"), ("escape", "ok")] {
        assert_eq!(outcome(source.read(&format!("{base}/{name}"))), expected, "{name}");
    }
}

#[test]
fn a_single_file_is_a_host_with_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "my-etcd.service", "[Unit]\n[Service]\nExecStart=/usr/bin/etcd\n");
    let path = directory.path().join("my-etcd.service");
    let source = open_path(&path).unwrap();
    let place = "/etc/systemd/system/my-etcd.service";
    assert_eq!(source.kind(), SourceKind::File);
    assert!(source.read(place).unwrap().starts_with(b"[Unit]"));
    assert_eq!(source.display_path(place), path.display().to_string());
    assert_eq!(source.display_path("/etc/hosts"), "/etc/hosts");
    let unit = Entry { name: "my-etcd.service".to_owned(), kind: FileKind::File };
    assert_eq!(source.list("/etc/systemd/system").unwrap(), [unit]);
    let etc = Entry { name: "etc".to_owned(), kind: FileKind::Directory };
    assert_eq!(source.list("/").unwrap(), [etc]);
    assert_eq!(source.metadata("/etc").unwrap().kind, FileKind::Directory);
    assert_eq!(outcome(source.read("/etc")), "directory");
    for path in ["/etc/hosts", "/etc/systemd/system/other.service", "/et", "/usr", "/etc/systemd/system/my"] {
        assert_eq!(outcome(source.read(path)), "not covered", "{path}");
        assert_eq!(outcome(source.list(path)), "not covered", "{path}");
        assert_eq!(outcome(source.metadata(path)), "not covered", "{path}");
    }
}

#[test]
fn a_stream_is_read_once_and_not_whole() {
    let short = SingleSource::stream("-", Box::new(Cursor::new("etcd: ready\n"))).unwrap();
    assert_eq!(short.place(), "/var/log/stdin.log");
    assert_eq!(short.read(short.place()).unwrap(), short.read(short.place()).unwrap());
    assert_eq!(short.display_path(short.place()), "-");

    let endless = SingleSource::stream("-", Box::new(std::io::repeat(b'x'))).unwrap();
    let mut log = endless.open(endless.place()).unwrap();
    let mut some = vec![0; 1 << 20];
    log.read_exact(&mut some).unwrap();
    assert!(some.iter().all(|byte| *byte == b'x'));
    assert_eq!(outcome(endless.open(endless.place())), "io");

    let endless = SingleSource::stream("-", Box::new(std::io::repeat(b'x'))).unwrap();
    assert_eq!(outcome(endless.read(endless.place())), "too large");

    let manifest = Cursor::new("apiVersion: v1\nkind: Pod\n# ").chain(std::io::repeat(b'x'));
    let error = SingleSource::stream("-", Box::new(manifest)).err().unwrap();
    assert!(matches!(error, SourceError::TooLarge { .. }), "{error}");
}

#[test]
fn a_log_of_any_length_is_streamed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("etcd.log");
    let mut content = "x".repeat(sniff::HEAD).into_bytes();
    content.push(b'\n');
    fs::write(&path, content).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(100 << 20).unwrap();
    let source = open_path(&path).unwrap();
    assert_eq!(outcome(source.read("/var/log/etcd.log")), "too large");
    source.open("/var/log/etcd.log").unwrap().read_exact(&mut [0; 10]).unwrap();
}

#[test]
fn what_cannot_be_a_source_says_why_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "empty", "");
    write(root, "garbage", [0x7f, b'E', b'L', b'F', 1, 0, 0, 0, 3, 0]);
    write(root, "manifest.yaml", format!("apiVersion: v1\nkind: Pod\n#{}", "x".repeat(READ_LIMIT as usize)));
    write(root, "loose/kubelet.service", "[Service]\n");
    write(root, "several/m1/etc/hosts", "");
    write(root, "several/m2/proc/version", "");
    fs::create_dir_all(root.join("nothing")).unwrap();
    fifo(&root.join("fifo"));
    for (name, contains) in [
        ("none", "no such file or directory; check the path"),
        ("empty", "is empty"),
        ("garbage", "it is not text; a log, systemd unit"),
        ("manifest.yaml", "looks like a static pod manifest, but is larger"),
        ("fifo", "is a FIFO, which is not read; pipe"),
        ("nothing", "does not look like a host's root"),
        ("loose", "loose/kubelet.service"),
        ("several", "several/m1 "),
    ] {
        let path = root.join(name).display().to_string();
        let message = open(Some(&path)).err().unwrap().to_string();
        assert!(message.starts_with(&path), "{message}");
        assert!(message.contains(contains), "{name}: {message}");
    }
    assert_eq!(open(Some(&root.join("several/m1").display().to_string())).unwrap().kind(), SourceKind::Tree);
    assert_eq!(open(None).unwrap().kind(), SourceKind::Live);
}
