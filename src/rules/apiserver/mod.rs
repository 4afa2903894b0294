//! Rules of kube-apiserver, one file each.

mod address_not_local;
mod admission_invalid;
mod etcd_unreachable;
mod insecure_exposed;
mod insecure_port_removed;
mod loopback_only;
mod not_running;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &address_not_local::DETECTOR,
    &admission_invalid::DETECTOR,
    &etcd_unreachable::DETECTOR,
    &insecure_exposed::DETECTOR,
    &insecure_port_removed::DETECTOR,
    &loopback_only::DETECTOR,
    &not_running::DETECTOR,
];
