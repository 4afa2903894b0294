//! Programs that are run to their end, with a limit.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What a program said, and whether it succeeded.
#[derive(Debug, Clone)]
pub struct Said {
    pub success: bool,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The last lines of both streams, for a message.
    pub fn tail(&self) -> String {
        let all: Vec<&str> = self.out.lines().chain(self.err.lines()).filter(|line| !line.trim().is_empty()).collect();
        all[all.len().saturating_sub(6)..].join("\n")
    }
}

/// Runs a program and gives what it said; an error when it does not start or does not end in time.
///
/// Its output goes to files: what it leaves running in the background may keep a pipe open for ever.
pub fn said(command: &mut Command, limit: Duration) -> Result<Said> {
    let what = shown(command);
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let mut child = command.spawn().with_context(|| what.clone())?;
    let Some(status) = wait(&mut child, limit)? else {
        let _ = child.kill();
        let _ = child.wait();
        bail!("{what}: not within {} s", limit.as_secs());
    };
    let text = |file: &mut std::fs::File| -> Result<String> {
        file.rewind()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Said { success: status.success(), code: status.code(), out: text(&mut out)?, err: text(&mut err)? })
}

/// Runs a program that has to succeed, and gives its standard output.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let what = shown(command);
    let said = said(command, limit)?;
    if !said.success {
        bail!("{what}: exit code {}\n{}", said.code.map_or("none".to_owned(), |code| code.to_string()), said.tail());
    }
    Ok(said.out)
}

/// Runs a script of the shell that has to succeed.
pub fn sh(script: &str, limit: Duration) -> Result<String> {
    output(Command::new("bash").args(["-euc", script]), limit)
}

/// How a child ended, or nothing when it has not within the limit.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Asks every second until there is an answer; the last reason when there is none in time.
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(why) if Instant::now() > deadline => {
                return Err(why.context(format!("{what}: not within {} s", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

/// The first line of a command, for messages.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut first: String = line.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    if first.chars().count() > 160 {
        first = first.chars().take(160).chain("...".chars()).collect();
    }
    first
}

/// Where a program is, also in the folders that only root's PATH names.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/sbin", "/usr/bin", "/usr/local/go/bin"])
        .map(|folder| Path::new(folder).join(program))
        .find(|candidate| candidate.is_file())
}

/// The processes that a process started itself.
pub fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

pub fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

pub fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// Says on standard error what is going on, with the seconds since the start.
pub fn say(text: &str) {
    use std::io::Write;
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let seconds = START.get_or_init(Instant::now).elapsed().as_secs();
    let _ = writeln!(std::io::stderr(), "[{:02}:{:02}] {text}", seconds / 60, seconds % 60);
}
