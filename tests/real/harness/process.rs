//! Processes that do not outlive their test.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A running program in a sandbox, stopped when dropped.
pub struct Process {
    /// nsenter, which ends as the program in the sandbox does.
    outer: Child,
    what: String,
}

impl Process {
    pub fn start(mut command: Command, what: &str) -> Process {
        let outer = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        Process { outer, what: what.to_owned() }
    }

    /// How it ended, when it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.outer.try_wait().unwrap_or_else(|error| panic!("{}: {error}", self.what))
    }

    /// Waits for its end.
    pub fn end_within(&mut self, seconds: u64) -> ExitStatus {
        let what = format!("the end of {}", self.what);
        eventually(&what, seconds, || self.ended())
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_some() {
            return;
        }
        for pid in children(self.outer.id()) {
            signal(pid, rustix::process::Signal::KILL);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.ended().is_none() {
            if Instant::now() > deadline {
                let _ = self.outer.kill();
                let _ = self.outer.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
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

/// Asks again and again until there is an answer; panics when there is none in time.
#[track_caller]
pub fn eventually<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(50));
    }
}
