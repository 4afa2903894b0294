//! Plain binaries as units with EnvironmentFiles, without kubeadm: masters m1 m2, a worker w1, each with an etcd member
//! (TLS by cfssl), flannel whose settings are in etcd, docker with the bridge that flannel leased, and cri-dockerd. The
//! worker reaches the masters through an nginx of its own.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::etcd::Member;
use super::pki::{Authority, Use, write_private};
use super::{Cluster, GATEWAY, True, etcd, kubeadm};
use crate::build::Built;
use crate::command::{eventually, say};
use crate::host::{Host, Plan};

const HOSTS: [(&str, u8); 3] = [("m1", 11), ("m2", 12), ("w1", 21)];

pub const TRUE_OF_IT: &[True] = &[
    True { rule: "etcd-disk-slow", why: "all hosts share one disk" },
    True {
        rule: "etcd-peer-network-unstable",
        why: "all hosts share two processors, and etcd's answers take their turn",
    },
    True { rule: "host-clock-unsynchronized", why: "no time server can be reached" },
    True { rule: "host-resources-insufficient", why: "the machine is small" },
    True { rule: "version-end-of-life", why: "it is the oldest release that still builds" },
];

/// What every unit reads.
const COMMON: &str = "\
# kubernetes system config, for every unit
KUBE_LOGTOSTDERR=\"--logtostderr=true\"
KUBE_LOG_LEVEL=\"--v=2\"
KUBE_ALLOW_PRIV=\"--allow-privileged=true\"
";

/// The units of every host, in the order in which they are started.
const UNITS: [(&str, &str); 5] = [
    ("flanneld", include_str!("units/flanneld.service")),
    ("docker", include_str!("units/docker.service")),
    ("cri-docker", include_str!("units/cri-docker.service")),
    ("kubelet", include_str!("units/kubelet.service")),
    ("kube-proxy", include_str!("units/kube-proxy.service")),
];

/// The units of a master beside them.
const MASTER_UNITS: [(&str, &str); 3] = [
    ("kube-apiserver", include_str!("units/kube-apiserver.service")),
    ("kube-controller-manager", include_str!("units/kube-controller-manager.service")),
    ("kube-scheduler", include_str!("units/kube-scheduler.service")),
];

fn members() -> Vec<Member> {
    HOSTS.into_iter().map(|(name, last)| Member { name, address: Ipv4Addr::new(10, 77, 0, last) }).collect()
}

fn is_master(plan: &Plan) -> bool {
    plan.name.starts_with('m')
}

pub fn plans() -> Vec<Plan> {
    members().into_iter().map(|Member { name, address }| Plan { name, address, routes: Vec::new() }).collect()
}

/// The authorities of etcd and of Kubernetes, and what they issue.
pub fn certificates(folder: &Path) -> Result<()> {
    etcd::certificates(&folder.join("etcd"), &members())?;
    let authority = Authority::make(&folder.join("kubernetes"), "kubernetes")?;
    let masters: Vec<String> =
        members().iter().filter(|m| m.name.starts_with('m')).map(|m| format!("{},{}", m.address, m.name)).collect();
    let names = format!(
        "127.0.0.1,10.254.0.1,{},kubernetes,kubernetes.default,kubernetes.default.svc,\
         kubernetes.default.svc.cluster.local",
        masters.join(",")
    );
    authority.issue(Use::Both, &names, "kubernetes", None, "kubernetes")?;
    for (common_name, organization, out) in [
        ("admin", Some("system:masters"), "admin"),
        ("kube-apiserver-kubelet-client", Some("system:masters"), "kubelet-client"),
        ("system:kube-controller-manager", None, "kube-controller-manager"),
        ("system:kube-scheduler", None, "kube-scheduler"),
        ("system:kube-proxy", None, "kube-proxy"),
        ("service-accounts", None, "service-account"),
    ] {
        authority.issue(Use::Client, "", common_name, organization, out)?;
    }
    for Member { name, address } in members() {
        let names = format!("{address},{name}");
        let user = format!("system:node:{name}");
        authority.issue(Use::Both, &names, &user, Some("system:nodes"), &format!("kubelet-{name}"))?;
    }
    Ok(())
}

pub fn prepare(plan: &Plan, root: &Path, built: &Built, pki: &Path) -> Result<()> {
    let mut names = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    members().iter().for_each(|member| names.push_str(&format!("{} {}\n", member.address, member.name)));
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write("etc/hosts", &names)?;
    write("etc/resolv.conf", &format!("nameserver {GATEWAY}\n"))?;
    // kubeadm's are in the shared root.
    for folder in ["usr/lib/systemd/system/kubelet.service.d", "etc/kubernetes/manifests", "etc/cni/net.d"] {
        std::fs::remove_dir_all(root.join(folder)).with_context(|| folder.to_owned())?;
    }
    std::fs::remove_file(root.join("usr/lib/systemd/system/kubelet.service"))?;
    etcd::prepare(plan, root, built, &pki.join("etcd"), &members())?;

    let mut programs = vec!["kubelet", "kube-proxy", "kubectl", "etcdctl", "flanneld", "cri-dockerd"];
    if is_master(plan) {
        programs.extend(["kube-apiserver", "kube-controller-manager", "kube-scheduler"]);
    }
    for program in programs {
        std::fs::copy(built.programs.join(program), root.join("usr/local/bin").join(program))
            .with_context(|| program.to_owned())?;
    }
    for (path, text) in [
        ("usr/local/bin/mk-docker-opts.sh", include_str!("units/mk-docker-opts.sh")),
        ("usr/local/sbin/runc", include_str!("units/runc")),
    ] {
        write(path, text)?;
        std::fs::set_permissions(root.join(path), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    ssl(plan, root, &pki.join("kubernetes"))?;
    for (name, text) in UNITS.iter().chain(MASTER_UNITS.iter().filter(|_| is_master(plan))) {
        write(&format!("etc/systemd/system/{name}.service"), text)?;
    }
    environments(plan, &write)?;
    write(
        "etc/docker/daemon.json",
        "{\n  \"exec-opts\": [\"native.cgroupdriver=systemd\"],\n  \"storage-driver\": \"overlay2\"\n}\n",
    )?;
    write("var/lib/kubelet/config.yaml", include_str!("units/kubelet.yaml"))?;
    if !is_master(plan) {
        write("etc/nginx/nginx.conf", include_str!("units/nginx.conf"))?;
        kubeadm::enable(root, "/lib/systemd/system/nginx.service", "nginx.service")?;
    }
    Ok(())
}

/// Certificates, keys and kubeconfigs.
fn ssl(plan: &Plan, root: &Path, pki: &Path) -> Result<()> {
    let folder = root.join("etc/kubernetes/ssl");
    std::fs::create_dir_all(&folder)?;
    let read = |name: &str| std::fs::read_to_string(pki.join(name)).with_context(|| name.to_owned());
    let mut wanted = vec![("kube-proxy", "kube-proxy"), (plan.name, "kubelet")];
    if is_master(plan) {
        wanted.extend(
            [
                "ca",
                "kubernetes",
                "kubelet-client",
                "service-account",
                "admin",
                "kube-controller-manager",
                "kube-scheduler",
            ]
            .map(|name| (name, name)),
        );
    }
    write_private(&folder.join("ca.pem"), &read("ca.pem")?)?;
    for (name, to) in wanted {
        let from = if to == "kubelet" { format!("kubelet-{name}") } else { name.to_owned() };
        for suffix in [".pem", "-key.pem"] {
            write_private(&folder.join(format!("{to}{suffix}")), &read(&format!("{from}{suffix}"))?)?;
        }
    }
    // Masters dial their own apiserver, workers their own nginx.
    let server = if is_master(plan) { plan.address } else { Ipv4Addr::LOCALHOST };
    let mut users = vec![("kubelet.kubeconfig", "kubelet"), ("kube-proxy.kubeconfig", "kube-proxy")];
    if is_master(plan) {
        users.extend([
            ("admin.conf", "admin"),
            ("kube-controller-manager.kubeconfig", "kube-controller-manager"),
            ("kube-scheduler.kubeconfig", "kube-scheduler"),
        ]);
    }
    for (file, user) in users {
        let text = format!(
            "\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /etc/kubernetes/ssl/ca.pem
    server: https://{server}:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: {user}
  name: default
current-context: default
preferences: {{}}
users:
- name: {user}
  user:
    client-certificate: /etc/kubernetes/ssl/{user}.pem
    client-key: /etc/kubernetes/ssl/{user}-key.pem
"
        );
        write_private(&root.join("etc/kubernetes").join(file), &text)?;
    }
    Ok(())
}

/// The files that the units read their flags from.
fn environments(plan: &Plan, write: &dyn Fn(&str, &str) -> Result<()>) -> Result<()> {
    let endpoints = etcd::endpoints(&members()).join(",");
    let (name, own) = (plan.name, plan.address);
    write("etc/kubernetes/config", COMMON)?;
    write(
        "etc/kubernetes/kubelet",
        &format!(
            "\
KUBELET_HOSTNAME=\"--hostname-override={name}\"
KUBELET_RUNTIME=\"--container-runtime=remote --container-runtime-endpoint=unix:///run/cri-dockerd.sock\"
KUBELET_ARGS=\"--config=/var/lib/kubelet/config.yaml \\
--kubeconfig=/etc/kubernetes/kubelet.kubeconfig \\
--node-ip={own} \\
--pod-infra-container-image=k8s.gcr.io/pause:3.7\"
"
        ),
    )?;
    write(
        "etc/kubernetes/proxy",
        &format!(
            "\
KUBE_PROXY_ARGS=\"--kubeconfig=/etc/kubernetes/kube-proxy.kubeconfig \\
--hostname-override={name} \\
--cluster-cidr=10.244.0.0/16 \\
--conntrack-max-per-core=0 --conntrack-min=0 \\
--conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s\"
"
        ),
    )?;
    write(
        "etc/sysconfig/flanneld",
        &format!(
            "\
# etcd and the key under which flannel's network is described
FLANNEL_ETCD_ENDPOINTS=\"{endpoints}\"
FLANNEL_ETCD_PREFIX=\"/atomic.io/network\"
FLANNEL_OPTIONS=\"-iface=host0 -ip-masq -etcd-cafile=/etc/etcd/ssl/ca.pem -etcd-certfile=/etc/etcd/ssl/client.pem -etcd-keyfile=/etc/etcd/ssl/client-key.pem\"
"
        ),
    )?;
    if !is_master(plan) {
        return Ok(());
    }
    write(
        "etc/kubernetes/apiserver",
        &format!(
            "\
KUBE_API_ADDRESS=\"--advertise-address={own} --bind-address={own}\"
KUBE_API_PORT=\"--secure-port=6443\"
KUBE_ETCD_SERVERS=\"--etcd-servers={endpoints}\"
KUBE_SERVICE_ADDRESSES=\"--service-cluster-ip-range=10.254.0.0/16\"
KUBE_ADMISSION_CONTROL=\"--enable-admission-plugins=NamespaceLifecycle,LimitRanger,ServiceAccount,ResourceQuota,NodeRestriction\"
KUBE_API_ARGS=\"--authorization-mode=Node,RBAC \\
--client-ca-file=/etc/kubernetes/ssl/ca.pem \\
--etcd-cafile=/etc/etcd/ssl/ca.pem \\
--etcd-certfile=/etc/etcd/ssl/client.pem \\
--etcd-keyfile=/etc/etcd/ssl/client-key.pem \\
--kubelet-certificate-authority=/etc/kubernetes/ssl/ca.pem \\
--kubelet-client-certificate=/etc/kubernetes/ssl/kubelet-client.pem \\
--kubelet-client-key=/etc/kubernetes/ssl/kubelet-client-key.pem \\
--service-account-issuer=https://kubernetes.default.svc.cluster.local \\
--service-account-key-file=/etc/kubernetes/ssl/service-account.pem \\
--service-account-signing-key-file=/etc/kubernetes/ssl/service-account-key.pem \\
--service-node-port-range=30000-32767 \\
--tls-cert-file=/etc/kubernetes/ssl/kubernetes.pem \\
--tls-private-key-file=/etc/kubernetes/ssl/kubernetes-key.pem\"
"
        ),
    )?;
    write(
        "etc/kubernetes/controller-manager",
        "\
KUBE_CONTROLLER_MANAGER_ARGS=\"--kubeconfig=/etc/kubernetes/kube-controller-manager.kubeconfig \\
--authentication-kubeconfig=/etc/kubernetes/kube-controller-manager.kubeconfig \\
--authorization-kubeconfig=/etc/kubernetes/kube-controller-manager.kubeconfig \\
--bind-address=127.0.0.1 \\
--cluster-cidr=10.244.0.0/16 \\
--cluster-name=kubernetes \\
--cluster-signing-cert-file=/etc/kubernetes/ssl/ca.pem \\
--cluster-signing-key-file=/etc/kubernetes/ssl/ca-key.pem \\
--leader-elect=true \\
--root-ca-file=/etc/kubernetes/ssl/ca.pem \\
--service-account-private-key-file=/etc/kubernetes/ssl/service-account-key.pem \\
--service-cluster-ip-range=10.254.0.0/16 \\
--use-service-account-credentials=true\"
",
    )?;
    write(
        "etc/kubernetes/scheduler",
        "\
KUBE_SCHEDULER_ARGS=\"--kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig \\
--authentication-kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig \\
--authorization-kubeconfig=/etc/kubernetes/kube-scheduler.kubeconfig \\
--bind-address=127.0.0.1 \\
--leader-elect=true\"
",
    )
}

/// flannel's network into etcd, then every unit, host after host.
pub fn up(cluster: &Cluster) -> Result<()> {
    let first = cluster.host("m1")?;
    etcd::healthy(first, &members())?;
    first.ok(&format!(
        "{} put /atomic.io/network/config '{{\"Network\":\"10.244.0.0/16\",\"Backend\":{{\"Type\":\"vxlan\"}}}}'",
        etcd::client(&members())
    ))?;
    for master in cluster.masters() {
        start(master, &MASTER_UNITS.map(|(name, _)| name))?;
    }
    for host in &cluster.hosts {
        start(host, &["flanneld", "docker", "cri-docker"])?;
        host.ok("docker load --quiet --input /img/pause.tar")?;
        start(host, &["kubelet", "kube-proxy"])?;
    }
    first.write("/root/workload.yaml", include_str!("units/workload.yaml"))?;
    // The default service account comes a moment after the apiserver.
    eventually("the workload", Duration::from_secs(90), || {
        let rights = "kubectl --kubeconfig /etc/kubernetes/admin.conf get clusterrolebinding system:node-proxier";
        first.ok(rights)?;
        first.ok("kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f /root/workload.yaml")
    })
    .map(|_| ())
}

fn start(host: &Host, units: &[&str]) -> Result<()> {
    say(&format!("{} starts {}", host.name, units.join(", ")));
    host.ok_within(
        &format!("systemctl daemon-reload; systemctl enable --now {}", units.join(" ")),
        Duration::from_secs(180),
    )
    .map(|_| ())
}

/// flanneld 0.25 spins when etcd has lost its leader: it reads its watch's closed channel for ever. What has used ten seconds
/// of a processor does, and is ended; systemd starts it again, and docker goes on meanwhile.
pub fn end_spinning_flannel(cluster: &Cluster) -> Result<()> {
    for host in &cluster.hosts {
        host.ok("for pid in $(pgrep -x flanneld); do
               [ \"$(awk '{print $14 + $15}' /proc/$pid/stat)\" -lt 1000 ] || kill -9 $pid
             done")?;
    }
    Ok(())
}

/// Takes a worker out of the cluster; gives the command that brings it back.
pub fn join_again(cluster: &Cluster, worker: &Host) -> Result<String> {
    say(&format!("{} leaves", worker.name));
    worker.ok("systemctl stop kubelet kube-proxy")?;
    let kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
    cluster.host("m1")?.ok(&format!("{kubectl} delete node {}", worker.name))?;
    Ok("systemctl start kubelet kube-proxy".to_owned())
}
