//! A whole host: systemd boots in a container over a root of the distribution's packages, with units and a journal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::{children, signal};
use super::{K8SDOCTOR, Options, Report, Sandbox, skip, which};

/// The packages of a root; a change of them makes a new one.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,procps,etcd-server,etcd-client";
const SUITE: &str = "bookworm";

/// Where the root is, made when it is not there: that takes a minute or two.
fn root() -> Result<PathBuf, String> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder).join("k8sdoctor"),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/real"),
    };
    let root = cache.join(format!("{SUITE}-1"));
    if root.is_dir() {
        return Ok(root);
    }
    let _ = std::io::stderr().write_all(b"making a root for systemd-nspawn, once\n");
    std::fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let making = tempfile::Builder::new().prefix("making-").tempdir_in(&cache).map_err(|error| error.to_string())?;
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
        .arg(making.path())
        .output()
        .map_err(|error| format!("debootstrap: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!("debootstrap: {}", said.lines().last().unwrap_or("it fails without a word")));
    }
    // Nothing of the packages starts but what a test wants.
    for link in ["multi-user.target.wants/etcd.service", "etcd2.service"] {
        let _ = std::fs::remove_file(making.path().join("etc/systemd/system").join(link));
    }
    let made = making.keep();
    std::fs::rename(&made, &root).map_err(|error| format!("{}: {error}", root.display()))?;
    Ok(root)
}

/// systemd's slices need a control group of their own in each hierarchy, or they are the machine's.
const BOOT: &str = r#"
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -e "$hierarchy/cgroup.procs" ] && mkdir -p "$hierarchy/$GROUP" || continue
  for file in cpuset.cpus cpuset.mems; do
    if [ -e "$hierarchy/$file" ]; then cat "$hierarchy/$file" > "$hierarchy/$GROUP/$file"; fi
  done
  if [ -e "$hierarchy/$GROUP/cgroup.clone_children" ]; then echo 1 > "$hierarchy/$GROUP/cgroup.clone_children"; fi
  echo 0 > "$hierarchy/$GROUP/cgroup.procs"
done 2>/dev/null
exec systemd-nspawn --directory=/run/host/root --machine=m1 --register=no --keep-unit --boot --resolv-conf=off \
  --private-network --capability=all
"#;

/// What the control groups of this run are called.
fn group() -> String {
    format!("k8sdoctor-test-{}", std::process::id())
}

/// A booted host, powered off when dropped.
pub struct Booted {
    /// The overlay and the network are its sandbox'.
    sandbox: Sandbox,
    nspawn: Child,
    /// systemd, as the machine counts.
    init: u32,
}

impl Booted {
    /// Boots a host with these files and units; where that is not possible, it is said.
    pub fn boot(files: &[(&str, &str)], enabled: &[(&str, &str)]) -> Option<Booted> {
        if std::env::var_os("K8SDOCTOR_SKIP_NSPAWN").is_some() {
            skip("K8SDOCTOR_SKIP_NSPAWN is set");
            return None;
        }
        let sandbox = Sandbox::start(Options { needs: &["systemd-nspawn"], ..Options::default() })?;
        let made = match which("debootstrap") {
            Some(_) => root(),
            None => Err("debootstrap is not installed".to_owned()),
        };
        made.and_then(|root| Booted::start(sandbox, &root, files, enabled)).map_err(|why| skip(&why)).ok()
    }

    fn start(
        sandbox: Sandbox,
        root: &Path,
        files: &[(&str, &str)],
        enabled: &[(&str, &str)],
    ) -> Result<Booted, String> {
        let root = root.display();
        sandbox.sh(&format!(
            "set -e; mkdir -p /run/host/upper /run/host/work /run/host/root
            mount -t overlay overlay -o lowerdir={root},upperdir=/run/host/upper,workdir=/run/host/work /run/host/root
            cp {K8SDOCTOR} /run/host/root/usr/local/bin/k8sdoctor
            rm -f /run/host/root/etc/machine-id; echo m1 > /run/host/root/etc/hostname"
        ));
        for (path, text) in files {
            sandbox.write(&format!("/run/host/root{path}"), text);
        }
        for (unit, wanted_by) in enabled {
            let folder = format!("/run/host/root/etc/systemd/system/{wanted_by}.target.wants");
            sandbox.sh(&format!("mkdir -p {folder}; ln -s /etc/systemd/system/{unit}.service {folder}/"));
        }
        let mut nspawn = sandbox
            .command("sh", &["-c", BOOT])
            .env("GROUP", group())
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("systemd-nspawn: {error}"))?;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            // nsenter's child is nspawn, nspawn's child is systemd.
            let init = children(nspawn.id()).into_iter().flat_map(children).next();
            if let Some(init) = init {
                let state = inside(init, "systemctl", &["is-system-running"]).output();
                let state =
                    state.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
                if state.starts_with("running") || state.starts_with("degraded") || state.starts_with("starting") {
                    return Ok(Booted { sandbox, nspawn, init });
                }
            }
            let ended = nspawn.try_wait().map_err(|error| error.to_string())?.is_some();
            if ended || std::time::Instant::now() > deadline {
                let _ = nspawn.kill();
                let said = nspawn.wait_with_output().map(|output| [output.stdout, output.stderr].concat());
                let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
                return Err(format!("systemd does not boot: {}", said.lines().last().unwrap_or_default().trim()));
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Runs a script on the host: whether it succeeds, and what it says.
    pub fn sh(&self, script: &str) -> (bool, String) {
        let output = inside(self.init, "sh", &["-c", script]).output().expect("nsenter starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    pub fn check(&self, arguments: &[&str]) -> Report {
        let run = |format: &str| {
            let mut command = inside(self.init, "k8sdoctor", &["check", "--format", format]);
            command.args(arguments).output().expect("nsenter starts")
        };
        let human = String::from_utf8_lossy(&run("human").stdout).into_owned();
        Report::new(run("json"), human)
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // Power off at once; the sandbox takes what is left.
        signal(self.init, rustix::process::Signal::KILL);
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
        let groups =
            format!("find /sys/fs/cgroup/{0} /sys/fs/cgroup/*/{0} -depth -type d -exec rmdir {{}} \\;", group());
        let _ = self.sandbox.output(&format!("umount -l /run/host/root; sleep 0.2; {groups}"));
    }
}

fn inside(init: u32, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args([
            "--target",
            &init.to_string(),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
            "--root",
            "--wd",
        ])
        .arg("--")
        .arg(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null());
    command
}
