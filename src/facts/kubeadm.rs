//! What kubeadm is about to do by the configuration that the user gave with a host that is no node yet.

use crate::facts::Host;
use crate::facts::kubernetes::{ConfigDocument, Kubernetes};
use crate::facts::system::Process;
use crate::origin::Sourced;

/// Where kubeadm takes images from unless `imageRepository` says otherwise, since 1.25.
pub const REGISTRY: &str = "registry.k8s.io";

/// kubeadm's own default of `etcd.local.dataDir`.
pub const ETCD_DATA: &str = "/var/lib/etcd";

/// The documents by what they are for; `init` and `join` exclude each other.
#[derive(Debug, Clone, Copy)]
pub struct KubeadmPlan<'a> {
    pub init: Option<&'a ConfigDocument>,
    pub cluster: Option<&'a ConfigDocument>,
    pub join: Option<&'a ConfigDocument>,
    pub kubelet: Option<&'a ConfigDocument>,
}

impl Kubernetes {
    /// None when no configuration of kubeadm was given, or it is for neither `kubeadm init` nor `kubeadm join`.
    pub fn kubeadm_plan(&self) -> Option<KubeadmPlan<'_>> {
        self.kubeadm_given.as_ref()?;
        let of_kind = |kind: &str| self.kubeadm_configuration.iter().find(|document| document.kind.value == kind);
        let plan = KubeadmPlan {
            init: of_kind("InitConfiguration").or_else(|| of_kind("MasterConfiguration")),
            cluster: of_kind("ClusterConfiguration").or_else(|| of_kind("MasterConfiguration")),
            join: of_kind("JoinConfiguration").or_else(|| of_kind("NodeConfiguration")),
            kubelet: of_kind("KubeletConfiguration"),
        };
        (plan.init.is_some() || plan.cluster.is_some() || plan.join.is_some()).then_some(plan)
    }
}

impl Host {
    /// Whether a `kubeadm init`, `join`, `reset` or `upgrade` is just running, and not all of its files are there.
    pub fn is_kubeadm_at_work(&self) -> bool {
        let is_it = |process: &Process| match &process.argv[..] {
            [program, rest @ ..] => {
                let is_kubeadm = program.rsplit('/').next() == Some("kubeadm");
                is_kubeadm && rest.iter().any(|word| matches!(word.as_str(), "init" | "join" | "reset" | "upgrade"))
            }
            [] => false,
        };
        self.system.processes.as_ref().is_ok_and(|processes| processes.iter().any(is_it))
    }
}

impl<'a> KubeadmPlan<'a> {
    /// `kubeadm join`: a file with both kinds is for `init`.
    pub fn is_join(&self) -> bool {
        self.init.is_none() && self.cluster.is_none()
    }

    /// Whether the host is to run an apiserver.
    pub fn is_master(&self) -> bool {
        !self.is_join() || self.join.is_some_and(|join| join.values.keys().any(|key| key.starts_with("controlPlane.")))
    }

    /// The document whose kind stands for the whole, for what no line says.
    pub fn head(&self) -> Option<&'a ConfigDocument> {
        if self.is_join() { self.join } else { self.init.or(self.cluster) }
    }

    fn of_node(&self, path: &str) -> Option<&'a Sourced<String>> {
        self.head()?.get(path)
    }

    fn of_cluster(&self, path: &str) -> Option<&'a Sourced<String>> {
        self.cluster.filter(|_| !self.is_join())?.get(path)
    }

    pub fn advertise_address(&self) -> Option<&'a Sourced<String>> {
        ["localAPIEndpoint.advertiseAddress", "controlPlane.localAPIEndpoint.advertiseAddress", "api.advertiseAddress"]
            .iter()
            .find_map(|path| self.of_node(path))
    }

    pub fn bind_port(&self) -> Option<&'a Sourced<String>> {
        ["localAPIEndpoint.bindPort", "controlPlane.localAPIEndpoint.bindPort", "api.bindPort"]
            .iter()
            .find_map(|path| self.of_node(path))
    }

    /// `unix:///run/containerd/containerd.sock`, or a path.
    pub fn runtime_socket(&self) -> Option<&'a Sourced<String>> {
        self.of_node("nodeRegistration.criSocket")
    }

    pub fn node_name(&self) -> Option<&'a Sourced<String>> {
        self.of_node("nodeRegistration.name")
    }

    /// `v1.34.4`; a channel such as `stable-1` is no release.
    pub fn version(&self) -> Option<&'a Sourced<String>> {
        self.of_cluster("kubernetesVersion")
            .filter(|version| version.value.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()))
    }

    /// `lb.example:6443`, the port optional.
    pub fn endpoint(&self) -> Option<&'a Sourced<String>> {
        self.of_cluster("controlPlaneEndpoint").filter(|endpoint| !endpoint.value.is_empty())
    }

    pub fn service_range(&self) -> Option<&'a Sourced<String>> {
        self.of_cluster("networking.serviceSubnet")
    }

    pub fn pod_range(&self) -> Option<&'a Sourced<String>> {
        self.of_cluster("networking.podSubnet")
    }

    /// `registry.k8s.io` when not given.
    pub fn image_repository(&self) -> Option<&'a Sourced<String>> {
        self.of_cluster("imageRepository")
    }

    /// The registry's `HOST` or `HOST:PORT` alone, without the path.
    pub fn registry(&self) -> String {
        let repository = self.image_repository().map_or(REGISTRY, |repository| repository.value.as_str());
        repository.split('/').next().unwrap_or(REGISTRY).to_owned()
    }

    /// A field of `etcd.external`: `caFile`.
    pub fn external_etcd(&self, field: &str) -> Option<&'a Sourced<String>> {
        self.of_cluster(&format!("etcd.external.{field}"))
    }

    /// The URLs of an etcd that kubeadm does not run.
    pub fn external_endpoints(&self) -> Vec<&'a Sourced<String>> {
        self.cluster.map(|cluster| cluster.list("etcd.external.endpoints")).unwrap_or_default()
    }

    pub fn etcd_data(&self) -> Option<&'a Sourced<String>> {
        self.of_cluster("etcd.local.dataDir")
    }

    /// Where `kubeadm join` asks for the cluster: `HOST:PORT`.
    pub fn discovery_endpoint(&self) -> Option<&'a Sourced<String>> {
        self.join.filter(|_| self.is_join())?.get("discovery.bootstrapToken.apiServerEndpoint")
    }

    /// The bootstrap token to join with, as far as it is kept: [`crate::parse::config_document::token_id`].
    pub fn discovery_token(&self) -> Option<&'a Sourced<String>> {
        let join = self.join.filter(|_| self.is_join())?;
        join.get("discovery.bootstrapToken.token").or_else(|| join.get("discovery.tlsBootstrapToken"))
    }

    /// The authorities that the cluster may have: `sha256:...`.
    pub fn authority_hashes(&self) -> Vec<&'a Sourced<String>> {
        let join = self.join.filter(|_| self.is_join());
        join.map(|join| join.list("discovery.bootstrapToken.caCertHashes")).unwrap_or_default()
    }
}
