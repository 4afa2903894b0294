//! endpoint-loopback-on-worker: a worker's kubelet or kube-proxy dials 127.0.0.1, where neither an apiserver nor a proxy is.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::topology::{self, Edge, Service};
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "endpoint-loopback-on-worker", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    use ComponentName::{KubeApiserver, KubeControllerManager, KubeProxy, KubeScheduler, Kubelet};
    let is_master =
        [KubeApiserver, KubeControllerManager, KubeScheduler].iter().any(|name| host.component(*name).is_some());
    if is_master {
        return;
    }
    let edges = topology::edges(context.cluster);
    for name in [Kubelet, KubeProxy] {
        let Some(component) = host.component(name) else { continue };
        let usual = if name == Kubelet { "/etc/kubernetes/kubelet.conf" } else { "" };
        let path = component.flag("kubeconfig").map_or(usual, |path| path.value.as_str());
        // The agents of k3s and RKE2 hold a proxy of their own.
        if path.contains("/rancher/") {
            continue;
        }
        let is_own = |edge: &&Edge| {
            edge.client_host == host.name
                && edge.service == Service::Apiserver
                && (edge.client == path || edge.client == name.name())
        };
        for edge in edges.iter().filter(is_own) {
            let Some(url) = edge.parsed() else { continue };
            if !url.is_loopback() {
                verdict.pass();
                continue;
            }
            let port = url.port_or_default();
            let proxied = [&host.load_balancers.haproxy, &host.load_balancers.nginx]
                .into_iter()
                .filter_map(|proxy| proxy.as_ref().ok()?.as_ref())
                .flat_map(|proxy| &proxy.frontends)
                .flat_map(|frontend| &frontend.listen)
                .any(|listen| listen.value.rsplit(':').next().is_some_and(|text| text.trim().parse() == Ok(port)));
            if proxied {
                verdict.pass();
                continue;
            }
            let Some(network) = verdict.known(&host.network) else { continue };
            let Some(listeners) = verdict.known(&network.listeners) else { continue };
            if listeners.iter().any(|listener| listener.port == port) {
                verdict.pass();
                continue;
            }
            // Without its manifests the host may be a master whose apiserver is down.
            if verdict.known(&host.kubernetes.static_pods).is_none() {
                continue;
            }
            let master = context.cluster.hosts.iter().find(|other| other.component(KubeApiserver).is_some());
            let address = master
                .and_then(|master| crate::rules::support::main_address(master.network.as_ref().ok()?))
                .map(crate::rules::support::in_url);
            verdict.fail(
                Draft::new()
                    .subject(name.name())
                    .value("program", name.name())
                    .value("url", &edge.url.value)
                    .value("port", port)
                    .maybe_value("master_address", address)
                    .maybe_value("file", file_of(&edge.url))
                    .value("unit", name.name())
                    .at(&host.name, &edge.url.origin, format!("nothing listens on port {port} of {}", host.name)),
            );
        }
    }
}
