//! Rules of the operating system, one file each.

mod hostname_unresolvable;
pub(super) mod kernel_module_missing;
mod limit_too_low;
mod no_default_route;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &hostname_unresolvable::DETECTOR,
    &kernel_module_missing::DETECTOR,
    &limit_too_low::DETECTOR,
    &no_default_route::DETECTOR,
];
