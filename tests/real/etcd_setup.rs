//! What etcd refuses to start with, and what it starts with and nobody wants: each broken, found, mended and running again.

use crate::harness::{Options, Process, Sandbox, eventually};

const UNIT: &str = "/etc/systemd/system/etcd.service";
const LOG: &str = "/var/log/etcd.log";
const HEALTH: &str = "ETCDCTL_API=3 etcdctl --endpoints http://127.0.0.1:2379 endpoint health 2>&1";

const FLAGS: [&str; 7] = [
    "--name m1",
    "--data-dir /var/lib/etcd",
    "--listen-client-urls http://10.0.0.11:2379,http://127.0.0.1:2379",
    "--advertise-client-urls http://10.0.0.11:2379",
    "--listen-peer-urls http://10.0.0.11:2380",
    "--initial-advertise-peer-urls http://10.0.0.11:2380",
    "--initial-cluster m1=http://10.0.0.11:2380",
];

/// The unit of a member, in which `new` stands in the place of `old`.
fn unit(old: &str, new: &str) -> String {
    let flags = FLAGS.join(" \\\n    ");
    assert!(flags.contains(old), "{old}");
    format!(
        "[Unit]\nDescription=etcd\n\n[Service]\nExecStart=/usr/bin/etcd {}\nRestart=always\n\n[Install]\n\
         WantedBy=multi-user.target\n",
        flags.replacen(old, new, 1)
    )
}

fn host(addresses: &'static [&'static str]) -> Option<Sandbox> {
    Sandbox::start(Options { addresses, booted: true, needs: &["etcd", "etcdctl"], ..Options::default() })
}

fn install(host: &Sandbox, unit: &str) {
    host.write(UNIT, unit);
    host.enable(UNIT);
}

/// Starts the member, which has to become healthy.
fn serving(host: &Sandbox) -> Process {
    let mut etcd = host.start_unit(UNIT, LOG);
    eventually("etcd", 60, || {
        assert!(etcd.ended().is_none(), "etcd ends:\n{}", host.read(LOG));
        host.output(HEALTH).status.success().then_some(())
    });
    etcd
}

/// Starts the member, which has to refuse with these words.
fn refusing(host: &Sandbox, words: &str) {
    let ended = host.start_unit(UNIT, LOG).end_within(60);
    let log = host.read(LOG);
    assert!(!ended.success() && log.contains(words), "{words:?} is not said:\n{log}");
}

#[test]
fn a_name_to_listen_on() {
    const RULE: &str = "etcd-listen-url-hostname";
    let Some(host) = host(&["10.0.0.11/24"]) else { return };
    let text = unit("--listen-client-urls http://10.0.0.11:2379", "--listen-client-urls http://m1:2379");
    install(&host, &text);
    refusing(&host, "expected IP in URL for binding");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "http://m1:2379"]);
    finding.points_at(UNIT, &text, "http://m1:2379");
    finding.has_log(LOG, "expected IP in URL for binding");
    host.apply(&finding.fix());
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_peer_url_that_its_own_list_contradicts() {
    const RULE: &str = "etcd-initial-cluster-mismatch";
    let Some(host) = host(&["10.0.0.11/24"]) else { return };
    let text = unit("m1=http://10.0.0.11:2380", "m1=http://10.0.0.12:2380");
    install(&host, &text);
    refusing(&host, "--initial-cluster has m1=http://10.0.0.12:2380 but missing from --initial-advertise-peer-urls");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["http://10.0.0.11:2380", "http://10.0.0.12:2380"]);
    finding.has_log(LOG, "missing from --initial-advertise-peer-urls");
    host.apply(&finding.fix());
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_file_in_the_place_of_its_data() {
    const RULE: &str = "etcd-data-dir-unusable";
    let Some(host) = host(&["10.0.0.11/24"]) else { return };
    install(&host, &unit("--name m1", "--name m1"));
    host.write("/var/lib/etcd", "");
    refusing(&host, "/var/lib/etcd");
    let report = host.check(&["--only", RULE]);
    report.only(RULE).has_log(LOG, "error listing data dir: /var/lib/etcd");
    host.sh("rm /var/lib/etcd");
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_new_cluster_at_each_start() {
    const RULE: &str = "etcd-force-new-cluster";
    let Some(host) = host(&["10.0.0.11/24"]) else { return };
    install(&host, &unit("--name m1", "--name m1"));
    drop(serving(&host));
    let text = unit("--name m1", "--name m1 --force-new-cluster");
    install(&host, &text);
    let etcd = serving(&host);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "--force-new-cluster"]);
    finding.points_at(UNIT, &text, "--force-new-cluster");
    host.apply(&finding.fix());
    drop(etcd);
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_address_where_every_host_finds_itself() {
    const RULE: &str = "etcd-advertise-loopback";
    let Some(host) = host(&["10.0.0.11/24", "10.0.0.12/24"]) else { return };
    let cluster = "--initial-cluster m1=http://127.0.0.1:2380,m2=http://10.0.0.12:2380";
    let text = unit("--initial-cluster m1=http://10.0.0.11:2380", cluster)
        .replace("advertise-peer-urls http://10.0.0.11", "advertise-peer-urls http://127.0.0.1");
    install(&host, &text);
    let second = "etcd --name m2 --data-dir /var/lib/m2 --listen-client-urls http://10.0.0.12:2379 \
                  --advertise-client-urls http://10.0.0.12:2379 --listen-peer-urls http://10.0.0.12:2380 \
                  --initial-advertise-peer-urls http://10.0.0.12:2380 --initial-cluster ";
    let alone = host.start_unit(UNIT, LOG);
    let _lost = host.spawn(&format!("{second} m1=http://127.0.0.1:2380,m2=http://10.0.0.12:2380"), "/tmp/m2.log");
    let refused = "grep -q 'dial tcp 127.0.0.1:2380: connect: connection refused' /tmp/m2.log";
    eventually("m2 to dial itself", 30, || host.output(refused).status.success().then_some(()));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "http://127.0.0.1:2380"]);
    // The members have never found each other: there is no list of them to look at yet.
    host.apply(&finding.fix()[..1]);
    drop((alone, _lost));
    host.sh("rm -rf /var/lib/etcd /var/lib/m2");
    let _m2 = host.spawn(&format!("{second} m1=http://10.0.0.11:2380,m2=http://10.0.0.12:2380"), "/tmp/m2.log");
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_member_that_is_not_there() {
    const RULE: &str = "etcd-not-running";
    let Some(host) = host(&["10.0.0.11/24"]) else { return };
    install(&host, &unit("--name m1", "--name m1"));
    drop(serving(&host));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "etcd"]);
    let start = finding.fix().pop().unwrap_or_default();
    host.sh(&start);
    assert!(host.systemctl_calls().contains("start etcd"), "{}", host.systemctl_calls());
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_member_that_a_signal_stopped() {
    const RULE: &str = "etcd-not-running";
    let Some(host) = host(&["10.0.0.11/24"]) else { return };
    install(&host, &unit("--name m1", "--name m1"));
    let _etcd = serving(&host);
    host.sh("kill -STOP $(pgrep -x etcd)");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    host.apply(&finding.fix());
    eventually("etcd", 10, || host.output(HEALTH).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_member_that_lost_its_data_and_starts_as_a_new_one() {
    const RULE: &str = "etcd-member-already-bootstrapped";
    let Some(host) = host(&["10.0.0.11/24", "10.0.0.12/24", "10.0.0.13/24"]) else { return };
    let cluster = "m1=http://10.0.0.11:2380,m2=http://10.0.0.12:2380,m3=http://10.0.0.13:2380";
    install(&host, &unit("m1=http://10.0.0.11:2380", cluster));
    let _others = ["2", "3"].map(|number| {
        host.spawn(
            &format!(
                "etcd --name m{number} --data-dir /var/lib/m{number} --listen-client-urls http://10.0.0.1{number}:2379 \
                 --advertise-client-urls http://10.0.0.1{number}:2379 --listen-peer-urls http://10.0.0.1{number}:2380 \
                 --initial-advertise-peer-urls http://10.0.0.1{number}:2380 --initial-cluster {cluster}"
            ),
            &format!("/tmp/m{number}.log"),
        )
    });
    drop(serving(&host));
    host.sh("rm -rf /var/lib/etcd");
    refusing(&host, "has already been bootstrapped");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.has_log(LOG, "has already been bootstrapped");

    // As it says: remove the member, add it again, join.
    let etcdctl = "ETCDCTL_API=3 etcdctl --endpoints http://10.0.0.12:2379";
    host.sh(&format!("{etcdctl} member remove $({etcdctl} member list | awk -F, '/ m1,/ {{ print $1 }}')"));
    let add = format!("{etcdctl} member add m1 --peer-urls=http://10.0.0.11:2380");
    eventually("the others to agree", 30, || host.output(&add).status.success().then_some(()));
    install(&host, &unit("m1=http://10.0.0.11:2380", &format!("{cluster} --initial-cluster-state existing")));
    let _etcd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}
