//! etcd-tls-rejected: etcd refuses the certificate that this host's kube-apiserver presents, or misses one.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::ComponentName;
use crate::facts::probe::TLS_ALERT;
use crate::origin::{Origin, Sourced};
use crate::parse::pem::{Verified, issued_by};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge, reach};

pub(super) const DETECTOR: Detector = Detector { id: "etcd-tls-rejected", judge: Judge::Host(judge), refine: None };

/// Alerts about the certificate that was presented (RFC 8446, 6.2). Others are about ciphers and versions, where this
/// program and the apiserver may differ.
const ALERTS: [&str; 8] = [
    "bad certificate",
    "unsupported certificate",
    "certificate revoked",
    "certificate expired",
    "certificate unknown",
    "unknown CA",
    "access denied",
    "certificate required",
];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver).filter(|_| host.probes.taken) else { return };
    let certificate = apiserver.flag_in_file("etcd-certfile").filter(|path| !path.value.is_empty());
    for server in apiserver.flag_items("etcd-servers") {
        let Some(url) = Url::parse(&server.value).filter(|url| url.scheme == "https") else { continue };
        let target = reach::target(&url);
        if let Some(draft) = foreign(host, &server, &target) {
            verdict.fail(draft);
            continue;
        }
        let endpoint = format!("https://{target}");
        let Some(answer) = host.probes.etcd.iter().find(|answer| answer.endpoint == endpoint) else { continue };
        let unknown = match &answer.healthy {
            Ok(_) => {
                verdict.pass();
                continue;
            }
            Err(unknown) => unknown,
        };
        let Some(alert) = alert(&unknown.why) else {
            verdict.unknown(unknown.clone());
            continue;
        };
        match certificate {
            // What was presented is only the apiserver's when this could read it.
            Some(path) if !is_readable(host, path) || unknown.why.contains("without a client certificate") => {
                verdict.unknown(unknown.clone());
            }
            _ => verdict.fail(draft(host, &server, &target, certificate, alert)),
        }
    }
}

/// etcd's certificate as it serves it, where none of the authorities issued it that kube-apiserver is to be given. Of etcd's
/// own files pki-chain-broken tells; before there is a cluster they are another host's.
fn foreign(host: &Host, server: &Sourced<String>, target: &str) -> Option<Draft> {
    host.kubernetes.kubeadm_plan()?;
    let given = host.component(ComponentName::KubeApiserver)?.flag_in_file("etcd-cafile")?;
    let authorities = &host.kubernetes.certificates.get(&given.value)?.as_ref().ok()?.certificates;
    let answer = host.probes.handshakes.iter().find(|answer| answer.target == target)?;
    // Of a longer chain an intermediate may lead there.
    let [leaf] = answer.chain.as_ref().ok()?.as_slice() else { return None };
    let is_foreign = !authorities.is_empty()
        && authorities.iter().all(|known| known.sha256 != leaf.sha256 && issued_by(leaf, known) == Verified::No);
    is_foreign.then(|| {
        let said = format!("its certificate is by {}", leaf.issuer);
        Draft::new()
            .subject(&given.value)
            .message("foreign")
            .value("target", target)
            .value("ca", &given.value)
            .value("issuer", &leaf.issuer)
            .maybe_value("file", file_of(server))
            .at(&host.name, &given.origin, "did not issue what etcd serves")
            .evidence(Evidence::new(
                EvidenceKind::Probe,
                &host.name,
                Origin::answer(format!("TLS handshake with {target}")),
                said,
            ))
    })
}

/// The alert in what a request failed with.
fn alert(why: &str) -> Option<&'static str> {
    let said = why.split(TLS_ALERT).nth(1)?.trim_start_matches([':', ' ']);
    ALERTS.into_iter().find(|alert| said.starts_with(alert))
}

fn is_readable(host: &Host, path: &Sourced<String>) -> bool {
    host.kubernetes
        .certificates
        .get(&path.value)
        .is_some_and(|file| file.as_ref().is_ok_and(|file| !file.certificates.is_empty() && file.problems.is_empty()))
}

/// The file on this host with the key of the authority in another file.
fn issuer_key<'a>(host: &'a Host, authority: &str) -> Option<&'a str> {
    let authority = host.kubernetes.certificates.get(authority)?.as_ref().ok()?;
    let own = authority.certificates.first()?;
    let has_key = |file: &crate::facts::certificates::CertificateFile| {
        file.keys.iter().any(|key| !key.encrypted && key.public_key_sha256.as_ref() == Ok(&own.public_key_sha256))
    };
    let files = host.kubernetes.certificates.iter().filter_map(|(path, file)| Some((path, file.as_ref().ok()?)));
    files.filter(|(_, file)| has_key(file)).map(|(path, _)| path.as_str()).next()
}

fn draft(host: &Host, server: &Sourced<String>, target: &str, given: Option<&Sourced<String>>, alert: &str) -> Draft {
    let apiserver = host.component(ComponentName::KubeApiserver);
    let flag = |name: &str| apiserver.and_then(|apiserver| apiserver.flag(name)).map(|value| value.value.as_str());
    let issuer = flag("etcd-cafile").and_then(|trusted| Some((trusted, issuer_key(host, trusted)?)));
    let draft = Draft::new()
        .maybe_value("issuer", issuer.map(|(authority, _)| authority))
        .maybe_value("issuer_key", issuer.map(|(_, key)| key))
        .subject(given.map_or("no certificate", |path| path.value.as_str()))
        .message(if given.is_some() { "presented" } else { "missing" })
        .value("target", target)
        .value("reason", alert)
        .maybe_value("certificate", given.map(|path| &path.value))
        .maybe_value("key", flag("etcd-keyfile"))
        .maybe_value("ca", flag("etcd-cafile"))
        .maybe_value("file", file_of(server))
        .evidence(Evidence::new(
            EvidenceKind::Probe,
            &host.name,
            Origin::answer(format!("https://{target}/health")),
            format!("{TLS_ALERT}: {alert}"),
        ))
        .at(&host.name, &server.origin, "kube-apiserver dials it");
    match given {
        Some(path) => draft.at(&host.name, &path.origin, "and presents this there"),
        None => draft,
    }
}
