//! What logs complain of beside what etcd answers now: what is over is no finding, what goes on is.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{AT, host, outcome, unknown};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::facts::probe::{EtcdAnswer, EtcdStatus};
use crate::origin::Fact;

const ENDPOINT: &str = "http://127.0.0.1:2379";

/// A master whose log holds a rule's pattern from `first` to `last` seconds before it was looked at.
fn complaining(rule: &str, pattern: usize, component: &str, (first, last): (i64, i64)) -> Host {
    let unit = format!("[Service]\nExecStart=/usr/bin/kube-apiserver --etcd-servers={ENDPOINT}\n");
    let mut host = host(&[("/etc/systemd/system/kube-apiserver.service", &unit)]);
    let at: Timestamp = AT.parse().unwrap();
    let before = |seconds: i64| at - SignedDuration::from_secs(seconds);
    host.logs.looked_at = Some(at);
    host.logs.hits.push(LogHit {
        rule: rule.to_owned(),
        pattern,
        component: Some(component.to_owned()),
        captures: BTreeMap::new(),
        count: 20,
        first: Some(before(first).to_string()),
        last: Some(before(last).to_string()),
        ongoing: Some(true),
        pause: Some(5),
        restarts: 0,
        restarted: BTreeMap::new(),
        lines: Vec::new(),
        seconds: (last..=first).step_by(5).map(|seconds| before(seconds).as_second()).collect(),
        brief: false,
    });
    host
}

fn answering(mut host: Host, healthy: Fact<bool>, leader: Option<&str>) -> Host {
    let status = leader.ok_or_else(|| unknown("did not answer in 3 s")).map(|leader| EtcdStatus {
        member_id: "8e9e05c52164694d".to_owned(),
        cluster_id: "c1".to_owned(),
        leader: leader.to_owned(),
        version: "3.5.9".to_owned(),
        db_size: 1,
        raft_index: 8,
        errors: Vec::new(),
    });
    let members = Err(unknown("did not answer in 3 s"));
    let endpoint = ENDPOINT.to_owned();
    host.probes.etcd.push(EtcdAnswer { endpoint, healthy, members, status, metrics: None, clock_offset_ms: None });
    host
}

#[test]
fn of_no_leader() {
    for (what, healthy, leader, expected) in [
        ("it is healthy", Ok(true), Some("8e9e05c52164694d"), false),
        ("it is slow, and knows its leader", Ok(false), Some("8e9e05c52164694d"), false),
        ("it has none", Ok(false), Some("0"), true),
        ("it does not answer", Err(unknown("did not answer in 3 s")), None, true),
    ] {
        let host = answering(complaining("etcd-quorum-lost", 0, "etcd", (120, 5)), healthy, leader);
        assert_eq!(outcome("etcd-quorum-lost", host) == "fails", expected, "{what}");
    }
}

#[test]
fn of_etcd() {
    let rule = "apiserver-etcd-unreachable";
    let no = || Err(unknown("did not answer in 3 s"));
    for (what, times, healthy, expected) in [
        ("it goes on", (120, 1), no(), "fails"),
        ("etcd said false", (120, 1), Ok(false), "fails"),
        ("again and again, and healthy just now", (120, 1), Ok(true), "fails"),
        ("over since etcd is healthy", (120, 15), Ok(true), "na"),
        ("etcd was started", (40, 1), Ok(true), "na"),
        ("silent, and etcd does not answer", (120, 15), no(), "fails"),
    ] {
        let host = answering(complaining(rule, 0, "kube-apiserver", times), healthy, None);
        assert_eq!(outcome(rule, host), expected, "{what}");
    }
}
