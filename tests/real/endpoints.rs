//! Endpoints that take a connection and do not answer as anybody should.

use std::time::Duration;

use crate::harness::{K8SDOCTOR, Options, Process, Report, Sandbox, eventually};

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    insecure-skip-tls-verify: true
    server: https://10.0.0.11:6443
contexts:
- name: default
  context:
    cluster: kubernetes
    user: node
current-context: default
users:
- name: node
  user: {}
";

const APISERVER: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
spec:
  containers:
  - name: kube-apiserver
    image: registry.k8s.io/kube-apiserver:v1.28.3
    command:
    - kube-apiserver
    - --advertise-address=10.0.0.11
    - --etcd-servers=https://10.0.0.11:2379
";

/// Takes connections on the port and does with each what the Perl statement says; the connection is `$c`.
fn listen(host: &Sandbox, port: u16, with_each: &str) -> Process {
    let server = format!(
        "use IO::Socket::INET; $SIG{{CHLD}} = $SIG{{PIPE}} = q(IGNORE); my $s = IO::Socket::INET->new(LocalAddr => \
         q(0.0.0.0), LocalPort => {port}, Listen => 50, ReuseAddr => 1) or die; while (1) {{ my $c = $s->accept or next; \
         next if fork; {with_each}; exit }}"
    );
    let process = host.spawn(&format!("perl -e '{server}'"), "/tmp/endpoint.log");
    let listens = format!("ss -Hltn | grep ':{port} '");
    eventually(&listens, 10, || host.output(&listens).status.success().then_some(()));
    process
}

fn host() -> Option<Sandbox> {
    let host = Sandbox::start(Options { needs: &["perl", "ss"], ..Options::default() })?;
    host.write("/etc/kubernetes/kubelet.conf", KUBECONFIG);
    host.write("/etc/kubernetes/manifests/kube-apiserver.yaml", APISERVER);
    Some(host)
}

/// That what did not answer is found or counted as unknown, once there is a rule that judges it live.
#[track_caller]
fn is_not_passed_over(report: &Report) {
    const RULE: &str = "etcd-endpoint-unreachable";
    let listed = std::process::Command::new(K8SDOCTOR).args(["rules", "--format", "json"]).output().expect("it starts");
    let rules: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("it is JSON");
    let judged_live = |rule: &serde_json::Value| {
        rule["id"] == RULE && rule["detect"].as_array().is_some_and(|ways| ways.iter().any(|way| way == "live"))
    };
    if rules.as_array().is_some_and(|rules| rules.iter().any(judged_live)) {
        assert!(
            !report.of_rule(RULE).is_empty() || report.is_unknown(RULE),
            "nothing is said of an etcd that does not answer:\n{}",
            report.human()
        );
    }
}

#[test]
fn one_that_never_answers_does_not_hold_the_check_up() {
    let Some(host) = host() else { return };
    let _servers = [6443, 2379].map(|port| listen(&host, port, "sleep 1000"));
    for (timeout, limit) in [("1s", 4), ("3s", 6)] {
        let took = host.check_takes(&["--timeout", timeout]);
        assert!(took < Duration::from_secs(limit), "{timeout}: {took:?}");
        is_not_passed_over(&host.check(&["--timeout", timeout]));
    }
}

#[test]
fn one_that_answers_garbage_is_no_apiserver_and_no_etcd() {
    let Some(host) = host() else { return };
    let garbage = "print $c chr(0) x 10, qq(HTTP/1.1 999 \\xff\\xfe\\r\\n\\r\\n), chr(255) x 100000";
    let endless = "while (print $c chr(0x16) x 65536) {}";
    for answer in [garbage, endless] {
        let _servers = [6443, 2379].map(|port| listen(&host, port, answer));
        let took = host.check_takes(&["--timeout", "2s"]);
        assert!(took < Duration::from_secs(6), "{took:?}");
        let report = host.check(&["--timeout", "2s"]);
        is_not_passed_over(&report);
        assert_ne!(report.code, 2, "{}", report.human());
    }
}

#[test]
fn sockets_of_runtimes_that_never_answer() {
    let Some(host) = host() else { return };
    let server = "use IO::Socket::UNIX; my @s = map { IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $_, Listen => 50) \
                  or die } @ARGV; sleep 1000";
    host.sh("mkdir -p /run/containerd");
    let sockets = "/run/docker.sock /run/containerd/containerd.sock";
    let _server = host.spawn(&format!("perl -e '{server}' {sockets}"), "/tmp/endpoint.log");
    eventually("sockets", 10, || host.path("/run/containerd/containerd.sock").exists().then_some(()));
    let took = host.check_takes(&["--timeout", "1s"]);
    assert!(took < Duration::from_secs(4), "{took:?}");
    let report = host.check(&["--timeout", "1s"]);
    assert!(report.is_unknown("pause-image-missing"), "{}", report.human());
}
