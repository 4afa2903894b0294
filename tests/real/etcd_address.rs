//! An etcd that is told to listen on an address that nobody has: a floating address of a cloud, say.

use crate::harness::{Options, Sandbox, eventually};

const RULE: &str = "etcd-address-not-local";
const UNIT: &str = "/etc/systemd/system/etcd.service";
const LOG: &str = "/var/log/etcd.log";

const TEXT: &str = "\
[Unit]
Description=etcd
After=network-online.target

[Service]
ExecStart=/usr/bin/etcd --name m1 \\
    --data-dir /var/lib/etcd \\
    --listen-client-urls http://10.0.0.11:2379,http://127.0.0.1:2379 \\
    --advertise-client-urls http://10.0.0.11:2379 \\
    --listen-peer-urls http://203.0.113.145:2380 \\
    --initial-advertise-peer-urls http://10.0.0.11:2380 \\
    --initial-cluster m1=http://10.0.0.11:2380
Restart=always
StandardError=append:/var/log/etcd.log

[Install]
WantedBy=multi-user.target
";

#[test]
fn found_in_the_unit_and_in_its_own_words_and_mended() {
    let Some(host) = Sandbox::start(Options { needs: &["etcd", "etcdctl"], ..Options::default() }) else { return };
    host.write(UNIT, TEXT);
    let status = host.start_unit(UNIT, LOG).end_within(20);
    assert!(!status.success(), "etcd runs:\n{}", host.read(LOG));

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "203.0.113.145"]);
    assert_eq!(finding.text("severity"), "error");
    assert_eq!(finding.json["hosts"][0], "m1");
    finding.points_at(UNIT, TEXT, "203.0.113.145");
    finding.has_log(LOG, "listen tcp 203.0.113.145:2380: bind: cannot assign requested address");
    assert!(report.human().contains("10.0.0.11 (eth0)"), "what the host has is not said:\n{}", report.human());

    host.apply(&finding.fix());
    let _etcd = host.start_unit(UNIT, LOG);
    eventually("a healthy etcd", 20, || {
        let health = host.output("ETCDCTL_API=3 etcdctl --endpoints http://127.0.0.1:2379 endpoint health 2>&1");
        health.status.success().then_some(())
    });
    host.check(&["--only", RULE]).silent(RULE);
}
