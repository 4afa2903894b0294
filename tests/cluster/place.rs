//! Where the clusters of these tests live on this machine, and how every trace of them is removed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::command::{is_alive, signal};

/// What the control groups of all such hosts begin with.
const GROUPS: &str = "k8sdoctor-cluster-";

/// What the control groups of the hosts are called, in every hierarchy: another cache's hosts are not these.
pub fn group() -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(Place::find().cache.as_os_str().as_encoded_bytes());
    format!("{GROUPS}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2])
}

/// The cache folder: what was built stays, `run` holds what a running cluster writes.
#[derive(Debug, Clone)]
pub struct Place {
    pub cache: PathBuf,
}

/// A running cluster, as another invocation finds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The process that keeps it; its end is the cluster's end.
    pub keeper: u32,
    pub shape: String,
    /// Whether all of it is up.
    pub ready: bool,
    /// Each host's name and nspawn's process.
    pub hosts: Vec<(String, u32)>,
}

impl Place {
    pub fn find() -> Place {
        let cache = match std::env::var_os("XDG_CACHE_HOME") {
            Some(folder) => PathBuf::from(folder).join("k8sdoctor/cluster"),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster"),
        };
        Place { cache }
    }

    pub fn run(&self) -> PathBuf {
        self.cache.join("run")
    }

    fn state(&self) -> PathBuf {
        self.run().join("running.json")
    }

    pub fn running(&self) -> Option<Running> {
        let text = std::fs::read(self.state()).ok()?;
        let running: Running = serde_json::from_slice(&text).ok()?;
        is_alive(running.keeper).then_some(running)
    }

    pub fn record(&self, running: &Running) -> Result<()> {
        std::fs::create_dir_all(self.run())?;
        // Whole or not at all: another invocation may be reading it.
        let new = self.run().join("running.json.new");
        std::fs::write(&new, serde_json::to_vec_pretty(running)?)?;
        std::fs::rename(new, self.state()).context("the state of the cluster can't be written")
    }

    /// Kills what runs in the hosts' control groups, removes those, and everything under `run`.
    pub fn sweep(&self) -> Result<()> {
        if let Some(running) = self.running()
            && running.keeper != std::process::id()
        {
            signal(running.keeper, rustix::process::Signal::KILL);
        }
        let groups = groups();
        for _ in 0..100 {
            let living: Vec<u32> = groups.iter().flat_map(|group| processes(group)).collect();
            if living.is_empty() {
                break;
            }
            living.iter().for_each(|pid| signal(*pid, rustix::process::Signal::KILL));
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut left = Vec::new();
        for group in &groups {
            for _ in 0..50 {
                remove_group(group);
                if !group.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            if group.exists() {
                left.push(group.display().to_string());
            }
        }
        let run = self.run();
        if let Ok(mounts) = std::fs::read_to_string("/proc/mounts") {
            // The keeper mounts in a namespace of its own; this is for what an older state left.
            for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
                if Path::new(mount).starts_with(&run) {
                    left.push(format!("mount {mount}"));
                }
            }
        }
        restore_limits();
        if left.is_empty() && run.exists() {
            for attempt in 0.. {
                match std::fs::remove_dir_all(&run) {
                    Ok(()) => break,
                    Err(error) if attempt > 20 => left.push(format!("{}: {error}", run.display())),
                    Err(_) => {
                        std::thread::sleep(Duration::from_millis(200));
                        continue;
                    }
                }
                break;
            }
        }
        if !left.is_empty() {
            bail!("left behind: {}", left.join(", "));
        }
        Ok(())
    }
}

/// The control groups of these tests in every hierarchy.
fn groups() -> Vec<PathBuf> {
    hierarchies().map(|folder| folder.join(group())).filter(|group| group.is_dir()).collect()
}

fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies.chain([root.to_owned()])
}

/// Whether hosts of any cache are there.
fn any_hosts() -> bool {
    hierarchies()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .any(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(GROUPS)))
}

fn subgroups(group: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

fn processes(group: &Path) -> Vec<u32> {
    let list = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let own = list.lines().filter_map(|line| line.parse().ok());
    own.chain(subgroups(group).iter().flat_map(|group| processes(group))).collect()
}

fn remove_group(group: &Path) {
    subgroups(group).iter().for_each(|group| remove_group(group));
    let _ = std::fs::remove_dir(group);
}

/// Several kubelets on one kernel use up what a machine allows for one.
const LIMITS: [(&str, u64); 2] =
    [("/proc/sys/fs/inotify/max_user_instances", 8192), ("/proc/sys/fs/inotify/max_user_watches", 1 << 20)];

/// Where it stands what they were, for all that raise them at one time.
const BEFORE: &str = "/run/k8sdoctor-cluster-limits";

/// Raises the machine's limits where they are lower, and notes what they were.
pub fn raise_limits() -> Result<()> {
    for (path, least) in LIMITS {
        let before = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
        if before.trim().parse::<u64>().is_ok_and(|before| before < least) {
            std::fs::create_dir_all(BEFORE)?;
            std::fs::write(note(path), before.trim())?;
            std::fs::write(path, least.to_string()).with_context(|| path.to_owned())?;
        }
    }
    Ok(())
}

fn note(limit: &str) -> PathBuf {
    Path::new(BEFORE).join(limit.rsplit('/').next().unwrap_or_default())
}

/// Puts the limits back when the last hosts of all are gone.
fn restore_limits() {
    if any_hosts() {
        return;
    }
    for (path, _) in LIMITS {
        if let Ok(before) = std::fs::read(note(path)) {
            let _ = std::fs::write(path, before);
        }
    }
    let _ = std::fs::remove_dir_all(BEFORE);
}
