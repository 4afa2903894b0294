//! What apiservers tell of the cluster's objects.

use jiff::Timestamp;

use super::{AT, host, judged, only, outcome, unknown};
use crate::facts::Host;
use crate::facts::probe::{
    ApiServiceAnswer, ApiserverAnswer, ClusterAnswer, ConditionAnswer, ConnectAnswer, ConnectOutcome, LeaseAnswer,
    NodeAnswer, ServiceAnswer,
};

const UNIT: &str = "/etc/systemd/system/kube-apiserver.service";

fn at(seconds_ago: i64) -> Option<Timestamp> {
    let now: Timestamp = AT.parse().unwrap();
    now.checked_sub(jiff::SignedDuration::from_secs(seconds_ago)).ok()
}

fn condition(kind: &str, status: &str, seconds_ago: i64) -> ConditionAnswer {
    ConditionAnswer {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: "SomeReason".to_owned(),
        message: "some message".to_owned(),
        since: at(seconds_ago),
    }
}

fn node(name: &str, address: &str, conditions: Vec<ConditionAnswer>) -> NodeAnswer {
    NodeAnswer {
        name: name.to_owned(),
        created: at(100_000),
        addresses: vec![("InternalIP".to_owned(), address.to_owned())],
        kubelet_port: Some(10_250),
        conditions,
        heard: at(5),
    }
}

fn ready(name: &str, address: &str) -> NodeAnswer {
    node(name, address, vec![condition("Ready", "True", 9000), condition("DiskPressure", "False", 9000)])
}

/// Nothing of the cluster is known.
pub(super) fn silent() -> ClusterAnswer {
    ClusterAnswer {
        at: at(0),
        nodes: Err(unknown("HTTP 403")),
        leases: Err(unknown("HTTP 403")),
        api_services: Err(unknown("HTTP 403")),
        services: Err(unknown("HTTP 403")),
        service_ranges: Err(unknown("HTTP 403")),
    }
}

pub(super) fn answer(cluster: Option<ClusterAnswer>) -> ApiserverAnswer {
    ApiserverAnswer {
        endpoint: "https://10.0.0.1:6443".to_owned(),
        live: Ok(true),
        version: Err(unknown("not told")),
        cluster,
        clock_offset_ms: None,
    }
}

/// A master whose apiserver told this.
fn told(cluster: ClusterAnswer) -> Host {
    told_with("--service-cluster-ip-range=10.96.0.0/12", cluster)
}

fn told_with(flags: &str, cluster: ClusterAnswer) -> Host {
    let mut host = host(&[(UNIT, &format!("[Service]\nExecStart=/usr/bin/kube-apiserver {flags}\n"))]);
    host.probes.apiservers.push(answer(Some(cluster)));
    host
}

#[test]
fn nodes() {
    let nodes = |nodes: Vec<NodeAnswer>| told(ClusterAnswer { nodes: Ok(nodes), ..silent() });
    let with = |status: &str, seconds| node("w1", "10.0.0.9", vec![condition("Ready", status, seconds)]);
    let rule = "node-not-ready";
    for (second, expected) in [
        (with("False", 600), "fails"),
        (with("Unknown", 600), "fails"),
        (with("True", 600), "passes"),
        // It joins, or restarts.
        (with("False", 30), "unknown"),
    ] {
        let shown = format!("{second:?}");
        assert_eq!(outcome(rule, nodes(vec![ready("m1", "10.0.0.1"), second])), expected, "{shown}");
    }
    assert_eq!(outcome(rule, told(silent())), "unknown");
    let mut without = told(silent());
    without.probes.apiservers[0].cluster = None;
    assert_eq!(outcome(rule, without), "na");
    let judgement = judged(rule, nodes(vec![with("False", 600)]));
    let finding = only(&judgement);
    assert_eq!(finding.title, "node w1 is not ready: some message");
    assert!(finding.fix.as_ref().unwrap().commands[0].line.contains("describe node w1"), "{finding:#?}");

    let pressed = |status: &str| {
        let conditions = vec![condition("Ready", "True", 600), condition("DiskPressure", status, 600)];
        nodes(vec![ready("m1", "10.0.0.1"), node("w1", "10.0.0.9", conditions)])
    };
    for (status, expected) in [("True", "fails"), ("False", "passes"), ("Unknown", "passes")] {
        assert_eq!(outcome("kubelet-disk-pressure", pressed(status)), expected, "{status}");
    }
}

#[test]
fn leases() {
    let lease = |name: &str, seconds: i64, holder: &str| LeaseAnswer {
        name: name.to_owned(),
        holder: holder.to_owned(),
        renewed: at(seconds),
        duration_seconds: Some(15),
    };
    let with = |second: LeaseAnswer| {
        told(ClusterAnswer { leases: Ok(vec![lease("kube-controller-manager", 1, "m1_a"), second]), ..silent() })
    };
    let rule = "leader-election-lost";
    for (seconds, expected) in [(2, "passes"), (35, "passes"), (60, "fails"), (900_000, "fails"), (-5, "passes")] {
        assert_eq!(outcome(rule, with(lease("kube-scheduler", seconds, "m1_b"))), expected, "{seconds} s ago");
    }
    let silent_lease = LeaseAnswer { renewed: None, ..lease("kube-scheduler", 1, "") };
    assert_eq!(outcome(rule, with(silent_lease)), "unknown");
    assert_eq!(outcome(rule, told(ClusterAnswer { leases: Ok(Vec::new()), ..silent() })), "na");
    let judgement = judged(rule, with(lease("kube-scheduler", 300, "m1_b")));
    assert_eq!(
        only(&judgement).title,
        "no kube-scheduler leads: m1_b has not renewed kube-system/kube-scheduler for 5 min"
    );
}

#[test]
fn aggregated_apis() {
    let service = |name: &str, status: &str, seconds| ApiServiceAnswer {
        name: name.to_owned(),
        backend: "kube-system/metrics-server".to_owned(),
        available: Some(condition("Available", status, seconds)),
    };
    let with = |second| {
        told(ClusterAnswer { api_services: Ok(vec![service("v1.good.example", "True", 900), second]), ..silent() })
    };
    let rule = "apiserver-aggregation-broken";
    for (status, seconds, expected) in [("False", 900, "fails"), ("False", 20, "unknown"), ("True", 900, "passes")] {
        assert_eq!(outcome(rule, with(service("v1beta1.metrics.k8s.io", status, seconds))), expected, "{status}");
    }
    let judgement = judged(rule, with(service("v1beta1.metrics.k8s.io", "False", 900)));
    assert!(only(&judgement).title.contains("v1beta1.metrics.k8s.io"), "{:#?}", judgement.findings);
}

#[test]
fn kubelets() {
    use ConnectOutcome::{Connected, Refused, TimedOut, Unreachable};
    let dialled = |flags: &str, second: NodeAnswer, outcome: ConnectOutcome, elapsed_ms| {
        let nodes = vec![ready("m1", "10.0.0.1"), second];
        let mut host = told_with(flags, ClusterAnswer { nodes: Ok(nodes), ..silent() });
        for (target, outcome) in [("10.0.0.1:10250", Connected), ("10.0.0.9:10250", outcome)] {
            let (target, dialled_by) = (target.to_owned(), "kube-apiserver".to_owned());
            host.probes.followed.push(ConnectAnswer { target, dialled_by, outcome, elapsed_ms });
        }
        host
    };
    let rule = "apiserver-kubelet-unreachable";
    let gone = || node("w1", "10.0.0.9", vec![condition("Ready", "Unknown", 900)]);
    for (flags, second, answer, elapsed, expected) in [
        ("", ready("w1", "10.0.0.9"), Connected, 2, "passes"),
        ("", ready("w1", "10.0.0.9"), Refused, 2, "fails"),
        ("", ready("w1", "10.0.0.9"), TimedOut, 2000, "fails"),
        ("", ready("w1", "10.0.0.9"), Unreachable("no route to host".to_owned()), 2, "fails"),
        // This program's hurry.
        ("", ready("w1", "10.0.0.9"), TimedOut, 300, "unknown"),
        // Ready is what its kubelet last said; it says nothing any more.
        ("", NodeAnswer { heard: at(20), ..ready("w1", "10.0.0.9") }, Refused, 2, "passes"),
        ("", NodeAnswer { heard: None, ..ready("w1", "10.0.0.9") }, Refused, 2, "unknown"),
        // Another finding says that the node is gone.
        ("", gone(), TimedOut, 2000, "passes"),
        ("--egress-selector-config-file=/etc/egress.yaml", ready("w1", "10.0.0.9"), TimedOut, 2000, "na"),
    ] {
        let shown = format!("{flags} {answer:?} {elapsed}");
        assert_eq!(outcome(rule, dialled(flags, second, answer, elapsed)), expected, "{shown}");
    }
    let judgement = judged(rule, dialled("", ready("w1", "10.0.0.9"), Refused, 2));
    let finding = only(&judgement);
    assert!(
        finding.title.contains("the kubelet of node w1 at 10.0.0.9, port 10250: connection refused"),
        "{finding:#?}"
    );
    assert!(finding.fix.as_ref().unwrap().commands[0].line.contains("https://10.0.0.9:10250/healthz"), "{finding:#?}");
}

#[test]
fn services() {
    let service =
        |name: &str, address: &str| ServiceAnswer { name: name.to_owned(), addresses: vec![address.parse().unwrap()] };
    let with = |flags: &str, second: ServiceAnswer, ranges: &[&str]| {
        let services = Ok(vec![service("default/kubernetes", "10.96.0.1"), second]);
        let service_ranges = Ok(ranges.iter().map(|range| (*range).to_owned()).collect());
        told_with(flags, ClusterAnswer { services, service_ranges, ..silent() })
    };
    let rule = "service-range-changed";
    let flag = "--service-cluster-ip-range=10.96.0.0/12";
    for (flags, address, ranges, expected) in [
        (flag, "10.96.0.10", &[] as &[&str], "passes"),
        (flag, "10.32.0.10", &[], "fails"),
        (flag, "10.32.0.10", &["10.32.0.0/24"], "passes"),
        // A family that the ranges say nothing of.
        (flag, "fd00::10", &[], "passes"),
        ("", "10.32.0.10", &[], "unknown"),
        ("", "10.32.0.10", &["10.96.0.0/12"], "fails"),
    ] {
        let shown = format!("{flags} {address} {ranges:?}");
        assert_eq!(outcome(rule, with(flags, service("kube-system/kube-dns", address), ranges)), expected, "{shown}");
    }
    let judgement = judged(rule, with(flag, service("kube-system/kube-dns", "10.32.0.10"), &[]));
    assert!(only(&judgement).title.contains("kube-system/kube-dns (10.32.0.10)"), "{:#?}", judgement.findings);
}

#[test]
fn a_leader_beside_one_that_is_not_elected() {
    let with = |flag: &str, holder: &str, seconds: i64| {
        let lease = LeaseAnswer {
            name: "kube-scheduler".to_owned(),
            holder: holder.to_owned(),
            renewed: at(seconds),
            duration_seconds: Some(15),
        };
        let unit = format!("[Service]\nExecStart=/usr/bin/kube-scheduler --leader-elect={flag}\n");
        let mut host = host(&[("/etc/systemd/system/kube-scheduler.service", &unit)]);
        host.probes.apiservers.push(answer(Some(ClusterAnswer { leases: Ok(vec![lease]), ..silent() })));
        host
    };
    for (flag, holder, seconds, expected) in [
        ("false", "m2_6e1c", 3, "fails"),
        ("true", "m2_6e1c", 3, "passes"),
        // Its own, of before it was set up so; and another one's that is gone.
        ("false", "m1_6e1c", 3, "na"),
        ("false", "m2_6e1c", 900, "na"),
    ] {
        assert_eq!(
            outcome("leader-election-disabled", with(flag, holder, seconds)),
            expected,
            "{flag} {holder} {seconds}"
        );
    }
}
