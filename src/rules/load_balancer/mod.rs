//! Rules of nginx, haproxy and keepalived before the apiservers, one file each.

mod backend_missing;
mod dials;
mod frontends;
mod hairpin;
mod health_check_missing;
mod is_single;
mod layer7_to_tls;
mod not_running;
mod server_name_invalid;
mod timeout_too_short;
mod vip_absent;

pub(super) use dials::{is_dialled_rightly, missed_dials};
pub(super) use frontends::{before_apiservers, listen_port};

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &backend_missing::DETECTOR,
    &hairpin::DETECTOR,
    &health_check_missing::DETECTOR,
    &is_single::DETECTOR,
    &layer7_to_tls::DETECTOR,
    &not_running::DETECTOR,
    &server_name_invalid::DETECTOR,
    &timeout_too_short::DETECTOR,
    &vip_absent::DETECTOR,
];
