//! What the host's own kernel and its docker answer, and what is dialled several times.

use super::objects::{answer as apiserver, silent};
use super::{connect, host, judged, only, outcome};
use crate::facts::Host;
use crate::facts::probe::{ClusterAnswer, ConnectOutcome, DockerAnswer, KernelClock, RepeatedDial};
use crate::facts::system::{Mount, Process};
use crate::origin::Origin;

fn process(pid: u32, comm: &str) -> Process {
    Process {
        pid,
        comm: comm.to_owned(),
        exe: None,
        argv: vec![comm.to_owned()],
        cwd: None,
        environment: Default::default(),
        network_namespace: None,
        started_ticks: None,
        stopped: false,
    }
}

/// A node on a disk of its own with these processes beside the usual ones.
fn node(files: &[(&str, &str)], more: &[&str], uptime: u64) -> Host {
    let mut files = files.to_vec();
    files.push(("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n"));
    let mut host = host(&files);
    let usual = ["systemd", "sshd", "cron", "agetty", "dbus-daemon", "rsyslogd", "udevd", "login", "bash", "kubelet"];
    let all = usual.iter().chain(more).zip(1..);
    host.system.processes = Ok(all.map(|(comm, pid)| process(pid, comm)).collect());
    host.system.mounts = Ok(vec![Mount {
        source: "/dev/vda1".to_owned(),
        target: "/".to_owned(),
        fs_type: "ext4".to_owned(),
        options: Vec::new(),
        origin: Origin::answer("this test"),
    }]);
    host.system.uptime_seconds = Ok(uptime);
    host
}

#[test]
fn clocks() {
    let rtcsync = [("/etc/chrony/chrony.conf", "pool ntp.example iburst\nrtcsync\n")];
    let plain = [("/etc/chrony/chrony.conf", "pool ntp.example iburst\n")];
    for (files, service, synchronized, uptime, expected) in [
        (&[][..], Some("systemd-timesyn"), false, 90_000, "fails"),
        (&[], Some("systemd-timesyn"), true, 90_000, "passes"),
        (&[], Some("systemd-timesyn"), false, 60, "unknown"),
        // The machine below does it.
        (&[], None, true, 90_000, "passes"),
        (&[], None, false, 90_000, "fails"),
        (&[], Some("vmtoolsd"), false, 90_000, "passes"),
        // Without rtcsync chronyd does not tell the kernel.
        (&plain, Some("chronyd"), false, 90_000, "passes"),
        (&rtcsync, Some("chronyd"), true, 90_000, "passes"),
    ] {
        let more: Vec<&str> = service.into_iter().collect();
        let mut host = node(files, &more, uptime);
        host.clock = Ok(KernelClock { synchronized, max_error_us: 16_000_000 });
        assert_eq!(outcome("host-clock-unsynchronized", host), expected, "{service:?} {synchronized} {uptime}");
    }
    let mut host = node(&[], &["systemd-timesyn"], 90_000);
    host.clock = Ok(KernelClock { synchronized: false, max_error_us: 16_000_000 });
    let judgement = judged("host-clock-unsynchronized", host);
    assert!(only(&judgement).title.contains("has found no time source"), "{:#?}", judgement.findings);
}

#[test]
fn storage_drivers() {
    let told = |daemon: &str, driver: &str, d_type: &str| {
        let mut host = host(&[
            ("/etc/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd\n"),
            ("/etc/docker/daemon.json", daemon),
        ]);
        let status = [("Backing Filesystem", "xfs"), ("Supports d_type", d_type)];
        host.probes.docker = Some(Ok(DockerAnswer {
            version: "20.10.7".to_owned(),
            cgroup_driver: None,
            cgroup_version: None,
            storage_driver: Some(driver.to_owned()),
            storage_status: status.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            security_options: Vec::new(),
            warnings: Vec::new(),
            images: Ok(Vec::new()),
        }));
        host
    };
    let rule = "docker-storage-driver-failed";
    for (daemon, driver, d_type, expected) in [
        ("{}", "overlay2", "true", "passes"),
        ("{}", "overlay2", "false", "fails"),
        ("{}", "vfs", "", "fails"),
        ("{\"storage-driver\": \"vfs\"}", "vfs", "", "passes"),
    ] {
        assert_eq!(outcome(rule, told(daemon, driver, d_type)), expected, "{daemon} {driver} {d_type}");
    }
    let judgement = judged(rule, told("{}", "overlay2", "false"));
    assert!(only(&judgement).title.contains("the xfs below docker"), "{:#?}", judgement.findings);
}

#[test]
fn flannel_and_its_etcd() {
    use ConnectOutcome::{Connected, Refused, TimedOut};
    let dialled = |flags: &str, outcomes: [ConnectOutcome; 2]| {
        let endpoints = "http://10.0.0.1:2379,http://10.0.0.2:2379";
        let unit = format!("[Service]\nExecStart=/usr/bin/flanneld --etcd-endpoints={endpoints} {flags}\n");
        let mut host = host(&[("/etc/systemd/system/flanneld.service", unit.as_str())]);
        let targets = ["10.0.0.1:2379", "10.0.0.2:2379"].into_iter().zip(outcomes);
        host.probes.connects.extend(targets.map(|(target, outcome)| connect(target, outcome)));
        host
    };
    let rule = "flannel-etcd-unreachable";
    for (flags, outcomes, expected) in [
        ("", [Refused, TimedOut], "fails"),
        ("", [Refused, Connected], "passes"),
        ("", [Refused, ConnectOutcome::NotResolved("no such host".to_owned())], "unknown"),
        ("--kube-subnet-mgr", [Refused, Refused], "na"),
    ] {
        let shown = format!("{flags} {outcomes:?}");
        assert_eq!(outcome(rule, dialled(flags, outcomes)), expected, "{shown}");
    }
    let judgement = judged(rule, dialled("", [Refused, Refused]));
    assert!(only(&judgement).title.contains("10.0.0.1:2379: connection refused"), "{:#?}", judgement.findings);
}

#[test]
fn docker_that_is_started_with_flannel() {
    for (flannels, dockers, expected) in [
        ("[Install]\nRequiredBy=docker.service\n", "", Some("docker.service")),
        ("", "[Unit]\nRequires=network.target flanneld.service\n", Some("docker.service")),
        ("[Install]\nWantedBy=multi-user.target\n", "[Unit]\nAfter=flanneld.service\n", None),
    ] {
        let flanneld =
            format!("[Service]\nExecStart=/usr/bin/flanneld --etcd-endpoints=http://10.0.0.1:2379\n{flannels}");
        let docker = format!("{dockers}[Service]\nExecStart=/usr/bin/dockerd\n");
        let mut host = host(&[
            ("/etc/systemd/system/flanneld.service", flanneld.as_str()),
            ("/etc/systemd/system/docker.service", docker.as_str()),
        ]);
        host.probes.connects.push(connect("10.0.0.1:2379", ConnectOutcome::Refused));
        let judgement = judged("flannel-etcd-unreachable", host);
        let dependent = only(&judgement).values.get("dependent").map(String::as_str);
        assert_eq!(dependent, expected, "{flannels} {dockers}");
    }
}

#[test]
fn load_balancers_that_lead_back() {
    let dialled = |connected, timed_out, nodes: bool, own: bool| {
        let kubeconfig = "apiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster:\n    server: https://10.0.0.88:6443\n\
                          users: []\ncontexts: []\n";
        let mut host = host(&[
            ("/etc/kubernetes/kubelet.conf", kubeconfig),
            ("/etc/systemd/system/kube-apiserver.service", "[Service]\nExecStart=/usr/bin/kube-apiserver\n"),
        ]);
        host.network = Ok(super::apiserver::network());
        let target = "10.0.0.88:6443".to_owned();
        host.probes.repeated.push(RepeatedDial { target, connected, timed_out, refused: 0 });
        let cluster = nodes.then(|| ClusterAnswer { nodes: Ok(Vec::new()), ..silent() });
        let mut answer = apiserver(cluster);
        answer.endpoint = "https://127.0.0.1:6443".to_owned();
        answer.live = Ok(own);
        host.probes.apiservers.push(answer);
        host
    };
    let rule = "lb-hairpin";
    for (connected, timed_out, nodes, own, expected) in [
        (4, 2, true, true, "fails"),
        // Whether all masters are up is not known.
        (4, 2, false, true, "unknown"),
        (0, 6, true, true, "unknown"),
        (6, 0, true, true, "unknown"),
        // Its own apiserver is down: that is the fault.
        (4, 2, true, false, "unknown"),
    ] {
        let shown = format!("{connected} {timed_out} {nodes} {own}");
        assert_eq!(outcome(rule, dialled(connected, timed_out, nodes, own)), expected, "{shown}");
    }
    let judgement = judged(rule, dialled(4, 2, true, true));
    let finding = only(&judgement);
    assert!(finding.title.contains("only now and then"), "{finding:#?}");
    assert!(finding.fix.as_ref().unwrap().lines().any(|line| line.contains("https://10.0.0.1:6443")));
}
