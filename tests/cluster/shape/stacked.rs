//! kubeadm with stacked etcd: masters m1 m2 m3, a worker w1, haproxy on lb.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::{Cluster, True, kubeadm};
use crate::build::Built;
use crate::host::Plan;

const HOSTS: [(&str, u8); 5] = [("m1", 11), ("m2", 12), ("m3", 13), ("w1", 21), ("lb", 10)];

pub const TRUE_OF_IT: &[True] = &[
    True { rule: "lb-is-single", why: "there is one load balancer" },
    True { rule: "etcd-disk-slow", why: "all hosts share one disk" },
    True {
        rule: "etcd-peer-network-unstable",
        why: "all hosts share two processors, and etcd's answers take their turn",
    },
    True { rule: "host-clock-unsynchronized", why: "no time server can be reached" },
    True { rule: "host-resources-insufficient", why: "the machine is small" },
];

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

pub fn plans() -> Vec<Plan> {
    let plan = |(name, last): (&'static str, u8)| Plan {
        name,
        address: address(last),
        routes: kubeadm::pod_networks(&HOSTS)
            .filter(|(other, _)| *other != last && name != "lb")
            .map(|(other, network)| format!("ip route add {network} via {}", address(other)))
            .collect(),
    };
    HOSTS.into_iter().map(plan).collect()
}

pub fn prepare(plan: &Plan, root: &Path, built: &Built) -> Result<()> {
    let mut names = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for (name, last) in HOSTS {
        let more = if name == "lb" { " lb.lab.internal" } else { "" };
        names.push_str(&format!("{} {name}{more}\n", address(last)));
    }
    std::fs::write(root.join("etc/hosts"), names)?;
    if plan.name == "lb" {
        std::fs::write(root.join("etc/resolv.conf"), format!("nameserver {}\n", super::GATEWAY))?;
        std::fs::write(root.join("etc/haproxy/haproxy.cfg"), haproxy())?;
        for unit in ["containerd", "docker"] {
            let _ =
                std::fs::remove_file(root.join(format!("etc/systemd/system/multi-user.target.wants/{unit}.service")));
        }
        return kubeadm::enable(root, "/lib/systemd/system/haproxy.service", "haproxy.service");
    }
    kubeadm::prepare(root, built)?;
    kubeadm::network(root, &HOSTS, plan)
}

fn haproxy() -> String {
    let mut text = kubeadm::HAPROXY.to_owned();
    text.push_str(
        "\nfrontend kube-apiserver\n    bind 10.77.0.10:6443\n    default_backend masters\n\nbackend masters\n",
    );
    text.push_str("    option tcp-check\n    balance roundrobin\n");
    for (name, last) in HOSTS.into_iter().filter(|(name, _)| name.starts_with('m')) {
        text.push_str(&format!("    server {name} {}:6443 check\n", address(last)));
    }
    text
}

pub fn up(cluster: &Cluster, built: &Built) -> Result<()> {
    let configuration = format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: 10.77.0.11}}
nodeRegistration: {{criSocket: \"unix:///run/containerd/containerd.sock\"}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v{}
controlPlaneEndpoint: \"lb.lab.internal:6443\"
networking: {{podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}}
{}",
        built.version,
        kubeadm::COMPONENTS
    );
    kubeadm::cluster(cluster, &HOSTS, &configuration)
}
