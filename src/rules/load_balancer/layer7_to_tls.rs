//! lb-layer7-to-tls: a proxy that speaks HTTP stands before the apiserver's TLS port.

use super::frontends::{Balanced, before_apiservers, masters, note_unread, unit_of};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::kubernetes::Kubeconfig;
use crate::facts::load_balancer::{Frontend, ProxyLayer};
use crate::report::Severity;
use crate::rules::support::Url;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "lb-layer7-to-tls", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    note_unread(host, &["haproxy", "nginx"], verdict);
    let masters = masters(context.cluster);
    for balanced in before_apiservers(context.cluster, host) {
        let Some(frontend) = balanced.frontend else { continue };
        if frontend.layer == ProxyLayer::Tcp && !frontend.terminates_tls {
            verdict.pass();
            continue;
        }
        // The port of plain HTTP, which old releases have, takes a proxy that speaks HTTP.
        let to_tls =
            balanced.backends.iter().filter_map(|backend| Url::parse(&backend.address.value)?.port).any(|port| {
                let plain = masters.iter().any(|master| master.insecure_port() == Some(port));
                !plain && (port == 6443 || masters.iter().any(|master| master.secure_port() == port))
            });
        if !to_tls {
            continue;
        }
        let scheme = frontend.upstream_scheme.as_ref().map(|scheme| scheme.value.as_str());
        let plain_to_tls = scheme == Some("http");
        let opaque_tls = balanced.balancer == "haproxy" && !frontend.terminates_tls;
        if plain_to_tls || opaque_tls {
            let draft = draft(host, &balanced, frontend);
            verdict.fail(draft.message(if plain_to_tls { "plain" } else { "http_mode" }));
        } else if with_certificates(context, &balanced) {
            verdict.fail(draft(host, &balanced, frontend).message("certificates").severity(Severity::Warning));
        } else {
            // A proxy for users with tokens is nothing wrong.
            verdict.pass();
        }
    }
}

/// Whether some kubeconfig that dials this port shows a client certificate, which ends at the proxy.
fn with_certificates(context: &Context<'_>, balanced: &Balanced<'_>) -> bool {
    let ports = balanced.ports();
    let dials = |kubeconfig: &Kubeconfig| {
        kubeconfig
            .current_cluster()
            .and_then(|cluster| Url::parse(&cluster.server.as_ref()?.value))
            .is_some_and(|url| !url.is_loopback() && url.scheme == "https" && ports.contains(&url.port_or_default()))
    };
    let names = |kubeconfig: &Kubeconfig| {
        kubeconfig
            .current_user()
            .is_some_and(|user| user.client_certificate.is_some() || user.client_certificate_data.is_some())
    };
    // A master of this cluster on the same port would be dialled by the same kubeconfigs.
    let direct = masters(context.cluster).iter().any(|master| ports.contains(&master.secure_port()));
    !direct
        && context
            .cluster
            .hosts
            .iter()
            .flat_map(|host| &host.kubernetes.kubeconfigs)
            .any(|kubeconfig| dials(kubeconfig) && names(kubeconfig))
}

fn draft(host: &Host, balanced: &Balanced<'_>, frontend: &Frontend) -> Draft {
    let backend = balanced.backends.first();
    let origin = frontend.upstream_scheme.as_ref().map_or(&frontend.origin, |scheme| &scheme.origin);
    let mut draft = Draft::new()
        .subject(format!("{} {}", balanced.balancer, balanced.name))
        .value("balancer", balanced.balancer)
        .value("frontend", balanced.name)
        .value("unit", unit_of(host, balanced.component()))
        .value("file", origin.path().unwrap_or(balanced.path))
        .maybe_value("line", origin.span().map(|span| span.line))
        .maybe_value("backend", backend.map(|backend| &backend.address.value))
        .maybe_value("listen", balanced.listen.first().map(|listen| &listen.value))
        .at(&host.name, origin, "speaks HTTP itself; the apiserver and its clients speak TLS with each other");
    if let Some(backend) = backend {
        draft = draft.at(&host.name, &backend.address.origin, "a TLS port");
    }
    draft
}
