//! Rules on the networks of pods, services and nodes and on kube-proxy, one file each.

mod calico_credentials_invalid;
mod cidr_overlap;
mod cni_plugin_missing;
mod flannel_config_missing;
mod flannel_etcd_unreachable;
mod flannel_node_cidr;
mod forward_policy_drop;
mod iptables_backend_mixed;
mod mtu_mismatch;
mod node_not_ready;
mod proxy_mode_unavailable;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &cidr_overlap::DETECTOR,
    &cni_plugin_missing::DETECTOR,
    &flannel_node_cidr::DETECTOR,
    &flannel_config_missing::DETECTOR,
    &calico_credentials_invalid::DETECTOR,
    &flannel_etcd_unreachable::DETECTOR,
    &forward_policy_drop::DETECTOR,
    &iptables_backend_mixed::DETECTOR,
    &mtu_mismatch::DETECTOR,
    &node_not_ready::DETECTOR,
    &proxy_mode_unavailable::DETECTOR,
];
