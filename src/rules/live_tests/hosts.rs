//! What the resolver, docker and the container runtime answer.

use super::{host, judged, only, outcome, unknown};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::facts::network::{Listener, ListenerProcess};
use crate::facts::probe::{CriAnswer, DockerAnswer};
use crate::facts::system::Process;
use crate::origin::{Fact, Origin, Unknown};

const KUBELET: &str = "/etc/systemd/system/kubelet.service";
const SOCKET: &str = "/run/containerd/containerd.sock";

fn node(files: &[(&str, &str)]) -> Host {
    let unit = format!("[Service]\nExecStart=/usr/bin/kubelet --container-runtime-endpoint=unix://{SOCKET}\n");
    host(&[&[(KUBELET, unit.as_str())], files].concat())
}

/// The host with these processes, an hour after its boot.
fn running(mut host: Host, programs: &[&str]) -> Host {
    let process = |(index, comm): (usize, &&str)| Process {
        pid: index as u32 + 1,
        comm: (*comm).to_owned(),
        exe: None,
        argv: vec![(*comm).to_owned()],
        cwd: None,
        environment: Default::default(),
        network_namespace: None,
        stopped: false,
        started_ticks: Some(1),
    };
    let all = [&["systemd", "kthreadd", "sshd"], programs].concat();
    host.system.processes = Ok(all.iter().enumerate().map(process).collect());
    host.system.uptime_seconds = Ok(3600);
    for name in [ComponentName::Kubelet, ComponentName::Containerd] {
        if programs.contains(&name.name()) && host.component(name).is_none() {
            host.components.push(Component::new(name));
        }
    }
    for component in &mut host.components {
        if programs.contains(&component.name.name()) {
            component.pid = Some(100);
        }
    }
    host
}

#[test]
fn names() {
    let asked = |answer: Result<Vec<std::net::IpAddr>, &str>, files: &[(&str, &str)]| {
        let mut host = node(files);
        host.source = "live".to_owned();
        host.probes.names.insert("m1".to_owned(), answer.map_err(unknown));
        host
    };
    let address = std::net::IpAddr::from([10, 0, 0, 1]);
    let listed: &[(&str, &str)] = &[("/etc/hosts", "10.0.0.1 m1\n"), ("/etc/nsswitch.conf", "hosts: files dns\n")];
    let unlisted: &[(&str, &str)] = &[
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/etc/nsswitch.conf", "hosts: files dns\n"),
        ("/etc/resolv.conf", "nameserver 10.0.0.2\n"),
    ];
    for (answer, files, expected) in [
        (Ok(vec![address]), unlisted, "passes"),
        (Err("does not resolve: name or service not known"), unlisted, "fails"),
        (Err("does not resolve: no address associated with hostname"), unlisted, "fails"),
        // The DNS server is away for the moment.
        (Err("does not resolve: temporary failure in name resolution"), unlisted, "unknown"),
        (Err("the resolver did not answer in 3 s"), unlisted, "unknown"),
        (Err("the resolver did not answer in 3 s"), listed, "passes"),
    ] {
        let shown = format!("{answer:?}");
        assert_eq!(outcome("host-hostname-unresolvable", asked(answer, files)), expected, "{shown}");
    }
    let judgement =
        judged("host-hostname-unresolvable", asked(Err("does not resolve: name or service not known"), unlisted));
    let evidence = &only(&judgement).evidence;
    assert!(evidence.iter().any(|evidence| evidence.label.contains("not known")), "{evidence:#?}");
}

#[test]
fn runtimes() {
    let told = |answer: Fact<CriAnswer>, programs: &[&str]| {
        let mut host = running(node(&[]), programs);
        host.probes.cri = Some(answer);
        host
    };
    let answer = CriAnswer {
        socket: SOCKET.to_owned(),
        runtime: "containerd 1.7.2".to_owned(),
        images: Ok(Vec::new()),
        sandbox_image: None,
        cgroup_driver: None,
        unready: Vec::new(),
    };
    let refused = |why: &str| Err(Unknown::new(SOCKET, why));
    for (answer, programs, expected) in [
        (Ok(answer.clone()), &["kubelet"][..], "passes"),
        (refused("no such socket"), &["kubelet", "containerd"], "fails"),
        (refused("connection refused"), &["kubelet", "containerd"], "fails"),
        (refused("no such socket"), &["kubelet"], "fails"),
        // Before the node joins nobody needs it.
        (refused("no such socket"), &[], "na"),
    ] {
        let shown = format!("{answer:?} {programs:?}");
        assert_eq!(outcome("kubelet-runtime-unreachable", told(answer, programs)), expected, "{shown}");
    }
    let judgement = judged("kubelet-runtime-unreachable", told(refused("no such socket"), &["kubelet", "containerd"]));
    assert!(only(&judgement).title.contains("no such socket"), "{}", judgement.findings[0].title);
    // Just after the boot nothing needs to be there yet.
    let mut young = told(refused("no such socket"), &["kubelet", "containerd"]);
    young.system.uptime_seconds = Ok(20);
    assert_eq!(outcome("kubelet-runtime-unreachable", young), "unknown");
}

#[test]
fn containerd_without_cri() {
    let told = |config: &str, why: &str| {
        let mut host = running(node(&[("/etc/containerd/config.toml", config)]), &["kubelet", "containerd"]);
        host.probes.cri = Some(Err(Unknown::new(SOCKET, why)));
        host
    };
    let unimplemented = "Unimplemented: unknown service runtime.v1.RuntimeService";
    for (config, why, expected) in [
        ("version = 2\n", unimplemented, "fails"),
        ("version = 2\n", "did not answer in 3 s", "passes"),
        ("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", unimplemented, "fails"),
    ] {
        assert_eq!(outcome("containerd-cri-disabled", told(config, why)), expected, "{config} {why}");
    }
}

#[test]
fn docker_drivers() {
    let told = |kubelet: &str, docker: Option<&str>| {
        let config =
            format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: {kubelet}\n");
        let mut host = host(&[
            (KUBELET, "[Service]\nExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml\n"),
            ("/var/lib/kubelet/config.yaml", &config),
            ("/etc/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd\n"),
        ]);
        host.probes.docker = Some(docker.map_or(Err(unknown("permission denied")), |driver| {
            Ok(DockerAnswer {
                storage_status: Default::default(),
                version: "20.10.7".to_owned(),
                cgroup_driver: Some(driver.to_owned()),
                cgroup_version: None,
                storage_driver: None,
                security_options: Vec::new(),
                warnings: Vec::new(),
                images: Ok(Vec::new()),
            })
        }));
        host
    };
    for (kubelet, docker, expected) in [
        ("systemd", Some("cgroupfs"), "fails"),
        ("systemd", Some("systemd"), "passes"),
        ("cgroupfs", Some("cgroupfs"), "passes"),
        // Its default is known by the version of cgroups alone, which is not given here.
        ("systemd", None, "unknown"),
        ("systemd", Some("none"), "na"),
    ] {
        assert_eq!(outcome("cgroup-driver-mismatch", told(kubelet, docker)), expected, "{kubelet} {docker:?}");
    }
    let judgement = judged("cgroup-driver-mismatch", told("systemd", Some("cgroupfs")));
    assert!(only(&judgement).title.contains("docker says that it uses cgroupfs"), "{}", judgement.findings[0].title);
}

#[test]
fn dockers_port() {
    let listening = |address: &str, port: u16, holder: &str, flags: &str| {
        let unit = format!("[Service]\nExecStart=/usr/bin/dockerd {flags}\n");
        let mut host = host(&[("/etc/systemd/system/docker.service", unit.as_str())]);
        let mut network = super::apiserver::network();
        network.listeners = Ok(vec![Listener {
            address: address.parse().unwrap(),
            port,
            process: Some(ListenerProcess { pid: 1, name: holder.to_owned() }),
            origin: Origin::file("/proc/net/tcp", None),
        }]);
        host.network = Ok(network);
        host
    };
    for (address, port, holder, flags, expected) in [
        ("0.0.0.0", 2375, "systemd", "-H fd://", "fails"),
        ("10.0.0.1", 2375, "dockerd", "", "fails"),
        ("127.0.0.1", 2375, "systemd", "-H fd://", "passes"),
        ("0.0.0.0", 2375, "haproxy", "-H fd://", "passes"),
        ("0.0.0.0", 2375, "dockerd", "-H fd:// --tlsverify", "passes"),
        ("0.0.0.0", 7946, "dockerd", "-H fd://", "passes"),
        // Told by the flag, and once.
        ("0.0.0.0", 2375, "dockerd", "-H tcp://10.0.0.1:2375", "fails"),
    ] {
        let shown = format!("{address}:{port} {holder} {flags}");
        let judgement = judged("docker-api-exposed", listening(address, port, holder, flags));
        let found = if judgement.findings.is_empty() { "passes" } else { "fails" };
        assert_eq!(found, expected, "{shown}");
        assert!(judgement.findings.len() < 2, "{shown}");
    }
}
