//! What the host's own kernel is asked that stands in no file: free space, whether the clock is synchronized, and the
//! packet filters' rules, for which `nft` or `iptables-save` is run. Nothing is changed by it, no module loaded: a table is
//! only asked for where the kernel says that it has some.

use std::collections::BTreeSet;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::budget::Budget;
use crate::collect::Files;
use crate::facts::Host;
use crate::facts::filesystem::FilesystemUse;
use crate::facts::firewall::{Backend, Firewall};
use crate::facts::probe::{KernelAnswers, KernelClock};
use crate::origin::{Fact, Origin, Unknown};
use crate::parse::firewall;

/// Directories that Kubernetes fills, beside etcd's.
const FILLED: [&str; 8] = [
    "/",
    "/var",
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/etcd",
    "/var/log",
];
/// File systems on disks; a file system of the network may be asked for forever.
const ON_DISK: [&str; 10] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "f2fs", "jfs", "bcachefs"];
/// Where the packet filters' tools are looked for; not in PATH, which may be anybody's.
const SBIN: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// Bytes of rules.
const LIMIT: u64 = 16 << 20;
/// STA_UNSYNC of adjtimex(2).
const UNSYNCHRONIZED: i32 = 0x0040;

/// A tool that may be run, and the part of the kernel that it tells of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tool {
    pub path: String,
    pub arguments: Vec<String>,
    #[serde(skip)]
    backend: Backend,
}

/// What is asked of the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct KernelQuestion {
    /// Mount point and type of each file system.
    pub filesystems: Vec<(String, String)>,
}

/// The file systems below what Kubernetes fills on this host.
pub fn question(host: &Host) -> KernelQuestion {
    let Ok(mounts) = &host.system.mounts else { return KernelQuestion::default() };
    let directories = FILLED.iter().copied().chain(host.etcd_data.keys().map(String::as_str));
    let below = |target: &str, directory: &str| {
        target == "/" || directory == target || directory.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
    };
    let found: BTreeSet<(String, String)> = directories
        .filter_map(|directory| {
            // Of two on one mount point the later one is seen.
            let of_it = mounts.iter().filter(|mount| below(&mount.target, directory));
            of_it.max_by_key(|mount| mount.target.len())
        })
        .filter(|mount| ON_DISK.contains(&mount.fs_type.as_str()) && !mount.options.iter().any(|option| option == "ro"))
        .map(|mount| (mount.target.clone(), mount.fs_type.clone()))
        .collect();
    KernelQuestion { filesystems: found.into_iter().collect() }
}

pub async fn ask(question: KernelQuestion, tools: Fact<Vec<Tool>>, budget: Budget) -> KernelAnswers {
    let space = tokio::task::spawn_blocking(move || filesystems(&question));
    let (filesystems, firewall) = tokio::join!(
        budget.answer("free space", async {
            space.await.unwrap_or_else(|_| Err(Unknown::new("free space", "could not be asked")))
        }),
        firewall(tools, budget)
    );
    KernelAnswers { filesystems, clock: clock(), firewall }
}

fn filesystems(question: &KernelQuestion) -> Fact<Vec<FilesystemUse>> {
    let one = |(target, fs_type): &(String, String)| {
        let answer = rustix::fs::statvfs(target.as_str()).ok()?;
        let unit = if answer.f_frsize > 0 { answer.f_frsize } else { answer.f_bsize };
        Some(FilesystemUse {
            target: target.clone(),
            fs_type: fs_type.clone(),
            total: answer.f_blocks.saturating_mul(unit),
            available: answer.f_bavail.saturating_mul(unit),
            // btrfs and others count none.
            inodes: (answer.f_files > 0).then_some((answer.f_files, answer.f_ffree)),
            origin: Origin::answer(format!("statvfs {target}")),
        })
    };
    let found: Vec<FilesystemUse> = question.filesystems.iter().filter_map(one).filter(|one| one.total > 0).collect();
    if found.is_empty() { Err(Unknown::new("free space", "no file system on a disk is known")) } else { Ok(found) }
}

/// adjtimex(2) that changes nothing, which anybody may call.
fn clock() -> Fact<KernelClock> {
    // SAFETY: a timex is numbers only, for which all bits zero is a value; modes 0 makes the call a question.
    let (answer, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex)
    };
    if answer < 0 {
        let why = std::io::Error::last_os_error();
        return Err(Unknown::new("adjtimex", super::tcp::plain(&why)));
    }
    Ok(KernelClock {
        synchronized: timex.status & UNSYNCHRONIZED == 0,
        // 32 bits wide on some architectures.
        #[allow(clippy::useless_conversion, reason = "its width differs between architectures")]
        max_error_us: i64::from(timex.maxerror),
    })
}

/// What to run to see the rules; empty when the kernel has none.
pub fn tools(files: &Files) -> Fact<Vec<Tool>> {
    let find = |name: &str, arguments: &[&str], backend: Backend| {
        let path = SBIN.iter().map(|directory| format!("{directory}/{name}"));
        let path = path.into_iter().find(|path| files.is_executable(path) == Ok(true))?;
        Some(Tool { path, arguments: arguments.iter().map(|word| (*word).to_owned()).collect(), backend })
    };
    let mut tools = Vec::new();
    match files.source().read("/proc/net/ip_tables_names") {
        Ok(names) if names.trim_ascii().is_empty() => {}
        Ok(_) => {
            let tool = find("iptables-legacy-save", &[], Backend::Legacy)
                .or_else(|| find("iptables-save", &[], Backend::Unsaid));
            tools.push(tool.ok_or_else(|| Unknown::new("the packet filter's rules", "there is no iptables-save"))?);
        }
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error.unknown()),
    }
    if has_nf_tables(files) {
        let tool = find("nft", &["list", "ruleset"], Backend::Nft)
            .or_else(|| find("iptables-nft-save", &[], Backend::Nft))
            .or_else(|| find("iptables-save", &[], Backend::Unsaid));
        match tool {
            Some(tool) if tools.iter().all(|known| known.path != tool.path) => tools.push(tool),
            Some(_) => {}
            None if tools.is_empty() => {
                return Err(Unknown::new("the packet filter's rules", "there is neither nft nor iptables-save"));
            }
            None => {}
        }
    }
    Ok(tools)
}

/// Whether nf_tables is loaded; a kernel without modules may have it built in.
fn has_nf_tables(files: &Files) -> bool {
    match files.source().read("/proc/modules") {
        Ok(modules) => {
            let is_it = |line: &[u8]| line.starts_with(b"nf_tables ");
            modules.split(|byte| *byte == b'\n').any(is_it) || files.exists("/sys/module/nf_tables") == Ok(true)
        }
        Err(_) => true,
    }
}

async fn firewall(tools: Fact<Vec<Tool>>, budget: Budget) -> Fact<Firewall> {
    let mut all = Firewall::default();
    for tool in tools? {
        let command = format!("{} {}", tool.path, tool.arguments.join(" ")).trim_end().to_owned();
        let text = budget.answer(&command, run(&tool, &command)).await?;
        if text.trim().is_empty() {
            continue;
        }
        let origin = Origin::answer(&command);
        match firewall::any(&text, &|_| origin.clone()) {
            Ok(mut found) => {
                if tool.backend != Backend::Unsaid {
                    found.chains.iter_mut().for_each(|chain| chain.backend = tool.backend);
                }
                all.chains.extend(found.chains);
            }
            // A table line alone, or comments: nothing is set up.
            Err(firewall::FirewallError::NoTable) if text.lines().all(|line| line.starts_with('#')) => {}
            Err(error) => return Err(Unknown::new(command, error.to_string())),
        }
    }
    Ok(all)
}

async fn run(tool: &Tool, command: &str) -> Fact<String> {
    let failed = |why: String| Unknown::new(command, why);
    let mut child = Command::new(&tool.path)
        .args(&tool.arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(super::tcp::plain(&error)))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed("could not be read".to_owned()));
    };
    let (mut text, mut said) = (Vec::new(), Vec::new());
    let mut stdout = stdout.take(LIMIT + 1);
    let mut stderr = stderr.take(1 << 16);
    let read = tokio::join!(stdout.read_to_end(&mut text), stderr.read_to_end(&mut said));
    read.0.map_err(|error| failed(super::tcp::plain(&error)))?;
    if text.len() as u64 > LIMIT {
        return Err(failed(format!("printed more than {} MiB", LIMIT >> 20)));
    }
    let status = child.wait().await.map_err(|error| failed(super::tcp::plain(&error)))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&said).into_owned();
        let line: String =
            said.lines().next().unwrap_or("failed").chars().filter(|letter| !letter.is_control()).take(200).collect();
        let unknown = failed(line.clone());
        let denied = line.contains("ermission denied") || line.contains("not permitted") || line.contains("be root");
        return Err(if denied { unknown.with_remedy("run as root") } else { unknown });
    }
    String::from_utf8(text).map_err(|_| failed("printed something else than text".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    #[test]
    fn what_is_run() {
        let program = |source: MemorySource, path: &str| source.file_with_mode(path, "", 0o755);
        let shown = |source: MemorySource| match tools(&Files::new(Arc::new(source))) {
            Ok(tools) => tools.iter().map(|tool| tool.path.clone()).collect::<Vec<_>>().join(" "),
            Err(unknown) => format!("unknown: {}", unknown.why),
        };
        let bare = || MemorySource::new("m1").file("/proc/modules", "ext4 1 1 - Live 0x0\n");
        let nft = || MemorySource::new("m1").file("/proc/modules", "nf_tables 1 1 - Live 0x0\n");
        assert_eq!(shown(program(bare(), "/usr/sbin/nft")), "", "no rules, nothing is loaded by asking");
        assert_eq!(shown(program(nft(), "/usr/sbin/nft")), "/usr/sbin/nft");
        assert_eq!(shown(program(nft(), "/sbin/iptables-save")), "/sbin/iptables-save");
        assert_eq!(shown(nft()), "unknown: there is neither nft nor iptables-save");
        let legacy = |source: MemorySource| source.file("/proc/net/ip_tables_names", "filter\nnat\n");
        assert_eq!(
            shown(program(program(legacy(nft()), "/usr/sbin/nft"), "/usr/sbin/iptables-legacy-save")),
            "/usr/sbin/iptables-legacy-save /usr/sbin/nft"
        );
        assert_eq!(shown(program(legacy(nft()), "/usr/sbin/iptables-save")), "/usr/sbin/iptables-save");
        assert!(shown(nft().denied("/proc/net/ip_tables_names")).contains("permission denied"));
    }

    #[test]
    fn this_kernel_answers() {
        assert!(clock().is_ok());
        let question = KernelQuestion { filesystems: vec![("/".to_owned(), "overlay".to_owned())] };
        let found = filesystems(&question).unwrap();
        assert!(found[0].total > 0 && found[0].available <= found[0].total);
    }
}
