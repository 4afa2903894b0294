//! Input that nobody would give on purpose: each is named with what is wrong with it, nothing panics, hangs or takes the
//! machine's memory, and nothing that could not be read counts as passed.
#![allow(clippy::disallowed_methods, reason = "the input has to be made first")]

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A run that did not hang or crash.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }
}

/// Runs a command with little memory and time.
fn finish(command: &mut Command, input: Option<&[u8]>) -> Run {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
        // The program may have read enough.
        let _ = stdin.write_all(bytes);
    }
    let pid = child.id();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = ended.recv_timeout(Duration::from_secs(60)).is_err();
        if let (true, Some(pid)) = (hangs, rustix::process::Pid::from_raw(pid as i32)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        hangs
    });
    let output = child.wait_with_output().expect("it ends");
    let _ = done.send(());
    let hangs = watch.join().expect("the watch ends");
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(!hangs, "it hangs: {command:?}");
    assert!(output.status.code().is_some(), "it is killed: {command:?} {}", output.status);
    assert!(!run.stderr.contains("panicked"), "{command:?}\n{}", run.stderr);
    run
}

/// The program with at most 1 GB of address space.
fn k8sdoctor(arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_k8sdoctor")]).args(arguments);
    command
}

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Tree {
        let tree = Tree(tempfile::tempdir().expect("a folder"));
        tree.write("etc/hostname", "m1\n");
        tree.write("proc/net/route", "Iface\tDestination\tGateway \tFlags\n");
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn folder_of(&self, path: &str) {
        std::fs::create_dir_all(self.path(path).parent().expect("it has a folder")).expect("a folder");
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.folder_of(path);
        std::fs::write(self.path(path), content).expect("a file");
    }

    fn root(&self) -> &str {
        self.0.path().to_str().expect("its name is text")
    }

    fn check(&self) -> Run {
        finish(&mut k8sdoctor(&["check", "--format", "json", "--fail-on-unknown", self.root()]), None)
    }

    /// That the report says of the path what is wrong with it, and that this did not end as a clean result.
    #[track_caller]
    fn complains(&self, path: &str, words: &[&str]) {
        let run = self.check();
        let json = run.json();
        let said: Vec<String> = ["problems", "unknown"]
            .iter()
            .flat_map(|list| json[list].as_array().into_iter().flatten())
            .map(Value::to_string)
            .filter(|entry| entry.contains(path))
            .collect();
        let fits = said.iter().any(|entry| words.iter().all(|word| entry.contains(word)));
        assert!(fits, "nobody says {words:?} of {path}: {said:#?}\n{json:#}");
        assert!(run.code == 3 || run.code == 1, "exit code {}\n{json:#}", run.code);
    }
}

fn mkfifo(path: &Path) {
    let status = Command::new("mkfifo").arg(path).status().expect("mkfifo starts");
    assert!(status.success());
}

const ETCD: &str = "etc/kubernetes/manifests/etcd.yaml";
const ETCD_LINE: &str =
    "2018-03-02 11:20:45.135926 C | etcdmain: listen tcp 203.0.113.9:2380: bind: cannot assign requested address\n";

fn manifest(name: &str, flags: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n  - name: {name}\n    command:\n    - {name}\n{flags}"
    )
}

#[test]
fn unreadable_files() {
    if !rustix::process::geteuid().is_root() {
        let tree = Tree::new();
        tree.write(ETCD, manifest("etcd", ""));
        std::fs::set_permissions(tree.path(ETCD), std::fs::Permissions::from_mode(0o000)).expect("chmod");
        return tree.complains("/etc/kubernetes/manifests/etcd.yaml", &["permission denied", "run as root"]);
    }
    let tree = Tree::new();
    tree.write(ETCD, manifest("etcd", ""));
    tree.write("alone.log", ETCD_LINE);
    tree.write("var/log/etcd.log", ETCD_LINE);
    for path in [ETCD, "alone.log", "var/log/etcd.log"] {
        std::fs::set_permissions(tree.path(path), std::fs::Permissions::from_mode(0o000)).expect("chmod");
    }
    std::fs::set_permissions(tree.path(""), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    // Where the program was built may be closed to others.
    let program = tree.path("k8sdoctor");
    std::fs::copy(env!("CARGO_BIN_EXE_k8sdoctor"), &program).expect("a copy");
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(arguments);
        finish(&mut command, None)
    };

    let run = as_nobody(&["check", "--format", "json", "--fail-on-unknown", tree.root()]);
    let json = run.json();
    assert_eq!(run.code, 3, "{json:#}");
    let unknown = json["problems"].to_string();
    assert!(
        unknown.contains("/etc/kubernetes/manifests/etcd.yaml") && unknown.contains("permission denied"),
        "{json:#}"
    );
    assert!(unknown.contains("run as root"), "{json:#}");
    assert!(json.to_string().contains("/var/log/etcd.log"), "the log that was not read is not named: {json:#}");

    // An etcd there may be, so what is to be judged of it is not inapplicable.
    let unjudged = json["unknown"].as_array().into_iter().flatten();
    let etcd = unjudged.filter(|entry| entry["rule"] == "etcd-address-not-local").collect::<Vec<_>>();
    assert_eq!(etcd.len(), 1, "{json:#}");
    assert!(etcd[0]["why"].to_string().contains("permission denied"), "{etcd:?}");

    let alone = tree.path("alone.log");
    let alone = alone.to_str().expect("text");
    let run = as_nobody(&["check", alone]);
    assert_eq!(run.code, 3, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(alone) && run.stderr.contains("ermission denied"), "{}", run.stderr);
}

#[test]
fn one_source_of_several_that_cannot_be_opened() {
    let tree = Tree::new();
    let unit = "[Service]\nExecStart=/usr/bin/etcd --listen-peer-urls=http://203.0.113.9:2380\n";
    tree.write("etc/systemd/system/etcd.service", unit);
    tree.write("proc/net/fib_trie", "Local:\n     |-- 127.0.0.1\n        /32 host LOCAL\n");
    for (fail_on, code) in [("warning", 1), ("never", 3)] {
        let arguments = ["check", "--format", "json", "--fail-on", fail_on, tree.root(), "/no/such/tree"];
        let run = finish(&mut k8sdoctor(&arguments), None);
        let json = run.json();
        assert_eq!(run.code, code, "{json:#}");
        assert_eq!(json["unopened"][0]["source"], "/no/such/tree");
        assert_eq!(json["findings"][0]["rule"], "etcd-address-not-local", "{json:#}");
    }
    let run = finish(&mut k8sdoctor(&["check", "/no/such/tree", "/none/either"]), None);
    assert_eq!((run.code, run.stdout.as_str()), (3, ""));
    assert!(run.stderr.contains("/no/such/tree") && run.stderr.contains("/none/either"), "{}", run.stderr);
}

#[test]
fn text_that_is_not_utf_8() {
    let tree = Tree::new();
    let mut bytes = manifest("etcd", "    - --name=").into_bytes();
    bytes.extend(b"\xff\xfe\n");
    tree.write(ETCD, bytes);
    tree.complains("/etc/kubernetes/manifests/etcd.yaml", &["UTF-8"]);

    // A log's line with such bytes does not hide the next one.
    let tree = Tree::new();
    tree.write("var/log/etcd.log", [b"\xff\xfe\x80 broken\n\xc3\x28", ETCD_LINE.as_bytes()].concat());
    tree.write("var/log/etcd.log", [b"\xff\xfe\x80 broken\n", ETCD_LINE.as_bytes()].concat());
    let json = tree.check().json();
    assert_eq!(json["findings"][0]["rule"], "etcd-address-not-local", "{json:#}");
}

#[test]
fn a_line_of_100_megabytes() {
    let mut log = vec![b'a'; 100_000_000];
    log.push(b'\n');
    log.extend(ETCD_LINE.as_bytes());
    let tree = Tree::new();
    tree.write("var/log/etcd.log", &log);
    let begun = Instant::now();
    let run = tree.check();
    assert_eq!(run.json()["findings"][0]["rule"], "etcd-address-not-local", "{}", run.stdout);
    let run = finish(&mut k8sdoctor(&["check", "--format", "json", "-"]), Some(&log));
    assert_eq!(run.json()["findings"][0]["rule"], "etcd-address-not-local", "{}", run.stdout);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());

    let tree = Tree::new();
    tree.write(ETCD, &log);
    tree.complains("/etc/kubernetes/manifests/etcd.yaml", &["bytes, more than"]);
}

#[test]
fn fifos_and_directories_in_the_place_of_files() {
    for path in [ETCD, "etc/kubernetes/admin.conf", "etc/kubernetes/kubelet.conf", "var/lib/kubelet/config.yaml"] {
        let tree = Tree::new();
        tree.folder_of(path);
        mkfifo(&tree.path(path));
        tree.complains(&format!("/{path}"), &["FIFO"]);
        let tree = Tree::new();
        std::fs::create_dir_all(tree.path(path)).expect("a folder");
        tree.complains(&format!("/{path}"), &["directory"]);
    }
    // Never waited for.
    let tree = Tree::new();
    tree.folder_of("var/log/etcd.log");
    mkfifo(&tree.path("var/log/etcd.log"));
    mkfifo(&tree.path("proc/net/tcp"));
    tree.check().json();
    let fifo = tree.path("fifo");
    mkfifo(&fifo);
    let fifo = fifo.to_str().expect("text");
    let run = finish(&mut k8sdoctor(&["check", fifo]), None);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains(fifo) && run.stderr.contains("FIFO"), "{}", run.stderr);
}

#[test]
fn links_that_go_in_circles_or_out_of_the_tree() {
    let tree = Tree::new();
    tree.folder_of(ETCD);
    symlink("etcd.yaml", tree.path(ETCD)).expect("a link");
    tree.complains("/etc/kubernetes/manifests/etcd.yaml", &["circle"]);

    let tree = Tree::new();
    symlink("/etc/kubernetes", tree.path("etc/kubernetes")).expect("a link");
    tree.complains("/etc/kubernetes", &["circle"]);

    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret.yaml");
    std::fs::write(&secret, manifest("etcd", "    - --listen-peer-urls=https://203.0.113.77:2380\n")).expect("a file");
    let tree = Tree::new();
    tree.folder_of(ETCD);
    symlink(&secret, tree.path(ETCD)).expect("a link");
    let run = tree.check();
    assert!(!run.stdout.contains("203.0.113.77"), "{}", run.stdout);
}

#[test]
fn a_truncated_certificate() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate =
        rcgen::CertificateParams::new(["m1".to_owned()]).expect("names").self_signed(&key).expect("signed");
    let pem = certificate.pem();
    let half = &pem[..pem.len() / 2];
    for content in [half.to_owned(), format!("{half}\n-----END CERTIFICATE-----\n"), String::new()] {
        let tree = Tree::new();
        tree.write("etc/kubernetes/pki/apiserver.crt", content);
        let flags = "    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt\n    - --advertise-address=10.0.0.1\n";
        tree.write("etc/kubernetes/manifests/kube-apiserver.yaml", manifest("kube-apiserver", flags));
        tree.complains("/etc/kubernetes/pki/apiserver.crt", &[]);
    }
}

#[test]
fn a_yaml_bomb() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let last = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [last.as_str(); 10].join(", ")));
    }
    let deep = format!("apiVersion: v1\nkind: Pod\nspec: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    for content in [format!("{}bomb:\n{bomb}", manifest("etcd", "")), bomb, deep] {
        let tree = Tree::new();
        tree.write(ETCD, content);
        let begun = Instant::now();
        tree.complains("/etc/kubernetes/manifests/etcd.yaml", &[]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_card_with_an_error_in_it() {
    let card = |front: &str| {
        format!(
            "---\nid: my-rule\ntitle: a fault\nseverity: error\ncomponent: mine\ndetect: [log]\n{front}---\n## What it means\n\nText.\n"
        )
    };
    let sources = "sources:\n  - title: a book\nfix:\n  - risk: manual\n    summary: mend it\n";
    // What stands in the card, and the place and words of the message.
    let table = [
        (card(&format!("{sources}logs:\n  - patern: 'something wrong'\n")), "my-rule.md:13:", "patern"),
        (
            card(&format!("{sources}logs:\n  - pattern: 'something (wrong'\n    examples: ['something (wrong']\n")),
            "my-rule.md:13:",
            "unclosed group",
        ),
        (
            card(&format!(
                "{sources}logs:\n  - pattern: 'the first'\n    examples: ['the first']\n  - pattern: 'the second'\n    examples: ['2']\n"
            )),
            "my-rule.md:15:",
            "pattern 1 does not match its example: 2",
        ),
        (card(&format!("{sources}severity: high\n")), "my-rule.md:12:", "severity"),
        (card(&format!("{sources}conditions:\n  - fail: 'host.name =='\n")), "my-rule.md:12:", ""),
        ("no front matter\n".to_owned(), "my-rule.md:1:", ""),
    ];
    for (text, place, word) in table {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("mine")).expect("a folder");
        std::fs::write(folder.path().join("mine/my-rule.md"), &text).expect("a card");
        let rules = folder.path().to_str().expect("text");
        let tree = Tree::new();
        let run = finish(&mut k8sdoctor(&["check", "--rules", rules, tree.root()]), None);
        assert_eq!(run.code, 2, "{text}\n{}\n{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(place) && run.stderr.contains(word), "{place} {word}\n{text}\n{}", run.stderr);
    }
}
