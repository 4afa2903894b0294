//! What the clusters are made of, built once and kept in the cache: from Debian's packages and the Go module proxy, nothing else.

pub mod go;
pub mod image;
pub mod root;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{output, said, say, sh, which};
use crate::place::Place;

/// Waits for signals, and takes the children of containers that lost their parent.
const PAUSE: &str = "\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void quit(int number) { _exit(0); }
static void reap(int number) { while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGINT, quit); signal(SIGTERM, quit); signal(SIGCHLD, reap);
  for (;;) pause();
}
";

const PROGRAMS: [&str; 7] =
    ["kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];

const CRICTL: &str = "v1.34.0";

/// What one release's clusters are made of.
#[derive(Debug, Clone)]
pub struct Built {
    /// The root of the hosts, without Kubernetes.
    pub root: PathBuf,
    /// kubeadm, kubelet, etcd, ...
    pub programs: PathBuf,
    /// Archives of the images.
    pub images: PathBuf,
    /// containerd's state folder with all images in it, where containerd is the runtime.
    pub store: Option<PathBuf>,
    /// The references of the images.
    pub references: Vec<String>,
    pub version: String,
}

impl Built {
    /// The reference of an image by its name: `pause`.
    pub fn reference(&self, name: &str) -> Result<&str> {
        let found = self.references.iter().find(|reference| reference.contains(&format!("/{name}:")));
        found.map(String::as_str).with_context(|| format!("no image {name} in {:?}", self.references))
    }
}

/// The first folder of the cache that a release's clusters need and that is not there.
pub fn unbuilt(place: &Place, version: &str) -> Option<PathBuf> {
    let folders = [root::NAME.to_owned(), format!("programs-{version}"), format!("images-{version}")];
    folders.into_iter().map(|folder| place.cache.join(folder)).find(|folder| !folder.is_dir())
}

/// What has to be there before anything can be built or started.
pub fn needs() -> Vec<String> {
    let programs = [
        ("go", "Go (https://go.dev/dl)"),
        ("gcc", "gcc and libc6-dev"),
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("ip", "iproute2"),
        ("nsenter", "util-linux"),
        ("unshare", "util-linux"),
        ("setpriv", "util-linux"),
    ];
    let mut lacking: Vec<String> = Vec::new();
    if !rustix::process::geteuid().is_root() {
        lacking.push("root".to_owned());
    }
    if !cfg!(target_arch = "x86_64") {
        lacking.push("an x86-64 machine".to_owned());
    }
    let missing = programs.iter().filter(|(program, _)| which(program).is_none());
    lacking.extend(missing.map(|(program, package)| format!("{program} (package {package})")));
    lacking
}

/// Builds what is missing for kubeadm's clusters of a release of Kubernetes.
pub fn kubeadm(place: &Place, version: &str) -> Result<Built> {
    std::fs::create_dir_all(&place.cache).with_context(|| place.cache.display().to_string())?;
    let programs = place.cache.join(format!("programs-{version}"));
    let images = place.cache.join(format!("images-{version}"));
    std::fs::create_dir_all(&programs)?;
    std::fs::create_dir_all(&images)?;
    root::make(&place.cache)?;
    let root = place.cache.join(root::NAME);
    go::kubernetes(version, &PROGRAMS, &programs)?;
    let references = references(&programs, version)?;
    let mut built = Built { root, programs, images, store: None, references, version: version.to_owned() };
    let tag = |name: &str| -> Result<String> {
        let reference = built.reference(name)?;
        Ok(reference.rsplit(':').next().unwrap_or_default().to_owned())
    };
    let (etcd, coredns) = (tag("etcd")?, tag("coredns")?);
    let etcd = format!("v{}", etcd.split('-').next().unwrap_or_default());
    let out = |name: &str| built.programs.join(name);
    for (name, module, version) in [
        ("etcd", "go.etcd.io/etcd/server/v3", &etcd),
        ("etcdctl", "go.etcd.io/etcd/etcdctl/v3", &etcd),
        ("coredns", "github.com/coredns/coredns", &coredns),
    ] {
        go::program(go::Program { import: module, module, version, has_c: false }, &out(name))?;
    }
    crictl(&out("crictl"))?;
    pause(&built.programs)?;
    archives(&built)?;
    built.store = Some(store(place, &built)?);
    Ok(built)
}

/// Builds what is missing for a cluster of plain binaries, with docker, cri-dockerd and flannel.
pub fn binaries(place: &Place, version: &str) -> Result<Built> {
    let programs = place.cache.join(format!("programs-{version}"));
    let images = place.cache.join(format!("images-{version}"));
    std::fs::create_dir_all(&programs)?;
    std::fs::create_dir_all(&images)?;
    root::make(&place.cache)?;
    go::kubernetes(version, PROGRAMS.get(1..).unwrap_or_default(), &programs)?;
    for (name, import, module, version) in [
        ("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", "v3.5.21"),
        ("etcdctl", "go.etcd.io/etcd/etcdctl/v3", "go.etcd.io/etcd/etcdctl/v3", "v3.5.21"),
        ("flanneld", "github.com/flannel-io/flannel", "github.com/flannel-io/flannel", "v0.25.7"),
    ] {
        // flannel's UDP backend is C.
        let program = go::Program { import, module, version, has_c: name == "flanneld" };
        go::program(program, &programs.join(name))?;
    }
    cri_dockerd(&programs)?;
    pause(&programs)?;
    let root = place.cache.join(root::NAME);
    let references = vec!["k8s.gcr.io/pause:3.7".to_owned()];
    let built = Built { root, programs, images, store: None, references, version: version.to_owned() };
    let files = vec![(built.programs.join("pause"), "/pause".to_owned())];
    let pause = image::Image { reference: built.reference("pause")?, files, entry: &["/pause"] };
    image::write(&pause, &built.images.join("pause.tar"))?;
    Ok(built)
}

/// What stands between kubelets since 1.24 and docker.
pub fn cri_dockerd(programs: &Path) -> Result<()> {
    let module = "github.com/Mirantis/cri-dockerd";
    let program = go::Program { import: module, module, version: "v0.3.17", has_c: false };
    go::program(program, &programs.join("cri-dockerd"))
}

/// crictl, or a stand-in where its module is not to be had.
fn crictl(out: &Path) -> Result<()> {
    let import = "sigs.k8s.io/cri-tools/cmd/crictl";
    let crictl = go::Program { import, module: "sigs.k8s.io/cri-tools", version: CRICTL, has_c: false };
    if let Err(why) = go::program(crictl, out) {
        say(&format!("a stand-in for crictl: {why:#}"));
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/tools/crictl"), out)?;
    }
    Ok(())
}

/// The images that this kubeadm asks for.
fn references(programs: &Path, version: &str) -> Result<Vec<String>> {
    let mut kubeadm = Command::new(programs.join("kubeadm"));
    kubeadm.args(["config", "images", "list", "--kubernetes-version", &format!("v{version}")]);
    Ok(output(&mut kubeadm, Duration::from_secs(60))?.lines().map(str::to_owned).collect())
}

fn pause(programs: &Path) -> Result<()> {
    let out = programs.join("pause");
    if out.is_file() {
        return Ok(());
    }
    let source = programs.join("pause.c");
    std::fs::write(&source, PAUSE)?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-static", "-o"]).arg(&out).arg(&source);
    output(&mut gcc, Duration::from_secs(60)).map(|_| ())
}

fn archives(built: &Built) -> Result<()> {
    let program = |name: &str, to: &str| (built.programs.join(name), to.to_owned());
    let write = |name: &str, files: Vec<(PathBuf, String)>, entry: &[&str]| -> Result<()> {
        let reference = built.reference(name)?;
        image::write(&image::Image { reference, files, entry }, &built.images.join(format!("{name}.tar")))
    };
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        write(name, vec![program(name, &format!("/usr/local/bin/{name}"))], &[])?;
    }
    write("pause", vec![program("pause", "/pause")], &["/pause"])?;
    write("coredns", vec![program("coredns", "/coredns")], &["/coredns"])?;
    write("etcd", vec![program("etcd", "/usr/local/bin/etcd"), program("etcdctl", "/usr/local/bin/etcdctl")], &[])?;
    let mut proxy = vec![program("kube-proxy", "/usr/local/bin/kube-proxy")];
    proxy.extend(iptables(&built.root)?);
    write("kube-proxy", proxy, &[])
}

/// iptables and conntrack with their libraries, which kube-proxy calls.
fn iptables(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for name in ["iptables", "ip6tables", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"] {
        files.push((root.join("usr/sbin/xtables-nft-multi"), format!("/usr/sbin/{name}")));
    }
    files.push((root.join("usr/sbin/conntrack"), "/usr/sbin/conntrack".to_owned()));
    let extensions = "/usr/lib/x86_64-linux-gnu/xtables";
    let script = format!(
        "ldd /usr/sbin/xtables-nft-multi /usr/sbin/conntrack {extensions}/libxt_statistic.so |
         grep -oE '/(usr/)?lib[^ :]*\\.so[^ :]*' | grep -v /xtables/ | sort -u | while read -r l; do
         echo \"$l $(readlink -f \"$l\")\"; done"
    );
    let libraries = output(&mut root::chroot(root, &["sh", "-c", &script]), Duration::from_secs(60))?;
    for line in libraries.lines() {
        let (name, file) = line.split_once(' ').context("ldd")?;
        files.push((root.join(file.trim_start_matches('/')), name.to_owned()));
    }
    for entry in std::fs::read_dir(root.join(extensions.trim_start_matches('/')))? {
        let path = entry?.path();
        if let (Some("so"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_name().and_then(|n| n.to_str()))
        {
            files.push((path.clone(), format!("{extensions}/{name}")));
        }
    }
    Ok(files)
}

/// Imports all images once; each host gets a copy of containerd's state folder.
fn store(place: &Place, built: &Built) -> Result<PathBuf> {
    let store = place.cache.join(format!("store-{}", built.version));
    if store.is_dir() {
        return Ok(store);
    }
    say("importing the images, once");
    let making = place.cache.join("making-store");
    let _ = std::fs::remove_dir_all(&making);
    std::fs::create_dir_all(&making)?;
    let script = format!(
        "mount -t tmpfs tmpfs /mnt
         mkdir -p /mnt/u /mnt/w /mnt/r
         mount -t overlay overlay -o lowerdir={root},upperdir=/mnt/u,workdir=/mnt/w /mnt/r
         mkdir -p /mnt/r/var/lib/containerd /mnt/r/img /mnt/r/run/containerd
         mount --bind {store} /mnt/r/var/lib/containerd
         mount --bind {images} /mnt/r/img
         mount -t proc proc /mnt/r/proc
         mount --rbind /dev /mnt/r/dev
         mount --rbind /sys /mnt/r/sys
         chroot /mnt/r containerd >/mnt/log 2>&1 &
         server=$!
         trap 'kill $server; wait $server' EXIT
         for try in $(seq 100); do chroot /mnt/r ctr version >/dev/null 2>&1 && break; sleep 0.2; done
         for image in /mnt/r/img/*.tar; do
           chroot /mnt/r ctr -n k8s.io images import /img/${{image##*/}}
         done",
        root = built.root.display(),
        store = making.display(),
        images = built.images.display(),
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", &script]);
    let imported = said(&mut unshare, Duration::from_secs(900))?;
    anyhow::ensure!(imported.success, "importing the images: {}", imported.tail());
    std::fs::rename(&making, &store)?;
    Ok(store)
}

/// A host's own copy of the image store. Layers and snapshots are never written in place, so they are linked; the
/// databases are copied.
pub fn copy_store(store: &Path, to: &Path) -> Result<()> {
    let script = format!(
        "cp -al '{0}' '{1}'
         find '{1}' -name '*.db' | while read -r f; do cp --preserve=all \"$f\" \"$f.copy\"; mv \"$f.copy\" \"$f\"; done",
        store.display(),
        to.display()
    );
    sh(&script, Duration::from_secs(300)).map(|_| ())
}
