//! Rules of certificates, keys and kubeconfigs, one file each.

mod san_missing;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&san_missing::DETECTOR];
