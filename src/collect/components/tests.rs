use std::sync::Arc;

use super::*;
use crate::collect::units;
use crate::origin::{Place, Span};
use crate::source::MemorySource;

fn process(pid: u32, exe: Option<&str>, argv: &[&str], namespace: Option<u64>) -> Process {
    Process {
        pid,
        comm: String::new(),
        exe: exe.map(str::to_owned),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cwd: None,
        environment: BTreeMap::new(),
        network_namespace: namespace,
        stopped: false,
        started_ticks: None,
    }
}

/// A pod whose words stand one to a line in its file.
fn pod(path: &str, image: &str, command: &[&str]) -> StaticPod {
    let mut start = 0;
    let words = command.iter().enumerate().map(|(index, word)| {
        let span = Span { start, end: start + word.len(), line: index as u32 + 1, column: 1 };
        start += word.len() + 1;
        Sourced::new((*word).to_owned(), Origin::file(path, Some(span)))
    });
    let command: Vec<Sourced<String>> = words.collect();
    let container = Container {
        name: "c".to_owned(),
        image: Some(Sourced::new(image.to_owned(), Origin::file(path, None))),
        command,
        environment: BTreeMap::new(),
        probes: Vec::new(),
        mounts: BTreeMap::new(),
    };
    StaticPod {
        path: path.to_owned(),
        modified: None,
        name: None,
        namespace: None,
        host_network: true,
        annotations: BTreeMap::new(),
        containers: vec![container],
        host_paths: Vec::new(),
    }
}

fn document(values: &[(&str, &str)]) -> ConfigDocument {
    let sourced = |value: &str| Sourced::new(value.to_owned(), Origin::file("/c.yaml", None));
    ConfigDocument {
        path: "/c.yaml".to_owned(),
        api_version: sourced("v1"),
        kind: sourced("K"),
        values: values.iter().map(|(key, value)| ((*key).to_owned(), sourced(value))).collect(),
    }
}

#[derive(Clone)]
struct Host {
    processes: Fact<Vec<Process>>,
    pods: Fact<Vec<StaticPod>>,
    units: Vec<Unit>,
    scripts: Vec<Script>,
    kubelet: Fact<Option<ConfigDocument>>,
    kubeadm: Vec<ConfigDocument>,
    etcd: Fact<Option<Layer>>,
}

impl Host {
    fn new() -> Host {
        Host {
            processes: Ok(Vec::new()),
            pods: Ok(Vec::new()),
            units: Vec::new(),
            scripts: Vec::new(),
            kubelet: Ok(None),
            kubeadm: Vec::new(),
            etcd: Ok(None),
        }
    }

    fn of(source: MemorySource) -> Host {
        let files = Files::new(Arc::new(source));
        let problems = Problems::new("h");
        let (units, scripts) = units::collect(&files, &problems);
        let etcd = etcd_configuration(&files, &units, &Ok(Vec::new()), &problems);
        assert_eq!(problems.into_sorted(), []);
        Host { units, scripts, etcd, ..Host::new() }
    }

    fn build(&self) -> Vec<Component> {
        build(&Evidence {
            processes: &self.processes,
            static_pods: self.pods.as_deref().unwrap_or_default(),
            units: &self.units,
            scripts: &self.scripts,
            kubelet_configuration: &self.kubelet,
            kubeadm_configuration: &self.kubeadm,
            etcd_configuration: &self.etcd,
        })
    }
}

fn value<'a>(component: &'a Component, flag: &str) -> Option<&'a str> {
    component.flag(flag).map(|value| value.value.as_str())
}

#[test]
fn processes_that_are_components() {
    use ComponentName::*;
    let table: &[(Option<&str>, &[&str], Option<ComponentName>)] = &[
        (Some("/usr/local/bin/etcd"), &["etcd", "--name=a"], Some(Etcd)),
        (None, &["/usr/bin/kubelet", "--v=2"], Some(Kubelet)),
        (Some("/usr/bin/hyperkube"), &["/hyperkube", "proxy", "--v=2"], Some(KubeProxy)),
        (Some("/usr/bin/hyperkube"), &["kubelet", "--v=2"], Some(Kubelet)),
        (Some("/usr/bin/etcd (deleted)"), &["./etcd"], Some(Etcd)),
        (Some("/usr/bin/kube-apiserver"), &["renamed", "--v=2"], Some(KubeApiserver)),
        (Some("/bin/bash"), &["sh", "-c", "etcd --name a"], None),
        (Some("/bin/dash"), &["etcd"], None),
        (None, &["sh", "-c", "etcd"], None),
        (Some("/go-runner"), &["/go-runner", "/usr/local/bin/kube-proxy"], None),
        (Some("/usr/bin/containerd-shim-runc-v2"), &["/usr/bin/containerd-shim-runc-v2"], None),
        (Some("/usr/sbin/nginx"), &["nginx: master process /usr/sbin/nginx -c /etc/n.conf"], Some(Nginx)),
        (Some("/usr/sbin/nginx"), &["nginx: worker process"], None),
        (None, &[], None),
    ];
    for (exe, argv, wanted) in table {
        let host = Host { processes: Ok(vec![process(7, *exe, argv, None)]), ..Host::new() };
        let found: Vec<ComponentName> = host.build().iter().map(|component| component.name).collect();
        assert_eq!(found, wanted.iter().copied().collect::<Vec<_>>(), "{exe:?} {argv:?}");
    }
}

#[test]
fn of_several_processes_the_hosts_own_counts() {
    let etcd = |pid, name: &str, namespace| process(pid, Some("/etcd"), &["etcd", name], Some(namespace));
    let processes = vec![
        process(1, Some("/init"), &["init"], Some(10)),
        etcd(5, "--name=inner", 99),
        etcd(30, "--name=late", 10),
        etcd(20, "--name=own", 10),
    ];
    let host = Host { processes: Ok(processes), ..Host::new() };
    let found = &host.build()[0];
    assert_eq!((found.pid, value(found, "name")), (Some(20), Some("own")));
    let origin = &found.flag("name").unwrap().origin;
    assert_eq!(origin.place, Place::Process { pid: 20, name: "etcd".to_owned(), argument: Some(1) });
}

#[test]
fn layers_go_from_what_runs_to_what_files_say() {
    let mut host = Host::of(
        MemorySource::new("m1")
            .file("/etc/systemd/system/kube-apiserver.service", "[Service]\nExecStart=/x/kube-apiserver --v=3 --u=1\n")
            .file("/opt/start.sh", "kube-apiserver --v=4 --s=1\n"),
    );
    host.pods =
        Ok(vec![pod("/m.yaml", "registry.k8s.io/kube-apiserver:v1.34.4", &["kube-apiserver", "--v=2", "--m=1"])]);
    host.processes = Ok(vec![process(9, Some("/kube-apiserver"), &["kube-apiserver", "--v=1", "--m=1"], None)]);
    let found = &host.build()[0];
    let kinds: Vec<LayerKind> = found.layers.iter().map(|layer| layer.kind).collect();
    assert_eq!(kinds, [LayerKind::Process, LayerKind::Manifest, LayerKind::Unit, LayerKind::Script]);
    let all: Vec<&str> = found.flag_by_layer("v").map(|(_, value)| value.value.as_str()).collect();
    assert_eq!(all, ["1", "2", "3", "4"]);
    assert_eq!(found.flag_in_file("m").unwrap().origin.to_string(), "/m.yaml:3:5");
    assert_eq!(found.version.as_ref().unwrap().value, "1.34.4");
    assert_eq!(found.flag_or_default("secure-port").unwrap().origin.to_string(), "default of kube-apiserver 1.34");
}

#[test]
fn containers_run_components_in_several_ways() {
    let table: &[(&str, &[&str], &str, Option<&str>)] = &[
        ("k8s.gcr.io/etcd:3.4.13-0", &["etcd", "--name=a"], "name", Some("a")),
        ("quay.io/coreos/etcd:v3.5.0", &["/usr/local/bin/etcd", "--name", "a"], "name", Some("a")),
        ("x/hyperkube:v1.9.0", &["/hyperkube", "apiserver", "--v=4"], "v", Some("4")),
        (
            "x/y:1",
            &["/bin/sh", "-c", "/usr/local/bin/kube-scheduler --master=h:8080 --v=2 1>>/var/log/s.log 2>&1"],
            "master",
            Some("h:8080"),
        ),
        ("registry:5000/haproxy:2.8", &["-f", "/h.cfg"], "f", Some("/h.cfg")),
        ("haproxy", &[], "f", None),
        ("k8s.gcr.io/etcd-amd64:3.1.11", &["--name=b"], "name", Some("b")),
    ];
    for (image, command, flag, wanted) in table {
        let host = Host { pods: Ok(vec![pod("/m.yaml", image, command)]), ..Host::new() };
        let found = host.build();
        assert_eq!(found.len(), 1, "{image}");
        assert_eq!(value(&found[0], flag), *wanted, "{image}");
    }
    let host = Host { pods: Ok(vec![pod("/m.yaml", "x/y:1", table[3].1)]), ..Host::new() };
    let found = host.build();
    let origin = &found[0].flag("master").unwrap().origin;
    let text = table[3].1.join("\n");
    let span = origin.span().unwrap();
    assert_eq!(&text[span.start..span.end], "h:8080");
    assert_eq!(span.line, 3);
    let sidecar = Host { pods: Ok(vec![pod("/m.yaml", "x/etcd-tools:1", &["sleep", "1"])]), ..Host::new() };
    assert_eq!(sidecar.build(), []);
}

#[test]
fn units_of_hand_written_installs() {
    let unit = "[Service]\nEnvironmentFile=-/etc/kubernetes/apiserver\nExecStart=/opt/bin/kube-apiserver \\\n$ADDRESS \\\n$ARGS\n";
    let env = "ADDRESS=\"--advertise-address=192.0.2.1 --bind-address=192.0.2.2\"\nARGS=\"--enable-swagger-ui=true \\\n--etcd_servers=https://192.0.2.3:2379\"\n";
    let host = Host::of(
        MemorySource::new("m1")
            .file("/lib/systemd/system/kube-apiserver.service", unit)
            .file("/etc/kubernetes/apiserver", env),
    );
    let found = &host.build()[0];
    for (flag, wanted) in
        [("advertise-address", "192.0.2.1"), ("bind-address", "192.0.2.2"), ("etcd-servers", "https://192.0.2.3:2379")]
    {
        let value = found.flag(flag).unwrap();
        assert_eq!(value.value, wanted);
        assert_eq!(value.origin.path(), Some("/etc/kubernetes/apiserver"));
        let span = value.origin.span().unwrap();
        assert_eq!(&env[span.start..span.end], wanted);
        let via = value.origin.via.as_ref().unwrap();
        assert_eq!(via.path(), Some("/lib/systemd/system/kube-apiserver.service"));
    }
    let spelt: Vec<&str> = found.layers[0].spelt.iter().map(|word| word.value.as_str()).collect();
    assert_eq!(spelt, ["--advertise-address", "--bind-address", "--enable-swagger-ui", "--etcd_servers"]);
    assert_eq!(found.version, None);
}

#[test]
fn etcd_takes_variables_beneath_flags_and_a_file_above_both() {
    let unit =
        "[Service]\nEnvironment=ETCD_NAME=env ETCD_LISTEN_PEER_URLS=http://e:1\nExecStart=/usr/bin/etcd --name flag\n";
    let host = Host::of(MemorySource::new("m1").file("/etc/systemd/system/etcd.service", unit));
    let found = &host.build()[0];
    assert_eq!((value(found, "name"), value(found, "listen-peer-urls")), (Some("flag"), Some("http://e:1")));

    let config = "# etcd\nname: 'file'\nlisten-peer-urls: http://f:1 # peers\nclient-transport-security:\n  cert-file: /c.pem\n  client-cert-auth: true\npeer-transport-security:\n  trusted-ca-file: \"/p.pem\"\nwal-dir:\n";
    let host = Host::of(
        MemorySource::new("m1")
            .file(
                "/etc/systemd/system/etcd.service",
                "[Service]\nExecStart=/usr/bin/etcd --config-file=/etc/etcd.yaml --name flag\n",
            )
            .file("/etc/etcd.yaml", config),
    );
    let found = &host.build()[0];
    for (flag, wanted) in [
        ("name", "file"),
        ("listen-peer-urls", "http://f:1"),
        ("cert-file", "/c.pem"),
        ("client-cert-auth", "true"),
        ("peer-trusted-ca-file", "/p.pem"),
    ] {
        let value = found.flag(flag).unwrap();
        assert_eq!(value.value, wanted);
        let span = value.origin.span().unwrap();
        assert_eq!(&config[span.start..span.end], wanted);
    }
    assert_eq!(found.flag("wal-dir"), None);
}

#[test]
fn the_kubelets_file_stands_beneath_its_flags() {
    let unit = "[Service]\nExecStart=/usr/bin/kubelet --config=/k.yaml --cgroup-driver=cgroupfs\n";
    let mut host = Host::of(MemorySource::new("w1").file("/etc/systemd/system/kubelet.service", unit));
    let none = Files::new(Arc::new(MemorySource::new("w1")));
    assert_eq!(kubelet_paths(&none, &host.units, &host.processes).configuration, "/k.yaml");
    assert_eq!(kubelet_paths(&none, &[], &host.processes).configuration, "");
    // Before 1.8 it named static pods.
    let old = Files::new(Arc::new(MemorySource::new("w1").file("/k.yaml/etcd.yaml", "")));
    let paths = kubelet_paths(&old, &host.units, &host.processes);
    assert_eq!((paths.configuration.as_str(), paths.manifests), ("", vec!["/k.yaml".to_owned()]));
    host.kubelet = Ok(Some(document(&[
        ("cgroupDriver", "systemd"),
        ("clusterDNS.0", "10.96.0.10"),
        ("clusterDNS.1", "fd00::a"),
        ("authentication.anonymous.enabled", "true"),
        ("featureGates.A", "true"),
    ])));
    host.kubeadm = vec![document(&[("kubernetesVersion", "v1.34.4")])];
    let found = &host.build()[0];
    assert_eq!(value(found, "cgroup-driver"), Some("cgroupfs"));
    assert_eq!(value(found, "cluster-dns"), Some("10.96.0.10,fd00::a"));
    assert_eq!(value(found, "anonymous-auth"), Some("true"));
    assert_eq!(value(found, "feature-gates"), Some("A=true"));
    assert_eq!(found.version.as_ref().unwrap().value, "1.34.4");
    assert_eq!(found.flag_or_default("fail-swap-on").unwrap().value, "true");

    host.kubelet = Err(Unknown::new("/k.yaml", "permission denied"));
    let found = &host.build()[0];
    assert_eq!(found.flag_or_default("fail-swap-on"), None);
    assert_eq!(found.flag_or_default("cgroup-driver").unwrap().value, "cgroupfs");
}

#[test]
fn versions_of_images() {
    let table = [
        ("registry.k8s.io/etcd:3.6.5-0", Some("3.6.5")),
        ("quay.io/coreos/etcd:v3.5.0", Some("3.5.0")),
        ("localhost:5000/kube-proxy", None),
        ("localhost:5000/kube-proxy:v1.9.0@sha256:00", Some("1.9.0")),
        ("x:latest", None),
        ("haproxy:2.8", Some("2.8")),
    ];
    for (image, wanted) in table {
        assert_eq!(split_image(image).1.and_then(version_of).as_deref(), wanted, "{image}");
    }
}

#[test]
fn scripts_make_components_too() {
    let script = "#!/bin/bash\nHOST=\"http://box-1\"\nALL=\"a=http://box-1:2380,b=http://box-2:2380\"\n./bin/etcd --name a --advertise-client-urls \"$HOST:2379\",\"$HOST:4001\" --initial-cluster $ALL >> ./log/etcd.log 2>&1\n";
    let host = Host::of(MemorySource::new("box-1").file("/home/work/etcd/start-etcd.sh", script));
    let found = &host.build()[0];
    assert_eq!(value(found, "advertise-client-urls"), Some("http://box-1:2379,http://box-1:4001"));
    let items = found.flag_items("initial-cluster");
    let span = items[1].origin.span().unwrap();
    assert_eq!(&script[span.start..span.end], "b=http://box-2:2380");
    assert_eq!(found.flag_or_default("listen-peer-urls").unwrap().value, "http://localhost:2380");
}

#[test]
fn a_packages_unit_that_nobody_uses_is_no_component() {
    let etcd = "[Service]\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd\nEnvironment=DAEMON_ARGS=\nExecStart=/usr/bin/etcd $DAEMON_ARGS\n";
    let nginx = "[Service]\nExecStart=/usr/sbin/nginx -g 'daemon on;'\n";
    let other = "/etc/systemd/system/multi-user.target.wants/other.service";
    let host = |directory: &str, wanted: &str| {
        let source = MemorySource::new("w1")
            .file(format!("{directory}/etcd.service"), etcd)
            .file(format!("{directory}/nginx.service"), nginx)
            .link(other, "/lib/systemd/system/other.service")
            .link(format!("/etc/systemd/system/multi-user.target.wants/{wanted}"), format!("{directory}/{wanted}"));
        Host::of(source).build().iter().map(|component| component.name.name()).collect::<Vec<_>>()
    };
    assert_eq!(host("/usr/lib/systemd/system", "other.service"), [""; 0]);
    assert_eq!(host("/usr/lib/systemd/system", "nginx.service"), ["nginx"]);
    assert_eq!(host("/usr/lib/systemd/system", "etcd.service"), ["etcd"]);
    assert_eq!(host("/etc/systemd/system", "other.service"), ["etcd", "nginx"]);

    let mut running = Host::of(MemorySource::new("w1").file("/lib/systemd/system/nginx.service", nginx));
    assert_eq!(running.build(), []);
    running.processes = Ok(vec![process(5, Some("/usr/sbin/nginx"), &["nginx: master process /usr/sbin/nginx"], None)]);
    assert_eq!(running.build()[0].layers.len(), 2);
}
