//! Rules of the operating system, one file each.

mod clock_unsynchronized;
mod disk_full;
mod firewall_blocks_ports;
mod firewall_seen_outside;
mod hostname_unresolvable;
mod identity_duplicated;
pub(super) mod kernel_module_missing;
mod limit_too_low;
mod no_default_route;
mod port_in_use;
mod selinux_denies;

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &clock_unsynchronized::DETECTOR,
    &disk_full::DETECTOR,
    &firewall_blocks_ports::DETECTOR,
    &selinux_denies::DETECTOR,
    &identity_duplicated::DETECTOR,
    &port_in_use::DETECTOR,
    &hostname_unresolvable::DETECTOR,
    &kernel_module_missing::DETECTOR,
    &limit_too_low::DETECTOR,
    &no_default_route::DETECTOR,
];
