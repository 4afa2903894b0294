use std::collections::BTreeMap;

use super::*;
use crate::facts::certificates::CertificateFile;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::kubernetes::{ConfigDocument, Kubeconfig, KubeconfigCluster, KubeconfigContext, KubeconfigUser};
use crate::facts::load_balancer::{Backend, Frontend, Proxy, ProxyLayer};
use crate::origin::{Origin, Sourced};

fn sourced(value: &str, path: &str) -> Sourced<String> {
    Sourced::new(value.to_owned(), Origin::file(path, None))
}

fn component(name: ComponentName, flags: &[(&str, &str)]) -> Component {
    let path = format!("/etc/kubernetes/manifests/{}.yaml", name.name());
    let mut found: BTreeMap<String, Vec<Sourced<String>>> = BTreeMap::new();
    for (flag, value) in flags {
        found.entry((*flag).to_owned()).or_default().push(sourced(value, &path));
    }
    let layer = Layer {
        kind: LayerKind::Manifest,
        origin: Origin::file(path.as_str(), None),
        flags: found,
        spelt: Vec::new(),
        arguments: Vec::new(),
        image: None,
    };
    Component { layers: vec![layer], ..Component::new(name) }
}

fn data() -> CertificateFile {
    CertificateFile {
        origin: Origin::default_of("test"),
        certificates: Vec::new(),
        keys: Vec::new(),
        public_keys: Vec::new(),
        mode: None,
        problems: Vec::new(),
    }
}

fn kubeconfig(path: &str, server: &str, embedded: bool) -> Kubeconfig {
    Kubeconfig {
        path: path.to_owned(),
        current_context: Some("c".to_owned()),
        clusters: vec![KubeconfigCluster {
            name: "k".to_owned(),
            server: Some(sourced(server, path)),
            certificate_authority: None,
            certificate_authority_data: Some(data()),
            insecure_skip_tls_verify: false,
            tls_server_name: None,
        }],
        users: vec![KubeconfigUser {
            name: "u".to_owned(),
            client_certificate: (!embedded).then(|| sourced("pki/client.pem", path)),
            client_certificate_data: embedded.then(data),
            client_key: (!embedded).then(|| sourced("/abs/client.pem", path)),
            client_key_data: embedded.then(data),
            has_token: true,
        }],
        contexts: vec![KubeconfigContext { name: "c".to_owned(), cluster: "k".to_owned(), user: "u".to_owned() }],
        mode: None,
    }
}

fn control_plane() -> Host {
    let mut host = Host::empty("m1");
    host.components = vec![
        component(
            ComponentName::Etcd,
            &[
                ("advertise-client-urls", "https://10.0.0.1:2379"),
                ("initial-advertise-peer-urls", "https://10.0.0.1:2380"),
                ("listen-client-urls", "https://127.0.0.1:2379,https://10.0.0.1:2379"),
                ("listen-peer-urls", "https://0.0.0.0:2380"),
                ("initial-cluster", "m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380"),
                ("cert-file", "/pki/server.crt"),
                ("key-file", "/pki/server.key"),
            ],
        ),
        component(
            ComponentName::KubeApiserver,
            &[
                ("etcd-servers", "https://127.0.0.1:2379"),
                ("etcd-certfile", "/pki/etcd-client.crt"),
                ("etcd-keyfile", "/pki/etcd-client.key"),
                ("advertise-address", "10.0.0.1"),
                ("insecure-port", "0"),
            ],
        ),
        component(ComponentName::KubeScheduler, &[("kubeconfig", "/etc/k/sched")]),
    ];
    host.kubernetes.kubeconfigs = vec![
        kubeconfig("/etc/kubernetes/admin.conf", "https://lb.example:6443", true),
        kubeconfig("/etc/kubernetes/kubelet.conf", "https://10.0.0.1:6443", false),
        kubeconfig("/etc/k/sched", "https://10.0.0.1:6443", true),
    ];
    host
}

/// `TARGET [server name][!]`, the mark for one that is verified.
fn shown(plan: &Plan) -> Vec<String> {
    let mut shown: Vec<String> = plan
        .dials
        .iter()
        .map(|dial| {
            let name = dial.server_name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
            format!("{}{name}{}", dial.target(), if dial.verified { "!" } else { "" })
        })
        .collect();
    shown.sort();
    shown
}

#[test]
fn control_plane_is_dialled_as_its_clients_do() {
    let plan = Plan::of(&control_plane());
    let expected = [
        "10.0.0.1:2379 10.0.0.1",
        "10.0.0.1:2380 10.0.0.1",
        "10.0.0.1:6443 10.0.0.1!",
        "10.0.0.2:2380 10.0.0.2!",
        "127.0.0.1:2379 127.0.0.1!",
        "127.0.0.1:2380",
        "127.0.0.1:6443 127.0.0.1",
        "lb.example:6443 lb.example!",
    ];
    assert_eq!(shown(&plan), expected);
    let by: Vec<&str> = plan
        .dials
        .iter()
        .filter(|dial| dial.target() == "10.0.0.1:6443")
        .flat_map(|dial| &dial.dialled_by)
        .map(String::as_str)
        .collect();
    assert_eq!(
        by,
        [
            "kube-apiserver --advertise-address (/etc/kubernetes/manifests/kube-apiserver.yaml)",
            "kube-scheduler (/etc/k/sched)",
            "kubelet (/etc/kubernetes/kubelet.conf)",
        ]
    );
    assert_eq!(plan.names, BTreeSet::from(["lb.example".to_owned(), "m1".to_owned()]));
}

#[test]
fn certificates_go_only_where_their_configuration_points() {
    let plan = Plan::of(&control_plane());
    let files = |certificate: &str, key: &str| ClientCertificate::Files {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    let etcd = vec![files("/pki/etcd-client.crt", "/pki/etcd-client.key"), files("/pki/server.crt", "/pki/server.key")];
    let ask = |endpoint: &str| EtcdQuestion { endpoint: endpoint.to_owned(), certificates: etcd.clone() };
    assert_eq!(plan.etcd, [ask("https://127.0.0.1:2379"), ask("https://10.0.0.1:2379")]);

    let kubeconfig = |path: &str| ClientCertificate::Kubeconfig { path: path.to_owned() };
    let ask = |endpoint: &str, certificates: Vec<ClientCertificate>| ApiserverQuestion {
        endpoint: endpoint.to_owned(),
        certificates,
    };
    let expected = [
        ask("https://lb.example:6443", vec![kubeconfig("/etc/kubernetes/admin.conf")]),
        ask(
            "https://10.0.0.1:6443",
            vec![files("/etc/kubernetes/pki/client.pem", "/abs/client.pem"), kubeconfig("/etc/k/sched")],
        ),
        ask("https://127.0.0.1:6443", Vec::new()),
    ];
    assert_eq!(plan.apiservers, expected);
}

#[test]
fn plain_http_takes_no_certificate() {
    let mut host = control_plane();
    host.components = vec![component(
        ComponentName::KubeApiserver,
        &[
            ("etcd-servers", "http://10.0.0.1:2379,10.0.0.2:2379,http://10.0.0.1:2379"),
            ("etcd-certfile", "/c"),
            ("etcd-keyfile", "/k"),
            ("insecure-port", "8080"),
            ("secure-port", "0"),
        ],
    )];
    host.kubernetes.kubeconfigs = vec![kubeconfig("/etc/kubernetes/admin.conf", "http://127.0.0.1:8080", true)];
    let plan = Plan::of(&host);
    assert_eq!(shown(&plan), ["10.0.0.1:2379", "10.0.0.2:2379", "127.0.0.1:8080"]);
    assert!(plan.etcd.iter().all(|question| question.certificates.is_empty()) && plan.etcd.len() == 2);
    let insecure = ApiserverQuestion { endpoint: "http://127.0.0.1:8080".to_owned(), certificates: Vec::new() };
    assert_eq!(plan.apiservers, [insecure]);
}

#[test]
fn server_names_and_verification_follow_the_kubeconfig() {
    let mut host = Host::empty("w1");
    let mut named = kubeconfig("/etc/kubernetes/kubelet.conf", "https://10.0.0.1:6443", false);
    named.clusters[0].tls_server_name = Some("api.example".to_owned());
    let mut careless = kubeconfig("/etc/kubernetes/proxy.conf", "https://10.0.0.1:6443", true);
    careless.clusters[0].insecure_skip_tls_verify = true;
    host.kubernetes.kubeconfigs = vec![named, careless];
    assert_eq!(shown(&Plan::of(&host)), ["10.0.0.1:6443 10.0.0.1", "10.0.0.1:6443 api.example!"]);
}

#[test]
fn load_balancers_backends() {
    let backend = |address: &str, disabled| Backend {
        name: None,
        address: sourced(address, "/etc/haproxy/haproxy.cfg"),
        checked: true,
        backup: false,
        disabled,
    };
    let frontend = |name: &str, layer, scheme: Option<&str>, address: &str| Frontend {
        name: name.to_owned(),
        listen: Vec::new(),
        layer,
        server_names: Vec::new(),
        terminates_tls: false,
        transparent: false,
        backends: vec![backend(address, false), backend("10.0.0.9:6443", true), backend("unix:/x", false)],
        upstream_scheme: scheme.map(|scheme| sourced(scheme, "/etc/nginx/nginx.conf")),
        health_check: false,
        client_timeout: None,
        server_timeout: None,
        origin: Origin::file("/etc/haproxy/haproxy.cfg", None),
    };
    let mut host = Host::empty("lb");
    host.load_balancers.haproxy = Ok(Some(Proxy {
        path: "/etc/haproxy/haproxy.cfg".to_owned(),
        frontends: vec![
            frontend("api", ProxyLayer::Tcp, None, "10.0.0.1:6443"),
            frontend("web", ProxyLayer::Http, None, "10.0.0.2:80"),
            frontend("webs", ProxyLayer::Http, Some("https"), "m3:443"),
        ],
        problems: Vec::new(),
    }));
    let plan = Plan::of(&host);
    assert_eq!(shown(&plan), ["10.0.0.1:6443 10.0.0.1", "10.0.0.2:80", "m3:443 m3"]);
    assert_eq!(plan.dials[0].dialled_by, BTreeSet::from(["haproxy for api (/etc/haproxy/haproxy.cfg)".to_owned()]));
    assert_eq!(plan.names, BTreeSet::from(["lb".to_owned(), "m3".to_owned()]));
    assert!(plan.etcd.is_empty() && plan.apiservers.is_empty());
}

#[test]
fn sockets() {
    let document = |endpoint: &str| {
        let path = "/var/lib/kubelet/config.yaml";
        let values = BTreeMap::from([("containerRuntimeEndpoint".to_owned(), sourced(endpoint, path))]);
        ConfigDocument {
            path: path.to_owned(),
            api_version: sourced("kubelet.config.k8s.io/v1beta1", path),
            kind: sourced("KubeletConfiguration", path),
            values,
        }
    };
    let usual = "/run/containerd/containerd.sock";
    // flag, configuration, expected first socket, whether it is expected to exist
    let cases = [
        (None, None, Some((usual, false))),
        (Some("unix:///run/x.sock"), None, Some(("/run/x.sock", true))),
        (Some("/run/x.sock"), Some("unix:///run/y.sock"), Some(("/run/x.sock", true))),
        (None, Some("unix:///run/y.sock"), Some(("/run/y.sock", true))),
        (Some("tcp://10.0.0.1:1"), None, None),
    ];
    for (flag, configured, expected) in cases {
        let mut host = Host::empty("m1");
        if let Some(flag) = flag {
            host.components = vec![component(ComponentName::Kubelet, &[("container-runtime-endpoint", flag)])];
        }
        host.kubernetes.kubelet_configuration = Ok(configured.map(document));
        let found = Plan::of(&host).cri;
        let found = found.as_ref().map(|question| (question.sockets[0].as_str(), question.expected));
        assert_eq!(found, expected, "{flag:?} {configured:?}");
    }

    let mut host = Host::empty("m1");
    let docker = Plan::of(&host).docker.unwrap();
    assert_eq!((docker.sockets, docker.expected), (vec!["/var/run/docker.sock".to_owned()], false));
    host.components =
        vec![component(ComponentName::Dockerd, &[("H", "tcp://0.0.0.0:2375"), ("host", "unix:///run/d.sock")])];
    let docker = Plan::of(&host).docker.unwrap();
    assert_eq!(docker.sockets, ["/run/d.sock", "/var/run/docker.sock"]);
    assert!(docker.expected);
}

#[test]
fn what_is_a_name() {
    for (text, expected) in [
        ("m1", true),
        ("lb.example.", true),
        ("a_b", true),
        ("10.0.0.1", false),
        ("/tmp/x", false),
        ("", false),
        ("a b", false),
        ("-", true),
    ] {
        assert_eq!(is_name(text), expected, "{text}");
    }
}
