//! What a run is asked to do, and what it gives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::collect::TextFile;
use crate::engine::card::Phase;
use crate::engine::timeline::Event;
use crate::engine::{CardSet, Language};
use crate::facts::expected::Expected;
use crate::facts::topology::map::Topology;
use crate::report::{Report, Severity};

#[derive(Debug, Clone)]
pub struct RunOptions {
    /// As the user named them; empty for the live host.
    pub sources: Vec<String>,
    /// What dates are judged against; now, when not given.
    pub at: Option<Timestamp>,
    /// For all probes together.
    pub timeout: Duration,
    /// For reading each host's logs; what was not read is said.
    pub log_timeout: Option<Duration>,
    pub probe: bool,
    pub rule_dirs: Vec<PathBuf>,
    /// Components or rule ids; empty for all.
    pub only: Vec<String>,
    /// `1.32`: judge as if the components had this version.
    pub kubernetes_version: Option<String>,
    /// How far back logs are read on the live host.
    pub since: Option<Duration>,
    pub language: Language,
    /// Only the rules of this phase; preflight judges a host that is no node yet.
    pub phase: Option<Phase>,
    /// Whether the run also gives the map of the cluster, and all events of the logs.
    pub map: bool,
    /// What a configuration says of rules and components, by name; a rule's own entry counts before its component's.
    pub rules: BTreeMap<String, RuleSetting>,
    /// What is expected of every host; roles are by host in `roles`.
    pub expected: Expected,
    /// Roles that hosts are to have, by host name.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The name of the one host that is looked at, instead of the one that it says itself.
    pub host_name: Option<String>,
}

/// What a configuration says of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleSetting {
    On,
    Off,
    /// Its findings have this severity.
    Severity(Severity),
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            sources: Vec::new(),
            at: None,
            timeout: Duration::from_secs(5),
            log_timeout: None,
            probe: true,
            rule_dirs: Vec::new(),
            only: Vec::new(),
            kubernetes_version: None,
            since: None,
            language: Language::English,
            phase: None,
            rules: BTreeMap::new(),
            expected: Expected::default(),
            roles: BTreeMap::new(),
            host_name: None,
            map: false,
        }
    }
}

/// A run's report, with the texts that it underlines by host and path.
#[derive(Debug)]
pub struct Run {
    pub report: Report,
    pub texts: BTreeMap<String, BTreeMap<String, Arc<TextFile>>>,
    /// The rules that were judged.
    pub cards: Arc<CardSet>,
    /// When the options asked for it.
    pub topology: Option<Topology>,
    /// What the logs tell, by time, whether it is a finding or not; when the options asked for it.
    pub events: Vec<Event>,
}
