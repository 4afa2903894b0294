//! Rules of units, manifests, flags and versions, one file each.

mod manifest_invalid;
mod removed_flags;
mod syntax;
mod variable_undefined;
mod version_skew;
mod wrong_scheme;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &manifest_invalid::DETECTOR,
    &removed_flags::APISERVER,
    &removed_flags::DOCKER,
    &removed_flags::KUBELET,
    &syntax::DETECTOR,
    &variable_undefined::DETECTOR,
    &version_skew::DETECTOR,
    &wrong_scheme::DETECTOR,
];
