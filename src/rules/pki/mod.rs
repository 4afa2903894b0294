//! Rules of certificates, keys and kubeconfigs, one file each. Beside them: `inventory` (what a host uses) and `renewal`
//! (what a fix needs to know).

mod expired;
mod expires_soon;
mod inventory;
mod kubelet_client_expired;
mod not_yet_valid;
mod renewal;
mod san_missing;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &expired::DETECTOR,
    &expires_soon::DETECTOR,
    &kubelet_client_expired::DETECTOR,
    &not_yet_valid::DETECTOR,
    &san_missing::DETECTOR,
];
