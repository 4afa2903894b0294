//! Rules of this component, one file each.

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[];
