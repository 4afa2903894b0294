//! Answers to what was asked live. All are unknown with their reason when they were not asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::certificates::Certificate;
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
    pub docker: Option<Fact<DockerAnswer>>,
    pub cri: Option<Fact<CriAnswer>>,
    /// Name to what it resolves to here.
    pub names: BTreeMap<String, Fact<Vec<std::net::IpAddr>>>,
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiserverAnswer {
    /// `https://10.0.0.1:6443`.
    pub endpoint: String,
    pub live: Fact<bool>,
    /// `v1.34.4`.
    pub version: Fact<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerAnswer {
    pub version: String,
    pub cgroup_driver: Option<String>,
    pub cgroup_version: Option<String>,
    pub storage_driver: Option<String>,
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
