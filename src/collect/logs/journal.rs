//! The live host's journal, by journalctl.

use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::logs::LogInput;
use crate::logs::format::export::ExportReader;

/// Units whose journal is read.
pub(super) const UNITS: &[&str] = &[
    "kubelet",
    "docker",
    "containerd",
    "crio",
    "cri-docker",
    "etcd*",
    "kube-*",
    "flanneld",
    "haproxy",
    "keepalived",
    "nginx",
    "k3s*",
    "rke2*",
    "chronyd",
    "chrony",
    "systemd-timesyncd",
    "firewalld",
];
pub(super) const NO_JOURNALCTL: &str = "this host has no journalctl";
/// journalctl is stopped after this.
const DEADLINE: Duration = Duration::from_secs(60);

/// Arguments of journalctl for the units and for the kernel, by what the log is called.
fn asked(common: &[String]) -> [(&'static str, Vec<String>); 2] {
    let units = UNITS.iter().map(|unit| format!("--unit={unit}"));
    [
        ("journal", common.iter().cloned().chain(units).collect()),
        ("journal (kernel)", common.iter().cloned().chain(["_TRANSPORT=kernel".to_owned()]).collect()),
    ]
}

fn export() -> Vec<String> {
    ["--output=export", "--no-pager", "--quiet"].map(str::to_owned).to_vec()
}

/// The journal of the units and of the kernel, as far as it is there within the limit; false when this host has no
/// journalctl.
pub(super) fn inputs(
    from: Option<Timestamp>,
    limit: Option<Duration>,
    inputs: &mut Vec<LogInput<'_>>,
    left_out: &mut Vec<(String, String)>,
) -> bool {
    let mut common = export();
    if let Some(from) = from {
        common.push(format!("--since=@{}", from.as_second()));
    }
    for (name, arguments) in asked(&common) {
        match Journalctl::start(&arguments, limit.map_or(DEADLINE, |limit| limit.min(DEADLINE))) {
            Ok(reader) => {
                let mut input = LogInput::new(name, Box::new(reader));
                input.attribution = None;
                input.is_numbered = false;
                inputs.push(input);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => left_out.push((name.to_owned(), format!("journalctl: {error}"))),
        }
    }
    true
}

/// What the journal gets from now on, as lines.
pub(super) fn follow(left_out: &mut Vec<(String, String)>) -> Vec<(String, Box<dyn Read + Send>)> {
    let common: Vec<String> = export().into_iter().chain(["--follow", "--lines=0"].map(str::to_owned)).collect();
    let mut readers: Vec<(String, Box<dyn Read + Send>)> = Vec::new();
    for (name, arguments) in asked(&common) {
        match Journalctl::start(&arguments, Duration::MAX) {
            Ok(reader) => readers.push((name.to_owned(), Box::new(ExportReader::new(reader)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                left_out.push(("journal".to_owned(), NO_JOURNALCTL.to_owned()));
                break;
            }
            Err(error) => left_out.push((name.to_owned(), format!("journalctl: {error}"))),
        }
    }
    readers
}

/// A child process whose output is read, and which is killed when it takes too long.
struct Journalctl {
    child: Arc<Mutex<Child>>,
    output: ChildStdout,
    is_late: Arc<AtomicBool>,
    /// Dropped when nobody waits any more.
    done: Option<Sender<()>>,
    deadline: Duration,
}

impl Journalctl {
    fn start(arguments: &[String], deadline: Duration) -> io::Result<Journalctl> {
        Journalctl::run("journalctl", arguments, deadline)
    }

    #[allow(clippy::disallowed_methods, reason = "journalctl is what reads a journal of any version")]
    fn run(program: &str, arguments: &[String], deadline: Duration) -> io::Result<Journalctl> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .env("SYSTEMD_COLORS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let Some(output) = child.stdout.take() else { return Err(io::Error::other("it has no output")) };
        let child = Arc::new(Mutex::new(child));
        let is_late = Arc::new(AtomicBool::new(false));
        let (done, wait) = mpsc::channel();
        let (late, killed) = (Arc::clone(&is_late), Arc::clone(&child));
        std::thread::spawn(move || {
            if wait.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
                late.store(true, Ordering::Release);
                // It may have ended by itself just now.
                let _ = killed.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
        });
        Ok(Journalctl { child, output, is_late, done: Some(done), deadline })
    }
}

impl Read for Journalctl {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.output.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        if self.is_late.load(Ordering::Acquire) {
            let message = format!("journalctl did not end within {} s", self.deadline.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        let status = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait()?;
        if status.success() { Ok(0) } else { Err(io::Error::other(format!("journalctl ended with {status}"))) }
    }
}

impl Drop for Journalctl {
    fn drop(&mut self) {
        self.done = None;
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Both fail when it has ended and was waited for, which is what is wanted.
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, deadline: u64) -> io::Result<String> {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let mut text = String::new();
        Journalctl::run("sh", &arguments, Duration::from_millis(deadline))?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn gives_the_output_and_ends() {
        assert_eq!(run("echo hello", 60_000).unwrap(), "hello\n");
        assert!(run("echo x; exit 3", 60_000).unwrap_err().to_string().contains("exit status: 3"));
        assert_eq!(run("exec sleep 60", 50).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_missing_program_is_told() {
        let missing = Journalctl::run("no-such-program-here", &[], Duration::from_secs(1));
        assert_eq!(missing.err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
    }
}
