//! A component's effective configuration on one host: what runs, and what the files would start, merged in the order
//! process, manifest, unit, script, configuration file, version default; each value says which it came from.

mod defaults;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::origin::{Origin, Place, Sourced, Unknown};

/// Kubernetes' own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentName {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubelet,
    KubeProxy,
    Dockerd,
    Containerd,
    Crio,
    CriDockerd,
    Flanneld,
    Haproxy,
    Nginx,
    Keepalived,
}

impl ComponentName {
    pub const ALL: [ComponentName; 14] = [
        ComponentName::Etcd,
        ComponentName::KubeApiserver,
        ComponentName::KubeControllerManager,
        ComponentName::KubeScheduler,
        ComponentName::Kubelet,
        ComponentName::KubeProxy,
        ComponentName::Dockerd,
        ComponentName::Containerd,
        ComponentName::Crio,
        ComponentName::CriDockerd,
        ComponentName::Flanneld,
        ComponentName::Haproxy,
        ComponentName::Nginx,
        ComponentName::Keepalived,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ComponentName::Etcd => "etcd",
            ComponentName::KubeApiserver => "kube-apiserver",
            ComponentName::KubeControllerManager => "kube-controller-manager",
            ComponentName::KubeScheduler => "kube-scheduler",
            ComponentName::Kubelet => "kubelet",
            ComponentName::KubeProxy => "kube-proxy",
            ComponentName::Dockerd => "dockerd",
            ComponentName::Containerd => "containerd",
            ComponentName::Crio => "crio",
            ComponentName::CriDockerd => "cri-dockerd",
            ComponentName::Flanneld => "flanneld",
            ComponentName::Haproxy => "haproxy",
            ComponentName::Nginx => "nginx",
            ComponentName::Keepalived => "keepalived",
        }
    }
}

impl ComponentName {
    /// Whether its releases are Kubernetes' own.
    pub fn is_kubernetes(self) -> bool {
        use ComponentName::{KubeApiserver, KubeControllerManager, KubeProxy, KubeScheduler, Kubelet};
        matches!(self, KubeApiserver | KubeControllerManager | KubeScheduler | KubeProxy | Kubelet)
    }
}

/// What a layer of configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    Process,
    Manifest,
    Unit,
    Script,
    ConfigFile,
    /// What kubeadm is about to write, by the configuration that it will be given.
    Planned,
}

/// One place that configures a component, with every flag it gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    pub kind: LayerKind,
    /// The manifest, unit, script, file or process as a whole.
    pub origin: Origin,
    /// Flags by name without dashes, `_` as `-`; each occurrence in order. Environment variables that stand for flags
    /// (`ETCD_LISTEN_PEER_URLS`) and configuration file keys are under the flag's name too.
    pub flags: BTreeMap<String, Vec<Sourced<String>>>,
    /// Flags as they were spelt, for rules on spelling.
    pub spelt: Vec<Sourced<String>>,
    /// Words that are neither a flag nor a flag's value.
    pub arguments: Vec<Sourced<String>>,
    /// The container image of a manifest.
    pub image: Option<Sourced<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    pub name: ComponentName,
    /// The running process, when one runs on the host (also inside of a container).
    pub pid: Option<u32>,
    /// Strongest first.
    pub layers: Vec<Layer>,
    /// From the process' image tag, the manifest's image tag, or kubeadm's configuration: `1.34.4`.
    pub version: Option<Sourced<String>>,
    /// What `version` was before the release that the user asks about took its place; none when nothing was asked.
    pub installed: Option<Sourced<String>>,
    /// What may set flags of this component but could not be read: a flag that no layer has is then unknown, not default.
    pub unread: Vec<Unknown>,
}

impl Component {
    pub fn new(name: ComponentName) -> Component {
        Component { name, pid: None, layers: Vec::new(), version: None, installed: None, unread: Vec::new() }
    }

    /// Judges from here on as if the component were of this release, whatever is installed.
    pub fn assume_version(&mut self, version: &str) {
        self.installed = self.version.take();
        self.version = Some(Sourced::new(version.to_owned(), Origin::answer("--kubernetes-version")));
    }

    /// Whether nothing of it is there yet, and kubeadm is about to make it.
    pub fn is_planned(&self) -> bool {
        self.pid.is_none() && self.layers.iter().all(|layer| layer.kind == LayerKind::Planned)
    }

    /// The value in force: the last occurrence in the strongest layer that has the flag.
    pub fn flag(&self, name: &str) -> Option<&Sourced<String>> {
        self.layers.iter().find_map(|layer| layer.flags.get(name)?.last())
    }

    /// The value in each layer that gives the flag, strongest first: a file that was edited under a running process
    /// says what the next start will do.
    pub fn flag_by_layer(&self, name: &str) -> impl Iterator<Item = (&Layer, &Sourced<String>)> {
        self.layers.iter().filter_map(move |layer| Some((layer, layer.flags.get(name)?.last()?)))
    }

    /// The value in force where a person can edit it: of the layers that stand in a file and say the same, the strongest;
    /// the running process' own when no file says so.
    pub fn flag_in_file(&self, name: &str) -> Option<&Sourced<String>> {
        let value = self.flag(name)?;
        let mut others = self.flag_by_layer(name).filter(|(layer, _)| layer.kind != LayerKind::Process);
        Some(others.find(|(_, other)| other.value == value.value).map_or(value, |(_, other)| other))
    }

    /// A comma-separated flag's items with the origin narrowed to each when it is in one line of a file.
    pub fn flag_items(&self, name: &str) -> Vec<Sourced<String>> {
        self.flag(name).map(split_items).unwrap_or_default()
    }

    /// Whether a boolean flag is on: bare, or a value that Go's strconv.ParseBool takes for true. None when not given.
    pub fn flag_bool(&self, name: &str) -> Option<bool> {
        self.flag(name).map(|value| matches!(value.value.as_str(), "" | "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }
}

/// The items of a comma-separated value, each with its own span.
pub fn split_items(value: &Sourced<String>) -> Vec<Sourced<String>> {
    let mut items = Vec::new();
    let mut from = 0;
    for item in value.value.split(',') {
        let to = from + item.len();
        let trimmed = item.trim();
        if !trimmed.is_empty() {
            let lead = item.len() - item.trim_start().len();
            let mut origin = value.origin.clone();
            if let Place::File { span: Some(span), .. } = &mut origin.place
                && span.end - span.start == value.value.len()
            {
                *span = span.part(from + lead, from + lead + trimmed.len());
            }
            items.push(Sourced::new(trimmed.to_owned(), origin));
        }
        from = to + 1;
    }
    items
}
