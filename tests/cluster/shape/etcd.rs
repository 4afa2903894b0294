//! etcd outside of Kubernetes: a unit with its settings in an EnvironmentFile, certificates of an authority of its own by cfssl.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::kubeadm;
use super::pki::{Authority, Use, write_private};
use crate::build::Built;
use crate::command::{eventually, say};
use crate::host::{Host, Plan};

/// A host with a member.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    pub name: &'static str,
    pub address: Ipv4Addr,
}

const UNIT: &str = "\
[Unit]
Description=Etcd Server
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
WorkingDirectory=/var/lib/etcd/
EnvironmentFile=/etc/etcd/etcd.conf
ExecStart=/usr/local/bin/etcd
Restart=always
RestartSec=5
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
";

/// The authority and the certificates of all members, in a folder beside the hosts.
pub fn certificates(folder: &Path, members: &[Member]) -> Result<()> {
    let authority = Authority::make(folder, "etcd-ca")?;
    for Member { name, address } in members {
        let names = format!("127.0.0.1,localhost,{address},{name}");
        authority.issue(Use::Both, &names, name, None, &format!("server-{name}"))?;
        authority.issue(Use::Both, &names, name, None, &format!("peer-{name}"))?;
    }
    authority.issue(Use::Client, "", "kube-apiserver-etcd-client", None, "client")
}

/// A member's program, certificates, settings and unit, before the boot.
pub fn prepare(plan: &Plan, root: &Path, built: &Built, pki: &Path, members: &[Member]) -> Result<()> {
    let ssl = root.join("etc/etcd/ssl");
    std::fs::create_dir_all(&ssl)?;
    for (from, to) in [
        ("ca.pem".to_owned(), "ca.pem"),
        ("client.pem".to_owned(), "client.pem"),
        ("client-key.pem".to_owned(), "client-key.pem"),
        (format!("server-{}.pem", plan.name), "server.pem"),
        (format!("server-{}-key.pem", plan.name), "server-key.pem"),
        (format!("peer-{}.pem", plan.name), "peer.pem"),
        (format!("peer-{}-key.pem", plan.name), "peer-key.pem"),
    ] {
        let text = std::fs::read_to_string(pki.join(&from)).with_context(|| from.clone())?;
        write_private(&ssl.join(to), &text)?;
    }
    std::fs::copy(built.programs.join("etcd"), root.join("usr/local/bin/etcd"))?;
    let data = root.join("var/lib/etcd");
    std::fs::create_dir_all(&data)?;
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    std::fs::write(root.join("etc/etcd/etcd.conf"), environment(plan, members))?;
    std::fs::write(root.join("etc/systemd/system/etcd.service"), UNIT)?;
    kubeadm::enable(root, "/etc/systemd/system/etcd.service", "etcd.service")
}

fn environment(plan: &Plan, members: &[Member]) -> String {
    let (name, own) = (plan.name, plan.address);
    let all: Vec<String> =
        members.iter().map(|Member { name, address }| format!("{name}=https://{address}:2380")).collect();
    format!(
        "\
# [member]
ETCD_NAME={name}
ETCD_DATA_DIR=\"/var/lib/etcd/default.etcd\"
ETCD_LISTEN_PEER_URLS=\"https://{own}:2380\"
ETCD_LISTEN_CLIENT_URLS=\"https://{own}:2379,https://127.0.0.1:2379\"
# [cluster]
ETCD_INITIAL_ADVERTISE_PEER_URLS=\"https://{own}:2380\"
ETCD_INITIAL_CLUSTER=\"{}\"
ETCD_INITIAL_CLUSTER_STATE=\"new\"
ETCD_INITIAL_CLUSTER_TOKEN=\"k8s-etcd-cluster\"
ETCD_ADVERTISE_CLIENT_URLS=\"https://{own}:2379\"
# [security]
ETCD_CERT_FILE=\"/etc/etcd/ssl/server.pem\"
ETCD_KEY_FILE=\"/etc/etcd/ssl/server-key.pem\"
ETCD_CLIENT_CERT_AUTH=\"true\"
ETCD_TRUSTED_CA_FILE=\"/etc/etcd/ssl/ca.pem\"
ETCD_PEER_CERT_FILE=\"/etc/etcd/ssl/peer.pem\"
ETCD_PEER_KEY_FILE=\"/etc/etcd/ssl/peer-key.pem\"
ETCD_PEER_CLIENT_CERT_AUTH=\"true\"
ETCD_PEER_TRUSTED_CA_FILE=\"/etc/etcd/ssl/ca.pem\"
",
        all.join(",")
    )
}

/// Where the clients reach the members.
pub fn endpoints(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| format!("https://{}:2379", member.address)).collect()
}

/// etcdctl with all that it needs to reach the members, to be run on one of their hosts.
pub fn client(members: &[Member]) -> String {
    format!(
        "etcdctl --endpoints {} --cacert /etc/etcd/ssl/ca.pem --cert /etc/etcd/ssl/client.pem --key \
         /etc/etcd/ssl/client-key.pem",
        endpoints(members).join(",")
    )
}

/// Waits until every member answers.
pub fn healthy(host: &Host, members: &[Member]) -> Result<()> {
    let health = format!("{} endpoint health", client(members));
    eventually("etcd", Duration::from_secs(90), || host.ok_within(&health, Duration::from_secs(20)))?;
    say("etcd is healthy");
    Ok(())
}
