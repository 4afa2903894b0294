//! What the tests share: sandboxes, processes that end with their test, reports, certificates.

mod booted;
pub mod cfssl;
pub mod process;
mod report;
mod sandbox;

pub use booted::Booted;
pub use process::{Process, eventually};
pub use report::{Finding, Report};
pub use sandbox::{Options, Sandbox};

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

/// The program under test.
pub const K8SDOCTOR: &str = env!("CARGO_BIN_EXE_k8sdoctor");

/// Says that the running test is skipped, and why. libtest keeps what a passing test prints; this is not kept.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("skipped: {test}: {why}\n");
    assert!(std::env::var_os("K8SDOCTOR_NO_SKIP").is_none(), "{line}");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("K8SDOCTOR_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// kubeadm's manifest of kube-apiserver, as far as the tests need it, with these flags.
pub fn apiserver_manifest(flags: &[&str]) -> String {
    let flags: String = flags.iter().map(|flag| format!("    - {flag}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-apiserver\n  namespace: kube-system\nspec:\n  hostNetwork: true\n  \
         containers:\n  - name: kube-apiserver\n    image: registry.k8s.io/kube-apiserver:v1.28.3\n    command:\n    \
         - kube-apiserver\n{flags}"
    )
}

/// The first of the programs that is not to be found.
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    programs.iter().copied().find(|program| which(program).is_none())
}

/// Where a program is.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"])
        .map(|folder| Path::new(folder).join(program))
        .find(|candidate| candidate.is_file())
}

/// A program of Kubernetes (or an etcd of today): installed, or as tests/cluster has built it.
pub fn kubernetes_program(program: &str) -> Option<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder).join("k8sdoctor/cluster"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster"),
    };
    let folders = std::fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path());
    let built = folders.filter(|path| path.to_string_lossy().contains("/programs-")).map(|path| path.join(program));
    built.filter(|path| path.is_file()).max().or_else(|| which(program).filter(|_| program != "etcd"))
}

/// Tests whose daemons share something that no namespace parts (control groups, loop devices) run one after another.
pub fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
