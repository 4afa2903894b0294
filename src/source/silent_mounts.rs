//! File systems of this machine that do not answer: a dead NFS server, a FUSE program that hangs. Whoever touches a path below
//! such a mount waits, perhaps for ever, so they are asked once, each on a thread of its own, and left alone when no answer
//! comes.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long all of them together may take: what is healthy answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// Mounts that are asked; a node with more volumes than this is left as it is.
const LIMIT: usize = 512;

/// File systems whose answer comes from another machine or from a program.
const DISTANT: [&str; 14] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "glusterfs",
    "lustre",
    "9p",
    "afs",
    "gfs2",
    "ocfs2",
    "beegfs",
    "virtiofs",
];

/// Mount points of which nothing below is touched.
#[derive(Debug, Default)]
pub struct SilentMounts {
    targets: Vec<String>,
}

impl SilentMounts {
    /// Asks the distant file systems of this machine's mounts (`/proc/self/mounts`).
    pub fn ask(mounts: &str) -> SilentMounts {
        let targets = distant(mounts);
        SilentMounts::of(targets, |target| {
            // An error is an answer too.
            let _ = rustix::fs::statfs(Path::new(target));
        })
    }

    #[expect(clippy::disallowed_methods, reason = "how long to wait, not what time it is")]
    fn of(targets: Vec<String>, ask: fn(&str)) -> SilentMounts {
        let (sender, answers) = mpsc::channel();
        let mut waiting: Vec<String> = Vec::new();
        for target in targets.into_iter().take(LIMIT) {
            let sender = sender.clone();
            let asked = target.clone();
            // Nobody waits for a thread that hangs; it ends with the process.
            let started = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
                ask(&asked);
                let _ = sender.send(asked);
            });
            if started.is_ok() {
                waiting.push(target);
            }
        }
        drop(sender);
        let ends = Instant::now() + PATIENCE;
        while !waiting.is_empty() {
            match answers.recv_timeout(ends.saturating_duration_since(Instant::now())) {
                Ok(target) => waiting.retain(|other| *other != target),
                Err(_) => break,
            }
        }
        SilentMounts { targets: waiting }
    }

    /// The mount that a path is below.
    pub fn over(&self, path: &str) -> Option<&str> {
        let is_below = |target: &str| {
            let target = target.trim_end_matches('/');
            path == target || path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/'))
        };
        self.targets.iter().map(String::as_str).find(|target| is_below(target))
    }

    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

/// Mount points of distant file systems, with `\040` and its like read.
fn distant(mounts: &str) -> Vec<String> {
    let target = |line: &str| {
        let mut words = line.split(' ');
        let (_, target, kind) = (words.next()?, words.next()?, words.next()?);
        let is_distant = DISTANT.contains(&kind) || kind == "fuse" || kind.starts_with("fuse.") || kind == "fuseblk";
        is_distant.then(|| unescaped(target))
    };
    let mut targets: Vec<String> = mounts.lines().filter_map(target).filter(|target| target.len() > 1).collect();
    targets.sort();
    targets.dedup();
    targets
}

/// The kernel writes blanks and backslashes of a path as three octal digits.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut path = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii) {
            Some(byte) => {
                path.push(char::from(byte));
                path.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                path.push('\\');
                path.push_str(part);
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
/dev/vda / ext4 rw 0 0
nas:/pods /var/lib/kubelet/pods/a\\040b nfs4 rw,hard 0 0
s3 /mnt/s3 fuse.s3fs rw 0 0
tmpfs /run tmpfs rw 0 0
";

    #[test]
    fn who_is_asked_and_who_is_silent() {
        assert_eq!(distant(MOUNTS), ["/mnt/s3", "/var/lib/kubelet/pods/a b"]);
        let silent = SilentMounts::of(distant(MOUNTS), |target| {
            if target == "/mnt/s3" {
                std::thread::sleep(PATIENCE * 5);
            }
        });
        for (path, expected) in [
            ("/mnt/s3", Some("/mnt/s3")),
            ("/mnt/s3/a/b", Some("/mnt/s3")),
            ("/mnt/s3x", None),
            ("/mnt", None),
            ("/var/lib/kubelet/pods/a b/c", None),
        ] {
            assert_eq!(silent.over(path), expected, "{path}");
        }
        assert!(SilentMounts::default().is_empty() && SilentMounts::default().over("/").is_none());
    }
}
