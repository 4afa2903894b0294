//! Rules of etcd, one file each.

mod address_not_local;
mod advertise_loopback;
mod api_version_mismatch;
mod clock_drift;
mod cluster_id_mismatch;
mod data_dir_unusable;
mod disk_slow;
mod endpoint_unreachable;
mod etcdctl;
mod force_new_cluster;
mod initial_cluster_mismatch;
mod listen_url_hostname;
mod member_already_bootstrapped;
mod member_stale;
mod member_unknown;
mod membership;
mod nospace;
mod not_running;
mod own_answers;
mod peer_network_unstable;
mod plaintext_exposed;
mod quorum_fragile;
mod quorum_lost;
mod scheme_mismatch;
mod settings;
mod tls_rejected;
mod told_by_peers;
mod version_unsupported;

pub(super) use clock_drift::{APART, offsets};

use super::Detector;

pub(super) const DETECTORS: &[&Detector] = &[
    &address_not_local::DETECTOR,
    &advertise_loopback::DETECTOR,
    &api_version_mismatch::DETECTOR,
    &clock_drift::DETECTOR,
    &cluster_id_mismatch::DETECTOR,
    &data_dir_unusable::DETECTOR,
    &disk_slow::DETECTOR,
    &endpoint_unreachable::DETECTOR,
    &force_new_cluster::DETECTOR,
    &initial_cluster_mismatch::DETECTOR,
    &listen_url_hostname::DETECTOR,
    &member_already_bootstrapped::DETECTOR,
    &member_stale::DETECTOR,
    &member_unknown::DETECTOR,
    &nospace::DETECTOR,
    &not_running::DETECTOR,
    &peer_network_unstable::DETECTOR,
    &plaintext_exposed::DETECTOR,
    &super::apiserver::address_in_use::ETCD,
    &quorum_fragile::DETECTOR,
    &quorum_lost::DETECTOR,
    &scheme_mismatch::DETECTOR,
    &tls_rejected::DETECTOR,
    &version_unsupported::DETECTOR,
];
