//! Rules on the networks of pods, services and nodes, one file each.

mod cidr_overlap;
mod mtu_mismatch;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&cidr_overlap::DETECTOR, &mtu_mismatch::DETECTOR];
