//! Detectors: what a rule needs Rust for. One file for each rule, in its component's folder; a component's `mod.rs` lists
//! them, and a card with the same id holds everything that is said to people.

use std::collections::BTreeSet;

use crate::engine::card::Phase;
use crate::engine::verdict::Verdict;
use crate::facts::log::LogHit;
use crate::facts::{Cluster, Host};

pub mod apiserver;
pub mod cgroup;
pub mod control_plane;
pub mod edit;
pub mod etcd;
mod filesystems;
pub mod host;
pub mod kubelet;
#[cfg(test)]
mod live_tests;
pub mod load_balancer;
pub mod network;
mod not_running;
mod objects;
pub mod pki;
mod reach;
pub mod runtime;
pub mod support;
pub mod unit;

/// What every detector may look at beside the host it judges.
pub struct Context<'a> {
    pub cluster: &'a Cluster,
    /// `1.32` when the user asked to judge as of that Kubernetes release.
    pub kubernetes_version: Option<&'a str>,
    /// The phase that the run is for; none for all that can be judged.
    pub phase: Option<Phase>,
}

impl Context<'_> {
    /// Whether a host is judged that is to become a node and is none yet.
    pub fn is_preflight(&self) -> bool {
        self.phase == Some(Phase::Preflight)
    }
}

/// How a detector is called.
pub enum Judge {
    /// For each host.
    Host(fn(&Context<'_>, &Host, &mut Verdict)),
    /// Once for all hosts together; its outcome counts for the first host.
    Cluster(fn(&Context<'_>, &mut Verdict)),
    /// In both ways: what a host says of itself, and what the others say of it.
    Both(fn(&Context<'_>, &Host, &mut Verdict), fn(&Context<'_>, &mut Verdict)),
}

/// What the host's facts make of a message that the card's pattern matched.
pub enum Refined {
    /// It is evidence, with these values beside the captures.
    Keep(Vec<(&'static str, String)>),
    /// It is evidence of these hosts' fault, most affected first, with these values beside the captures.
    KeepOn { hosts: Vec<String>, values: Vec<(&'static str, String)> },
    /// It means something else on this host.
    Drop,
}

/// A rule's code, bound to its card by id.
pub struct Detector {
    pub id: &'static str,
    pub judge: Judge,
    /// Looks at each log message of the rule before it becomes a finding.
    pub refine: Option<fn(&Context<'_>, &Host, &LogHit) -> Refined>,
}

/// Every detector, by component.
pub fn all() -> impl Iterator<Item = &'static Detector> {
    [
        apiserver::DETECTORS,
        cgroup::DETECTORS,
        control_plane::DETECTORS,
        etcd::DETECTORS,
        host::DETECTORS,
        load_balancer::DETECTORS,
        network::DETECTORS,
        kubelet::DETECTORS,
        pki::DETECTORS,
        runtime::DETECTORS,
        unit::DETECTORS,
    ]
    .into_iter()
    .flat_map(|detectors| detectors.iter().copied())
}

/// The ids that have a detector.
pub fn ids() -> BTreeSet<&'static str> {
    all().map(|detector| detector.id).collect()
}
