//! Which evidence to take for which component: the only code, with [`crate::source`], that does I/O. Each file here takes
//! one kind of evidence from [`Files`] and makes facts of it with the parsers.

pub mod certificates;
pub mod cgroups;
pub mod components;
pub mod executables;
mod files;
pub mod filesystems;
pub mod firewall;
mod firewalld;
mod hidden;
pub mod host;
pub mod kubernetes;
pub mod load_balancers;
pub mod logs;
pub mod names;
pub mod network;
pub mod own_cards;
mod packages;
pub mod paths;
mod planned;
pub mod probes;
pub mod processes;
pub mod runtimes;
pub mod sysctls;
pub mod system;
pub mod units;

pub use files::{Files, TextFile};

use std::sync::Mutex;

use crate::origin::Span;
use crate::parse;
use crate::report::Problem;

/// The time of this machine's clock: what dates are judged against unless the user says otherwise.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is asked")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// What could not be understood while facts were taken of one host; shared by collectors that run side by side.
#[derive(Debug, Default)]
pub struct Problems {
    host: String,
    found: Mutex<Vec<Problem>>,
}

impl Problems {
    pub fn new(host: impl Into<String>) -> Problems {
        Problems { host: host.into(), found: Mutex::default() }
    }

    /// Notes that `path` could not be understood at `span`.
    pub fn add(&self, path: &str, span: Option<Span>, message: impl Into<String>, remedy: Option<String>) {
        let place = match span {
            Some(span) => format!("{path}:{}:{}", span.line, span.column),
            None => path.to_owned(),
        };
        let problem = Problem { host: self.host.clone(), place, message: message.into(), remedy };
        self.found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(problem);
    }

    pub fn add_parsed(&self, path: &str, problems: Vec<parse::Problem>) {
        for problem in problems {
            self.add(path, problem.span, problem.message, None);
        }
    }

    pub fn into_sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        found.sort_by(|a, b| (&a.place, &a.message).cmp(&(&b.place, &b.message)));
        found.dedup();
        found
    }
}
