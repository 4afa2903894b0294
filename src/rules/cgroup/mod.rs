//! Rules of control groups, one file each.

mod controller_missing;
mod not_mounted;
mod required;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&controller_missing::DETECTOR, &not_mounted::DETECTOR];
