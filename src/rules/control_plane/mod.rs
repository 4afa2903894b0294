//! Rules on how the parts of a cluster fit together, one file each.

mod endpoint_loopback_on_worker;
mod endpoint_single_master;
mod leader_election_disabled;
mod leader_election_lost;
mod node_cidr_exhausted;
mod service_range;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &endpoint_loopback_on_worker::DETECTOR,
    &endpoint_single_master::DETECTOR,
    &leader_election_disabled::DETECTOR,
    &leader_election_lost::DETECTOR,
    &node_cidr_exhausted::DETECTOR,
    &service_range::CLUSTER_DNS,
    &service_range::MISMATCH,
];
