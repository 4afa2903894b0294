//! Answers to what was asked live. All are unknown with their reason when they were not asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::certificates::Certificate;
use crate::facts::filesystem::FilesystemUse;
use crate::facts::firewall::Firewall;
use crate::origin::{Fact, Unknown};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// False with `--no-probe`, and for every source but the live host.
    pub taken: bool,
    /// Milliseconds that one answer was waited for at most.
    pub patience_ms: u64,
    pub connects: Vec<ConnectAnswer>,
    pub handshakes: Vec<TlsAnswer>,
    pub etcd: Vec<EtcdAnswer>,
    pub apiservers: Vec<ApiserverAnswer>,
    /// Of the cluster that this host is to join; none when it was not asked.
    #[serde(default)]
    pub cluster_info: Option<Fact<ClusterInfo>>,
    #[serde(default)]
    pub flannel: Vec<FlannelAnswer>,
    pub docker: Option<Fact<DockerAnswer>>,
    pub cri: Option<Fact<CriAnswer>>,
    /// IPv4 addresses of the host's own networks that were dialled and that nobody there claims: /proc/net/arp has them
    /// without a hardware address.
    #[serde(default)]
    pub unresolved_neighbours: Vec<std::net::IpAddr>,
    /// Name to what it resolves to here.
    pub names: BTreeMap<String, Fact<Vec<std::net::IpAddr>>>,
    /// What was dialled because an answer named it: kubelets of nodes, members of etcd.
    #[serde(default)]
    pub followed: Vec<ConnectAnswer>,
    /// Load balancers' addresses that this master dials, each several times.
    #[serde(default)]
    pub repeated: Vec<RepeatedDial>,
    /// What the host's own kernel answered; none when it was not asked.
    #[serde(default)]
    pub kernel: Option<KernelAnswers>,
}

/// One target that was dialled several times, one connection after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedDial {
    /// `HOST:PORT` as dialled.
    pub target: String,
    pub connected: u32,
    /// How many were not answered at all.
    pub timed_out: u32,
    pub refused: u32,
}

/// Answers of the host's own kernel that stand in no file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelAnswers {
    /// statvfs(3) of the file systems that Kubernetes writes to.
    pub filesystems: Fact<Vec<FilesystemUse>>,
    /// adjtimex(2).
    pub clock: Fact<KernelClock>,
    /// Rules of packet filters, as iptables-save or nft printed them.
    pub firewall: Fact<Firewall>,
}

/// How the kernel keeps its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelClock {
    /// Without STA_UNSYNC: something has synchronized it, and not too long ago.
    pub synchronized: bool,
    /// Microseconds; grows by 500 each second that nobody corrects it.
    pub max_error_us: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectAnswer {
    /// `HOST:PORT` as dialled.
    pub target: String,
    /// Who dials it and where that is written, all of them: `kubelet (/etc/kubernetes/kubelet.conf:5:13)`.
    pub dialled_by: String,
    pub outcome: ConnectOutcome,
    /// Milliseconds until the outcome was known.
    pub elapsed_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum ConnectOutcome {
    Connected,
    Refused,
    TimedOut,
    Unreachable(String),
    NotResolved(String),
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlsAnswer {
    pub target: String,
    /// The name or address that the client verifies: what it dials, or its tls-server-name.
    pub server_name: String,
    pub dialled_by: String,
    /// Whether some client on this host verifies that name here. False when the endpoint is only what a server of this host
    /// listens on, when it is a load balancer's backend, and for clients that are told not to verify.
    pub verified: bool,
    /// The chain as served, leaf first.
    pub chain: Fact<Vec<Certificate>>,
    /// What TLS said, when the handshake did not complete: an alert, or what came instead of TLS.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EtcdAnswer {
    /// `https://10.0.0.1:2379`.
    pub endpoint: String,
    /// `/health` said true.
    pub healthy: Fact<bool>,
    pub members: Fact<Vec<EtcdMember>>,
    pub status: Fact<EtcdStatus>,
    /// None when it was not asked.
    #[serde(default)]
    pub metrics: Option<Fact<EtcdMetrics>>,
    /// Its clock less this host's, in milliseconds, from the Date of an answer: right to about a second.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
}

/// What an etcd counted since it started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EtcdMetrics {
    /// Seconds since it started.
    pub uptime_seconds: Option<f64>,
    /// `etcd_disk_wal_fsync_duration_seconds`.
    pub wal_fsync: Option<Histogram>,
    /// `etcd_network_peer_round_trip_time_seconds` by member ID.
    pub round_trip: BTreeMap<String, Histogram>,
    /// `etcd_server_leader_changes_seen_total`.
    pub leader_changes: Option<u64>,
    /// `etcd_server_heartbeat_send_failures_total`.
    pub late_heartbeats: Option<u64>,
}

/// A histogram of Prometheus' text format.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Upper bound in seconds and how many were at most that, ascending; without `+Inf`.
    pub buckets: Vec<(f64, u64)>,
    pub count: u64,
}

impl Histogram {
    /// The share of observations that took longer than the bucket that holds `seconds`; none without observations.
    pub fn share_above(&self, seconds: f64) -> Option<f64> {
        let within = self.buckets.iter().find(|(bound, _)| *bound >= seconds).map_or(self.count, |(_, within)| *within);
        (self.count > 0).then(|| self.count.saturating_sub(within) as f64 / self.count as f64)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// Lower-case hex.
    pub id: String,
    /// Empty for a member that was added and has never started.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdStatus {
    pub member_id: String,
    pub cluster_id: String,
    /// 0 when there is no leader.
    pub leader: String,
    pub version: String,
    /// Bytes.
    pub db_size: u64,
    pub raft_index: u64,
    pub errors: Vec<String>,
}

/// Whether an etcd that flannel is given has flannel's network configuration, in either of etcd's stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlannelAnswer {
    /// `https://10.0.0.1:2379`.
    pub endpoint: String,
    /// `/coreos.com/network/config`.
    pub key: String,
    /// False also where this etcd has no v2 API (any more).
    pub in_v2: Fact<bool>,
    pub in_v3: Fact<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiserverAnswer {
    /// `https://10.0.0.1:6443`.
    pub endpoint: String,
    pub live: Fact<bool>,
    /// `v1.34.4`.
    pub version: Fact<String>,
    /// What it says of the cluster; none when no client certificate may be shown to it.
    #[serde(default)]
    pub cluster: Option<ClusterAnswer>,
    /// Its clock less this host's, in milliseconds, from the Date of an answer: right to about a second.
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
}

/// What a cluster tells those who want to join it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// IDs of the bootstrap tokens that it can be verified with: the half of a token that is no secret.
    pub token_ids: Vec<String>,
    /// Its authorities as `--discovery-token-ca-cert-hash` names them: `sha256:` and the hash of the public key.
    pub authorities: Vec<String>,
}

/// The cluster's objects as far as rules ask for them, read with the client certificate of a kubeconfig of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAnswer {
    /// The apiserver's time of the answer.
    pub at: Option<Timestamp>,
    pub nodes: Fact<Vec<NodeAnswer>>,
    /// The leases of kube-system.
    pub leases: Fact<Vec<LeaseAnswer>>,
    /// Those with a backend.
    pub api_services: Fact<Vec<ApiServiceAnswer>>,
    /// Those with an address.
    pub services: Fact<Vec<ServiceAnswer>>,
    /// The ranges of ServiceCIDR objects; empty before 1.33.
    pub service_ranges: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAnswer {
    pub name: String,
    pub created: Option<Timestamp>,
    /// `InternalIP`, `Hostname`, ... and the address.
    pub addresses: Vec<(String, String)>,
    /// `status.daemonEndpoints.kubeletEndpoint.Port`.
    pub kubelet_port: Option<u16>,
    pub conditions: Vec<ConditionAnswer>,
    /// When its kubelet last renewed its lease of kube-node-lease, by the kubelet's clock; every ten seconds.
    #[serde(default)]
    pub heard: Option<Timestamp>,
}

impl NodeAnswer {
    pub fn condition(&self, kind: &str) -> Option<&ConditionAnswer> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|ready| ready.status == "True")
    }
}

/// A condition of an object's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionAnswer {
    /// `Ready`, `DiskPressure`, `Available`, ...
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
    /// When the status last changed.
    pub since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAnswer {
    pub name: String,
    pub holder: String,
    pub renewed: Option<Timestamp>,
    pub duration_seconds: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiServiceAnswer {
    /// `v1beta1.metrics.k8s.io`.
    pub name: String,
    /// `kube-system/metrics-server`.
    pub backend: String,
    /// `Available`, when the apiserver has said.
    pub available: Option<ConditionAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAnswer {
    /// `default/kubernetes`.
    pub name: String,
    pub addresses: Vec<std::net::IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerAnswer {
    pub version: String,
    pub cgroup_driver: Option<String>,
    pub cgroup_version: Option<String>,
    pub storage_driver: Option<String>,
    /// What the driver says of itself: `Backing Filesystem`, `Supports d_type`, ...
    #[serde(default)]
    pub storage_status: BTreeMap<String, String>,
    pub security_options: Vec<String>,
    pub warnings: Vec<String>,
    /// Repository tags.
    pub images: Fact<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriAnswer {
    pub socket: String,
    /// `containerd 1.7.2`.
    pub runtime: String,
    pub images: Fact<Vec<String>>,
    /// From the verbose status, when the runtime gives it.
    pub sandbox_image: Option<String>,
    pub cgroup_driver: Option<String>,
    /// Conditions that are not true, with their reason and message: `NetworkReady: NetworkPluginNotReady ...`.
    pub unready: Vec<String>,
}

/// How a silent other side is put into words: `did not answer in 3 s`.
pub const DID_NOT_ANSWER: &str = "did not answer";

/// How a refusal by TLS itself begins: the other side is there, and talks TLS.
pub const TLS_ALERT: &str = "TLS alert";

/// How a connection that was taken and dropped is put into words: a proxy with nobody behind it does so.
pub const HUNG_UP: &str = "the connection during the handshake";

/// How an answer that is no TLS is put into words, before its first line.
pub const PLAIN_TEXT: &str = "answered in plain text: ";

/// What is said of a server that was asked in plain HTTP and speaks TLS.
pub const TALKS_TLS: &str = "answered in TLS";

impl Probes {
    /// What a rule says that needs an answer when none was asked.
    pub fn not_taken(what: impl Into<String>) -> Unknown {
        Unknown::new(what, Unknown::NOT_ASKED).with_remedy("run k8sdoctor check on the host itself, without --no-probe")
    }
}
