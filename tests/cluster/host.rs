//! A host: systemd booted by systemd-nspawn over an overlay of the shared root, with namespaces and control groups of its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{Said, children, eventually, said, signal};
use crate::place::group;

/// The bridge that the hosts hang on, in the cluster's network namespace.
pub const BRIDGE: &str = "br0";

/// What a host is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: &'static str,
    pub address: Ipv4Addr,
    /// Lines of the script that gives the host its routes.
    pub routes: Vec<String>,
}

/// A booted host.
#[derive(Debug, Clone)]
pub struct Host {
    pub name: String,
    /// nspawn's process; its child is the host's systemd.
    pub nspawn: u32,
}

/// What a host is made from.
pub struct Parts<'a> {
    pub root: &'a Path,
    /// containerd's state folder to start with.
    pub store: Option<&'a Path>,
    /// Archives of images, seen at /img.
    pub images: &'a Path,
    /// Holds k8sdoctor, seen at /opt/k8sdoctor.
    pub tools: &'a Path,
    /// What the host writes.
    pub run: &'a Path,
}

/// Each host needs a control group of its own in every hierarchy before nspawn starts, or the hosts' slices and pods are
/// the same ones.
const BOOT: &str = r#"
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -e "$hierarchy/cgroup.procs" ] || continue
  group="$hierarchy/$GROUP/$NAME"
  mkdir -p "$group" || continue
  for folder in "$hierarchy/$GROUP" "$group"; do
    for file in cpuset.cpus cpuset.mems; do
      if [ -e "$hierarchy/$file" ]; then cat "$hierarchy/$file" > "$folder/$file"; fi
    done
    if [ -e "$folder/cgroup.clone_children" ]; then echo 1 > "$folder/cgroup.clone_children"; fi
  done
  echo $$ > "$group/cgroup.procs"
done 2>/dev/null
exec systemd-nspawn "$@"
"#;

impl Host {
    /// Prepares the files and starts the host; [`Host::wait`] tells when it is up.
    ///
    /// `prepare` gets the root before the boot.
    pub fn boot(plan: &Plan, parts: &Parts, prepare: impl FnOnce(&Path) -> Result<()>) -> Result<Host> {
        let own = parts.run.join(plan.name);
        let root = own.join("root");
        for folder in ["root", "upper", "work", "docker"] {
            std::fs::create_dir_all(own.join(folder))?;
        }
        // An overlay's upper layer can't lie on another overlay: what runtimes write is mounted from the disk.
        match parts.store {
            Some(store) => crate::build::copy_store(store, &own.join("containerd"))?,
            None => std::fs::create_dir_all(own.join("containerd"))?,
        }
        crate::command::output(
            Command::new("mount")
                .args(["-t", "overlay", "overlay", "-o"])
                .arg(format!(
                    "lowerdir={},upperdir={},workdir={}",
                    parts.root.display(),
                    own.join("upper").display(),
                    own.join("work").display()
                ))
                .arg(&root),
            Duration::from_secs(30),
        )?;
        std::fs::write(root.join("etc/hostname"), format!("{}\n", plan.name))?;
        std::fs::write(root.join("etc/machine-id"), format!("{}\n", machine_id(plan)))?;
        std::fs::write(root.join("etc/network/static.sh"), network_script(plan))?;
        prepare(&root)?;

        let console = std::fs::File::create(own.join("console"))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "bash", "-c", BOOT, "boot"]);
        command.arg("--directory").arg(&root).arg(format!("--machine={}", plan.name));
        command.args(["--register=no", "--keep-unit", "--boot", "--resolv-conf=off", "--capability=all"]);
        // runc joins a session keyring and loads device filters.
        command.args(["--system-call-filter=@keyring bpf", "--bind=/dev/kmsg"]);
        command.arg(format!("--network-bridge={BRIDGE}"));
        for (outside, inside, read_only) in [
            (own.join("containerd"), "/var/lib/containerd", false),
            (own.join("docker"), "/var/lib/docker", false),
            (parts.images.to_owned(), "/img", true),
            (parts.tools.to_owned(), "/opt/k8sdoctor", true),
        ] {
            command.arg(format!("--bind{}={}:{inside}", if read_only { "-ro" } else { "" }, outside.display()));
        }
        command.env("GROUP", group()).env("NAME", plan.name).env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1");
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        let child = command.spawn().context("systemd-nspawn")?;
        // Its end is watched by its number; a process that nobody waits for stays in the table until the keeper ends.
        Ok(Host { name: plan.name.to_owned(), nspawn: child.id() })
    }

    /// Waits until its services have started.
    pub fn wait(&self, run: &Path, limit: Duration) -> Result<()> {
        let up = eventually(&format!("{} boots", self.name), limit, || {
            let state = self.run(&["systemctl", "is-system-running"], Duration::from_secs(10))?;
            anyhow::ensure!(["running", "degraded"].contains(&state.out.trim()), "{}", state.out.trim());
            Ok(())
        });
        if let Err(why) = up {
            let console = std::fs::read_to_string(run.join(&self.name).join("console")).unwrap_or_default();
            let last: Vec<&str> = console.lines().rev().take(5).collect();
            bail!("{why:#}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" | "));
        }
        // Control groups of version 1 are read-only in a container.
        self.ok("for c in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw $c 2>/dev/null || true; done")?;
        Ok(())
    }

    /// The host's systemd, as this machine counts.
    pub fn init(&self) -> Result<u32> {
        children(self.nspawn).first().copied().with_context(|| format!("{} is down", self.name))
    }

    /// A path of the host as this process can open it.
    pub fn path(&self, path: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/root{path}", self.init()?)))
    }

    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let outside = self.path(path)?;
        if let Some(folder) = outside.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&outside, text).with_context(|| format!("{}:{path}", self.name))
    }

    /// Runs a program on the host, as root's login would.
    pub fn run(&self, words: &[&str], limit: Duration) -> Result<Said> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init()?.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--"]);
        // nsenter's end would not be the program's.
        command.args(["timeout", "--kill-after=5", &limit.as_secs().max(1).to_string()]).args(words);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/root").env("LANG", "C.UTF-8").env("TERM", "dumb");
        let done = said(&mut command, limit + Duration::from_secs(15)).with_context(|| format!("on {}", self.name))?;
        if done.code == Some(124) {
            bail!("on {}: {}: not within {} s", self.name, words.join(" "), limit.as_secs());
        }
        Ok(done)
    }

    /// Runs a script of bash on the host.
    pub fn script(&self, script: &str, limit: Duration) -> Result<Said> {
        self.run(&["bash", "-c", script], limit)
    }

    /// Runs a script that has to succeed, and gives its standard output.
    pub fn ok(&self, script: &str) -> Result<String> {
        self.ok_within(script, Duration::from_secs(120))
    }

    pub fn ok_within(&self, script: &str, limit: Duration) -> Result<String> {
        let done = self.run(&["bash", "-euc", script], limit)?;
        if !done.success {
            bail!("on {}: {script}\n{}", self.name, done.tail());
        }
        Ok(done.out)
    }

    /// Powers it off, by force when it takes too long.
    pub fn power_off(&self) {
        if let Ok(init) = self.init() {
            signal(init, rustix::process::Signal::KILL);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.init().is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        signal(self.nspawn, rustix::process::Signal::KILL);
    }
}

/// The same at every run, and another one for each host.
fn machine_id(plan: &Plan) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("k8sdoctor cluster {}", plan.name));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn network_script(plan: &Plan) -> String {
    let mut script = format!("ip address add {}/24 dev host0\nip link set host0 up\n", plan.address);
    script.push_str(&format!("ip route add default via {}\n", crate::shape::GATEWAY));
    plan.routes.iter().for_each(|route| script.push_str(&format!("{route}\n")));
    script
}
