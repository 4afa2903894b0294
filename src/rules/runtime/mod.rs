//! Rules of container runtimes and the images that the kubelet itself needs, one file each.

mod pause_image_missing;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&pause_image_missing::DETECTOR];
