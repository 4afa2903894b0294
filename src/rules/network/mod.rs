//! Rules on the networks of pods, services and nodes and on kube-proxy, one file each.

mod cidr_overlap;
mod cni_plugin_missing;
mod flannel_node_cidr;
mod mtu_mismatch;
mod proxy_mode_unavailable;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &cidr_overlap::DETECTOR,
    &cni_plugin_missing::DETECTOR,
    &flannel_node_cidr::DETECTOR,
    &mtu_mismatch::DETECTOR,
    &proxy_mode_unavailable::DETECTOR,
];
