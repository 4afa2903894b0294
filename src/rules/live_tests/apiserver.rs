//! What apiservers and load balancers answer.

use super::{connect, handshake, host, judged, only, outcome, unknown};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::network::{Interface, Network};
use crate::facts::probe::{ApiserverAnswer, ConnectOutcome, EtcdAnswer, EtcdMember};
use crate::facts::system::Process;
use crate::origin::Origin;

const KUBELET_UNIT: &str = "/etc/systemd/system/kubelet.service";
const HAPROXY: &str = "/etc/haproxy/haproxy.cfg";
const KEEPALIVED: &str = "/etc/keepalived/keepalived.conf";

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: k\n  cluster:\n    insecure-skip-tls-verify: true\n    \
         server: {server}\ncontexts:\n- name: d\n  context: {{cluster: k, user: u}}\ncurrent-context: d\nusers:\n- name: u\n  \
         user: {{}}\n"
    )
}

fn answer(endpoint: &str, live: Result<bool, &str>, version: Option<&str>) -> ApiserverAnswer {
    ApiserverAnswer {
        endpoint: endpoint.to_owned(),
        live: live.map_err(unknown),
        version: version.map(str::to_owned).ok_or_else(|| unknown("not told")),
        cluster: None,
        clock_offset_ms: None,
    }
}

#[test]
fn schemes() {
    let dialled = |server: &str| host(&[("/etc/kubernetes/kubelet.conf", &kubeconfig(server))]);
    let mut plain = dialled("https://10.0.0.9:8080");
    plain.probes.handshakes.push(handshake(
        "10.0.0.9:8080",
        true,
        Err(unknown("answered in plain text: HTTP/1.0 400 Bad Request")),
    ));
    let judgement = judged("wrong-scheme", plain);
    let finding = only(&judgement);
    assert!(finding.title.contains("port 8080 of 10.0.0.9 speaks plain HTTP"), "{}", finding.title);
    assert!(finding.fix.as_ref().unwrap().commands[0].line.contains("http://10.0.0.9:8080"), "{finding:#?}");

    for (why, expected) in [
        ("not an apiserver's answer: HTTP 400: Client sent an HTTP request to an HTTPS server.", "fails"),
        ("answered in TLS (connection closed before message completed)", "fails"),
        ("connection refused", "na"),
        ("not an apiserver's answer: HTTP 404", "na"),
    ] {
        let mut tls = dialled("http://10.0.0.9:6443");
        tls.probes.apiservers.push(answer("http://10.0.0.9:6443", Err(why), None));
        assert_eq!(outcome("wrong-scheme", tls), expected, "{why}");
    }
}

#[test]
fn versions() {
    let node = |kubelet: &str, apiservers: &[(&str, Option<&str>)]| {
        let status = format!("Package: kubelet\nStatus: install ok installed\nVersion: {kubelet}-1.1\n\n");
        let mut host =
            host(&[(KUBELET_UNIT, "[Service]\nExecStart=/usr/bin/kubelet\n"), ("/var/lib/dpkg/status", &status)]);
        for (endpoint, version) in apiservers {
            host.probes.apiservers.push(answer(endpoint, Ok(true), *version));
        }
        host
    };
    let (one, other) = ("https://10.0.0.1:6443", "https://10.0.0.2:6443");
    for (kubelet, apiservers, expected) in [
        ("1.34.1", vec![(one, Some("v1.33.2"))], "fails"),
        ("1.33.1", vec![(one, Some("v1.33.2"))], "passes"),
        ("1.30.1", vec![(one, Some("v1.33.2"))], "passes"),
        ("1.29.1", vec![(one, Some("v1.33.2"))], "fails"),
        ("1.33.1", vec![(one, Some("v1.33.2")), (other, Some("v1.35.0"))], "fails"),
        ("1.33.1", vec![(one, Some("v1.33.2")), (other, Some("v1.34.0"))], "passes"),
        ("1.33.1", vec![(one, None)], "na"),
        ("1.33.1", vec![(one, Some("v1.33.2-eks-1"))], "passes"),
        ("1.33.1", vec![(one, Some("unheard"))], "na"),
    ] {
        assert_eq!(outcome("version-skew", node(kubelet, &apiservers)), expected, "{kubelet} {apiservers:?}");
    }
    let judgement = judged("version-skew", node("1.34.1", &[(one, Some("v1.33.2"))]));
    let title = &only(&judgement).title;
    assert!(title.contains("kubelet 1.34.1") && title.contains("v1.33.2 on 10.0.0.1"), "{title}");
}

fn balancer(backends: &[(&str, Option<ConnectOutcome>)]) -> Host {
    let servers: String =
        backends.iter().map(|(address, _)| format!("  server s{address} {address} check\n")).collect();
    let text = format!("defaults\n  mode tcp\nfrontend f\n  bind *:8443\n  default_backend b\nbackend b\n{servers}");
    let mut host = host(&[(HAPROXY, &text)]);
    for (address, outcome) in backends {
        host.probes.connects.extend(outcome.clone().map(|outcome| connect(address, outcome)));
    }
    host
}

#[test]
fn backends() {
    use ConnectOutcome::{Connected, Refused, TimedOut};
    let (one, other) = ("10.0.0.1:6443", "10.0.0.2:6443");
    for (first, second, expected) in [
        (Some(Connected), Some(Refused), "fails"),
        (Some(Refused), Some(Connected), "fails"),
        // A host that is down is a member all the same. That nobody knows the masters stays unknown.
        (Some(Connected), Some(TimedOut), "unknown"),
        (Some(Connected), Some(Connected), "unknown"),
        (None, None, "unknown"),
    ] {
        let shown = format!("{first:?} {second:?}");
        let found = outcome("lb-backend-missing", balancer(&[(one, first), (other, second)]));
        assert_eq!(found, expected, "{shown}");
    }
    let judgement = judged("lb-backend-missing", balancer(&[(one, Some(Connected)), (other, Some(Refused))]));
    assert!(only(&judgement).title.contains("10.0.0.2:6443, where nothing listens"), "{:#?}", judgement.findings[0]);
}

#[test]
fn masters_that_etcd_tells() {
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\nspec:\n  hostNetwork: true\n  containers:\n  - name: etcd\n    \
                    image: registry.k8s.io/etcd:3.5.9-0\n    command:\n    - etcd\n    - --name=m1\n    \
                    - --initial-cluster=m1=https://10.0.0.1:2380\n    - --listen-client-urls=http://127.0.0.1:2379\n";
    let apiserver = "apiVersion: v1\nkind: Pod\nmetadata: {name: kube-apiserver}\nspec:\n  hostNetwork: true\n  containers:\n  \
                     - name: kube-apiserver\n    image: registry.k8s.io/kube-apiserver:v1.28.3\n    command:\n    \
                     - kube-apiserver\n    - --etcd-servers=http://127.0.0.1:2379\n";
    let haproxy = "defaults\n  mode tcp\nfrontend f\n  bind *:8443\n  default_backend b\nbackend b\n  server m1 10.0.0.1:6443 check\n  \
                   server m2 10.0.0.2:6443 check\n";
    let member = |name: &str, address: &str, is_learner| EtcdMember {
        id: address.replace('.', ""),
        name: name.to_owned(),
        peer_urls: vec![format!("https://{address}:2380")],
        client_urls: vec![format!("https://{address}:2379")],
        is_learner,
    };
    let with = |members: Vec<EtcdMember>| {
        let mut host = host(&[
            ("/etc/kubernetes/manifests/etcd.yaml", manifest),
            ("/etc/kubernetes/manifests/kube-apiserver.yaml", apiserver),
            (HAPROXY, haproxy),
            ("/etc/hosts", "10.0.0.1 m1\n"),
        ]);
        host.network = Ok(network());
        host.probes.etcd.push(EtcdAnswer {
            endpoint: "http://127.0.0.1:2379".to_owned(),
            healthy: Ok(true),
            members: Ok(members),
            status: Err(unknown("not part of this test")),
            metrics: None,
            clock_offset_ms: None,
        });
        host
    };
    let (one, two) = (member("m1", "10.0.0.1", false), member("m2", "10.0.0.2", false));
    let rule = "lb-backend-missing";
    let judgement = judged(rule, with(vec![one.clone(), two.clone(), member("m3", "10.0.0.3", false)]));
    let finding = only(&judgement);
    assert!(finding.title.contains("leaves out the master m3"), "{}", finding.title);
    let commands = &finding.fix.as_ref().unwrap().commands;
    assert!(commands[0].line.contains("server m3 10.0.0.3:6443 check"), "{commands:?}");
    assert_ne!(outcome(rule, with(vec![one.clone(), two.clone()])), "fails");
    // One that is being added is none yet.
    assert_ne!(outcome(rule, with(vec![one.clone(), two.clone(), member("m3", "10.0.0.3", true)])), "fails");
    assert_ne!(outcome(rule, with(vec![one, two, member("", "10.0.0.3", false)])), "fails");
}

/// eth0 with 10.0.0.1/24.
pub(super) fn network() -> Network {
    let interface = |name: &str, address: &str| Interface {
        name: name.to_owned(),
        addresses: vec![address.parse().unwrap()],
        up: Some(true),
        mtu: None,
        mac: None,
    };
    Network {
        origin: Origin::answer("this test"),
        interfaces: vec![interface("lo", "127.0.0.1/8"), interface("eth0", "10.0.0.1/24")],
        local_prefixes: Vec::new(),
        routes_v4: Ok(Vec::new()),
        routes_v6: Ok(Vec::new()),
        listeners: Ok(Vec::new()),
    }
}

#[test]
fn virtual_addresses() {
    use ConnectOutcome::{Connected, Refused, TimedOut, Unreachable};
    let keepalived = "vrrp_instance v {\n  interface eth0\n  virtual_router_id 51\n  priority 100\n  virtual_ipaddress {\n    \
                      10.0.0.88\n  }\n}\n";
    let dialled = |outcome: ConnectOutcome, nobody: bool| {
        let mut host =
            host(&[(KEEPALIVED, keepalived), ("/etc/kubernetes/kubelet.conf", &kubeconfig("https://10.0.0.88:6443"))]);
        host.network = Ok(network());
        host.probes.connects.push(connect("10.0.0.88:6443", outcome));
        host.probes.unresolved_neighbours.extend(nobody.then(|| std::net::IpAddr::from([10, 0, 0, 88])));
        host
    };
    let rule = "lb-vip-absent";
    for (answer, nobody, expected) in [
        (TimedOut, true, "fails"),
        (Unreachable("no route to host".to_owned()), true, "fails"),
        // It may have it and drop what comes.
        (TimedOut, false, "unknown"),
        (Connected, false, "passes"),
        (Refused, false, "passes"),
    ] {
        assert_eq!(outcome(rule, dialled(answer.clone(), nobody)), expected, "{answer:?} {nobody}");
    }
    let judgement = judged(rule, dialled(TimedOut, true));
    assert!(only(&judgement).title.contains("no host has the virtual address 10.0.0.88"), "{:#?}", judgement.findings);
}

#[test]
fn an_apiserver_that_has_just_started() {
    let process = |pid: u32, name: &str, started: u64| Process {
        pid,
        comm: name.to_owned(),
        exe: None,
        argv: vec![name.to_owned()],
        cwd: None,
        environment: std::collections::BTreeMap::new(),
        network_namespace: None,
        started_ticks: Some(started * 100),
        stopped: false,
    };
    let silent = |age: u64, outcome: ConnectOutcome| {
        let unit = "[Service]\nExecStart=/usr/bin/kubelet --kubeconfig=/etc/kubernetes/kubelet.conf\n";
        let mut host =
            host(&[(KUBELET_UNIT, unit), ("/etc/kubernetes/kubelet.conf", &kubeconfig("https://127.0.0.1:6443"))]);
        host.system.uptime_seconds = Ok(5000);
        host.system.processes = Ok(vec![process(1, "systemd", 0), process(7, "kube-apiserver", 5000 - age)]);
        let mut apiserver = Component::new(ComponentName::KubeApiserver);
        apiserver.pid = Some(7);
        host.components.push(apiserver);
        host.probes.connects.push(connect("127.0.0.1:6443", outcome));
        host.probes.apiservers.push(answer("https://127.0.0.1:6443", Err("did not answer in 3.0 s"), None));
        host
    };
    for (what, age, connected, expected) in [
        ("it starts", 5, ConnectOutcome::Connected, "unknown"),
        ("it hangs", 500, ConnectOutcome::Connected, "fails"),
        ("nothing listens", 5, ConnectOutcome::Refused, "fails"),
    ] {
        assert_eq!(outcome("kubelet-apiserver-unreachable", silent(age, connected)), expected, "{what}");
    }
}
