//! haproxy and nginx before apiservers, set up as people do: each fault is seen by a client before it is found, and not after
//! the fix.

use crate::harness::{Options, Process, Sandbox, eventually};

const HAPROXY: &str = "/etc/haproxy/haproxy.cfg";

const CONFIGURATION: &str = "\
defaults
  mode tcp
  timeout connect 2s
  timeout client 600s
  timeout server 600s
frontend apiserver
  bind *:8443
  default_backend masters
backend masters
  server m1 10.0.0.11:6443 check inter 300
  server m2 10.0.0.12:6443 check inter 300
";

fn host(needs: &'static [&'static str]) -> Option<Sandbox> {
    Sandbox::start(Options { name: "lb1", addresses: &["10.0.0.11/24", "10.0.0.12/24"], needs, ..Options::default() })
}

/// What answers as an apiserver does, as far as a proxy looks.
fn apiserver(host: &Sandbox, address: &str) -> Process {
    host.sh(
        "[ -e /root/key ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/key \
         -out /root/certificate -days 30 -subj /CN=kube-apiserver",
    );
    let server = format!("openssl s_server -accept {address}:6443 -cert /root/certificate -key /root/key -www");
    let process = host.spawn(&server, "/tmp/apiserver.log");
    listening(host, &format!("{address}:6443"));
    process
}

fn listening(host: &Sandbox, address: &str) {
    let listens = format!("ss -Hltn | grep '{address} '");
    eventually(&listens, 10, || host.output(&listens).status.success().then_some(()));
}

fn haproxy(host: &Sandbox, configuration: &str) -> Process {
    host.write(HAPROXY, configuration);
    let process = host.spawn("haproxy -W -db -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid", "/tmp/haproxy.log");
    listening(host, ":8443");
    process
}

/// Runs a fix, then does what `systemctl reload` would.
fn mend(host: &Sandbox, fix: &[String], reload: &str) {
    host.apply(fix);
    assert!(host.systemctl_calls().contains("reload"), "{}", host.systemctl_calls());
    host.sh(reload);
    std::thread::sleep(std::time::Duration::from_secs(1));
}

const RELOAD: &str = "kill -USR2 $(head -1 /run/haproxy.pid)";
const DIAL: &str = "echo | timeout 3 openssl s_client -connect 10.0.0.11:8443 >/dev/null 2>&1";

#[test]
fn a_server_that_is_not_checked() {
    const RULE: &str = "lb-health-check-missing";
    let Some(host) = host(&["haproxy", "openssl", "ss"]) else { return };
    let text = CONFIGURATION.replace("server m2 10.0.0.12:6443 check inter 300", "server m2 10.0.0.12:6443");
    // Only the one that is checked runs.
    let _apiserver = apiserver(&host, "10.0.0.11");
    let _haproxy = haproxy(&host, &text);
    let lost = || (0..4).filter(|_| !host.output(DIAL).status.success()).count();
    assert!(lost() > 0, "every connection goes to the server that runs");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["haproxy", "10.0.0.12:6443"]);
    finding.points_at(HAPROXY, &text, "10.0.0.12:6443");
    mend(&host, &finding.fix(), RELOAD);
    eventually("haproxy to leave it out", 15, || (lost() == 0).then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn silence_that_is_cut() {
    const RULE: &str = "lb-timeout-too-short";
    let Some(host) = host(&["haproxy", "openssl", "ss", "bash"]) else { return };
    let text = CONFIGURATION.replace("timeout client 600s", "timeout client 2s").replace("connect 2s", "connect 3s");
    let _servers = ["10.0.0.11", "10.0.0.12"].map(|address| apiserver(&host, address));
    let _haproxy = haproxy(&host, &text);
    // A watch that has nothing to say.
    let silent = "timeout 5 bash -c 'exec 3<>/dev/tcp/10.0.0.11/8443; cat <&3'";
    assert_eq!(host.output(silent).status.code(), Some(0), "haproxy does not end it");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["haproxy", "2 s"]);
    finding.points_at(HAPROXY, &text, "2s");
    mend(&host, &finding.fix(), RELOAD);
    assert_eq!(host.output(silent).status.code(), Some(124), "haproxy still ends it");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn tls_that_is_read_as_http() {
    const RULE: &str = "lb-layer7-to-tls";
    let Some(host) = host(&["haproxy", "openssl", "ss"]) else { return };
    let text = CONFIGURATION.replace("  mode tcp\n", "  mode http\n");
    let _servers = ["10.0.0.11", "10.0.0.12"].map(|address| apiserver(&host, address));
    let _haproxy = haproxy(&host, &text);
    assert!(!host.output(DIAL).status.success(), "the handshake comes through");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["haproxy", "HTTP"]);
    assert!(finding.evidence().iter().any(|evidence| evidence["path"] == HAPROXY), "{}", report.human());
    mend(&host, &finding.fix(), RELOAD);
    eventually("TLS through haproxy", 10, || host.output(DIAL).status.success().then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}

const NGINX: &str = "\
events {}
http {
  access_log off;
  server {
    listen 8080 default_server;
    return 404;
  }
  server {
    listen 8080;
    server_name api.example.org:8080;
    location / {
      proxy_pass https://10.0.0.11:6443;
    }
  }
}
";

#[test]
fn a_name_with_a_port() {
    const RULE: &str = "lb-server-name-invalid";
    let Some(host) = host(&["nginx", "curl", "openssl", "ss"]) else { return };
    host.sh("mkdir -p /var/log/nginx /var/lib/nginx");
    host.write("/etc/nginx/nginx.conf", NGINX);
    let _apiserver = apiserver(&host, "10.0.0.11");
    let _nginx = host.spawn(
        "nginx -e /var/log/nginx/error.log -c /etc/nginx/nginx.conf -g 'daemon off; pid /run/nginx.pid;'",
        "/tmp/nginx.log",
    );
    listening(&host, ":8080");
    let ask = "curl -s -o /dev/null -w %{http_code} -H 'Host: api.example.org:8080' http://10.0.0.11:8080/";
    assert_eq!(host.sh(ask), "404");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["api.example.org:8080"]);
    finding.points_at("/etc/nginx/nginx.conf", NGINX, "api.example.org:8080");
    mend(&host, &finding.fix(), "kill -HUP $(cat /run/nginx.pid)");
    eventually("the named server", 10, || (host.sh(ask) == "200").then_some(()));
    host.check(&["--only", RULE]).silent(RULE);
}
