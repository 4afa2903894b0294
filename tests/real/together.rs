//! What only several hosts together show: bundles of sandboxes, judged as one cluster.

use crate::harness::cfssl::Authority;
use crate::harness::{Options, Report, Sandbox, apiserver_manifest, eventually};

const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

fn host(name: &'static str, addresses: &'static [&'static str], needs: &'static [&'static str]) -> Option<Sandbox> {
    Sandbox::start(Options { name, addresses, needs, ..Options::default() })
}

fn kubeconfig(host: &Sandbox, server: &str) {
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    server: {server}\ncontexts:\n\
         - name: default\n  context:\n    cluster: kubernetes\n    user: node\ncurrent-context: default\nusers:\n\
         - name: node\n  user: {{}}\n"
    );
    host.write("/etc/kubernetes/kubelet.conf", text);
    host.write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\nRestart=always\n[Install]\n\
         WantedBy=multi-user.target\n",
    );
    host.enable("/etc/systemd/system/kubelet.service");
}

fn master(host: &Sandbox, address: &str) {
    host.write(
        MANIFEST,
        apiserver_manifest(&[&format!("--advertise-address={address}"), "--etcd-servers=http://127.0.0.1:2379"]),
    );
}

fn judged(hosts: &[&Sandbox], rule: &str) -> Report {
    Sandbox::check_together(hosts, &["--only", rule, "--fail-on", "info"])
}

#[test]
fn masters_with_an_authority_each() {
    const RULE: &str = "pki-ca-mismatch";
    let needs = &["cfssl", "cfssljson", "openssl"];
    let (Some(m1), Some(m2)) = (host("m1", &["10.0.0.11/24"], needs), host("m2", &["10.0.0.12/24"], needs)) else {
        return;
    };
    let ssl = "/etc/kubernetes/ssl";
    for (host, address) in [(&m1, "10.0.0.11"), (&m2, "10.0.0.12")] {
        Authority::new(host, ssl, "kubernetes").issue("apiserver", "server", "kube-apiserver", &[address]);
        host.write(
            MANIFEST,
            apiserver_manifest(&[
                &format!("--advertise-address={address}"),
                "--etcd-servers=http://127.0.0.1:2379",
                "--client-ca-file=/etc/kubernetes/ssl/ca.pem",
                "--tls-cert-file=/etc/kubernetes/ssl/apiserver.pem",
                "--tls-private-key-file=/etc/kubernetes/ssl/apiserver-key.pem",
            ]),
        );
    }
    // What m1 has issued m2 does not take.
    let verify = "openssl verify -CAfile /etc/kubernetes/ssl/ca.pem /tmp/apiserver.pem";
    m2.write("/tmp/apiserver.pem", m1.read("/etc/kubernetes/ssl/apiserver.pem"));
    assert!(!m2.output(verify).status.success());
    let report = judged(&[&m1, &m2], RULE);
    report.only(RULE).says(&["/etc/kubernetes/ssl/ca.pem"]);
    for file in ["ca.pem", "ca-key.pem"] {
        m2.write(&format!("{ssl}/{file}"), m1.read(&format!("{ssl}/{file}")));
    }
    Authority::of(&m2, ssl).issue("apiserver", "server", "kube-apiserver", &["10.0.0.12"]);
    m2.sh(verify);
    judged(&[&m1, &m2], RULE).silent(RULE);
}

const HAPROXY: &str = "\
defaults
  mode tcp
  timeout connect 2s
  timeout client 600s
  timeout server 600s
frontend apiserver
  bind *:6443
  default_backend masters
backend masters
  server m1 10.0.0.11:6443 check
  server m2 10.0.0.12:6443 check
";

fn balancer(host: &Sandbox) {
    host.write("/etc/haproxy/haproxy.cfg", HAPROXY);
    host.sh("haproxy -c -f /etc/haproxy/haproxy.cfg");
}

/// keepalived, which takes the configuration.
fn keepalived(host: &Sandbox, own: &str, peer: &str, state: &str) {
    let text = format!(
        "vrrp_instance apiserver {{\n  state {state}\n  interface eth0\n  virtual_router_id 51\n  priority 100\n  \
         unicast_src_ip {own}\n  unicast_peer {{\n    {peer}\n  }}\n  virtual_ipaddress {{\n    10.0.0.88\n  }}\n}}\n"
    );
    host.write("/etc/keepalived/keepalived.conf", text);
    host.sh("keepalived -t -f /etc/keepalived/keepalived.conf");
}

#[test]
fn one_load_balancer_and_then_two() {
    const RULE: &str = "lb-is-single";
    let needs = &["haproxy", "keepalived"];
    let masters = (host("m1", &["10.0.0.11/24"], needs), host("m2", &["10.0.0.12/24"], needs));
    let (Some(m1), Some(m2)) = masters else { return };
    let balancers = (host("lb1", &["10.0.0.9/24"], needs), host("lb2", &["10.0.0.10/24"], needs));
    let (Some(lb1), Some(lb2)) = balancers else { return };
    for (host, address) in [(&m1, "10.0.0.11"), (&m2, "10.0.0.12")] {
        master(host, address);
        kubeconfig(host, "https://10.0.0.9:6443");
    }
    balancer(&lb1);
    let report = judged(&[&m1, &m2, &lb1], RULE);
    report.only(RULE).says(&["haproxy", "lb1"]);

    // A second one, and an address that moves between the two.
    balancer(&lb2);
    keepalived(&lb1, "10.0.0.9", "10.0.0.10", "MASTER");
    keepalived(&lb2, "10.0.0.10", "10.0.0.9", "BACKUP");
    let _first = lb1.spawn("keepalived -n -l -f /etc/keepalived/keepalived.conf", "/tmp/keepalived.log");
    let has = "ip -brief address | grep 10.0.0.88";
    eventually("keepalived to take the address", 20, || lb1.output(has).status.success().then_some(()));
    for host in [&m1, &m2] {
        kubeconfig(host, "https://10.0.0.88:6443");
    }
    judged(&[&m1, &m2, &lb1, &lb2], RULE).silent(RULE);
}

#[test]
fn a_worker_that_knows_one_master() {
    const RULE: &str = "endpoint-single-master";
    let needs = &["haproxy"];
    let masters = (host("m1", &["10.0.0.11/24"], needs), host("m2", &["10.0.0.12/24"], needs));
    let (Some(m1), Some(m2)) = masters else { return };
    let (Some(lb1), Some(w1)) = (host("lb1", &["10.0.0.9/24"], needs), host("w1", &["10.0.0.21/24"], needs)) else {
        return;
    };
    for (host, address) in [(&m1, "10.0.0.11"), (&m2, "10.0.0.12")] {
        master(host, address);
        kubeconfig(host, "https://10.0.0.9:6443");
    }
    balancer(&lb1);
    kubeconfig(&w1, "https://10.0.0.11:6443");
    let report = judged(&[&m1, &m2, &lb1, &w1], RULE);
    let finding = report.only(RULE);
    finding.says(&["w1", "m1"]);
    let fix = finding.fix();
    let edit = fix.iter().find(|command| command.starts_with("sed -i")).expect("an edit of the kubeconfig");
    w1.sh(edit);
    assert!(w1.read("/etc/kubernetes/kubelet.conf").contains("https://10.0.0.9:6443"), "{edit}");
    judged(&[&m1, &m2, &lb1, &w1], RULE).silent(RULE);
}

#[test]
fn a_host_behind_the_bridge_of_docker() {
    const RULE: &str = "cidr-overlap";
    let needs = &["ip"];
    let hosts = (host("m1", &["172.17.3.4/24"], needs), host("w1", &["10.0.0.21/24"], needs));
    let (Some(m1), Some(w1)) = hosts else { return };
    master(&m1, "172.17.3.4");
    kubeconfig(&w1, "https://172.17.3.4:6443");
    w1.write(
        "/etc/systemd/system/docker.service",
        "[Service]\nExecStart=/usr/bin/dockerd\n[Install]\nWantedBy=multi-user.target\n",
    );
    w1.enable("/etc/systemd/system/docker.service");
    // The bridge as dockerd makes it.
    w1.sh("ip link add docker0 type bridge && ip address add 172.17.0.1/16 dev docker0 && ip link set docker0 up");
    let way = w1.sh("ip route get 172.17.3.4");
    assert!(way.contains("dev docker0"), "{way}");
    let report = judged(&[&m1, &w1], RULE);
    let finding = report.only(RULE);
    finding.says(&["w1", "172.17.0.0/16"]);
    // What the fix has in daemon.json, and dockerd would do of it.
    let bip = finding.fix().iter().find_map(|command| {
        command.split('"').find(|word| word.contains('/') && word.ends_with("/24")).map(str::to_owned)
    });
    let bip = bip.expect("another network is named");
    w1.write("/etc/docker/daemon.json", format!("{{\"bip\": \"{bip}\"}}\n"));
    w1.sh(&format!("ip address del 172.17.0.1/16 dev docker0 && ip address add {bip} dev docker0"));
    let way = w1.sh("ip route get 172.17.3.4");
    assert!(way.contains("dev eth0"), "{way}");
    judged(&[&m1, &w1], RULE).silent(RULE);
}
