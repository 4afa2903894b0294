//! Which container runtime a kubelet is set to, from its flags, its configuration and its release.

use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::origin::Sourced;

/// A runtime and the setting that chooses it; none when it is the release's default.
#[derive(Debug, Clone)]
pub struct Chosen<'a> {
    pub runtime: ComponentName,
    pub endpoint: Option<&'a Sourced<String>>,
}

/// The runtime of the host's kubelet; none when it is not known.
pub fn chosen<'a>(host: &Host, kubelet: &'a Component) -> Option<Chosen<'a>> {
    if let Some(endpoint) = kubelet.flag("container-runtime-endpoint").filter(|endpoint| !endpoint.value.is_empty()) {
        let runtime = match endpoint.value.as_str() {
            value if value.contains("dockershim") => ComponentName::Dockerd,
            value if value.contains("cri-dockerd") => ComponentName::CriDockerd,
            value if value.contains("containerd") => ComponentName::Containerd,
            value if value.contains("crio") => ComponentName::Crio,
            _ => return None,
        };
        return Some(Chosen { runtime, endpoint: Some(endpoint) });
    }
    let by_name = kubelet.flag("container-runtime").map(|name| name.value.as_str());
    let is_old = kubelet.is_at_least(1, 24).map(|new| !new);
    // Flags of dockershim, which a kubelet of 1.24 and later does not take.
    let of_dockershim =
        ["network-plugin", "docker-endpoint", "cni-bin-dir"].iter().any(|flag| kubelet.flag(flag).is_some());
    let docker = match by_name {
        Some("docker") => true,
        Some(_) => false,
        None => is_old.unwrap_or(of_dockershim),
    };
    let has_docker = host.component(ComponentName::Dockerd).is_some_and(|docker| {
        docker.pid.is_some() || docker.layers.iter().any(|layer| layer.kind != LayerKind::Process)
    });
    (docker && has_docker).then_some(Chosen { runtime: ComponentName::Dockerd, endpoint: None })
}
