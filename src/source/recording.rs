//! What an archive tells of a host beside its files.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::SourceKind;
use crate::facts::probe::Probes;

/// Beside the files: when they were taken, what was asked, and what the archive lacks.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The host's name when it was recorded; none when its files have to tell.
    pub host: Option<String>,
    /// What was recorded: the live host, or a tree.
    pub of: SourceKind,
    /// When the evidence was taken.
    pub at: Option<Timestamp>,
    /// How far back logs were taken.
    pub since: Option<Duration>,
    /// What getifaddrs answered, by interface.
    pub addresses: Option<BTreeMap<String, Vec<IpNet>>>,
    pub probes: Option<Probes>,
    /// Logs that are no files of the host: what each is called, and the path that it is read from.
    pub streams: Vec<(String, String)>,
    /// Why there are none of them where there should be.
    pub streams_left_out: Vec<(String, String)>,
    /// What of the host is known to be left out or cut off, by path, with why.
    pub left_out: Vec<(String, String)>,
    /// Why what the archive says is not the whole of what was to be recorded; none when it is.
    pub incomplete: Option<String>,
}

impl Recording {
    /// Of an archive that says nothing of itself.
    pub fn unknown() -> Recording {
        Recording {
            host: None,
            of: SourceKind::Tree,
            at: None,
            since: None,
            addresses: None,
            probes: None,
            streams: Vec::new(),
            streams_left_out: Vec::new(),
            left_out: Vec::new(),
            incomplete: None,
        }
    }
}
