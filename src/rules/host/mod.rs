//! Rules of the operating system, one file each.

mod no_default_route;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&no_default_route::DETECTOR];
