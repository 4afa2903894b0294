//! Rules of pod networks and kube-proxy, one file each.

mod cni_plugin_missing;
mod proxy_mode_unavailable;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[&cni_plugin_missing::DETECTOR, &proxy_mode_unavailable::DETECTOR];
