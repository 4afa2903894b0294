//! What etcd's members measured of themselves, what their member list names, and what time they have.

use super::objects::{answer as apiserver, silent};
use super::{host, judged, only, outcome, unknown};
use crate::facts::Host;
use crate::facts::probe::{
    ClusterAnswer, ConnectAnswer, ConnectOutcome, EtcdAnswer, EtcdMember, EtcdMetrics, Histogram, NodeAnswer,
};
use crate::origin::Fact;

const ETCD: &str = "/etc/systemd/system/etcd.service";

fn etcd_host() -> Host {
    let mut host = host(&[(ETCD, "[Service]\nExecStart=/usr/bin/etcd --name=m1\n")]);
    host.network = Ok(super::apiserver::network());
    host
}

fn answer(endpoint: &str) -> EtcdAnswer {
    EtcdAnswer {
        endpoint: endpoint.to_owned(),
        healthy: Ok(true),
        members: Err(unknown("not part of this test")),
        status: Err(unknown("not part of this test")),
        metrics: None,
        clock_offset_ms: None,
    }
}

fn histogram(slow: u64, count: u64) -> Histogram {
    Histogram { buckets: vec![(0.1024, count - slow), (0.512, count - slow), (8.192, count)], count }
}

fn measured(metrics: Fact<EtcdMetrics>) -> Host {
    let mut host = etcd_host();
    let fine = EtcdMetrics { wal_fsync: Some(histogram(0, 1000)), ..EtcdMetrics::default() };
    for (endpoint, metrics) in [("https://10.0.0.2:2379", Ok(fine)), ("https://10.0.0.1:2379", metrics)] {
        host.probes.etcd.push(EtcdAnswer { metrics: Some(metrics), ..answer(endpoint) });
    }
    host
}

#[test]
fn disks() {
    let fsync = |slow, count| EtcdMetrics { wal_fsync: Some(histogram(slow, count)), ..EtcdMetrics::default() };
    for (metrics, expected) in [
        (Ok(fsync(50, 1000)), "fails"),
        (Ok(fsync(5, 1000)), "passes"),
        // Too few to say.
        (Ok(fsync(50, 100)), "passes"),
        (Err(unknown("HTTP 404")), "unknown"),
    ] {
        let shown = format!("{metrics:?}");
        assert_eq!(outcome("etcd-disk-slow", measured(metrics)), expected, "{shown}");
    }
    let judgement = judged("etcd-disk-slow", measured(Ok(fsync(50, 1000))));
    assert!(only(&judgement).title.contains("https://10.0.0.1:2379"), "{:#?}", judgement.findings);
}

#[test]
fn networks_between_members() {
    let trips = |slow, count| EtcdMetrics {
        round_trip: [("91bc3c398fb3c146".to_owned(), histogram(slow, count))].into(),
        ..EtcdMetrics::default()
    };
    let changes = |changes, hours: f64| EtcdMetrics {
        leader_changes: Some(changes),
        uptime_seconds: Some(hours * 3600.0),
        ..EtcdMetrics::default()
    };
    let rule = "etcd-peer-network-unstable";
    for (metrics, expected) in [
        (trips(30, 1000), "fails"),
        (trips(3, 1000), "passes"),
        (trips(30, 60), "passes"),
        (changes(40, 2.0), "fails"),
        (changes(40, 300.0), "passes"),
        (changes(3, 0.1), "passes"),
    ] {
        let shown = format!("{metrics:?}");
        assert_eq!(outcome(rule, measured(Ok(metrics))), expected, "{shown}");
    }
    let judgement = judged(rule, measured(Ok(trips(30, 1000))));
    assert!(only(&judgement).title.contains("91bc3c398fb3c146"), "{:#?}", judgement.findings);
}

#[test]
fn clocks() {
    let told = |offsets: &[(&str, i64)]| {
        let mut host = etcd_host();
        for (endpoint, offset) in offsets {
            host.probes.etcd.push(EtcdAnswer { clock_offset_ms: Some(*offset), ..answer(endpoint) });
        }
        host
    };
    let (own, two, three) = ("https://10.0.0.1:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379");
    for (offsets, drift, unsynchronized) in [
        (vec![(own, 90_000), (two, 400), (three, -900)], "passes", "passes"),
        (vec![(own, 0), (two, 100), (three, 30_000)], "fails", "na"),
        // Both of the others say that it is this one.
        (vec![(own, 0), (two, 30_000), (three, 30_600)], "fails", "fails"),
        (vec![(own, 0), (two, -30_000)], "fails", "na"),
        (vec![(own, 0)], "na", "na"),
    ] {
        assert_eq!(outcome("etcd-clock-drift", told(&offsets)), drift, "{offsets:?}");
        assert_eq!(outcome("host-clock-unsynchronized", told(&offsets)), unsynchronized, "{offsets:?}");
    }
    let judgement = judged("etcd-clock-drift", told(&[(two, -30_000)]));
    assert_eq!(only(&judgement).title, "the clock of 10.0.0.2 is 30 s behind that of m1");
    let judgement = judged("host-clock-unsynchronized", told(&[(two, 30_000), (three, 30_600)]));
    assert!(only(&judgement).title.contains("30 s behind"), "{:#?}", judgement.findings);
}

#[test]
fn members_that_are_gone() {
    let member = |id: &str, name: &str, address: &str| EtcdMember {
        id: id.to_owned(),
        name: name.to_owned(),
        peer_urls: vec![format!("https://{address}:2380")],
        client_urls: if name.is_empty() { Vec::new() } else { vec![format!("https://{address}:2379")] },
        is_learner: false,
    };
    let node = |name: &str, address: &str| NodeAnswer {
        name: name.to_owned(),
        created: None,
        addresses: vec![("InternalIP".to_owned(), address.to_owned())],
        kubelet_port: None,
        conditions: Vec::new(),
        heard: None,
    };
    let told = |third: EtcdMember, nodes: &[(&str, &str)], answered: ConnectOutcome| {
        let mut host = etcd_host();
        let members = vec![member("a1", "m1", "10.0.0.1"), member("a2", "m2", "10.0.0.2"), third];
        host.probes.etcd.push(EtcdAnswer { members: Ok(members), ..answer("https://10.0.0.1:2379") });
        let nodes = nodes.iter().map(|(name, address)| node(name, address)).collect();
        host.probes.apiservers.push(apiserver(Some(ClusterAnswer { nodes: Ok(nodes), ..silent() })));
        let outcomes = [("10.0.0.2:2379", ConnectOutcome::Connected), ("10.0.0.3:2379", answered)];
        for (target, outcome) in outcomes {
            let (target, dialled_by) = (target.to_owned(), "etcd".to_owned());
            host.probes.followed.push(ConnectAnswer { target, dialled_by, outcome, elapsed_ms: 2000 });
        }
        host
    };
    use ConnectOutcome::{Connected, Refused, TimedOut};
    let two = [("m1", "10.0.0.1"), ("m2", "10.0.0.2")];
    let three = [("m1", "10.0.0.1"), ("m2", "10.0.0.2"), ("m3", "10.0.0.3")];
    let elsewhere = [("n1", "10.0.1.1"), ("n2", "10.0.1.2")];
    let rule = "etcd-member-stale";
    for (third, nodes, answered, expected) in [
        (member("a3", "m3", "10.0.0.3"), &two[..], TimedOut, "fails"),
        (member("a3", "", "10.0.0.3"), &two[..], TimedOut, "fails"),
        (member("a3", "m3", "10.0.0.3"), &two[..], Connected, "passes"),
        // Down, and still a node.
        (member("a3", "m3", "10.0.0.3"), &three[..], Refused, "unknown"),
        // etcd on hosts of its own.
        (member("a3", "m3", "10.0.0.3"), &elsewhere[..], TimedOut, "unknown"),
    ] {
        let shown = format!("{third:?} {nodes:?} {answered:?}");
        assert_eq!(outcome(rule, told(third, nodes, answered)), expected, "{shown}");
    }
    let judgement = judged(rule, told(member("a3", "m3", "10.0.0.3"), &two, TimedOut));
    let finding = only(&judgement);
    assert!(finding.fix.as_ref().unwrap().lines().any(|line| line.ends_with("member remove a3")), "{finding:#?}");
}
