//! Rules of units, manifests and files as such, one file each.

mod manifest_invalid;
mod syntax;
mod variable_undefined;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] =
    &[&manifest_invalid::DETECTOR, &syntax::DETECTOR, &variable_undefined::DETECTOR];
