//! What a host that is to become a node answers, with the configuration that kubeadm will be given.

use std::sync::Arc;

use super::{AT, connect, only, outcome, unknown};
use crate::collect::host::{HostOptions, collect};
use crate::facts::Host;
use crate::facts::probe::{ClusterInfo, ConnectOutcome, CriAnswer};
use crate::facts::system::Process;
use crate::logs::{ScanOptions, Scanner};
use crate::origin::{Fact, Unknown};
use crate::source::{MemorySource, SingleSource, WithConfiguration};

const INIT: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration:
  criSocket: unix:///run/crio/crio.sock
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.34.4
";
const JOIN: &str = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: 10.0.0.10:6443
    token: abcdef.0123456789abcdef
    unsafeSkipCAVerification: true
";

/// A bare host an hour after its boot, on which these programs run.
fn bare(configuration: &'static str, programs: &[&str]) -> Host {
    let unit = "[Service]\nExecStart=/usr/bin/kubelet\n";
    let memory = MemorySource::new("p1")
        .file("/etc/hostname", "p1\n")
        .file("/etc/systemd/system/kubelet.service", unit)
        .file("/etc/systemd/system/containerd.service", "[Service]\nExecStart=/usr/bin/containerd\n");
    let file = SingleSource::stream("-", Box::new(configuration.as_bytes())).unwrap();
    let source = WithConfiguration::new(Arc::new(memory), Arc::new(file), "-");
    let scanner = Scanner::new(Vec::new()).unwrap();
    let options = HostOptions { scan: ScanOptions::default(), probe_deadline: None, at: AT.parse().unwrap() };
    let mut host = collect(Arc::new(source), &scanner, &options);
    host.probes.taken = true;
    host.probes.patience_ms = 3000;
    let all = [&["systemd", "kthreadd", "sshd"], programs].concat();
    let process = |(index, comm): (usize, &&str)| Process {
        pid: index as u32 + 1,
        comm: (*comm).to_owned(),
        exe: None,
        argv: vec![(*comm).to_owned()],
        cwd: None,
        environment: Default::default(),
        network_namespace: None,
        started_ticks: Some(1),
        stopped: false,
    };
    host.system.processes = Ok(all.iter().enumerate().map(process).collect());
    host.system.uptime_seconds = Ok(3600);
    for component in &mut host.components {
        component.pid = programs.contains(&component.name.name()).then_some(4);
    }
    host
}

fn answered(socket: &str, images: &[&str]) -> Option<Fact<CriAnswer>> {
    Some(Ok(CriAnswer {
        socket: socket.to_owned(),
        runtime: "containerd 1.7.2".to_owned(),
        images: Ok(images.iter().map(|image| (*image).to_owned()).collect()),
        sandbox_image: None,
        cgroup_driver: None,
        unready: Vec::new(),
    }))
}

#[test]
fn the_socket_that_kubeadm_is_told() {
    let silent = || Some(Err(Unknown::new("/run/crio/crio.sock", "there is no such socket")));
    let mut host = bare(INIT, &["containerd"]);
    host.probes.cri = silent();
    let judged = super::judged("kubelet-runtime-unreachable", host);
    let finding = only(&judged);
    assert!(finding.title.contains("containerd runs, at unix:///run/containerd/containerd.sock"), "{}", finding.title);
    let command = finding.fix.as_ref().map(|fix| fix.lines().collect::<Vec<_>>().join("\n")).unwrap_or_default();
    assert!(command.starts_with("sed -i '4s#"), "{command}");

    let mut host = bare(INIT, &[]);
    host.probes.cri = silent();
    assert_eq!(outcome("kubelet-runtime-unreachable", host), "fails");

    let mut host = bare(INIT, &["crio"]);
    host.probes.cri = answered("/run/crio/crio.sock", &[]);
    assert_eq!(outcome("kubelet-runtime-unreachable", host), "passes");
}

#[test]
fn where_a_node_is_to_join() {
    for (answer, expected) in [
        (ConnectOutcome::Refused, "fails"),
        (ConnectOutcome::Connected, "passes"),
        (ConnectOutcome::NotResolved("does not resolve".to_owned()), "unknown"),
    ] {
        let mut host = bare(JOIN, &["containerd"]);
        host.probes.connects.push(connect("10.0.0.10:6443", answer.clone()));
        assert_eq!(outcome("kubelet-apiserver-unreachable", host), expected, "{answer:?}");
    }
}

#[test]
fn what_a_cluster_tells_who_joins() {
    let pinned = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: 10.0.0.10:6443
    token: abcdef.0123456789abcdef
    caCertHashes: [\"sha256:aa\"]
";
    let info = |ids: &[&str], authorities: &[&str]| ClusterInfo {
        token_ids: ids.iter().map(|&id| id.to_owned()).collect(),
        authorities: authorities.iter().map(|&hash| hash.to_owned()).collect(),
    };
    for (configuration, told, expected) in [
        (JOIN, Some(Ok(info(&["abcdef"], &["sha256:bb"]))), "passes"),
        (JOIN, Some(Ok(info(&["fedcba"], &["sha256:bb"]))), "fails"),
        (JOIN, Some(Ok(info(&[], &["sha256:bb"]))), "fails"),
        (pinned, Some(Ok(info(&["abcdef"], &["sha256:bb", "sha256:aa"]))), "passes"),
        (pinned, Some(Ok(info(&["abcdef"], &["sha256:bb"]))), "fails"),
        (pinned, Some(Ok(info(&["abcdef"], &[]))), "passes"),
        (pinned, Some(Err(unknown("HTTP 403"))), "unknown"),
        (pinned, None, "na"),
        (INIT, Some(Ok(info(&[], &[]))), "na"),
    ] {
        let mut host = bare(configuration, &["containerd"]);
        host.probes.cluster_info = told.clone();
        assert_eq!(outcome("kubeadm-join-failed", host), expected, "{told:?}");
    }
}

#[test]
fn images_that_are_there_or_can_be_fetched() {
    let of_release = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
    let all: Vec<String> = of_release.iter().map(|name| format!("registry.k8s.io/{name}:v1.34.4")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for (images, registry, expected) in [
        (&all[..], None, "passes"),
        (&all[1..], Some(ConnectOutcome::Connected), "passes"),
        (&all[1..], Some(ConnectOutcome::TimedOut), "fails"),
        (&[], Some(ConnectOutcome::NotResolved("no such host".to_owned())), "fails"),
        (&[], None, "unknown"),
    ] {
        let mut host = bare(INIT, &["containerd"]);
        host.probes.cri = answered("/run/containerd/containerd.sock", images);
        host.probes.connects.extend(registry.clone().map(|answer| connect("registry.k8s.io:443", answer)));
        assert_eq!(outcome("image-pull-failed", host), expected, "{} images, {registry:?}", images.len());
    }
    let mut host = bare(INIT, &["containerd"]);
    host.probes.cri = Some(Err(unknown("did not answer in 3 s")));
    assert_eq!(outcome("image-pull-failed", host), "unknown");
}
