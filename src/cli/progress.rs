//! A sign of life on standard error for runs that take longer than a moment.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Shows how long something takes, from its first second on, until it is dropped. Nothing is shown when standard error is
/// no terminal.
pub struct Progress {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    pub fn start(what: String) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { running: None };
        }
        let (sender, receiver) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut seconds = 0_u64;
            while receiver.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                seconds += 1;
                let _ = write!(std::io::stderr().lock(), "\r{what} ... {seconds} s");
            }
            if seconds > 0 {
                let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
            }
        });
        Progress { running: Some((sender, thread)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.running.take() {
            drop(sender);
            // The line has to be gone before anything else is printed.
            let _ = thread.join();
        }
    }
}
