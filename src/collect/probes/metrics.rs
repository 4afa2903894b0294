//! The few of etcd's metrics that rules judge, of Prometheus' text format.

use std::collections::BTreeMap;

use crate::facts::probe::{EtcdMetrics, Histogram};

/// Peers beyond this are no etcd's.
const PEERS: usize = 64;
/// Buckets of one histogram.
const BUCKETS: usize = 64;

/// `now`: seconds since the epoch.
pub fn parse(text: &str, now: f64) -> EtcdMetrics {
    let mut metrics = EtcdMetrics::default();
    let mut fsync = Histogram::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |name: &str| -> Option<&str> {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        match name {
            "process_start_time_seconds" => metrics.uptime_seconds = Some(now - value).filter(|age| *age >= 0.0),
            "etcd_server_leader_changes_seen_total" => metrics.leader_changes = Some(value as u64),
            "etcd_server_heartbeat_send_failures_total" => metrics.late_heartbeats = Some(value as u64),
            "etcd_disk_wal_fsync_duration_seconds_bucket" => add(&mut fsync, label("le"), value),
            "etcd_disk_wal_fsync_duration_seconds_count" => fsync.count = value as u64,
            "etcd_network_peer_round_trip_time_seconds_bucket" => {
                if let Some(peer) = peer(&mut metrics.round_trip, label("To")) {
                    add(peer, label("le"), value);
                }
            }
            "etcd_network_peer_round_trip_time_seconds_count" => {
                if let Some(peer) = peer(&mut metrics.round_trip, label("To")) {
                    peer.count = value as u64;
                }
            }
            _ => {}
        }
    }
    metrics.wal_fsync = Some(fsync).filter(|fsync| fsync.count > 0);
    metrics
}

fn add(histogram: &mut Histogram, bound: Option<&str>, value: f64) {
    if let Some(bound) = bound.and_then(|bound| bound.parse::<f64>().ok()).filter(|bound| bound.is_finite())
        && histogram.buckets.len() < BUCKETS
    {
        histogram.buckets.push((bound, value as u64));
    }
}

fn peer<'a>(peers: &'a mut BTreeMap<String, Histogram>, name: Option<&str>) -> Option<&'a mut Histogram> {
    let name = name.filter(|name| name.len() <= 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    if peers.len() >= PEERS && !peers.contains_key(name) {
        return None;
    }
    Some(peers.entry(name.to_owned()).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_prints() {
        let text = "# HELP etcd_disk_wal_fsync_duration_seconds The latency distributions of fsync called by WAL.\n\
            # TYPE etcd_disk_wal_fsync_duration_seconds histogram\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 10\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.512\"} 970\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"8.192\"} 1000\n\
            etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 1000\n\
            etcd_disk_wal_fsync_duration_seconds_sum 12.5\n\
            etcd_disk_wal_fsync_duration_seconds_count 1000\n\
            etcd_network_peer_round_trip_time_seconds_bucket{To=\"91bc3c398fb3c146\",le=\"0.0001\"} 3\n\
            etcd_network_peer_round_trip_time_seconds_count{To=\"91bc3c398fb3c146\"} 5\n\
            etcd_network_peer_round_trip_time_seconds_count{To=\"<b>\"} 5\n\
            etcd_server_leader_changes_seen_total 3\nprocess_start_time_seconds 1.7e+09\nnonsense\n";
        let metrics = parse(text, 1.7e9 + 60.0);
        let fsync = metrics.wal_fsync.unwrap();
        assert_eq!((fsync.buckets.len(), fsync.count), (3, 1000));
        assert_eq!(fsync.share_above(0.5), Some(0.03));
        assert_eq!(fsync.share_above(0.001), Some(0.99));
        assert_eq!(fsync.share_above(100.0), Some(0.0));
        assert_eq!(metrics.round_trip.keys().collect::<Vec<_>>(), ["91bc3c398fb3c146"]);
        assert_eq!((metrics.leader_changes, metrics.uptime_seconds), (Some(3), Some(60.0)));
        assert_eq!(parse("", 0.0), EtcdMetrics::default());
    }
}
