//! Kubernetes' own files: static pod manifests, kubeconfigs, kubelet and kubeadm configuration.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::facts::certificates::CertificateFile;
use crate::origin::{Fact, Origin, Sourced, Unknown};

/// A Pod of a manifest directory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StaticPod {
    pub path: String,
    /// When its file was last written, in seconds since the epoch, where the source tells.
    pub modified: Option<i64>,
    pub name: Option<Sourced<String>>,
    pub namespace: Option<String>,
    pub host_network: bool,
    pub annotations: BTreeMap<String, Sourced<String>>,
    pub containers: Vec<Container>,
    pub host_paths: Vec<HostPath>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Container {
    pub name: String,
    pub image: Option<Sourced<String>>,
    /// `command` and `args`, in that order.
    pub command: Vec<Sourced<String>>,
    pub environment: BTreeMap<String, Sourced<String>>,
    pub probes: Vec<ContainerProbe>,
    /// mountPath to volume name.
    pub mounts: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerProbe {
    /// `livenessProbe`, `readinessProbe`, `startupProbe`.
    pub kind: String,
    pub host: Option<String>,
    /// A number or a port's name.
    pub port: String,
    pub scheme: String,
    /// Where the scheme is written; none when it is the default.
    pub scheme_at: Option<Origin>,
    pub path: String,
    /// The port's, else the probe's.
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostPath {
    pub volume: String,
    pub path: Sourced<String>,
    /// `DirectoryOrCreate`, `File`, `FileOrCreate`, ...; empty when not given.
    pub kind: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kubeconfig {
    pub path: String,
    pub current_context: Option<String>,
    pub clusters: Vec<KubeconfigCluster>,
    pub users: Vec<KubeconfigUser>,
    pub contexts: Vec<KubeconfigContext>,
    /// Permission bits.
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KubeconfigCluster {
    pub name: String,
    pub server: Option<Sourced<String>>,
    pub certificate_authority: Option<Sourced<String>>,
    pub certificate_authority_data: Option<CertificateFile>,
    pub insecure_skip_tls_verify: bool,
    pub tls_server_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KubeconfigUser {
    pub name: String,
    pub client_certificate: Option<Sourced<String>>,
    pub client_certificate_data: Option<CertificateFile>,
    pub client_key: Option<Sourced<String>>,
    pub client_key_data: Option<CertificateFile>,
    /// Whether a token stands there; never the token.
    pub has_token: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KubeconfigContext {
    pub name: String,
    pub cluster: String,
    pub user: String,
}

impl Kubeconfig {
    /// The cluster of the current context, or the only one.
    pub fn current_cluster(&self) -> Option<&KubeconfigCluster> {
        let named = self
            .current_context
            .as_ref()
            .and_then(|name| self.contexts.iter().find(|context| &context.name == name))
            .and_then(|context| self.clusters.iter().find(|cluster| cluster.name == context.cluster));
        named.or(if self.clusters.len() == 1 { self.clusters.first() } else { None })
    }

    /// The user of the current context, or the only one.
    pub fn current_user(&self) -> Option<&KubeconfigUser> {
        let named = self
            .current_context
            .as_ref()
            .and_then(|name| self.contexts.iter().find(|context| &context.name == name))
            .and_then(|context| self.users.iter().find(|user| user.name == context.user));
        named.or(if self.users.len() == 1 { self.users.first() } else { None })
    }
}

/// Any YAML document with an apiVersion and kind, flattened: `authentication.anonymous.enabled`, `clusterDNS.0`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigDocument {
    pub path: String,
    pub api_version: Sourced<String>,
    pub kind: Sourced<String>,
    /// Scalars by their path.
    pub values: BTreeMap<String, Sourced<String>>,
}

impl ConfigDocument {
    pub fn get(&self, path: &str) -> Option<&Sourced<String>> {
        self.values.get(path)
    }

    /// The items of a sequence of scalars.
    pub fn list(&self, path: &str) -> Vec<&Sourced<String>> {
        (0..).map_while(|index| self.values.get(&format!("{path}.{index}"))).collect()
    }
}

impl Kubernetes {
    /// The pods whose manifests could be read: all, unless `static_pods` is unknown.
    pub fn readable_pods(&self) -> &[StaticPod] {
        self.static_pods.as_ref().unwrap_or(&self.some_static_pods)
    }
}

/// Everything of Kubernetes that the host's files say.
#[derive(Debug, Clone, Serialize)]
pub struct Kubernetes {
    /// Of every manifest directory that is there; unknown when one could not be read.
    pub static_pods: Fact<Vec<StaticPod>>,
    /// Those that could be read where `static_pods` is unknown: some of them, never to be taken for all.
    #[serde(skip)]
    pub some_static_pods: Vec<StaticPod>,
    /// Manifests, and directories of them, that could not be read.
    pub unread_manifests: Vec<Unknown>,
    /// Manifest files that are no valid Pod, with why.
    pub invalid_manifests: Vec<(Origin, String)>,
    pub kubeconfigs: Vec<Kubeconfig>,
    /// Kubeconfigs that are there, or that something names, and could not be read.
    pub unread_kubeconfigs: Vec<Unknown>,
    /// Those that CNI plug-ins have beside their configuration.
    pub cni_kubeconfigs: Vec<Kubeconfig>,
    pub unread_cni_kubeconfigs: Vec<Unknown>,
    /// The kubelet's configuration that is in force (its `--config`, or the usual path).
    pub kubelet_configuration: Fact<Option<ConfigDocument>>,
    /// kubeadm's configuration documents, given or found.
    pub kubeadm_configuration: Vec<ConfigDocument>,
    /// The path of what the user gave, to be judged with a host that is no node yet; none where they were found.
    pub kubeadm_given: Option<String>,
    /// What kubeadm would only warn of in it: a key that is given twice.
    pub kubeadm_doubts: Vec<(Origin, String)>,
    /// Kubeconfigs and configuration of the kubelet and of kubeadm that their readers refuse, with why. What could be
    /// read of a kubeconfig or of kubeadm's configuration is in its field all the same.
    pub invalid_files: Vec<(Origin, String)>,
    /// Every certificate and key file that some configuration names or that lies in a usual place, by path.
    pub certificates: BTreeMap<String, Fact<CertificateFile>>,
    /// Paths of certificates, keys and kubeconfigs that a configuration names and where there is no file, each with the
    /// place that names it. They are in no other field. A bootstrap kubeconfig that is gone once the node has joined is
    /// among them.
    pub absent_files: Vec<Sourced<String>>,
}
