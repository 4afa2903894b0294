//! What members of etcd answer: no space, another cluster, no TLS, a certificate refused.

use crate::harness::cfssl::Authority;
use crate::harness::{Options, Process, Sandbox, apiserver_manifest, eventually};

const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const PKI: &str = "/etc/etcd/ssl";

fn sandbox(addresses: &'static [&'static str], needs: &'static [&'static str]) -> Option<Sandbox> {
    Sandbox::start(Options { addresses, needs, ..Options::default() })
}

fn apiserver(flags: &[&str]) -> String {
    apiserver_manifest(&[&["--advertise-address=10.0.0.11"], flags].concat())
}

/// A cluster of one member at an address, which talks to its peers on a port of its own.
fn member(host: &Sandbox, name: &str, url: &str, peer_port: u16, more: &str) -> Process {
    let peer = format!("http://127.0.0.1:{peer_port}");
    let etcd = host.spawn(
        &format!(
            "etcd --name {name} --data-dir /var/lib/{name} --listen-client-urls {url} --advertise-client-urls {url} \
             --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} --initial-cluster {name}={peer} \
             --initial-cluster-token {name} {more}"
        ),
        &format!("/tmp/{name}.log"),
    );
    let log = format!(
        "grep -q -e 'ready to serve client requests' -e 'serving client' -e 'serving insecure' /tmp/{name}.log"
    );
    eventually(&format!("{name} to serve"), 20, || host.output(&log).status.success().then_some(()));
    etcd
}

#[test]
fn a_database_at_its_quota() {
    const RULE: &str = "etcd-nospace";
    let Some(host) = sandbox(&["10.0.0.11/24"], &["etcd", "etcdctl"]) else { return };
    host.write(MANIFEST, apiserver(&["--etcd-servers=http://127.0.0.1:2379"]));
    let _etcd = member(&host, "m1", "http://127.0.0.1:2379", 2380, "--quota-backend-bytes=4194304");
    host.check(&["--only", RULE]).silent(RULE);

    let put =
        "head -c 700000 /dev/zero | tr '\\0' x | ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:2379 put /key";
    let full = (0..20).any(|_| !host.output(put).status.success());
    assert!(full, "the quota was never reached");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "NOSPACE"]);
    assert_eq!(finding.text("severity"), "error");
    host.apply(&finding.fix());
    host.check(&["--only", RULE]).silent(RULE);
    host.sh(put);
}

#[test]
fn endpoints_of_two_clusters() {
    const RULE: &str = "etcd-cluster-id-mismatch";
    let addresses = &["10.0.0.11/24", "10.0.0.12/24"];
    let Some(host) = sandbox(addresses, &["etcd", "etcdctl"]) else { return };
    let manifest = apiserver(&["--etcd-servers=http://10.0.0.11:2379,http://10.0.0.12:2379"]);
    host.write(MANIFEST, &manifest);
    let _first = member(&host, "m1", "http://10.0.0.11:2379", 2380, "");
    let _second = member(&host, "m2", "http://10.0.0.12:2379", 2381, "");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["m1", "http://10.0.0.11:2379", "http://10.0.0.12:2379"]);
    assert!(finding.evidence().iter().any(|evidence| evidence["path"] == MANIFEST), "{}", report.human());
    host.apply(&finding.fix());

    host.write(MANIFEST, apiserver(&["--etcd-servers=http://10.0.0.11:2379"]));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn http_to_its_https_port_and_no_tls_at_all() {
    const SCHEME: &str = "etcd-scheme-mismatch";
    const PLAIN: &str = "etcd-plaintext-exposed";
    let needs = &["etcd", "etcdctl", "cfssl", "cfssljson"];
    let Some(host) = sandbox(&["10.0.0.11/24"], needs) else { return };
    host.write(MANIFEST, apiserver(&["--etcd-servers=http://10.0.0.11:2379"]));
    let mut etcd = member(&host, "m1", "http://10.0.0.11:2379", 2380, "");
    let both = ["--only", "etcd-scheme-mismatch,etcd-plaintext-exposed"];
    let report = host.check(&both);
    let finding = report.only(PLAIN);
    assert!(!finding.evidence_of("probe").is_empty(), "{}", report.human());
    assert!(report.of_rule(SCHEME).is_empty(), "{}", report.human());
    etcd.kill();

    let authority = Authority::new(&host, PKI, "etcd");
    authority.issue("server", "server", "etcd", &["m1", "10.0.0.11"]);
    authority.issue("client", "client", "client", &[]);
    let tls = format!(
        "--cert-file={PKI}/server.pem --key-file={PKI}/server-key.pem --client-cert-auth --trusted-ca-file={PKI}/ca.pem"
    );
    let _etcd = member(&host, "m1", "https://10.0.0.11:2379", 2380, &tls);
    let report = host.check(&both);
    let finding = report.only(SCHEME);
    finding.says(&["kube-apiserver", "http://10.0.0.11:2379"]);
    let said = finding.evidence_of("probe");
    assert_eq!(said.len(), 1, "{}", report.human());
    host.apply(&finding.fix());
    assert!(host.read(MANIFEST).contains("https://10.0.0.11:2379"), "{}", host.read(MANIFEST));
    let report = host.check(&both);
    report.silent(SCHEME);
    report.silent(PLAIN);
}

#[test]
fn a_certificate_that_it_refuses() {
    const RULE: &str = "etcd-tls-rejected";
    let needs = &["etcd", "etcdctl", "cfssl", "cfssljson", "openssl"];
    let Some(host) = sandbox(&["10.0.0.11/24"], needs) else { return };
    let authority = Authority::new(&host, PKI, "etcd");
    authority.issue("server", "server", "etcd", &["m1", "10.0.0.11"]);
    let other = Authority::new(&host, "/etc/kubernetes/ssl", "kubernetes");
    other.issue("client", "client", "client", &[]);
    let tls = format!(
        "--cert-file={PKI}/server.pem --key-file={PKI}/server-key.pem --client-cert-auth --trusted-ca-file={PKI}/ca.pem"
    );
    let _etcd = member(&host, "m1", "https://10.0.0.11:2379", 2380, &tls);
    let servers = "--etcd-servers=https://10.0.0.11:2379";
    let client = |folder: &str| {
        let files = [
            ("cafile", format!("{PKI}/ca.pem")),
            ("certfile", format!("{folder}/client.pem")),
            ("keyfile", format!("{folder}/client-key.pem")),
        ];
        files.map(|(flag, path)| format!("--etcd-{flag}={path}"))
    };

    let [ca, certificate, key] = client("/etc/kubernetes/ssl");
    host.write(MANIFEST, apiserver(&[servers, &ca, &certificate, &key]));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["10.0.0.11:2379", "/etc/kubernetes/ssl/client.pem"]);
    // The key of etcd's authority is on this host: the certificate is issued again by it.
    host.apply(&finding.fix());
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn flannels_network_that_nobody_wrote() {
    const RULE: &str = "flannel-network-config-missing";
    let Some(host) = sandbox(&["10.0.0.11/24"], &["etcd", "etcdctl"]) else { return };
    let unit =
        "[Service]\nExecStart=/usr/bin/flanneld --etcd-endpoints=http://10.0.0.11:2379 --etcd-prefix=/kube/network\n";
    host.write("/etc/systemd/system/flanneld.service", unit);
    let proxy = "[Service]\nExecStart=/usr/bin/kube-proxy --cluster-cidr=10.244.0.0/16\n";
    host.write("/etc/systemd/system/kube-proxy.service", proxy);
    let _etcd = member(&host, "m1", "http://10.0.0.11:2379", 2380, "");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["/kube/network/config", "http://10.0.0.11:2379"]);
    let fix = finding.fix();
    let put = fix.iter().find(|command| command.contains("ETCDCTL_API=3")).expect("a command for v3");
    host.sh(put);
    let stored = host.sh("ETCDCTL_API=3 etcdctl --endpoints http://10.0.0.11:2379 get /kube/network/config");
    assert!(stored.contains(r#"{"Network": "10.244.0.0/16""#), "{stored}");
    host.check(&["--only", RULE]).silent(RULE);
}
