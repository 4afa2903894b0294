//! Rules of etcd, one file each.

mod address_not_local;
mod membership;
mod quorum_fragile;
mod quorum_lost;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] =
    &[&address_not_local::DETECTOR, &quorum_fragile::DETECTOR, &quorum_lost::DETECTOR];
