//! Collecting that is killed, that runs out of disk, or of which the disk hangs.

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

/// A file system that never answers, as of a server that is dead: FUSE without anybody who serves it.
struct Hung {
    keeper: std::process::Child,
    path: PathBuf,
}

/// Mounts, and answers what is asked of the mount point itself as often as it is told to, then nothing any more.
const KEEPER: &str = r#"
import ctypes, os, struct, sys
fuse = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = ("fd=%d,rootmode=40000,user_id=0,group_id=0" % fuse).encode()
if libc.mount(b"hung", sys.argv[1].encode(), b"fuse", 0, options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
left = int(sys.argv[2])
attributes = struct.pack("<QI4x", 0, 0) + struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
answers = {
    26: struct.pack("<IIIIHHIIHH8I", 7, 31, 65536, 0, 8, 6, 65536, 1, 16, 0, *[0] * 8),  # INIT
    3: attributes,  # GETATTR
    17: struct.pack("<5Q4I24x", 1, 1, 1, 1, 1, 512, 255, 512, 0),  # STATFS
}
while left:
    request = os.read(fuse, 1 << 17)
    kind, unique = struct.unpack_from("<4xIQ", request)
    answer = answers.get(kind)
    if answer is None:
        break
    os.write(fuse, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
    left -= kind != 26
sys.stdin.read()
"#;

impl Hung {
    /// One that never answers anything; none where it is not allowed.
    fn mount(path: &Path) -> Option<Hung> {
        Hung::after(path, 0)
    }

    /// One that hangs after so many answers.
    fn after(path: &Path, answers: usize) -> Option<Hung> {
        use std::io::BufRead;
        fs::create_dir_all(path).expect("a directory");
        let mut keeper = Command::new("python3")
            .args(["-c", KEEPER])
            .arg(path)
            .arg(answers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        std::io::BufReader::new(keeper.stdout.take()?).read_line(&mut line).ok()?;
        if line == "mounted\n" {
            return Some(Hung { keeper, path: path.to_owned() });
        }
        let _ = keeper.wait();
        None
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // Who still waits is let go when nobody holds the other end any more.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let _ = Command::new("umount").arg("-l").arg(&self.path).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_hung_disk_is_told_and_the_rest_is_taken() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = big_tree(directory.path(), 1);
    fs::create_dir_all(tree.join("etc/kubernetes/manifests")).expect("a directory");
    fs::write(tree.join("etc/kubernetes/manifests/x.yaml"), "kind: Pod\n").expect("a file");
    let Some(_pods) = Hung::mount(&tree.join("var/log/pods")) else {
        eprintln!("skipped: FUSE is not to be had here");
        return;
    };
    let path = directory.path().join("x.tar.zst");
    let began = std::time::Instant::now();
    let output = collect(&tree, &path).args(["--timeout", "10"]).stdout(Stdio::piped()).output().expect("it runs");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in
        ["not whole: no answer within 1.0 s, a disk hangs: /var/log/pods", "/var/log/pods: its disk did not answer"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = Command::new(PROGRAM).args(["bundle", "show"]).arg(&path).output().expect("it runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in ["/var/log/messages", "/etc/kubernetes/manifests/x.yaml", "not whole"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(exit_of_check(&path), 3);
}

#[test]
fn a_source_on_a_hung_disk_does_not_hold_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("hung");
    let Some(_root) = Hung::mount(&root) else {
        eprintln!("skipped: FUSE is not to be had here");
        return;
    };
    let path = directory.path().join("x.tar.zst");
    let began = std::time::Instant::now();
    let output = collect(&root, &path).args(["--timeout", "2"]).stderr(Stdio::piped()).output().expect("it runs");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("no answer within 2.0 s"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_check_ends_though_a_disk_hangs_meanwhile() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = big_tree(directory.path(), 1);
    fs::create_dir_all(tree.join("etc/kubernetes")).expect("a directory");
    let pki = tree.join("etc/kubernetes/pki");
    let check = |source: &Path| {
        let began = std::time::Instant::now();
        let mut command = Command::new(PROGRAM);
        command.args(["check", "--timeout", "1", "--at", "2026-01-01", "--format", "json"]).arg(source);
        let output = command.output().expect("it runs");
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    for answers in [0, 2] {
        let Some(_pki) = Hung::after(&pki, answers) else {
            eprintln!("skipped: FUSE is not to be had here");
            return;
        };
        let (exit, said) = check(&tree);
        assert_ne!(exit, Some(2), "{said}");
        let report: serde_json::Value = serde_json::from_str(&said).expect("a report");
        let problems = report["problems"].to_string();
        assert!(problems.contains("/etc/kubernetes/pki") && problems.contains("its disk did not answer"), "{problems}");
        assert!(report["hosts"][0]["incomplete"].is_boolean(), "{said}");
    }
    // The source itself.
    let Some(_hung) = Hung::mount(&directory.path().join("hung")) else { return };
    let (exit, said) = check(&directory.path().join("hung"));
    assert_eq!(exit, Some(3), "{said}");
    assert!(said.contains("its disk hangs"), "{said}");
}

/// The most that a program ever had of memory, in KiB, and how it ended.
fn peak(mut command: Command) -> (u64, i32) {
    let mut child = command.stdout(Stdio::null()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = most.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        if let Some(status) = child.try_wait().expect("it runs") {
            return (most, status.code().unwrap_or(-1));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn memory_does_not_grow_with_the_logs() {
    const LIMIT: u64 = 64 << 10;
    let directory = tempfile::tempdir().expect("a directory");
    // Beyond the limit, in one log and in several.
    let tree = big_tree(directory.path(), 40);
    for name in ["kubelet.log", "containerd.log"] {
        fs::copy(tree.join("var/log/messages"), tree.join("var/log").join(name)).expect("a copy");
    }
    let path = directory.path().join("x.tar.zst");
    let (most, exit) = peak(collect(&tree, &path));
    assert_eq!(exit, 0);
    assert!(most < LIMIT, "collecting took {most} KiB");
    let mut check = Command::new(PROGRAM);
    check.args(["check", "--at", "2026-01-01", "--format", "json"]).arg(&path);
    let (most, exit) = peak(check);
    assert_eq!(exit, 0);
    assert!(most < LIMIT, "judging took {most} KiB");
}
