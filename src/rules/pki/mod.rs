//! Rules of certificates, keys and kubeconfigs, one file each. Beside them: `inventory` (what a host uses) and `renewal`
//! (what a fix needs to know).

mod aggregation_broken;
mod ca_mismatch;
mod chain_broken;
mod cluster_signing;
mod erased_by_reset;
mod expired;
mod expires_soon;
mod file_missing;
mod identity_wrong;
mod inventory;
mod key_exposed;
mod key_mismatch;
mod kubelet_client_expired;
mod node_name_mismatch;
mod not_yet_valid;
mod renewal;
mod same_cluster;
mod san_missing;
mod served_stale;
mod service_account;
mod static_credentials;
mod usage_missing;
mod weak;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &aggregation_broken::DETECTOR,
    &ca_mismatch::DETECTOR,
    &chain_broken::DETECTOR,
    &cluster_signing::DETECTOR,
    &erased_by_reset::DETECTOR,
    &expired::DETECTOR,
    &expires_soon::DETECTOR,
    &file_missing::DETECTOR,
    &identity_wrong::DETECTOR,
    &key_exposed::DETECTOR,
    &key_mismatch::DETECTOR,
    &kubelet_client_expired::DETECTOR,
    &node_name_mismatch::DETECTOR,
    &not_yet_valid::DETECTOR,
    &san_missing::DETECTOR,
    &served_stale::DETECTOR,
    &service_account::DETECTOR,
    &static_credentials::DETECTOR,
    &usage_missing::DETECTOR,
    &weak::DETECTOR,
];
