//! Collecting that is killed or runs out of disk, and archives that other tools lay out in their own way.

#![expect(clippy::disallowed_methods, reason = "archives are written and read")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_k8sdoctor");

/// A host whose logs take a while.
fn big_tree(directory: &Path, megabytes: usize) -> PathBuf {
    let root = directory.join("m1");
    fs::create_dir_all(root.join("etc")).expect("a directory");
    fs::create_dir_all(root.join("var/log")).expect("a directory");
    fs::write(root.join("etc/hostname"), "m1\n").expect("a file");
    let mut state = 1_u64;
    let mut text = String::new();
    while text.len() < 1 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("Jan  1 00:00:00 m1 kubelet[1]: {state:x} {:x}\n", state.rotate_left(17) ^ 0x5bd1));
    }
    fs::write(root.join("var/log/messages"), text.repeat(megabytes)).expect("a file");
    root
}

fn collect(tree: &Path, to: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("collect").arg(tree).arg("-o").arg(to).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether every file in it has the hash of the manifest, which is written last.
fn is_whole(bundle: &Path) -> bool {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_k8sdoctor"));
    verify.args(["bundle", "verify"]).arg(bundle).output().expect("it starts").status.success()
}

fn exit_of_check(bundle: &Path) -> i32 {
    let mut command = Command::new(PROGRAM);
    command.args(["check", "--only", "host-hostname-invalid", "--at", "2026-01-01"]).arg(bundle);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs");
    status.code().unwrap_or(-1)
}

#[test]
fn killed_at_any_moment_it_leaves_the_old_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = big_tree(directory.path(), 8);
    let whole = directory.path().join("whole.tar.zst");
    let began = std::time::Instant::now();
    assert!(collect(&tree, &whole).status().expect("it runs").success());
    let took = began.elapsed();
    assert_eq!(exit_of_check(&whole), 0);
    let out = directory.path().join("out");
    fs::create_dir(&out).expect("a directory");
    let path = out.join("x.tar.zst");
    let mut state = 7_u64;
    let mut killed = 0;
    for turn in 0..20 {
        fs::write(&path, "old").expect("a file");
        let mut child = collect(&tree, &path).spawn().expect("it starts");
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(took.mul_f64((state >> 33) as f64 / f64::from(1_u32 << 31)));
        child.kill().expect("it is killed");
        let status = child.wait().expect("it ends");
        killed += usize::from(!status.success());
        let bytes = fs::read(&path).expect("a file");
        // What was there before, or a whole new one.
        assert!(bytes == b"old" || (exit_of_check(&path) == 0), "turn {turn}");
        for entry in fs::read_dir(&out).expect("a directory").flatten().filter(|entry| entry.path() != path) {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(name.starts_with('.') && name.ends_with(".partial"), "{name}");
            // Given all the same, it is not taken for whole.
            let renamed = directory.path().join("partial.tar.zst");
            fs::rename(entry.path(), &renamed).expect("renamed");
            // Killed just before it gets its name it is whole, and says so.
            let exit = if is_whole(&renamed) { 0 } else { 3 };
            assert_eq!(exit_of_check(&renamed), exit, "turn {turn}");
        }
    }
    assert!(killed >= 10, "only {killed} were killed before their end");
}

/// A small file system of its own, unmounted at the end.
struct Tmpfs(PathBuf);

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_the_old_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let mount = directory.path().join("small");
    fs::create_dir(&mount).expect("a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&mount)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("skipped: mounting a tmpfs is not allowed here");
        return;
    }
    let _unmount = Tmpfs(mount.clone());
    let tree = big_tree(directory.path(), 4);
    let path = mount.join("x.tar.zst");
    fs::write(&path, "old").expect("a file");
    let output = collect(&tree, &path).stderr(Stdio::piped()).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("no space left") && error.contains("still there"), "{error}");
    assert_eq!(fs::read(&path).expect("the old file"), b"old");
    assert_eq!(fs::read_dir(&mount).expect("a directory").count(), 1, "nothing else is left");
    // With less than there is room for it fits, and says what it lacks.
    let output = collect(&tree, &path).args(["--max-size", "100K"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(fs::metadata(&path).expect("a file").len() <= 256 << 10);
}

fn archive(directory: &Path, entries: &[(&str, &str)]) -> PathBuf {
    let path = directory.join("archive.tar");
    let mut tar = tar::Builder::new(fs::File::create(&path).expect("a file"));
    for (name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).expect("an entry");
    }
    tar.finish().expect("an archive");
    path
}

/// Hosts of an archive, by name, with the logs that are read of each.
fn hosts(entries: &[(&str, &str)], log: &str) -> Vec<(String, bool)> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = archive(directory.path(), entries);
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("hosts");
    let has = |source: &k8sdoctor::source::SourceRef| source.read(log).is_ok_and(|text| text.ends_with(b"ERR\n"));
    let mut hosts: Vec<(String, bool)> =
        sources.iter().map(|source| (k8sdoctor::collect::host::name_of(source), has(source))).collect();
    hosts.sort();
    hosts
}

#[test]
fn logs_exported_by_kind_are_of_their_nodes() {
    let line = "2026-01-01T00:00:00.000000000Z stderr F E0101 00:00:00.000000 1 a.go:1] ERR\n";
    let pod = "pods/kube-system_etcd-kind-control-plane_5a1c/etcd/0.log";
    let first = format!("1234/kind-control-plane/{pod}");
    let found = hosts(
        &[
            ("1234/kind-version.txt", "kind v0.23.0 go1.22.3 linux/amd64\n"),
            ("1234/docker-info.txt", "Client:\n"),
            (first.as_str(), line),
            ("1234/kind-control-plane/kubelet.log", "Jan 01 00:00:00 kind-control-plane kubelet[1]: x\n"),
            ("1234/kind-control-plane/journal.log", "Jan 01 00:00:00 kind-control-plane kubelet[1]: x\n"),
            ("1234/kind-worker/kubelet.log", "Jan 01 00:00:00 kind-worker kubelet[1]: x\n"),
        ],
        &format!("/var/log/{pod}"),
    );
    assert_eq!(found, [("kind-control-plane".to_owned(), true), ("kind-worker".to_owned(), false)]);
}

#[test]
fn logs_of_must_gather_are_of_the_nodes_that_ran_the_pods() {
    let base = "must-gather.local.1/quay-io-openshift-sha256-1";
    let pod = format!("{base}/namespaces/openshift-etcd/pods/etcd-m1");
    let yaml = format!("{pod}/etcd-m1.yaml");
    let log = format!("{pod}/etcd/etcd/logs/current.log");
    let nodes = format!("{base}/cluster-scoped-resources/core/nodes/m1.yaml");
    let service = format!("{base}/host_service_logs/masters/kubelet_service.log");
    let directory = tempfile::tempdir().expect("a directory");
    let path = archive(
        directory.path(),
        &[
            (nodes.as_str(), "kind: Node\n"),
            (yaml.as_str(), "kind: Pod\nspec:\n  nodeName: m1\n"),
            (log.as_str(), "2026-01-01T00:00:00.000000000Z {\"level\":\"fatal\"}\n"),
            (service.as_str(), "Jan 01 00:00:00 m1 kubelet[1]: x\n"),
        ],
    );
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("hosts");
    let named: Vec<String> = sources.iter().map(k8sdoctor::collect::host::name_of).collect();
    assert!(named.contains(&"m1".to_owned()) && named.contains(&"masters".to_owned()), "{named:?}");
    let m1 = &sources[named.iter().position(|name| name == "m1").expect("m1")];
    let entries = m1.list("/var/log/pods").expect("a directory");
    assert_eq!(entries.len(), 1);
    assert!(entries[0].name.starts_with("openshift-etcd_etcd-m1_"), "{}", entries[0].name);
}

#[test]
fn a_sosreport_without_proc_has_its_addresses_and_routes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = archive(
        directory.path(),
        &[
            ("sosreport-m1/etc/hostname", "m1\n"),
            ("sosreport-m1/sos_commands/networking/ip_-o_addr", "2: eth0    inet 10.0.0.11/24 brd 10.0.0.255\n"),
            ("sosreport-m1/sos_commands/networking/ip_route_show_table_all", "default via 10.0.0.1 dev eth0\n"),
        ],
    );
    let sources = k8sdoctor::source::open_all(Some(&path.display().to_string())).expect("hosts");
    let recording = sources[0].recording().expect("a recording");
    assert!(recording.addresses.as_ref().is_some_and(|found| found["eth0"][0].to_string() == "10.0.0.11/24"));
    let table = sources[0].read("/proc/net/route").expect("a table");
    assert!(String::from_utf8_lossy(&table).contains("eth0\t00000000\t0100000A"));
}
