//! kubelet-apiserver-unreachable: what the kubelet's kubeconfig names does not answer, or is a port of the load balancer where
//! nothing listens.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::{Url, owners};
use crate::facts::component::{Component, ComponentName};
use crate::facts::log::{LogHit, QUIET};
use crate::facts::topology::{Edge, KUBEADM, Service, edges};
use crate::origin::Unknown;
use crate::rules::load_balancer::{before_apiservers, is_dialled_rightly, listen_port, missed_dials};
use crate::rules::reach::{self, Reach, TAKES_CONNECTIONS};
use crate::rules::{Context, Detector, Judge, Refined, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubelet-apiserver-unreachable", judge: Judge::Host(judge), refine: Some(refine) };

/// What kubeadm writes when a node joins.
const USUAL_KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    judge_port(context, host, kubelet, verdict);
    if !host.probes.taken {
        return;
    }
    let edges = edges(context.cluster);
    for edge in edges.iter().filter(|edge| edge.client_host == host.name && is_kubelets(edge, kubelet)) {
        let Some(url) = edge.parsed() else { continue };
        match reach::reach(host, &url) {
            Some(Reach::Fails(reason)) => match excuse(context, host, &url, &reason) {
                Some(unknown) => verdict.unknown(unknown),
                None if edge.client == KUBEADM => verdict.fail(
                    reach::draft(host, edge, &url, &reason).message("join").maybe_value("join", edge.url.origin.path()),
                ),
                None => verdict.fail(reach::draft(host, edge, &url, &reason)),
            },
            Some(Reach::Answers) => verdict.pass(),
            Some(Reach::Unknown(unknown)) => verdict.unknown(unknown),
            None => {}
        }
    }
}

/// Why a failure says nothing yet: the host has just booted, or the apiserver that takes the connection has just started.
fn excuse(context: &Context<'_>, host: &Host, url: &Url, reason: &str) -> Option<Unknown> {
    let is_taken = reason.starts_with(TAKES_CONNECTIONS);
    let servers = url.address().into_iter().flat_map(|address| owners(context.cluster, address));
    let own = Some(host).filter(|_| url.is_loopback());
    not_running::just_booted(host).or_else(|| {
        let mut servers = servers.chain(own).filter(|_| is_taken);
        servers.find_map(|server| not_running::just_started(server, ComponentName::KubeApiserver))
    })
}

/// A kubeconfig that names a port of the load balancer where nothing listens, while others name one where it does.
fn judge_port(context: &Context<'_>, host: &Host, kubelet: &Component, verdict: &mut Verdict) {
    let own = kubelet.flag("kubeconfig").map_or(USUAL_KUBECONFIG, |path| path.value.as_str());
    for server in context.cluster.hosts.iter().filter(|server| is_dialled_rightly(context.cluster, server)) {
        let missed = missed_dials(context.cluster, server);
        let Some(dial) = missed.iter().find(|dial| dial.client.name == host.name && dial.path == own) else { continue };
        let listens: Vec<&str> = before_apiservers(context.cluster, server)
            .iter()
            .flat_map(|balanced| &balanced.listen)
            .map(|listen| listen.value.as_str())
            .collect();
        let port = listens.iter().find_map(|listen| listen_port(listen));
        let name = dial.endpoint.rsplit_once(':').map_or(dial.endpoint.as_str(), |(name, _)| name);
        verdict.fail(
            Draft::new()
                .subject(&dial.endpoint)
                .message("other_port")
                .value("endpoint", &dial.endpoint)
                .value("address", &dial.endpoint)
                .value("server", &server.name)
                .value("file", dial.path)
                .value("listen", listens.join(", "))
                .maybe_value("right", port.map(|port| format!("{name}:{port}")))
                .at(&host.name, &dial.server.origin, format!("nothing on {} listens there", server.name)),
        );
    }
}

/// Whether the kubelet itself dials it: by its kubeconfig, or by `--api-servers` of old.
fn is_kubelets(edge: &Edge, kubelet: &Component) -> bool {
    if edge.service != Service::Apiserver {
        return false;
    }
    if edge.client == KUBEADM {
        return true;
    }
    match kubelet.flag("kubeconfig") {
        Some(kubeconfig) if edge.client == kubeconfig.value => true,
        None if edge.client == "/etc/kubernetes/kubelet.conf" => true,
        _ => edge.client == ComponentName::Kubelet.name(),
    }
}

/// What it complained of is over when the apiserver answers now and it has been silent since. An answer alone proves little
/// where every third attempt fails.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return Refined::Keep(Vec::new()) };
    let answers = |edge: &Edge| edge.parsed().and_then(|url| reach::reach(host, &url)) == Some(Reach::Answers);
    let is_own = |edge: &Edge| edge.client_host == host.name && is_kubelets(edge, kubelet);
    let is_quiet = hit.quiet_seconds(&host.logs).is_some_and(|quiet| quiet > QUIET);
    match is_quiet && edges(context.cluster).iter().any(|edge| is_own(edge) && answers(edge)) {
        true => Refined::Drop,
        false => Refined::Keep(Vec::new()),
    }
}
