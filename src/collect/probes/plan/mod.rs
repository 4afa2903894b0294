//! What to ask of a host, as data: made of its facts alone, so that it can be listed before anything is sent.
//!
//! Only what the host's own configuration names is dialled. Nothing but a TLS client certificate is ever presented, and
//! that only where the configuration that holds it names the endpoint; tokens and passwords are not even in the plan.

mod dials;
mod endpoint;
mod services;

use std::collections::BTreeSet;

use serde::Serialize;

use super::kernel::KernelQuestion;
use crate::facts::Host;
use crate::facts::component::ComponentName;
pub use endpoint::Endpoint;
use endpoint::{is_name, target};

/// The questions of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Each target and server name once.
    pub dials: Vec<Dial>,
    pub etcd: Vec<EtcdQuestion>,
    pub apiservers: Vec<ApiserverQuestion>,
    /// `https://HOST:PORT` of the cluster that this host is to join.
    pub cluster_info: Option<String>,
    pub flannel: Vec<FlannelQuestion>,
    pub docker: Option<SocketQuestion>,
    pub cri: Option<SocketQuestion>,
    /// Names that endpoints use, and the host's own.
    pub names: BTreeSet<String>,
    /// Load balancers' endpoints that a master dials, to be dialled several times.
    pub repeated: Vec<Endpoint>,
    pub kernel: KernelQuestion,
    /// What the cluster may call this host.
    pub node: String,
    /// Whether the kubelets that an apiserver tells of are dialled, as an apiserver of this host does.
    pub dials_kubelets: bool,
}

/// A TCP connection, with a TLS handshake where the client that it stands for makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dial {
    /// Name, or address without brackets.
    pub host: String,
    pub port: u16,
    /// The name or address that the client verifies; none for no TLS.
    pub server_name: Option<String>,
    /// Whether a client on this host does verify it.
    pub verified: bool,
    /// Who dials and where that is written.
    pub dialled_by: BTreeSet<String>,
}

impl Dial {
    /// `HOST:PORT`.
    pub fn target(&self) -> String {
        target(&self.host, self.port)
    }
}

/// Where a client's certificate and key lie. The key is read when it is needed and dropped with the connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificate {
    /// Paths of two PEM files, which may be one and the same.
    Files { certificate: String, key: String },
    /// The data fields of the kubeconfig at this path.
    Kubeconfig { path: String },
}

/// Health, members and status of one etcd endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EtcdQuestion {
    /// `https://10.0.0.1:2379`.
    pub endpoint: String,
    /// What to present, best first: the first that can be read.
    pub certificates: Vec<ClientCertificate>,
}

/// Whether one etcd endpoint of flannel has a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlannelQuestion {
    pub endpoint: String,
    pub key: String,
    pub certificates: Vec<ClientCertificate>,
}

/// Liveness and version of one apiserver endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiserverQuestion {
    /// `https://10.0.0.1:6443`.
    pub endpoint: String,
    /// Of kubeconfigs that name this endpoint. Without one it is asked as system:anonymous.
    pub certificates: Vec<ClientCertificate>,
}

/// A daemon behind a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SocketQuestion {
    /// Paths, the likeliest first; the first that exists is asked.
    pub sockets: Vec<String>,
    /// Whether the host's configuration says that it is there, so that its absence is an answer too.
    pub expected: bool,
}

impl Plan {
    /// What the host's facts give reason to ask.
    pub fn of(host: &Host) -> Plan {
        let mut plan = Plan {
            etcd: services::etcd(host),
            apiservers: services::apiservers(host),
            cluster_info: services::discovery(host).map(|endpoint| endpoint.url()),
            flannel: services::flannel(host),
            docker: services::docker(host),
            cri: services::cri(host),
            repeated: dials::repeated(host),
            kernel: super::kernel::question(host),
            node: services::node(host),
            dials_kubelets: host.component(ComponentName::KubeApiserver).is_some(),
            ..Plan::default()
        };
        dials::add(host, &mut plan);
        plan.names.extend(plan.dials.iter().map(|dial| dial.host.clone()));
        plan.names.retain(|name| is_name(name));
        if is_name(&host.name) {
            plan.names.insert(host.name.clone());
        }
        plan
    }

    /// Adds a connection, merged with one to the same target for the same server name.
    fn dial(&mut self, endpoint: &Endpoint, server_name: Option<&str>, verified: bool, dialled_by: String) {
        if endpoint.is_unspecified() {
            return;
        }
        let verified = verified && endpoint.tls;
        let server_name = endpoint.tls.then(|| server_name.unwrap_or(&endpoint.host).to_owned());
        let known = self
            .dials
            .iter_mut()
            .find(|dial| dial.host == endpoint.host && dial.port == endpoint.port && dial.server_name == server_name);
        match known {
            Some(dial) => {
                dial.verified |= verified;
                dial.dialled_by.insert(dialled_by);
            }
            None => self.dials.push(Dial {
                host: endpoint.host.clone(),
                port: endpoint.port,
                verified,
                server_name,
                dialled_by: BTreeSet::from([dialled_by]),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
