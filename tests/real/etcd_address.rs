//! An etcd that is told to listen on an address that nobody has: a floating address of a cloud, say.

use crate::harness::{Options, Sandbox, eventually};

const RULE: &str = "etcd-address-not-local";
const UNIT: &str = "/etc/systemd/system/etcd.service";
const ENVIRONMENT: &str = "/etc/etcd.env";
const LOG: &str = "/var/log/etcd.log";

/// The URL to listen on is in the unit.
const PLAIN: &str = "\
[Unit]
Description=etcd
After=network-online.target

[Service]
ExecStart=/usr/bin/etcd --name m1 \\
    --data-dir /var/lib/etcd \\
    --listen-client-urls http://10.0.0.11:2379,http://127.0.0.1:2379 \\
    --advertise-client-urls http://10.0.0.11:2379 \\
    --listen-peer-urls http://203.0.113.145:2380 \\
    --initial-advertise-peer-urls http://203.0.113.145:2380 \\
    --initial-cluster m1=http://203.0.113.145:2380
Restart=always
StandardError=append:/var/log/etcd.log

[Install]
WantedBy=multi-user.target
";

/// All on one line, one wrong address among right ones.
const ONE_LINE: &str = "\
[Service]
ExecStart=/usr/bin/etcd --name=m1 --data-dir=/var/lib/etcd --initial-advertise-peer-urls=http://203.0.113.145:2380 --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://10.0.0.11:2379 --listen-peer-urls=http://10.0.0.11:2480,http://203.0.113.145:2380 --initial-cluster=m1=http://203.0.113.145:2380

[Install]
WantedBy=multi-user.target
";

/// The address is in an environment file, the URL is put together in the unit.
const BY_ADDRESS: &str = "\
[Service]
EnvironmentFile=/etc/etcd.env
ExecStart=/usr/bin/etcd --name ${PEER_NAME} \\
    --data-dir /var/lib/etcd \\
    --listen-client-urls http://127.0.0.1:2379 \\
    --advertise-client-urls http://${PUBLIC_IP}:2379 \\
    --listen-peer-urls http://${PUBLIC_IP}:2380 \\
    --initial-advertise-peer-urls http://${PUBLIC_IP}:2380 \\
    --initial-cluster ${PEER_NAME}=http://${PUBLIC_IP}:2380

[Install]
WantedBy=multi-user.target
";

/// etcd itself reads the environment, as the distributions' packages have it.
const BY_ETCD: &str = "\
[Service]
Environment=ETCD_DATA_DIR=/var/lib/etcd
EnvironmentFile=-/etc/etcd.env
ExecStart=/usr/bin/etcd $DAEMON_ARGS

[Install]
WantedBy=multi-user.target
";

/// What is in the unit and the environment file, the file that the finding has to point into, and the text there.
const TABLE: [(&str, &str, &str, &str, &str); 4] = [
    ("plain", PLAIN, "", UNIT, "203.0.113.145:2380"),
    ("one line", ONE_LINE, "", UNIT, "203.0.113.145:2380 --initial-cluster"),
    ("by address", BY_ADDRESS, "PEER_NAME=m1\nPUBLIC_IP=203.0.113.145\n", UNIT, "http://${PUBLIC_IP}:2380"),
    (
        "by etcd",
        BY_ETCD,
        "ETCD_NAME=m1\nETCD_LISTEN_CLIENT_URLS=\"http://127.0.0.1:2379\"\nETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.11:2379\n\
         ETCD_INITIAL_ADVERTISE_PEER_URLS=http://203.0.113.145:2380\nETCD_INITIAL_CLUSTER=m1=http://203.0.113.145:2380\n\
         ETCD_LISTEN_PEER_URLS=\"http://203.0.113.145:2380\"\n",
        ENVIRONMENT,
        "203.0.113.145:2380\"",
    ),
];

#[test]
fn found_in_the_unit_and_in_its_own_words_and_mended() {
    for (case, unit, environment, path, text) in TABLE {
        let Some(host) = Sandbox::start(Options { needs: &["etcd", "etcdctl"], ..Options::default() }) else { return };
        host.write(UNIT, unit);
        host.write(ENVIRONMENT, environment);
        host.sh(&format!(
            "mkdir -p {0} && ln -s {UNIT} {0}/etcd.service",
            "/etc/systemd/system/multi-user.target.wants"
        ));
        let status = host.start_unit(UNIT, LOG).end_within(20);
        assert!(!status.success(), "{case}: etcd runs:\n{}", host.read(LOG));

        let report = host.check(&["--only", RULE]);
        let finding = report.only(RULE);
        finding.says(&["m1", "203.0.113.145"]);
        assert_eq!(finding.text("severity"), "error");
        assert_eq!(finding.json["hosts"][0], "m1");
        finding.points_at(path, if path == UNIT { unit } else { environment }, text);
        finding.has_log(LOG, "listen tcp 203.0.113.145:2380: bind: cannot assign requested address");
        assert!(report.human().contains("10.0.0.11 (eth0)"), "what the host has is not said:\n{}", report.human());

        host.apply(&finding.fix());
        let asked = host.systemctl_calls();
        assert!(asked.contains("daemon-reload") && asked.contains("restart etcd"), "{case}: {asked}");
        let _etcd = host.start_unit(UNIT, LOG);
        eventually("etcd", 20, || {
            // A single member with its own peer address elsewhere serves all the same.
            let health = host.output("ETCDCTL_API=3 etcdctl --endpoints http://127.0.0.1:2379 endpoint health 2>&1");
            health.status.success().then_some(())
        });
        host.check(&["--only", RULE]).silent(RULE);
    }
}
