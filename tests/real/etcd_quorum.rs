//! Three members with certificates of cfssl, as an operator sets them up by hand, and what is left of them.

use std::time::{Duration, Instant};

use crate::harness::cfssl::Authority;
use crate::harness::{Options, Process, Sandbox, apiserver_manifest, eventually};

const LOST: &str = "etcd-quorum-lost";
const FRAGILE: &str = "etcd-quorum-fragile";
const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const PKI: &str = "/etc/kubernetes/pki/etcd";

const MEMBERS: [(&str, &str); 3] =
    [("master-100", "10.0.0.100"), ("master-101", "10.0.0.101"), ("master-102", "10.0.0.102")];

const FLAGS: &[&str] = &[
    "--advertise-address=10.0.0.100",
    "--etcd-servers=https://10.0.0.100:2379,https://10.0.0.101:2379,https://10.0.0.102:2379",
    "--etcd-cafile=/etc/kubernetes/pki/etcd/ca.pem",
    "--etcd-certfile=/etc/kubernetes/pki/etcd/client.pem",
    "--etcd-keyfile=/etc/kubernetes/pki/etcd/client-key.pem",
];

/// All members share the sandbox, each with an address of its own.
fn start(host: &Sandbox, (name, address): (&str, &str)) -> Process {
    let cluster: Vec<String> = MEMBERS.iter().map(|(name, address)| format!("{name}=https://{address}:2380")).collect();
    let command = format!(
        "etcd --name {name} --data-dir /var/lib/{name} \
         --listen-client-urls https://{address}:2379 --advertise-client-urls https://{address}:2379 \
         --listen-peer-urls https://{address}:2380 --initial-advertise-peer-urls https://{address}:2380 \
         --cert-file={PKI}/{name}.pem --key-file={PKI}/{name}-key.pem --client-cert-auth --trusted-ca-file={PKI}/ca.pem \
         --peer-cert-file={PKI}/{name}-peer.pem --peer-key-file={PKI}/{name}-peer-key.pem --peer-client-cert-auth \
         --peer-trusted-ca-file={PKI}/ca.pem --initial-cluster {} --initial-cluster-token my-etcd-token \
         --initial-cluster-state new",
        cluster.join(",")
    );
    // Not where the program looks for logs: what it asks has to be enough.
    host.spawn(&command, &format!("/tmp/{name}.log"))
}

/// Waits for all members; one that ends says why.
fn wait_for_health(host: &Sandbox) {
    let begun = Instant::now();
    for (name, address) in MEMBERS {
        let health = format!(
            "ETCDCTL_API=3 etcdctl --endpoints https://{address}:2379 --cacert {PKI}/ca.pem --cert {PKI}/client.pem \
             --key {PKI}/client-key.pem endpoint health 2>&1"
        );
        while !host.output(&health).status.success() {
            let log = || host.read(&format!("/tmp/{name}.log"));
            assert!(begun.elapsed() < Duration::from_secs(90), "{name} does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn from_three_members_to_one_and_back() {
    let Some(host) = Sandbox::start(Options {
        name: "master-100",
        addresses: &["10.0.0.100/24", "10.0.0.101/24", "10.0.0.102/24"],
        needs: &["etcd", "etcdctl", "cfssl", "cfssljson"],
        ..Options::default()
    }) else {
        return;
    };
    let authority = Authority::new(&host, PKI, "etcd");
    authority.issue("client", "client", "client", &[]);
    for (name, address) in MEMBERS {
        authority.issue(name, "server", name, &[name, address]);
        // etcd also compares where a peer calls from, which on one machine is the address that is called.
        let addresses = MEMBERS.map(|(_, address)| address);
        authority.issue(&format!("{name}-peer"), "peer", name, &[&[name], &addresses[..]].concat());
    }
    host.write(MANIFEST, apiserver_manifest(FLAGS));
    let [first, second, third] = MEMBERS;
    let _first = start(&host, first);
    let mut running_second = start(&host, second);
    let mut running_third = start(&host, third);
    wait_for_health(&host);

    let all = ["--only", "etcd-quorum-lost,etcd-quorum-fragile"];
    let report = host.check(&all);
    assert_eq!(report.code, 0, "{}", report.human());
    report.silent(LOST);
    report.silent(FRAGILE);

    running_third.kill();
    let report = host.check(&all);
    let finding = report.only(FRAGILE);
    finding.says(&["2 of 3", "master-102"]);
    assert!(!finding.title().contains("master-101"), "{}", report.human());
    assert_eq!(finding.text("severity"), "warning");
    assert!(report.of_rule(LOST).is_empty() && !report.is_unknown(LOST), "{}", report.human());

    running_second.kill();
    // The member that is left notices that it has no leader.
    let report =
        eventually("lost quorum", 60, || Some(host.check(&all)).filter(|report| !report.of_rule(LOST).is_empty()));
    let finding = report.only(LOST);
    finding.says(&["1 of 3", "2 are needed", "master-101", "master-102"]);
    assert_eq!(finding.text("severity"), "error");
    assert!(!finding.evidence().is_empty(), "{}", report.human());
    let fix = finding.json["fix"]["summary"].as_str().unwrap_or_default();
    assert!(fix.contains("at least 1 "), "how many to start is not said: {fix}\n{}", report.human());
    assert!(report.of_rule(FRAGILE).is_empty(), "{}", report.human());

    let _second = start(&host, second);
    let _third = start(&host, third);
    wait_for_health(&host);
    let report = host.check(&all);
    report.silent(LOST);
    report.silent(FRAGILE);
}
