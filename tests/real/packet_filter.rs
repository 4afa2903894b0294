//! The kernel's packet filter, as docker's policy and a distribution's default rules leave it: packets of pods that are
//! dropped by the rules, and a port that nobody reaches, dialled before and after the fix.

use crate::harness::{Options, Sandbox, eventually};

const UNIT: &str = "/etc/systemd/system/kubelet.service";

const CERTIFICATE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/key \
    -out /root/certificate -days 30 -subj /CN=w1";

/// A worker with a program called kubelet, and a host on the other end of its cable.
fn worker() -> Option<Sandbox> {
    let needs = &["iptables", "iptables-save", "ip", "timeout", "bash", "openssl"];
    let host = Sandbox::start(Options { name: "w1", needs, ..Options::default() })?;
    host.write(UNIT, "[Service]\nExecStart=/var/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\n");
    host.sh("mkdir -p /var/bin && cp $(which sleep) /var/bin/kubelet");
    host.sh("ip netns add others && ip link set gateway0 netns others && ip -n others link set lo up");
    host.sh("ip -n others address add 10.0.0.12/24 dev gateway0 && ip -n others link set gateway0 up");
    Some(host)
}

#[test]
fn packets_of_pods_that_are_dropped() {
    const RULE: &str = "forward-policy-drop";
    let Some(host) = worker() else { return };
    // A pod as the bridge plug-in makes one.
    host.sh("ip netns add pod && ip link add cni0 type bridge && ip address add 10.244.1.1/24 dev cni0");
    host.sh(
        "ip link set cni0 up && ip link add pod0 type veth peer name eth0 netns pod && ip link set pod0 master cni0 up",
    );
    host.sh("ip -n pod address add 10.244.1.7/24 dev eth0 && ip -n pod link set eth0 up && ip -n pod route add default via 10.244.1.1");
    host.sh("ip -n others route add 10.244.1.0/24 via 10.0.0.11 && sysctl -qw net.ipv4.ip_forward=1");
    // What docker sets up for its own bridge.
    host.sh("iptables -P FORWARD DROP && iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT");
    host.sh("iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "10.244.1.0/24"]);
    assert!(!finding.evidence_of("probe").is_empty(), "{}", report.human());
    host.apply(&finding.fix());
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_port_that_nobody_reaches() {
    const RULE: &str = "host-firewall-blocks-ports";
    let Some(host) = worker() else { return };
    let _kubelet = host.spawn("/var/bin/kubelet infinity", "/tmp/kubelet.log");
    host.sh(CERTIFICATE);
    let _server =
        host.spawn("openssl s_server -accept 10250 -cert /root/certificate -key /root/key -www", "/tmp/s.log");
    let dial = "ip netns exec others timeout 3 bash -c 'exec 3<>/dev/tcp/10.0.0.11/10250'";
    eventually("the kubelet's port", 10, || host.output(dial).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);

    // The rules that a distribution comes with.
    host.sh(
        "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT && iptables -A INPUT -i lo -j ACCEPT",
    );
    host.sh("iptables -A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --dport 22 -j ACCEPT");
    host.sh("iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited");
    assert!(!host.output(dial).status.success(), "the rules reject nothing here");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "kubelet", "10250"]);
    host.apply(&finding.fix()[..1]);
    assert!(host.output(dial).status.success(), "the fix opens nothing");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn rules_of_both_kinds() {
    const RULE: &str = "iptables-backend-mixed";
    let Some(host) = worker() else { return };
    host.sh("iptables-nft -t nat -N KUBE-SERVICES && iptables-nft -t nat -A PREROUTING -j KUBE-SERVICES");
    host.check(&["--only", RULE]).silent(RULE);
    let legacy = host.output("iptables-legacy -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE");
    if !legacy.status.success() {
        return crate::harness::skip("this kernel has no ip_tables");
    }
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["1 rules of iptables-legacy", "1 of iptables-nft"]);
    host.sh("iptables-legacy -t nat -F");
    host.check(&["--only", RULE]).silent(RULE);
}
