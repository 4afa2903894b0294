//! Names, networks and proxies of a host, in its own network namespace: a client or the kernel shows each fault before it is
//! found.

use crate::harness::{Options, Process, Sandbox, eventually};

const KUBELET: &str = "/etc/systemd/system/kubelet.service";

/// A worker with a kubelet under systemd.
fn worker(needs: &'static [&'static str]) -> Option<Sandbox> {
    let host = Sandbox::start(Options { name: "w1", booted: true, needs, ..Options::default() })?;
    host.write(
        KUBELET,
        "[Service]\nExecStart=/var/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\nRestart=always\n[Install]\n\
         WantedBy=multi-user.target\n",
    );
    host.enable(KUBELET);
    Some(host)
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    server: {server}\ncontexts:\n\
         - name: default\n  context:\n    cluster: kubernetes\n    user: node\ncurrent-context: default\nusers:\n\
         - name: node\n  user: {{}}\n"
    )
}

/// A program that is called kubelet and goes on.
fn kubelet(host: &Sandbox) -> Process {
    host.sh("mkdir -p /var/bin && cp $(which sleep) /var/bin/kubelet");
    host.spawn("/var/bin/kubelet infinity", "/tmp/kubelet.log")
}

#[test]
fn a_host_that_does_not_know_its_own_name() {
    const RULE: &str = "host-hostname-unresolvable";
    let Some(host) = worker(&["getent"]) else { return };
    host.write("/etc/nsswitch.conf", "hosts: files dns\n");
    host.check(&["--only", RULE]).silent(RULE);
    host.write("/etc/hosts", "127.0.0.1 localhost\n");
    assert!(!host.output("getent hosts w1").status.success());
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1"]);
    host.apply(&finding.fix());
    host.sh("getent hosts w1");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_tunnel_that_is_wider_than_its_interface() {
    const RULE: &str = "network-mtu-mismatch";
    let Some(host) = worker(&["ip"]) else { return };
    let tunnel = |mtu: u32| {
        host.sh("ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472 local 10.0.0.11 nolearning");
        host.sh(&format!("ip address add 10.244.1.0/32 dev flannel.1 && ip link set flannel.1 mtu {mtu} up"));
        host.write(
            "/run/flannel/subnet.env",
            format!(
                "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU={mtu}\nFLANNEL_IPMASQ=true\n"
            ),
        );
    };
    tunnel(1450);
    host.check(&["--only", RULE]).silent(RULE);
    // The network below is a smaller one, a VPN say.
    host.sh("ip link set eth0 mtu 1400");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["flannel.1", "1450"]);
    host.apply(&finding.fix());
    assert!(host.systemctl_calls().contains("restart flanneld"), "{}", host.systemctl_calls());
    tunnel(1350);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_interface_that_flannel_is_told_of() {
    const RULE: &str = "flannel-wrong-interface";
    let Some(host) = worker(&["ip"]) else { return };
    const UNIT: &str = "/etc/systemd/system/flanneld.service";
    let text =
        "[Service]\nExecStart=/usr/bin/flanneld --iface=eth9\nRestart=always\n[Install]\nWantedBy=multi-user.target\n";
    host.write(UNIT, text);
    host.enable(UNIT);
    assert!(!host.output("ip link show eth9").status.success());
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.points_at(UNIT, text, "eth9");
    // By which interface another node is reached.
    let shown = host.sh("ip route get 10.0.0.12");
    assert!(shown.contains("dev eth0"), "{shown}");
    host.write(UNIT, text.replace("eth9", "eth0"));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_subnet_that_flannel_has_not_written() {
    const RULE: &str = "flannel-subnet-env-missing";
    let Some(host) = worker(&["ip"]) else { return };
    host.write(
        "/etc/cni/net.d/10-flannel.conflist",
        r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"isDefaultGateway":true}}]}"#,
    );
    let _kubelet = kubelet(&host);
    let report = host.check(&["--only", RULE]);
    report.only(RULE).says(&["/run/flannel/subnet.env"]);
    host.write(
        "/run/flannel/subnet.env",
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    );
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_worker_that_dials_itself() {
    const RULE: &str = "endpoint-loopback-on-worker";
    let Some(host) = worker(&["haproxy", "ss", "curl"]) else { return };
    host.write("/etc/kubernetes/kubelet.conf", kubeconfig("https://127.0.0.1:6443"));
    assert!(!host.output("curl -sk --max-time 2 https://127.0.0.1:6443/").status.success());
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "127.0.0.1:6443"]);
    let listens = finding.fix().pop().unwrap_or_default();
    assert!(!host.output(&listens).status.success(), "something listens there");
    // The local proxy that is meant to listen there.
    host.write(
        "/etc/haproxy/haproxy.cfg",
        "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 600s\n  timeout server 600s\nfrontend apiserver\n  \
         bind 127.0.0.1:6443\n  default_backend masters\nbackend masters\n  server m1 10.0.0.12:6443 check\n",
    );
    let _haproxy = host.spawn("haproxy -db -f /etc/haproxy/haproxy.cfg", "/tmp/haproxy.log");
    eventually("haproxy", 10, || host.output(&listens).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_proxy_between_the_members_of_etcd() {
    const RULE: &str = "host-proxy-intercepts-cluster";
    let addresses = &["10.0.0.11/24", "10.0.0.12/24"];
    let options = Options { addresses, booted: true, needs: &["etcd", "etcdctl"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    let member = |number: u32, environment: &str| {
        host.spawn(
            &format!(
                "env {environment} etcd --name m{number} --data-dir /var/lib/m{number} --listen-client-urls \
                 http://10.0.0.1{number}:2379 --advertise-client-urls http://10.0.0.1{number}:2379 --listen-peer-urls \
                 http://10.0.0.1{number}:2380 --initial-advertise-peer-urls http://10.0.0.1{number}:2380 \
                 --initial-cluster m1=http://10.0.0.11:2380,m2=http://10.0.0.12:2380"
            ),
            &format!("/tmp/m{number}.log"),
        )
    };
    let health = "ETCDCTL_API=3 etcdctl --endpoints http://10.0.0.11:2379 --command-timeout 3s endpoint health";
    let proxy = "HTTP_PROXY=http://127.0.0.1:3128";
    let _second = member(2, "NO_PROXY=*");
    let first = member(1, proxy);
    let refused = "grep -q '127.0.0.1:3128: connect: connection refused' /tmp/m1.log";
    eventually("the proxy to be asked", 30, || host.output(refused).status.success().then_some(()));
    let report = host.check(&["--only", RULE]);
    report.only(RULE).says(&["etcd", "proxy"]);
    drop(first);
    let _first = member(1, &format!("{proxy} NO_PROXY=localhost,127.0.0.1,10.0.0.0/24"));
    eventually("etcd", 60, || host.output(health).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}
