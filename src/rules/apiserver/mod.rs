//! Rules of kube-apiserver, one file each.

pub(super) mod address_in_use;
mod address_not_local;
mod admission_invalid;
mod audit_log_unwritable;
mod count_mismatch;
mod etcd_unreachable;
mod insecure_exposed;
mod insecure_port_removed;
mod kubeconfig_missing;
mod kubelet_unreachable;
mod loopback_only;
mod node_port_range_conflict;
mod not_running;
mod probe_refused;
mod service_range_changed;
mod service_range_invalid;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &address_in_use::BIND,
    &address_not_local::DETECTOR,
    &admission_invalid::DETECTOR,
    &etcd_unreachable::DETECTOR,
    &audit_log_unwritable::DETECTOR,
    &count_mismatch::DETECTOR,
    &insecure_exposed::DETECTOR,
    &insecure_port_removed::DETECTOR,
    &kubeconfig_missing::DETECTOR,
    &kubelet_unreachable::DETECTOR,
    &loopback_only::DETECTOR,
    &node_port_range_conflict::DETECTOR,
    &not_running::DETECTOR,
    &probe_refused::DETECTOR,
    &service_range_changed::DETECTOR,
    &service_range_invalid::DETECTOR,
];
