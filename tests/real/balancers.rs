//! haproxy and keepalived, in namespaces: a backend without a server, a proxy with nobody behind it, an address that no host
//! has.

use crate::harness::{Options, Process, Sandbox, apiserver_manifest, eventually};

const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    insecure-skip-tls-verify: true\n    \
         server: {server}\ncontexts:\n- name: default\n  context:\n    cluster: kubernetes\n    user: node\n\
         current-context: default\nusers:\n- name: node\n  user: {{}}\n"
    )
}

/// Hosts on the other end of the sandbox' cable: a network of their own, with these addresses.
fn neighbours(host: &Sandbox, addresses: &[&str]) {
    host.sh("ip netns add others && ip link set gateway0 netns others && ip -n others link set lo up");
    for address in addresses {
        host.sh(&format!("ip -n others address add {address}/24 dev gateway0"));
    }
    host.sh("ip -n others link set gateway0 up");
}

fn apiserver(host: &Sandbox, address: &str) -> Process {
    host.sh(
        "[ -e /root/key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/key \
         -out /root/certificate -days 30 -subj /CN=kube-apiserver",
    );
    let server = host.spawn(
        &format!(
            "ip netns exec others openssl s_server -accept {address}:6443 -cert /root/certificate -key /root/key -www"
        ),
        "/tmp/apiserver.log",
    );
    let listens = format!("ip netns exec others ss -Hltn | grep '{address}:6443 '");
    eventually(&listens, 10, || host.output(&listens).status.success().then_some(()));
    server
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
  option tcp-check
  server m2 10.0.0.12:6443 check inter 500
  server m3 10.0.0.13:6443 check inter 500
";

#[test]
fn a_proxy_whose_backends_are_dead() {
    const DEAD: &str = "kubelet-apiserver-unreachable";
    const BACKEND: &str = "lb-backend-missing";
    let options = Options { booted: true, needs: &["haproxy", "openssl", "ss"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    neighbours(&host, &["10.0.0.12", "10.0.0.13"]);
    host.write("/etc/haproxy/haproxy.cfg", HAPROXY);
    host.write(KUBECONFIG, kubeconfig("https://10.0.0.11:8443"));
    host.write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\n",
    );
    let _haproxy = host.spawn("haproxy -db -f /etc/haproxy/haproxy.cfg", "/tmp/haproxy.log");
    eventually("haproxy", 10, || host.output("ss -Hltn | grep ':8443 '").status.success().then_some(()));

    let both = ["--only", "kubelet-apiserver-unreachable,lb-backend-missing"];
    let report = host.check(&both);
    report.only(DEAD).says(&["10.0.0.11:8443"]);
    let backends = report.of_rule(BACKEND);
    assert_eq!(backends.len(), 2, "{}", report.human());
    for (finding, address) in backends.iter().zip(["10.0.0.12:6443", "10.0.0.13:6443"]) {
        finding.says(&["haproxy", address]);
        finding.points_at("/etc/haproxy/haproxy.cfg", HAPROXY, address);
    }

    let _first = apiserver(&host, "10.0.0.12");
    let answers = "echo | openssl s_client -connect 10.0.0.11:8443 >/dev/null 2>&1";
    eventually("haproxy to find it", 10, || host.output(answers).status.success().then_some(()));
    let report = host.check(&both);
    assert!(report.of_rule(DEAD).is_empty(), "{}", report.human());
    report.only(BACKEND).says(&["10.0.0.13:6443"]);

    let _second = apiserver(&host, "10.0.0.13");
    let report = host.check(&both);
    assert!(report.of_rule(BACKEND).is_empty() && report.code == 0, "{}", report.human());
}

const FLAGS: &[&str] = &["--secure-port=6443", "--advertise-address=10.0.0.11"];

const ELSEWHERE: &str = "\
defaults
  mode tcp
  timeout connect 2s
  timeout client 600s
  timeout server 600s
frontend apiserver
  bind *:8443
  default_backend masters
backend masters
  server m1 10.0.0.11:6444 check inter 500
";

const NGINX: &str = "\
events {}
http {
  access_log off;
  upstream masters {
    server 10.0.0.11:6444;
  }
  server {
    listen 8443;
    location / {
      proxy_pass https://masters;
    }
  }
}
";

/// A proxy before this host's own apiserver, at a port where it does not listen, mended as printed.
fn a_backend_at_another_port(host: &Sandbox, file: &str, text: &str, proxy: &str, reload: &str, dial: &str) {
    const RULE: &str = "lb-backend-missing";
    host.write(file, text);
    host.write("/etc/kubernetes/manifests/kube-apiserver.yaml", apiserver_manifest(FLAGS));
    host.write(KUBECONFIG, kubeconfig("https://10.0.0.11:8443"));
    host.sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/key -out /root/certificate \
         -days 30 -subj /CN=kube-apiserver",
    );
    let server = "openssl s_server -accept 6443 -cert /root/certificate -key /root/key -www";
    let _apiserver = host.spawn(server, "/tmp/apiserver.log");
    let _proxy = host.spawn(proxy, "/tmp/proxy.log");
    eventually("the proxy", 10, || host.output("ss -Hltn | grep ':8443 '").status.success().then_some(()));
    assert!(!host.output(dial).status.success(), "the proxy has a server");

    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.points_at(file, text, "10.0.0.11:6444");
    host.apply(&finding.fix());
    assert!(host.systemctl_calls().contains("reload"), "{}", host.systemctl_calls());
    // What systemctl would do.
    host.sh(reload);
    eventually("the apiserver through the proxy", 10, || host.output(dial).status.success().then_some(()));
    let report = host.check(&["--only", RULE]);
    assert!(report.of_rule(RULE).is_empty() && report.code == 0, "{}", report.human());
}

#[test]
fn haproxy_with_a_backend_at_another_port() {
    let options = Options { booted: true, needs: &["haproxy", "openssl", "ss", "pkill"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    let proxy = "haproxy -W -db -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid";
    let dial = "echo | openssl s_client -connect 10.0.0.11:8443 >/dev/null 2>&1";
    a_backend_at_another_port(
        &host,
        "/etc/haproxy/haproxy.cfg",
        ELSEWHERE,
        proxy,
        "kill -USR2 $(head -1 /run/haproxy.pid)",
        dial,
    );
}

#[test]
fn nginx_with_a_backend_at_another_port() {
    let options = Options { booted: true, needs: &["nginx", "openssl", "ss", "curl"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    host.sh("mkdir -p /var/log/nginx /var/lib/nginx");
    let proxy = "nginx -e /var/log/nginx/error.log -c /etc/nginx/nginx.conf -g 'daemon off; pid /run/nginx.pid;'";
    let dial = "curl -sf --max-time 3 http://10.0.0.11:8443/ >/dev/null";
    let reload = "kill -HUP $(cat /run/nginx.pid)";
    a_backend_at_another_port(&host, "/etc/nginx/nginx.conf", NGINX, proxy, reload, dial);
}

const KEEPALIVED: &str = "\
vrrp_instance apiserver {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority 100
  advert_int 1
  virtual_ipaddress {
    10.0.0.88
  }
}
";

#[test]
fn an_address_that_nobody_has() {
    const RULE: &str = "lb-vip-absent";
    let options = Options { booted: true, needs: &["keepalived", "ip"], ..Options::default() };
    let Some(host) = Sandbox::start(options) else { return };
    neighbours(&host, &["10.0.0.12"]);
    host.write("/etc/keepalived/keepalived.conf", KEEPALIVED);
    host.write(KUBECONFIG, kubeconfig("https://10.0.0.88:6443"));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["no host", "10.0.0.88"]);
    assert!(!finding.evidence_of("probe").is_empty(), "{}", report.human());
    let fix = finding.fix();
    let (last, first) = fix.split_last().expect("commands");
    host.apply(first);
    assert!(host.systemctl_calls().contains("restart keepalived"), "{}", host.systemctl_calls());

    // What systemctl would start.
    let _keepalived = host.spawn("keepalived -n -l -f /etc/keepalived/keepalived.conf", "/tmp/keepalived.log");
    let has = "ip -brief address | grep 10.0.0.88";
    eventually("keepalived to take the address", 15, || host.output(has).status.success().then_some(()));
    host.sh(last);
    host.check(&["--only", RULE]).silent(RULE);

    // Another host takes it over.
    drop(_keepalived);
    host.sh("ip address del 10.0.0.88/32 dev eth0 2>/dev/null; ip -n others address add 10.0.0.88/24 dev gateway0");
    let report = host.check(&["--only", RULE]);
    assert!(report.of_rule(RULE).is_empty(), "{}", report.human());
}
