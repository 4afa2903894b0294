//! What etcd's members answer.

use super::{connect, host, judged, only, outcome, unknown};
use crate::facts::Host;
use crate::facts::probe::{ConnectOutcome, EtcdAnswer, EtcdMember, EtcdStatus, FlannelAnswer};
use crate::origin::{Fact, Unknown};

const UNIT: &str = "/etc/systemd/system/kube-apiserver.service";

fn answer(endpoint: &str, status: Fact<EtcdStatus>) -> EtcdAnswer {
    let members = status.as_ref().map_err(Clone::clone).map(|status| {
        vec![EtcdMember {
            id: status.member_id.clone(),
            name: "m1".to_owned(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            is_learner: false,
        }]
    });
    let healthy = status.as_ref().map(|_| true).map_err(Clone::clone);
    EtcdAnswer { endpoint: endpoint.to_owned(), healthy, members, status, metrics: None, clock_offset_ms: None }
}

fn status(cluster: &str, db_size: u64, errors: &[&str]) -> Fact<EtcdStatus> {
    Ok(EtcdStatus {
        member_id: "8e9e05c52164694d".to_owned(),
        cluster_id: cluster.to_owned(),
        leader: "8e9e05c52164694d".to_owned(),
        version: "3.5.9".to_owned(),
        db_size,
        raft_index: 8,
        errors: errors.iter().map(|error| (*error).to_owned()).collect(),
    })
}

fn apiserver(flags: &str) -> Host {
    host(&[(UNIT, &format!("[Service]\nExecStart=/usr/bin/kube-apiserver {flags}\n"))])
}

#[test]
fn space() {
    const MIB: u64 = 1 << 20;
    let member = |flags: &str, endpoint: &str, status: Fact<EtcdStatus>| {
        let unit = format!("[Service]\nExecStart=/usr/bin/etcd --advertise-client-urls={endpoint} {flags}\n");
        let mut host = host(&[("/etc/systemd/system/etcd.service", unit.as_str())]);
        host.probes.etcd.push(answer(endpoint, status));
        host
    };
    let own = "http://127.0.0.1:2379";
    let alarm = ["memberID:10276657743932975437 alarm:NOSPACE "];
    for (flags, endpoint, answer, expected) in [
        ("", own, status("c1", MIB, &alarm), "fails"),
        ("", own, status("c1", 1900 * MIB, &[]), "fails"),
        ("", own, status("c1", 1000 * MIB, &[]), "passes"),
        ("--quota-backend-bytes=8589934592", own, status("c1", 1900 * MIB, &[]), "passes"),
        ("--quota-backend-bytes=-1", own, status("c1", 1900 * MIB, &[]), "passes"),
        // Another host's quota is not known here.
        ("", "http://10.0.0.9:2379", status("c1", 1900 * MIB, &[]), "passes"),
        ("", "http://10.0.0.9:2379", status("c1", MIB, &alarm), "fails"),
        ("", own, Err(unknown("did not answer in 3 s")), "unknown"),
        ("", own, status("c1", MIB, &["memberID:1 alarm:CORRUPT "]), "passes"),
    ] {
        let shown = format!("{flags} {endpoint} {answer:?}");
        assert_eq!(outcome("etcd-nospace", member(flags, endpoint, answer)), expected, "{shown}");
    }
    let judgement = judged("etcd-nospace", member("", own, status("c1", MIB, &alarm)));
    let finding = only(&judgement);
    assert!(finding.title.contains("member m1"), "{}", finding.title);
    let commands = &finding.fix.as_ref().unwrap().commands;
    assert!(commands[2].line.contains("--endpoints=http://127.0.0.1:2379 alarm disarm"), "{commands:?}");
}

#[test]
fn clusters() {
    let dialled = |ids: &[Option<&str>]| {
        let mut host = apiserver("--etcd-servers=http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379");
        for (index, id) in ids.iter().enumerate() {
            let endpoint = format!("http://10.0.0.{}:2379", index + 1);
            let said = id.map_or(Err(unknown("connection refused")), |id| status(id, 1, &[]));
            host.probes.etcd.push(answer(&endpoint, said));
        }
        host
    };
    for (ids, expected) in [
        ([Some("a"), Some("a"), Some("a")], "passes"),
        ([Some("a"), Some("b"), Some("a")], "fails"),
        ([Some("a"), Some("b"), None], "fails"),
        ([Some("a"), None, None], "na"),
    ] {
        assert_eq!(outcome("etcd-cluster-id-mismatch", dialled(&ids)), expected, "{ids:?}");
    }
    let judgement = judged("etcd-cluster-id-mismatch", dialled(&[Some("b"), Some("a"), Some("a")]));
    let title = &only(&judgement).title;
    assert!(title.contains("http://10.0.0.1:2379 belongs to b"), "{title}");
    // An etcd of this host that the apiserver is not given may be another cluster's.
    let mut other = dialled(&[Some("a"), Some("a"), Some("a")]);
    other.probes.etcd.push(answer("http://127.0.0.1:4001", status("events", 1, &[])));
    assert_eq!(outcome("etcd-cluster-id-mismatch", other), "passes");
}

#[test]
fn refused_certificates() {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let with =
        "--etcd-servers=https://10.0.0.1:2379 --etcd-certfile=/etc/etcd/client.pem --etcd-keyfile=/etc/etcd/client.key";
    let without = "--etcd-servers=https://10.0.0.1:2379";
    let refused = |flags: &str, certificate: &str, why: Option<&str>| {
        let unit = format!("[Service]\nExecStart=/usr/bin/kube-apiserver {flags}\n");
        let mut host = host(&[(UNIT, &unit), ("/etc/etcd/client.pem", certificate)]);
        let said = why.map_or(status("a", 1, &[]), |why| Err(unknown(why)));
        host.probes.etcd.push(answer("https://10.0.0.1:2379", said));
        host
    };
    for (flags, certificate, why, expected) in [
        (with, made.as_str(), Some("TLS alert: bad certificate"), "fails"),
        (with, &made, Some("TLS alert: unknown CA"), "fails"),
        (with, &made, None, "passes"),
        // Another client may share a cipher with it.
        (with, &made, Some("TLS alert: handshake failure"), "unknown"),
        (with, &made, Some("connection refused"), "unknown"),
        (with, "", Some("TLS alert: certificate required"), "unknown"),
        (
            with,
            &made,
            Some("TLS alert: certificate required; asked without a client certificate, for /x: permission denied"),
            "unknown",
        ),
        (without, &made, Some("TLS alert: certificate required"), "fails"),
        (without, &made, None, "passes"),
    ] {
        assert_eq!(outcome("etcd-tls-rejected", refused(flags, certificate, why)), expected, "{flags} {why:?}");
    }
    for (flags, words) in [(with, "/etc/etcd/client.pem"), (without, "is given none")] {
        let judgement = judged("etcd-tls-rejected", refused(flags, &made, Some("TLS alert: certificate required")));
        assert!(only(&judgement).title.contains(words), "{}", judgement.findings[0].title);
    }
}

#[test]
fn schemes_and_plain_text() {
    let mut host = apiserver("--etcd-servers=http://10.0.0.1:2379,http://10.0.0.2:2379");
    host.probes.etcd.push(answer("http://10.0.0.1:2379", Err(unknown("answered in TLS (connection closed)"))));
    host.probes.etcd.push(answer("http://10.0.0.2:2379", Err(unknown("answered in TLS (connection closed)"))));
    let judgement = judged("etcd-scheme-mismatch", host);
    let finding = only(&judgement);
    assert!(finding.title.contains("http://10.0.0.1:2379 and http://10.0.0.2:2379"), "{}", finding.title);
    let commands = &finding.fix.as_ref().unwrap().commands;
    let edit = "-e 's#http://10.0.0.2:2379#https://10.0.0.2:2379#'";
    assert!(commands[0].line.contains(edit) && commands[0].line.ends_with(UNIT), "{commands:?}");

    let asked = |endpoint: &str, said: Result<(), Unknown>| {
        let mut host = apiserver(&format!("--etcd-servers={endpoint}"));
        host.probes.etcd.push(answer(endpoint, said.and_then(|()| status("a", 1, &[]))));
        host
    };
    for (rule, endpoint, said, expected) in [
        ("etcd-scheme-mismatch", "http://10.0.0.1:2379", Ok(()), "na"),
        ("etcd-scheme-mismatch", "http://10.0.0.1:2379", Err(unknown("connection refused")), "na"),
        ("etcd-plaintext-exposed", "http://10.0.0.1:2379", Ok(()), "fails"),
        ("etcd-plaintext-exposed", "http://127.0.0.1:2379", Ok(()), "na"),
        ("etcd-plaintext-exposed", "https://10.0.0.1:2379", Ok(()), "na"),
        ("etcd-plaintext-exposed", "http://10.0.0.1:2379", Err(unknown("HTTP 401")), "na"),
    ] {
        let shown = format!("{rule} {endpoint} {said:?}");
        assert_eq!(outcome(rule, asked(endpoint, said)), expected, "{shown}");
    }
}

#[test]
fn who_answers_runs() {
    let unit = "[Service]\nExecStart=/usr/bin/etcd --listen-client-urls=http://127.0.0.1:2379\n[Install]\n\
                WantedBy=multi-user.target\n";
    let stopped = |outcome: Option<ConnectOutcome>| {
        let mut host = host(&[
            ("/etc/systemd/system/etcd.service", unit),
            ("/etc/systemd/system/multi-user.target.wants/etcd.service", unit),
            ("/proc/uptime", "5000.00 1.00\n"),
        ]);
        let process = |pid: u32, comm: &str| crate::facts::system::Process {
            pid,
            comm: comm.to_owned(),
            exe: None,
            argv: vec![comm.to_owned()],
            cwd: None,
            environment: Default::default(),
            network_namespace: None,
            stopped: false,
            started_ticks: Some(1),
        };
        host.system.processes = Ok(vec![process(1, "systemd"), process(2, "kthreadd"), process(400, "sshd")]);
        host.system.uptime_seconds = Ok(5000);
        host.probes.connects.extend(outcome.map(|outcome| connect("127.0.0.1:2379", outcome)));
        host
    };
    for (dialled, expected) in
        [(None, "fails"), (Some(ConnectOutcome::Refused), "fails"), (Some(ConnectOutcome::Connected), "passes")]
    {
        assert_eq!(outcome("etcd-not-running", stopped(dialled.clone())), expected, "{dialled:?}");
    }
    let judgement = judged("etcd-not-running", stopped(Some(ConnectOutcome::Refused)));
    assert!(only(&judgement).evidence.iter().any(|evidence| evidence.label == "connection refused"));
}

#[test]
fn members_that_etcd_tells() {
    let told = |member_url: &str, second: Fact<EtcdStatus>| {
        let mut host = apiserver("--etcd-servers=https://10.0.0.1:2379,https://10.0.0.2:2379");
        let mut first = answer("https://10.0.0.1:2379", status("a", 1, &[]));
        if let Ok(members) = &mut first.members {
            members[0].client_urls = vec!["https://10.0.0.1:2379".to_owned()];
            members.extend(members.clone());
            members[1].client_urls = vec![member_url.to_owned()];
        }
        host.probes.etcd.extend([first, answer("https://10.0.0.2:2379", second)]);
        host
    };
    let silent = || Err(unknown("did not answer in 3 s"));
    for (member, second, expected) in [
        ("https://10.0.0.3:2379", silent(), "fails"),
        ("https://10.0.0.2:2379", silent(), "passes"),
        // By another address, and a member all the same.
        ("https://192.168.0.2:2379", status("a", 1, &[]), "passes"),
    ] {
        assert_eq!(outcome("etcd-member-unknown", told(member, second)), expected, "{member}");
    }
    let judgement = judged("etcd-member-unknown", told("https://10.0.0.3:2379", silent()));
    assert!(only(&judgement).title.contains("10.0.0.1 and 10.0.0.3"), "{}", judgement.findings[0].title);
}

#[test]
fn flannels_network() {
    let unit = "[Service]\nExecStart=/usr/bin/flanneld --etcd-endpoints=http://10.0.0.1:2379\n";
    let told = |stores: &[(Fact<bool>, Fact<bool>)]| {
        let mut host = host(&[("/etc/systemd/system/flanneld.service", unit)]);
        host.probes.flannel = stores
            .iter()
            .map(|(in_v2, in_v3)| FlannelAnswer {
                endpoint: "http://10.0.0.1:2379".to_owned(),
                key: "/coreos.com/network/config".to_owned(),
                in_v2: in_v2.clone(),
                in_v3: in_v3.clone(),
            })
            .collect();
        host
    };
    let refused = || Err(unknown("connection refused"));
    for (stores, expected) in [
        (vec![(Ok(false), Ok(false))], "fails"),
        (vec![(Ok(true), Ok(false))], "passes"),
        (vec![(Ok(false), Ok(true))], "passes"),
        (vec![(Ok(false), refused())], "unknown"),
        (vec![(refused(), refused())], "unknown"),
        (vec![(refused(), refused()), (Ok(false), Ok(false))], "fails"),
        (vec![(Ok(false), Ok(false)), (Ok(true), Ok(false))], "passes"),
        (vec![], "na"),
    ] {
        assert_eq!(outcome("flannel-network-config-missing", told(&stores)), expected, "{stores:?}");
    }
    let judgement = judged("flannel-network-config-missing", told(&[(Ok(false), Ok(false))]));
    assert!(only(&judgement).title.contains("/coreos.com/network/config"), "{}", judgement.findings[0].title);
}
