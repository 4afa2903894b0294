//! Rules of units, flags and versions, one file each.

mod removed_flags;
mod version_skew;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] =
    &[&removed_flags::APISERVER, &removed_flags::DOCKER, &removed_flags::KUBELET, &version_skew::DETECTOR];
