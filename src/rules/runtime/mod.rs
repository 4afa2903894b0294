//! Rules of container runtimes and the images that the kubelet itself needs, one file each.

mod binary_missing;
mod bridge_not_flannel;
mod config_invalid;
mod containerd_cri_disabled;
mod docker_api_exposed;
mod docker_hosts_conflict;
mod docker_not_running;
mod image_pull_failed;
mod network_conflict;
mod pause_image_mismatch;
mod pause_image_missing;
mod registry_untrusted;
mod storage_driver_failed;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &binary_missing::DETECTOR,
    &bridge_not_flannel::DETECTOR,
    &docker_api_exposed::DETECTOR,
    &network_conflict::DETECTOR,
    &pause_image_mismatch::DETECTOR,
    &registry_untrusted::DETECTOR,
    &storage_driver_failed::DETECTOR,
    &config_invalid::DETECTOR,
    &containerd_cri_disabled::DETECTOR,
    &docker_hosts_conflict::DETECTOR,
    &docker_not_running::DETECTOR,
    &image_pull_failed::DETECTOR,
    &pause_image_missing::DETECTOR,
];
