//! kubeadm with an external etcd: masters m1 m2 m3, each with an etcd of its own under systemd (TLS by cfssl) and haproxy, a
//! virtual address that keepalived moves between them, and a worker w1.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Cluster, True, kubeadm};
use crate::build::Built;
use crate::command::{eventually, say, which};
use crate::host::Plan;

const HOSTS: [(&str, u8); 4] = [("m1", 11), ("m2", 12), ("m3", 13), ("w1", 21)];

const VIRTUAL: &str = "10.77.0.60";

pub const TRUE_OF_IT: &[True] = &[
    True { rule: "etcd-disk-slow", why: "all hosts share one disk" },
    True { rule: "host-clock-unsynchronized", why: "no time server can be reached" },
    True { rule: "host-resources-insufficient", why: "the machine is small" },
];

const ETCD_UNIT: &str = "\
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

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

fn masters() -> impl Iterator<Item = (&'static str, u8)> {
    HOSTS.into_iter().filter(|(name, _)| name.starts_with('m'))
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

/// The authority and the certificates of all members, in a folder beside the hosts.
pub fn certificates(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let usages = |usages: &str| format!(r#"{{"expiry":"87600h","usages":[{usages}]}}"#);
    let both = usages(r#""signing","key encipherment","server auth","client auth""#);
    let client = usages(r#""signing","key encipherment","client auth""#);
    let configuration =
        format!(r#"{{"signing":{{"default":{{"expiry":"87600h"}},"profiles":{{"peer":{both},"client":{client}}}}}}}"#);
    std::fs::write(folder.join("config.json"), configuration)?;
    cfssl(folder, &["gencert", "-initca", "-"], "etcd-ca", "ca")?;
    let sign = |profile: &str, names: &str, common_name: &str, out: &str| {
        let profile = format!("-profile={profile}");
        let names = format!("-hostname={names}");
        let words = ["gencert", "-ca=ca.pem", "-ca-key=ca-key.pem", "-config=config.json", &profile, &names, "-"];
        cfssl(folder, &words, common_name, out)
    };
    for (name, last) in masters() {
        let names = format!("127.0.0.1,localhost,{},{name}", address(last));
        sign("peer", &names, name, &format!("server-{name}"))?;
        sign("peer", &names, name, &format!("peer-{name}"))?;
    }
    sign("client", "", "kube-apiserver-etcd-client", "client")
}

fn cfssl(folder: &Path, words: &[&str], common_name: &str, out: &str) -> Result<()> {
    let request = format!(r#"{{"CN":"{common_name}","key":{{"algo":"rsa","size":2048}}}}"#);
    let program = which("cfssl").context("cfssl is not installed (package golang-cfssl)")?;
    let mut child = Command::new(program)
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    child.stdin.take().context("cfssl's input")?.write_all(request.as_bytes())?;
    let said = child.wait_with_output()?;
    ensure!(said.status.success(), "cfssl {}", words.join(" "));
    let made: serde_json::Value = serde_json::from_slice(&said.stdout).context("cfssl")?;
    for (part, suffix) in [("cert", ".pem"), ("key", "-key.pem")] {
        let text = made[part].as_str().with_context(|| format!("cfssl gave no {part}"))?;
        write_private(&folder.join(format!("{out}{suffix}")), text)?;
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
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
    std::fs::write(root.join("etc/etcd/etcd.conf"), etcd_environment(plan))?;
    std::fs::write(root.join("etc/systemd/system/etcd.service"), ETCD_UNIT)?;
    std::fs::write(root.join("etc/haproxy/haproxy.cfg"), haproxy())?;
    std::fs::write(root.join("etc/keepalived/keepalived.conf"), keepalived(plan))?;
    kubeadm::enable(root, "/etc/systemd/system/etcd.service", "etcd.service")?;
    for unit in ["haproxy", "keepalived"] {
        kubeadm::enable(root, &format!("/lib/systemd/system/{unit}.service"), &format!("{unit}.service"))?;
    }
    Ok(())
}

fn etcd_environment(plan: &Plan) -> String {
    let (name, own) = (plan.name, plan.address);
    let all: Vec<String> = masters().map(|(name, last)| format!("{name}=https://{}:2380", address(last))).collect();
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
    let first = cluster.host("m1")?;
    let endpoints: Vec<String> = masters().map(|(_, last)| format!("https://{}:2379", address(last))).collect();
    let health = format!(
        "etcdctl --endpoints {} --cacert /etc/etcd/ssl/ca.pem --cert /etc/etcd/ssl/client.pem \
         --key /etc/etcd/ssl/client-key.pem endpoint health",
        endpoints.join(",")
    );
    eventually("etcd", Duration::from_secs(90), || first.ok_within(&health, Duration::from_secs(20)))?;
    say("etcd is healthy");
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
