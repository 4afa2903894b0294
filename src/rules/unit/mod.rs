//! Rules of units, manifests, flags and versions, one file each.

mod manifest_invalid;
mod removed_flags;
mod syntax;
mod variable_undefined;
mod version_end_of_life;
mod version_skew;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &manifest_invalid::DETECTOR,
    &removed_flags::APISERVER,
    &removed_flags::DOCKER,
    &removed_flags::KUBELET,
    &syntax::DETECTOR,
    &variable_undefined::DETECTOR,
    &version_end_of_life::DETECTOR,
    &version_skew::DETECTOR,
];
