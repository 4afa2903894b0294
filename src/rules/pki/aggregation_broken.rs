//! apiserver-aggregation-broken: the certificate by which kube-apiserver speaks to aggregated APIs is not one that they let
//! through.

use jiff::SignedDuration;

use super::inventory::{flag_file, readable};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{ComponentName, split_items};
use crate::origin::Unknown;
use crate::rules::objects::told;
use crate::rules::support::{file_of, in_words};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-aggregation-broken", judge: Judge::Host(judge), refine: None };

/// A backend that starts does not answer for a while.
const GRACE: SignedDuration = SignedDuration::from_secs(120);

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    judge_backends(context, host, verdict);
    judge_certificate(host, verdict);
}

/// What the apiserver itself says of the backends.
fn judge_backends(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some((told, services)) = told(context, host, verdict, |cluster| &cluster.api_services) else { return };
    for service in services {
        let Some(available) = service.available.as_ref().filter(|available| available.status == "False") else {
            verdict.pass();
            continue;
        };
        if available.since.is_some_and(|since| told.age(since) < GRACE) {
            verdict.unknown(Unknown::new(
                format!("APIService {}", service.name),
                "its backend has just stopped answering",
            ));
            continue;
        }
        let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{}", service.name);
        let said = format!("{}: {}", available.reason, available.message);
        verdict.fail(
            Draft::new()
                .subject(&service.name)
                .value("service", &service.name)
                .value("backend", &service.backend)
                .value("reason", &available.reason)
                .evidence(told.evidence(host, &path, said))
                .note(format!("its backend is the service {}", service.backend)),
        );
    }
}

fn judge_certificate(host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let Some(path) = apiserver.flag_in_file("proxy-client-cert-file") else { return };
    if apiserver.flag("requestheader-client-ca-file").is_none() {
        match apiserver.unread.first() {
            Some(unread) => verdict.unknown(unread.clone()),
            None => verdict.fail(
                Draft::new()
                    .subject("requestheader-client-ca-file")
                    .message("no_authority")
                    .value("certificate", &path.value)
                    .at(&host.name, &path.origin, "nothing tells the backends who issued it"),
            ),
        }
        return;
    }
    let Some(names) = apiserver.flag_in_file("requestheader-allowed-names").filter(|names| !names.value.is_empty())
    else {
        // Any name will do.
        return verdict.pass();
    };
    let Some((_, file)) = flag_file(host, ComponentName::KubeApiserver, "proxy-client-cert-file") else { return };
    let leaf = match readable(&path.value, file) {
        Ok(file) => file.certificates.first(),
        Err(unknown) => return verdict.unknown(unknown),
    };
    let Some(leaf) = leaf else { return };
    let allowed: Vec<String> = split_items(names).into_iter().map(|name| name.value).collect();
    let own = leaf.common_name.as_deref().unwrap_or_default();
    if allowed.iter().any(|name| name == own) {
        return verdict.pass();
    }
    verdict.fail(
        Draft::new()
            .subject(path.value.clone())
            .message("name")
            .value("certificate", &path.value)
            .value("name", own)
            .value("allowed", in_words(&allowed))
            .value("old", &names.value)
            .maybe_value("file", file_of(names))
            .at(&host.name, &names.origin, format!("{own} is not among them"))
            .at(&host.name, &path.origin, format!("is for {own}")),
    );
}
