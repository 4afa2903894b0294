//! lb-not-running: a proxy or keepalived that is set up before the apiservers, and no process of it, or one
//! that listens where no node dials it.

use super::dials::{is_dialled_rightly, missed_dials};
use super::frontends::{before_apiservers, dialled_as_apiserver, unit_of, virtual_addresses};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{ComponentName, LayerKind};
use crate::origin::Origin;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "lb-not-running", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let balanced = before_apiservers(context.cluster, host);
    for balancer in [ComponentName::Haproxy, ComponentName::Nginx] {
        let own: Vec<_> = balanced.iter().filter(|balanced| balanced.component() == balancer).collect();
        let Some(first) = own.first() else { continue };
        let ports: Vec<u16> = own.iter().flat_map(|balanced| balanced.ports()).collect();
        let dialled = dialled_as_apiserver(context.cluster, host, &ports);
        let listen: Vec<String> = own.iter().flat_map(|one| &one.listen).map(|listen| listen.value.clone()).collect();
        let origin = first.listen.first().map(|listen| listen.origin.clone());
        let origin = origin.unwrap_or_else(|| Origin::file(first.path, None));
        judge_process(host, balancer, dialled, &origin, &in_words(&listen), verdict);
    }
    judge_addresses(context, host, verdict);
    if let Ok(Some(keepalived)) = &host.load_balancers.keepalived
        && let Some(instance) = keepalived.instances.iter().find(|instance| !instance.virtual_addresses.is_empty())
    {
        let dialled = context.cluster.hosts.iter().any(|client| {
            client.kubernetes.kubeconfigs.iter().flat_map(|kubeconfig| &kubeconfig.clusters).any(|entry| {
                let url = entry.server.as_ref().and_then(|server| crate::rules::support::Url::parse(&server.value));
                url.and_then(|url| url.address()).is_some_and(|address| virtual_addresses(host).contains(&address))
            })
        });
        let addresses: Vec<String> = virtual_addresses(host).iter().map(ToString::to_string).collect();
        judge_process(host, ComponentName::Keepalived, dialled, &instance.origin, &in_words(&addresses), verdict);
    }
}

/// A proxy that runs and listens elsewhere than where every node dials this host.
fn judge_addresses(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let balanced = before_apiservers(context.cluster, host);
    let Some(first) = balanced.iter().find(|balanced| balanced.component() != ComponentName::Keepalived) else {
        return;
    };
    let missed = missed_dials(context.cluster, host);
    let Some(dial) = missed.first() else { return };
    // One client alone that goes elsewhere than the others is the one that is wrong.
    if is_dialled_rightly(context.cluster, host) {
        return verdict.pass();
    }
    let Some(listen) = first.listen.first() else { return };
    let listens: Vec<String> = balanced.iter().flat_map(|one| &one.listen).map(|one| one.value.clone()).collect();
    let mut draft = Draft::new()
        .subject(first.balancer)
        .message("other_address")
        .value("balancer", first.balancer)
        .value("listen", in_words(&listens))
        .value("listening", &listen.value)
        .value("client", &dial.client.name)
        .value("endpoint", &dial.endpoint)
        .value("right", std::net::SocketAddr::new(dial.address, dial.port))
        .value("unit", unit_of(host, first.component()))
        .maybe_value("line", listen.origin.span().map(|span| span.line))
        .maybe_value("file", listen.origin.path())
        .at(&host.name, &listen.origin, format!("nothing listens on {}:{}", dial.address, dial.port));
    for dial in missed.iter().take(3) {
        draft = draft.at(&dial.client.name, &dial.server.origin, "dials it here");
    }
    verdict.fail(draft);
}

fn judge_process(
    host: &Host,
    balancer: ComponentName,
    dialled: bool,
    origin: &Origin,
    listen: &str,
    verdict: &mut Verdict,
) {
    let Some(processes) = verdict.known(&host.system.processes) else { return };
    let name = balancer.name();
    let runs = host.component(balancer).is_some_and(|component| component.pid.is_some())
        || processes.iter().any(|process| process.comm.starts_with(name) || process.comm == "openresty");
    if runs {
        return verdict.pass();
    }
    // A configuration alone may be a remainder; what starts it, or who dials it, says that it is meant.
    let unit = host.units.iter().find(|unit| unit.name.trim_end_matches(".service") == unit_of(host, balancer));
    let by_manifest = host
        .component(balancer)
        .is_some_and(|component| component.layers.iter().any(|layer| layer.kind == LayerKind::Manifest));
    let enabled = unit.is_some_and(|unit| unit.enabled == Some(true) && !unit.masked);
    if !dialled && !enabled && !by_manifest {
        return;
    }
    let mut draft = Draft::new()
        .subject(name)
        .value("balancer", name)
        .value("listen", listen)
        .value("unit", unit_of(host, balancer))
        .maybe_value("file", origin.path())
        .at(&host.name, origin, format!("no process of {name} runs"));
    if balancer == ComponentName::Keepalived {
        draft = draft.message("keepalived");
    }
    if by_manifest {
        draft = draft.value("manifest", name);
    }
    if unit.is_some_and(|unit| unit.enabled == Some(false) || unit.masked) {
        draft = draft.value("disabled", name);
    }
    verdict.fail(draft);
}
