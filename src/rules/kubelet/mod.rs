//! Rules of the kubelet, one file each.

mod allocatable_invalid;
mod apiserver_unreachable;
mod bootstrap_failed;
mod config_invalid;
mod disk_pressure;
mod not_running;
pub mod runtime;
mod runtime_unreachable;
mod static_pod_duplicated;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &apiserver_unreachable::DETECTOR,
    &allocatable_invalid::DETECTOR,
    &bootstrap_failed::DETECTOR,
    &config_invalid::DETECTOR,
    &disk_pressure::DETECTOR,
    &not_running::DETECTOR,
    &runtime_unreachable::DETECTOR,
    &static_pod_duplicated::DETECTOR,
];
