//! Rules of container runtimes and the images that the kubelet itself needs, one file each.

mod config_invalid;
mod containerd_cri_disabled;
mod docker_hosts_conflict;
mod docker_not_running;
mod pause_image_missing;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &config_invalid::DETECTOR,
    &containerd_cri_disabled::DETECTOR,
    &docker_hosts_conflict::DETECTOR,
    &docker_not_running::DETECTOR,
    &pause_image_missing::DETECTOR,
];
