//! What the clusters that kubeadm makes have in common.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::build::{Built, root};
use crate::command::{output, say};
use crate::host::{Host, Plan};
use crate::shape::{Cluster, GATEWAY};

/// A container is given more memory and CPUs than kubeadm sees, and no kernel configuration of its own.
const IGNORED: &str = "--ignore-preflight-errors=SystemVerification,Mem,NumCPU";

/// Kubernetes' programs, the runtime's configuration and the name server, before the boot.
pub fn prepare(root: &Path, built: &Built) -> Result<()> {
    for name in ["kubeadm", "kubelet", "kubectl"] {
        copy(&built.programs.join(name), &root.join("usr/bin").join(name))?;
    }
    for name in ["etcdctl", "crictl"] {
        copy(&built.programs.join(name), &root.join("usr/local/bin").join(name))?;
    }
    let pause = built.reference("pause")?;
    let default = output(&mut root::chroot(root, &["containerd", "config", "default"]), Duration::from_secs(30))?;
    let lines = default.lines().map(|line| {
        let indent = line.len() - line.trim_start().len();
        match line.trim_start().split(" =").next() {
            Some("SystemdCgroup") => format!("{:indent$}SystemdCgroup = true", ""),
            // Without CAP_SYS_RESOURCE a container can't be made less likely to be killed than its parent.
            Some("restrict_oom_score_adj") => format!("{:indent$}restrict_oom_score_adj = true", ""),
            // Where Debian's package puts the plug-ins.
            Some("bin_dir") => format!("{:indent$}bin_dir = \"/usr/lib/cni\"", ""),
            Some("sandbox_image") => format!("{:indent$}sandbox_image = \"{pause}\"", ""),
            _ => line.to_owned(),
        }
    });
    std::fs::create_dir_all(root.join("etc/containerd"))?;
    std::fs::write(root.join("etc/containerd/config.toml"), lines.map(|line| line + "\n").collect::<String>())?;
    std::fs::write(root.join("etc/crictl.yaml"), "runtime-endpoint: unix:///run/containerd/containerd.sock\n")?;
    std::fs::write(root.join("etc/resolv.conf"), format!("nameserver {GATEWAY}\n"))?;
    enable(root, "/usr/lib/systemd/system/kubelet.service", "kubelet.service")?;
    Ok(())
}

pub fn enable(root: &Path, unit: &str, name: &str) -> Result<()> {
    let folder = root.join("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&folder)?;
    let link = folder.join(name);
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(unit, link).with_context(|| name.to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| from.display().to_string()).map(|_| ())
}

/// A bridge network whose range is the node's own.
fn cni_configuration(range: &str) -> String {
    let configuration = serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": range }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    format!("{configuration:#}\n")
}

/// kube-proxy can't set the machine's conntrack limits from a container, and how full the machine's disk is says nothing of
/// the hosts.
pub const COMPONENTS: &str = "\
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
";

/// The pod networks of the nodes by the last part of their address; a load balancer has none.
pub fn pod_networks(hosts: &[(&'static str, u8)]) -> impl Iterator<Item = (u8, String)> {
    let nodes = hosts.iter().filter(|(name, _)| *name != "lb");
    (1..).zip(nodes).map(|(number, (_, last))| (*last, format!("10.244.{number}.0/24")))
}

/// The node's part of the pod network.
pub fn network(root: &Path, hosts: &[(&'static str, u8)], plan: &Plan) -> Result<()> {
    let own = plan.address.octets()[3];
    let (_, range) = pod_networks(hosts).find(|(last, _)| *last == own).context("no pod network")?;
    std::fs::create_dir_all(root.join("etc/cni/net.d"))?;
    Ok(std::fs::write(root.join("etc/cni/net.d/10-bridge.conflist"), cni_configuration(&range))?)
}

pub const HAPROXY: &str = "\
global
    log /dev/log local0
    maxconn 4096
    user haproxy
    group haproxy

defaults
    log     global
    mode    tcp
    option  tcplog
    timeout connect 5s
    timeout client  10m
    timeout server  10m
";

/// The first master, the others, the workers.
pub fn cluster(cluster: &Cluster, hosts: &[(&'static str, u8)], configuration: &str) -> Result<()> {
    let join = init(cluster.host("m1")?, configuration)?;
    for (name, last) in hosts {
        match name.chars().next() {
            Some('m') if *name != "m1" => {
                join.master(cluster.host(name)?, std::net::Ipv4Addr::new(10, 77, 0, *last))?;
            }
            Some('w') => join.worker(cluster.host(name)?)?,
            _ => {}
        }
    }
    Ok(())
}

/// `kubeadm init` with a configuration, and what to join with.
pub fn init(host: &Host, configuration: &str) -> Result<Join> {
    say(&format!("kubeadm init on {}", host.name));
    host.write("/root/kubeadm.yaml", configuration)?;
    let said = host.ok_within(
        &format!("kubeadm init --config /root/kubeadm.yaml --upload-certs {IGNORED} 2>&1 | tee /root/kubeadm-init.log"),
        Duration::from_secs(420),
    )?;
    let words = said.replace("\\\n", " ");
    let line = words.lines().find(|line| line.contains("kubeadm join") && line.contains("--control-plane"));
    let line = line.with_context(|| format!("kubeadm says no join command:\n{said}"))?;
    let worker = line.split("--control-plane").next().unwrap_or_default();
    Ok(Join { control_plane: line.trim().to_owned(), worker: worker.trim().to_owned() })
}

/// The commands that kubeadm gave.
pub struct Join {
    control_plane: String,
    pub worker: String,
}

impl Join {
    fn master(&self, host: &Host, address: std::net::Ipv4Addr) -> Result<()> {
        say(&format!("{} joins as a master", host.name));
        let command = format!("{} --apiserver-advertise-address {address} {IGNORED}", self.control_plane);
        host.ok_within(&command, Duration::from_secs(420)).map(|_| ())
    }

    fn worker(&self, host: &Host) -> Result<()> {
        say(&format!("{} joins as a worker", host.name));
        host.ok_within(&format!("{} {IGNORED}", self.worker), Duration::from_secs(300)).map(|_| ())
    }
}

/// Takes a worker out of the cluster and clears it; gives the command that it joins with again.
pub fn join_again(cluster: &Cluster, worker: &Host) -> Result<String> {
    say(&format!("{} leaves", worker.name));
    let first = cluster.host("m1")?;
    let kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
    first.ok(&format!(
        "{kubectl} drain {0} --ignore-daemonsets --timeout=90s; {kubectl} delete node {0}",
        worker.name
    ))?;
    worker.ok_within("kubeadm reset --force; ip link delete cni0 2>/dev/null || true", Duration::from_secs(180))?;
    let said = first.ok("kubeadm token create --print-join-command")?;
    let command = said.lines().find(|line| line.starts_with("kubeadm join")).context("kubeadm says no join command")?;
    say(&format!("{} joins as a worker", worker.name));
    Ok(format!("{} {IGNORED}", command.trim()))
}
