//! kubeadm with an external etcd: masters m1 m2 m3, each with an etcd of its own under systemd (TLS by cfssl) and haproxy, a
//! virtual address that keepalived moves between them, and a worker w1.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::etcd::Member;
use super::{Cluster, True, etcd, kubeadm};
use crate::build::Built;
use crate::host::Plan;

const HOSTS: [(&str, u8); 4] = [("m1", 11), ("m2", 12), ("m3", 13), ("w1", 21)];

const VIRTUAL: &str = "10.77.0.60";

pub const TRUE_OF_IT: &[True] = &[
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

fn masters() -> impl Iterator<Item = (&'static str, u8)> {
    HOSTS.into_iter().filter(|(name, _)| name.starts_with('m'))
}

/// The members of etcd.
pub fn members() -> Vec<Member> {
    masters().map(|(name, last)| Member { name, address: address(last) }).collect()
}

pub fn plans() -> Vec<Plan> {
    let plan = |(name, last): (&'static str, u8)| Plan {
        name,
        address: address(last),
        routes: kubeadm::pod_networks(&HOSTS)
            .filter(|(other, _)| *other != last)
            .map(|(other, network)| format!("ip route add {network} via {}", address(other)))
            .collect(),
    };
    HOSTS.into_iter().map(plan).collect()
}

pub fn prepare(plan: &Plan, root: &Path, built: &Built, pki: &Path) -> Result<()> {
    let mut names = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    HOSTS.iter().for_each(|(name, last)| names.push_str(&format!("{} {name}\n", address(*last))));
    names.push_str(&format!("{VIRTUAL} api.lab.internal\n"));
    std::fs::write(root.join("etc/hosts"), names)?;
    kubeadm::prepare(root, built)?;
    kubeadm::network(root, &HOSTS, plan)?;
    if plan.name.starts_with('w') {
        return Ok(());
    }
    etcd::prepare(plan, root, built, pki, &members())?;
    std::fs::write(root.join("etc/haproxy/haproxy.cfg"), haproxy())?;
    std::fs::write(root.join("etc/keepalived/keepalived.conf"), keepalived(plan))?;
    for unit in ["haproxy", "keepalived"] {
        kubeadm::enable(root, &format!("/lib/systemd/system/{unit}.service"), &format!("{unit}.service"))?;
    }
    Ok(())
}

fn haproxy() -> String {
    let mut text = kubeadm::HAPROXY.to_owned();
    text.push_str("\nfrontend apiserver\n    bind *:8443\n    default_backend apiservers\n\nbackend apiservers\n");
    text.push_str("    balance roundrobin\n    option tcp-check\n");
    masters().for_each(|(name, last)| {
        text.push_str(&format!("    server {name} {}:6443 check inter 2s fall 3 rise 2\n", address(last)));
    });
    text
}

fn keepalived(plan: &Plan) -> String {
    let number = plan.address.octets()[3];
    let peers: String = masters()
        .filter(|(name, _)| *name != plan.name)
        .map(|(_, last)| format!("        {}\n", address(last)))
        .collect();
    format!(
        "\
global_defs {{
    router_id {name}
    script_user root
    enable_script_security
}}

vrrp_script check_haproxy {{
    script \"/usr/bin/pgrep -x haproxy\"
    interval 3
    weight -20
}}

vrrp_instance VI_1 {{
    state {state}
    interface host0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    unicast_src_ip {own}
    unicast_peer {{
{peers}    }}
    authentication {{
        auth_type PASS
        auth_pass k8svip
    }}
    virtual_ipaddress {{
        {VIRTUAL}/24
    }}
    track_script {{
        check_haproxy
    }}
}}
",
        name = plan.name,
        state = if plan.name == "m1" { "MASTER" } else { "BACKUP" },
        priority = 120 - number,
        own = plan.address,
    )
}

pub fn up(cluster: &Cluster, built: &Built) -> Result<()> {
    etcd::healthy(cluster.host("m1")?, &members())?;
    let endpoints = etcd::endpoints(&members());
    let listed: String = endpoints.iter().map(|endpoint| format!("\"{endpoint}\", ")).collect();
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
controlPlaneEndpoint: \"api.lab.internal:8443\"
networking: {{podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}}
apiServer: {{certSANs: [\"{VIRTUAL}\"]}}
etcd:
  external:
    endpoints: [{}]
    caFile: /etc/etcd/ssl/ca.pem
    certFile: /etc/etcd/ssl/client.pem
    keyFile: /etc/etcd/ssl/client-key.pem
{}",
        built.version,
        listed.trim_end_matches(", "),
        kubeadm::COMPONENTS
    );
    kubeadm::cluster(cluster, &HOSTS, &configuration)
}
