//! Rules of control groups, one file each.

mod controller_missing;
mod driver_mismatch;
mod not_mounted;
mod required;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] =
    &[&driver_mismatch::DETECTOR, &controller_missing::DETECTOR, &not_mounted::DETECTOR];
