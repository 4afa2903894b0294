//! Rules of units, manifests, flags and versions, one file each.

mod config_drift;
mod kubeadm_config;
mod kubeadm_config_invalid;
mod kubeadm_fields;
mod kubeadm_join_failed;
mod kubeadm_leftovers;
mod kubeadm_runtime_ambiguous;
mod log_directory_missing;
mod manifest_invalid;
mod mounted_file_is_directory;
pub(super) mod removed_flags;
mod restart_policy;
mod syntax;
mod variable_undefined;
mod version_end_of_life;
mod version_skew;
mod wrong_scheme;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &config_drift::DETECTOR,
    &kubeadm_config::ENDPOINT,
    &kubeadm_config_invalid::DETECTOR,
    &kubeadm_join_failed::DETECTOR,
    &kubeadm_leftovers::DETECTOR,
    &kubeadm_runtime_ambiguous::DETECTOR,
    &kubeadm_config::OUTDATED,
    &log_directory_missing::DETECTOR,
    &manifest_invalid::DETECTOR,
    &mounted_file_is_directory::DETECTOR,
    &removed_flags::APISERVER,
    &removed_flags::DOCKER,
    &removed_flags::KUBELET,
    &restart_policy::DETECTOR,
    &syntax::DETECTOR,
    &variable_undefined::DETECTOR,
    &version_end_of_life::DETECTOR,
    &version_skew::DETECTOR,
    &wrong_scheme::DETECTOR,
];
