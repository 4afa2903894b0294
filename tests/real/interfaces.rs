//! Interfaces and ports of a host: one that is down, one that keepalived is told of and that is not there, a port that
//! another program took before the load balancer.

use crate::harness::{Options, Sandbox, eventually};

const KUBELET: &str = "\
[Service]
ExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf
[Install]
WantedBy=multi-user.target
";

#[test]
fn the_only_interface_is_down() {
    const RULE: &str = "host-no-default-route";
    let Some(host) = Sandbox::start(Options::default()) else { return };
    host.write("/etc/systemd/system/kubelet.service", KUBELET);
    host.check(&["--only", RULE]).silent(RULE);
    host.sh("ip link set eth0 down");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["eth0", "down"]);
    host.apply(&finding.fix());
    host.check(&["--only", RULE]).silent(RULE);
}

const KEEPALIVED: &str = "\
vrrp_instance apiserver {
  state BACKUP
  interface ens192
  virtual_router_id 51
  priority 100
  advert_int 1
  virtual_ipaddress {
    10.0.0.88
  }
}
";

#[test]
fn keepalived_on_an_interface_that_is_not_there() {
    const RULE: &str = "lb-vip-absent";
    let Some(host) = Sandbox::start(Options { needs: &["keepalived", "ip"], ..Options::default() }) else { return };
    host.write("/etc/keepalived/keepalived.conf", KEEPALIVED);
    let start = "keepalived -n -l -f /etc/keepalived/keepalived.conf";
    let ended = host.output(&format!("timeout 10 {start} 2>&1"));
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(said.contains("ens192"), "keepalived does not mind: {said}");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["10.0.0.88", "ens192"]);
    finding.points_at("/etc/keepalived/keepalived.conf", KEEPALIVED, "ens192");
    host.apply(&finding.fix());
    assert!(host.systemctl_calls().contains("restart keepalived"), "{}", host.systemctl_calls());

    // What systemctl would start.
    let _keepalived = host.spawn(start, "/tmp/keepalived.log");
    let has = "ip -brief address | grep 10.0.0.88";
    eventually("keepalived to take the address", 15, || host.output(has).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}

const HAPROXY: &str = "\
defaults
  mode tcp
  timeout connect 2s
  timeout client 600s
  timeout server 600s
frontend apiserver
  bind *:8443
  default_backend masters
backend masters
  server m1 10.0.0.11:6443 check
";

#[test]
fn a_port_that_was_taken_before_haproxy_came() {
    const RULE: &str = "bind-address-in-use";
    let options = Options { needs: &["haproxy", "openssl", "ss"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    host.write("/etc/haproxy/haproxy.cfg", HAPROXY);
    let start = "haproxy -db -f /etc/haproxy/haproxy.cfg";
    host.write(
        "/etc/systemd/system/haproxy.service",
        "[Service]\nExecStart=/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.sh("ln -s ../haproxy.service /etc/systemd/system/multi-user.target.wants/ 2>/dev/null || { mkdir -p \
             /etc/systemd/system/multi-user.target.wants && ln -s ../haproxy.service \
             /etc/systemd/system/multi-user.target.wants/; }");
    host.sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/key -out /root/certificate \
         -days 30 -subj /CN=another",
    );
    let another =
        host.spawn("openssl s_server -accept 8443 -cert /root/certificate -key /root/key", "/tmp/another.log");
    let listens = "ss -Hltn | grep ':8443 '";
    eventually("another program", 10, || host.output(listens).status.success().then_some(()));
    assert!(!host.output(&format!("timeout 5 {start} >/tmp/haproxy.log 2>&1")).status.success(), "haproxy binds it");

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["haproxy", "8443", "openssl"]);
    finding.points_at("/etc/haproxy/haproxy.cfg", HAPROXY, "*:8443");
    // Its first command shows who that is.
    let shown = host.sh(&finding.fix()[0]);
    assert!(shown.contains("openssl"), "{shown}");

    drop(another);
    let _haproxy = host.spawn(start, "/tmp/haproxy.log");
    eventually("haproxy", 10, || host.output(listens).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}
