//! A whole host: systemd boots in a container over a root of the distribution's packages, with units and a journal.

use crate::harness::{Booted, alone, eventually};

const RULE: &str = "etcd-address-not-local";
const UNIT: &str = "/etc/systemd/system/etcd.service";
const ENVIRONMENT: &str = "/etc/etcd.env";

const UNIT_TEXT: &str = "\
[Unit]
Description=etcd
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
EnvironmentFile=/etc/etcd.env
ExecStart=/usr/bin/etcd --name ${PEER_NAME} \\
    --data-dir /var/lib/etcd \\
    --listen-client-urls http://127.0.0.1:2379 \\
    --advertise-client-urls http://127.0.0.1:2379 \\
    --listen-peer-urls ${PEER_URL} \\
    --initial-advertise-peer-urls http://${PRIVATE_IP}:2380 \\
    --initial-cluster ${PEER_NAME}=http://${PRIVATE_IP}:2380
Restart=always
RestartSec=1s

[Install]
WantedBy=multi-user.target
";

const ENVIRONMENT_TEXT: &str = "PEER_NAME=master-100\nPRIVATE_IP=10.0.0.11\nPEER_URL=http://203.0.113.12:2380\n";

#[test]
fn a_booted_host_with_a_wrong_address_in_an_environment_file() {
    let _machine = alone();
    let address = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/sbin/ip link add eth0 type veth peer name peer0\n\
                   ExecStart=/sbin/ip address add 10.0.0.11/24 dev eth0\nExecStart=/sbin/ip link set eth0 up\n[Unit]\n\
                   DefaultDependencies=no\nBefore=network.target etcd.service\n";
    let files = [(UNIT, UNIT_TEXT), (ENVIRONMENT, ENVIRONMENT_TEXT), ("/etc/systemd/system/address.service", address)];
    let enabled = [("etcd", "multi-user"), ("address", "sysinit")];
    let Some(host) = Booted::boot(&files, &enabled) else { return };
    eventually("etcd's message in the journal", 90, || {
        host.sh("journalctl -u etcd | grep 'cannot assign requested address'").0.then_some(())
    });

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "203.0.113.12"]);
    finding.points_at(ENVIRONMENT, ENVIRONMENT_TEXT, "203.0.113.12");
    assert!(
        finding.evidence()[0]["via"].as_str().is_some_and(|via| via.contains(UNIT)),
        "the unit is not named: {}\n{}",
        finding.evidence()[0],
        report.human()
    );
    let logs = finding.evidence_of("log");
    assert_eq!(logs.len(), 1, "{}", report.human());
    assert!(logs[0]["log"]["count"].as_u64().is_some_and(|count| count > 0), "{}", report.human());

    for command in finding.fix() {
        let (ok, said) = host.sh(&command);
        assert!(ok, "{command}\n{said}");
    }
    eventually("etcd", 90, || {
        let health = "ETCDCTL_API=3 etcdctl --endpoints http://127.0.0.1:2379 endpoint health 2>&1";
        host.sh(health).0.then_some(())
    });
    host.check(&["--only", RULE]).silent(RULE);
}
