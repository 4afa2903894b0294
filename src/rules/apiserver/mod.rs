//! Rules of kube-apiserver, one file each.

mod address_not_local;
mod loopback_only;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&address_not_local::DETECTOR, &loopback_only::DETECTOR];
