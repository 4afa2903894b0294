//! dockerd: not there, open to everybody, given what it does not know, on another network than flannel's, without the
//! programs and registries that it needs.

use crate::harness::{Options, Process, Sandbox, alone, eventually};

const UNIT: &str = "/etc/systemd/system/docker.service";
const LOG: &str = "/var/log/docker.log";
const NEEDS: &[&str] = &["dockerd", "docker", "runc", "containerd", "ss"];

/// A node whose kubelet uses docker, and docker with these flags.
fn host(flags: &str) -> Option<Sandbox> {
    let host = Sandbox::start(Options { name: "w1", booted: true, needs: NEEDS, ..Options::default() })?;
    host.write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --container-runtime=docker --kubeconfig=/etc/kubernetes/kubelet.conf\n\
         Restart=always\n[Install]\nWantedBy=multi-user.target\n",
    );
    host.enable("/etc/systemd/system/kubelet.service");
    host.write(UNIT, unit(flags));
    host.enable(UNIT);
    Some(host)
}

fn unit(flags: &str) -> String {
    format!(
        "[Service]\nExecStart=/usr/sbin/dockerd --iptables=false --storage-driver=vfs{flags}\nRestart=always\n[Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// dockerd, once it answers.
fn serving(host: &Sandbox) -> Process {
    let mut dockerd = host.start_unit(UNIT, LOG);
    eventually("dockerd", 60, || {
        assert!(dockerd.ended().is_none(), "dockerd ends:\n{}", host.read(LOG));
        host.output("docker info").status.success().then_some(())
    });
    dockerd
}

/// Ends dockerd and what it started, as systemd would.
fn stop(host: &Sandbox, mut dockerd: Process) {
    host.sh("kill $(cat /run/docker.pid)");
    dockerd.end_within(30);
    // What it has said a moment ago is not what is so now.
    host.sh(&format!("mv {LOG} /root/"));
}

#[test]
fn a_daemon_that_is_not_there() {
    const RULE: &str = "docker-not-running";
    let _machine = alone();
    let Some(host) = host(" --bridge=none") else { return };
    let dockerd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
    stop(&host, dockerd);
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "docker"]);
    host.sh(&finding.fix().pop().unwrap_or_default());
    assert!(host.systemctl_calls().contains("docker"), "{}", host.systemctl_calls());
    let _dockerd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_port_that_makes_anyone_root() {
    const RULE: &str = "docker-api-exposed";
    let _machine = alone();
    let flags = " --bridge=none -H unix:///var/run/docker.sock -H tcp://0.0.0.0:2375";
    let Some(host) = host(flags) else { return };
    let dockerd = host.start_unit(UNIT, LOG);
    let ask = "curl -sf http://10.0.0.11:2375/version";
    // It waits a while before it opens such a port.
    eventually("dockerd's port", 90, || host.output(ask).status.success().then_some(()));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "2375"]);
    finding.points_at(UNIT, &unit(flags), "tcp://0.0.0.0:2375");
    host.apply(&finding.fix());
    stop(&host, dockerd);
    let _dockerd = serving(&host);
    assert!(!host.output(ask).status.success(), "it is still open");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_flag_that_it_does_not_know_any_more() {
    const RULE: &str = "docker-flag-removed";
    let _machine = alone();
    // Not in the unit: what the daemon itself says is all that there is.
    let Some(host) = host(" --bridge=none --disable-legacy-registry") else { return };
    let ended = host.start_unit(UNIT, LOG).end_within(30);
    let log = host.read(LOG);
    if ended.success() || !log.contains("unknown flag: --disable-legacy-registry") {
        return crate::harness::skip(&format!("this dockerd knows it: {log}"));
    }
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["disable-legacy-registry"]);
    finding.has_log(LOG, "unknown flag: --disable-legacy-registry");
    // As the finding says: it goes without replacement.
    host.write(UNIT, unit(" --bridge=none"));
    let _dockerd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_bridge_of_its_own_beside_flannels_subnet() {
    const RULE: &str = "docker-bridge-not-flannel";
    let _machine = alone();
    let Some(host) = host("") else { return };
    host.write(
        "/etc/systemd/system/flanneld.service",
        "[Service]\nExecStart=/usr/bin/flanneld --etcd-endpoints=http://10.0.0.11:2379\nRestart=always\n[Install]\n\
         WantedBy=multi-user.target\n",
    );
    host.enable("/etc/systemd/system/flanneld.service");
    host.write(
        "/run/flannel/subnet.env",
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
    );
    let dockerd = serving(&host);
    assert!(host.sh("ip -4 address show docker0").contains("172."), "docker0 has no network of its own");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "10.244.3.1/24"]);
    host.apply(&finding.fix());
    stop(&host, dockerd);
    // Its drop-in brings the variables, the flags use them.
    assert!(host.read("/etc/systemd/system/docker.service.d/flannel.conf").contains("/run/flannel/subnet.env"));
    host.write(UNIT, unit(" --bip=${FLANNEL_SUBNET} --mtu=${FLANNEL_MTU}"));
    let _dockerd = host.spawn(
        "env $(cat /run/flannel/subnet.env) sh -c 'exec dockerd --iptables=false --storage-driver=vfs \
         --bip=$FLANNEL_SUBNET --mtu=$FLANNEL_MTU'",
        LOG,
    );
    eventually("dockerd", 60, || host.output("docker info").status.success().then_some(()));
    assert!(host.sh("ip -4 address show docker0").contains("10.244.3.1/24"));
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_daemon_that_does_not_find_its_own_programs() {
    const RULE: &str = "runtime-binary-missing";
    let _machine = alone();
    let Some(host) = host(" --bridge=none") else { return };
    host.sh("mkdir -p /var/bin");
    let command = "env PATH=/var/bin /usr/sbin/dockerd --iptables=false --storage-driver=vfs --bridge=none";
    let ended = host.spawn(command, LOG).end_within(60);
    assert!(!ended.success(), "dockerd does without containerd:\n{}", host.read(LOG));
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["containerd"]);
    let _dockerd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_host_without_iptables() {
    const RULE: &str = "host-executable-missing";
    let _machine = alone();
    let Some(host) = host(" --bridge=none") else { return };
    host.write(UNIT, unit("").replace(" --iptables=false", ""));
    host.hide("iptables");
    let ended = host.start_unit(UNIT, LOG).end_within(60);
    let log = host.read(LOG);
    assert!(!ended.success() && log.contains("iptables"), "dockerd does without iptables:\n{log}");
    let report = host.check(&["--only", RULE]);
    let found = report.of_rule(RULE);
    let finding = found.iter().find(|one| one.title().contains("w1 has no iptables")).expect("iptables is missed");
    // What the package manager would bring.
    assert!(finding.fix().iter().any(|command| command.contains("install")), "{}", report.human());
    host.show();
    host.write(UNIT, unit(" --bridge=none"));
    host.sh(&format!("rm {LOG}"));
    let _dockerd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_registry_that_it_does_not_trust() {
    const RULE: &str = "registry-untrusted";
    let _machine = alone();
    let Some(host) = host(" --bridge=none") else { return };
    host.sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/key -out /root/certificate \
         -days 30 -subj /CN=registry -addext subjectAltName=IP:10.0.0.11",
    );
    let _registry =
        host.spawn("openssl s_server -accept 5000 -cert /root/certificate -key /root/key -www", "/tmp/registry.log");
    let dockerd = serving(&host);
    let pull = "timeout 10 docker pull 10.0.0.11:5000/pause:3.1 2>&1";
    let said = String::from_utf8_lossy(&host.output(pull).stdout).into_owned();
    assert!(said.contains("x509"), "{said}");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["w1", "10.0.0.11:5000"]);
    finding.has_log(LOG, "x509");
    // Its first command, with the registry's own certificate as the authority.
    host.sh(&format!("cd /root && cp certificate CA.crt && {}", finding.fix()[0]));
    stop(&host, dockerd);
    let _dockerd = serving(&host);
    let said = String::from_utf8_lossy(&host.output(pull).stdout).into_owned();
    assert!(!said.contains("x509"), "{said}");
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn an_image_from_a_registry_that_nobody_knows() {
    const RULE: &str = "image-pull-failed";
    let _machine = alone();
    let Some(host) = host(" --bridge=none") else { return };
    let dockerd = serving(&host);
    let pull = "docker pull registry.invalid/pause:3.1 2>&1";
    assert!(!host.output(pull).status.success());
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&["registry.invalid"]);
    // The image comes another way.
    host.sh("tar cf /tmp/empty.tar -T /dev/null; docker import /tmp/empty.tar registry.invalid/pause:3.1");
    stop(&host, dockerd);
    let _dockerd = serving(&host);
    host.check(&["--only", RULE]).silent(RULE);
}

#[test]
fn a_log_that_docker_makes_a_directory_of() {
    const RULE: &str = "mounted-file-is-directory";
    let _machine = alone();
    let Some(host) = host(" --bridge=none") else { return };
    let _dockerd = serving(&host);
    let log = "/var/log/kube-apiserver.log";
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-apiserver\nspec:\n  hostNetwork: true\n  containers:\n  \
         - name: kube-apiserver\n    image: gcr.io/google_containers/kube-apiserver:v1.3.3\n    command:\n    - /bin/sh\n    \
         - -c\n    - kube-apiserver --etcd-servers=http://127.0.0.1:2379 >> {log} 2>&1\n    volumeMounts:\n    \
         - name: logfile\n      mountPath: {log}\n  volumes:\n  - name: logfile\n    hostPath:\n      path: {log}\n"
    );
    host.write("/etc/kubernetes/manifests/kube-apiserver.yaml", manifest);
    // The container as an old kubelet has docker start it; it ends at once, and the directory stays.
    host.sh("tar cf /tmp/empty.tar -T /dev/null; docker import /tmp/empty.tar empty");
    host.output(&format!("docker run --network=host -v {log}:{log} empty /bin/sh"));
    assert!(host.path(log).is_dir(), "docker makes no directory");
    let report = host.check(&["--only", RULE]);
    let finding = report.only(RULE);
    finding.says(&[log, "directory"]);
    host.apply(&finding.fix());
    assert!(host.path(log).is_file());
    host.check(&["--only", RULE]).silent(RULE);
}
