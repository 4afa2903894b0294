//! kubeadm-config-invalid: kubeadm refuses a value of its configuration, or takes no notice of a field.

use std::net::IpAddr;

use ipnet::IpNet;

use super::kubeadm_fields::is_field;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::kubernetes::ConfigDocument;
use crate::facts::versions::kubeadm_api;
use crate::origin::{Sourced, Unknown};
use crate::parse::config_document::MALFORMED_SECRET;
use crate::report::Severity;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kubeadm-config-invalid", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(given) = &host.kubernetes.kubeadm_given else { return };
    let of_given = host.kubernetes.invalid_files.iter().filter(|(origin, _)| origin.path() == Some(given.as_str()));
    let mut is_broken = false;
    for (origin, why) in of_given {
        is_broken = true;
        let draft = Draft::new().subject(given).message("syntax").value("file", given).value("why", why);
        verdict.fail(draft.at(&host.name, origin, why.clone()));
    }
    // What stands behind the fault may be what seems to lack.
    if is_broken {
        return;
    }
    for (origin, why) in &host.kubernetes.kubeadm_doubts {
        let draft = Draft::new().subject(why).message("doubt").value("file", given).value("why", why);
        verdict.fail(draft.severity(Severity::Warning).at(&host.name, origin, why.clone()));
    }
    for document in &host.kubernetes.kubeadm_configuration {
        if document.api_version.value.starts_with("kubeadm.k8s.io/") {
            judge_document(host, document, verdict);
        }
    }
}

fn judge_document(host: &Host, document: &ConfigDocument, verdict: &mut Verdict) {
    let version = document.api_version.value.trim_start_matches("kubeadm.k8s.io/");
    let mut is_good = true;
    for (path, value) in &document.values {
        if is_field(&document.kind.value, version, path) == Some(false) {
            is_good = false;
            verdict.fail(unknown_field(host, document, version, path, value));
        } else if let Some(why) = refusal(path, &value.value) {
            is_good = false;
            verdict.fail(
                draft(document, path)
                    .message(if value.value == MALFORMED_SECRET { "missing" } else { "value" })
                    .value("why", why)
                    .value("given", if value.value == MALFORMED_SECRET { "" } else { &value.value })
                    .at(&host.name, &value.origin, why),
            );
        }
    }
    if document.kind.value == "JoinConfiguration"
        && let Some((path, why)) = missing(document)
    {
        is_good = false;
        verdict.fail(draft(document, path).message("missing").value("why", why).at(
            &host.name,
            &document.kind.origin,
            why,
        ));
    }
    if !is_good {
        return;
    }
    // A version of which nothing is known here may have other fields.
    match kubeadm_api(&document.api_version.value) {
        Some(_) => verdict.pass(),
        None => verdict.unknown(Unknown::new(
            format!("the fields of {} kubeadm.k8s.io/{version}", document.kind.value),
            "a newer version than this release knows",
        )),
    }
}

fn draft(document: &ConfigDocument, path: &str) -> Draft {
    Draft::new().subject(path).value("file", &document.path).value("field", path)
}

fn unknown_field(host: &Host, document: &ConfigDocument, version: &str, path: &str, value: &Sourced<String>) -> Draft {
    let name = path.rsplit('.').find(|word| word.parse::<usize>().is_err()).unwrap_or(path);
    let mut draft = draft(document, path)
        .message("field")
        .severity(Severity::Warning)
        .value("kind", &document.kind.value)
        .value("version", version)
        .at(&host.name, &value.origin, "kubeadm takes no notice of it");
    // A field with its value on one line can go with the line.
    let line = value.origin.span().and_then(|span| {
        let text = &host.texts.get(&document.path)?.text;
        let line = text.lines().nth(usize::try_from(span.line).ok()?.checked_sub(1)?)?;
        let is_whole = line.trim_start().strip_prefix(name)?.trim_start().starts_with(':');
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (is_whole && is_plain && path.ends_with(name)).then_some(span.line)
    });
    if let Some(line) = line {
        draft = draft.value("edit", format!("sed -i '{line}{{/^ *{name}:/d}}' {}", document.path));
    }
    draft
}

/// Why kubeadm refuses a value; it takes an empty one for none.
fn refusal(path: &str, value: &str) -> Option<&'static str> {
    if value.is_empty() {
        return None;
    }
    let is_bad = |is_good: bool, why: &'static str| (!is_good).then_some(why);
    match path {
        "localAPIEndpoint.advertiseAddress" | "controlPlane.localAPIEndpoint.advertiseAddress" => {
            is_bad(value.parse::<IpAddr>().is_ok(), "is no IP address")
        }
        "localAPIEndpoint.bindPort" | "controlPlane.localAPIEndpoint.bindPort" => {
            is_bad(value.parse::<u16>().is_ok_and(|port| port > 0), "is no port")
        }
        "networking.podSubnet" => is_bad(
            value.split(',').all(|item| item.trim().parse::<IpNet>().is_ok()),
            "is no network: ADDRESS/LENGTH is expected",
        ),
        // What kube-apiserver refuses too is service-range-invalid.
        "networking.serviceSubnet" => {
            is_bad(!value.split(',').any(is_eight_addresses), "is too small: kubeadm gives its tenth address to DNS")
        }
        "controlPlaneEndpoint" | "discovery.bootstrapToken.apiServerEndpoint" => {
            is_bad(is_endpoint(value), "is no HOST:PORT: a name or address, without a scheme")
        }
        "kubernetesVersion" => {
            is_bad(is_release(value), "is no release: three numbers as in v1.34.4, or a channel as stable-1.34")
        }
        "discovery.bootstrapToken.token" | "discovery.tlsBootstrapToken" => is_bad(
            value != MALFORMED_SECRET,
            "is no bootstrap token: 6 and 16 lower-case letters and digits with a dot between",
        ),
        _ if path.starts_with("bootstrapTokens.") && path.ends_with(".token") => is_bad(
            value != MALFORMED_SECRET,
            "is no bootstrap token: 6 and 16 lower-case letters and digits with a dot between",
        ),
        _ if path.starts_with("discovery.bootstrapToken.caCertHashes.") => {
            is_bad(is_hash(value), "is no hash of a CA: sha256: and 64 hexadecimal digits")
        }
        _ => None,
    }
}

/// What `kubeadm join` cannot go without, and why.
fn missing(document: &ConfigDocument) -> Option<(&'static str, &'static str)> {
    let has = |path: &str| document.values.keys().any(|key| key.starts_with(path));
    let (by_token, by_file) = (has("discovery.bootstrapToken."), has("discovery.file."));
    let skips = document.get("discovery.bootstrapToken.unsafeSkipCAVerification").is_some_and(|it| it.value == "true");
    match (by_token, by_file) {
        (true, true) => Some(("discovery", "has both bootstrapToken and file, and one is expected")),
        (false, false) => Some(("discovery", "has neither bootstrapToken nor file")),
        (true, false) if !has("discovery.bootstrapToken.apiServerEndpoint") => {
            Some(("discovery.bootstrapToken.apiServerEndpoint", "is not given"))
        }
        (true, false) if !has("discovery.bootstrapToken.token") && !has("discovery.tlsBootstrapToken") => {
            Some(("discovery.bootstrapToken.token", "is not given"))
        }
        (true, false) if !has("discovery.bootstrapToken.caCertHashes") && !skips => Some((
            "discovery.bootstrapToken.caCertHashes",
            "is not given: nothing would tell the cluster from an impostor",
        )),
        _ => None,
    }
}

fn is_endpoint(value: &str) -> bool {
    let is_host = |host: &str| {
        let name = host.trim_start_matches('[').trim_end_matches(']');
        name.parse::<IpAddr>().is_ok()
            || !name.is_empty()
                && name.len() <= 253
                && name.split('.').all(|label| {
                    !label.is_empty()
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                })
    };
    match value.rsplit_once(':') {
        Some((host, port)) if value.parse::<IpAddr>().is_err() => {
            is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        }
        _ => is_host(value),
    }
}

/// `v1.34.4`, `1.34.4-rc.0`, and what kubeadm looks up by itself: `stable`, `latest-1.34`, `ci/latest`, a URL.
fn is_release(value: &str) -> bool {
    let number = value.strip_prefix('v').unwrap_or(value);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return true;
    }
    let numbers: Vec<&str> = number.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_eight_addresses(range: &str) -> bool {
    range.trim().parse::<IpNet>().is_ok_and(|net| net.max_prefix_len() - net.prefix_len() == 3)
}

fn is_hash(value: &str) -> bool {
    value.strip_prefix("sha256:").is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_kubeadm_refuses() {
        let hash = format!("sha256:{}", "0a".repeat(32));
        for (path, value, refused) in [
            ("localAPIEndpoint.advertiseAddress", "10.0.0.1", false),
            ("localAPIEndpoint.advertiseAddress", "fd00::1", false),
            ("localAPIEndpoint.advertiseAddress", "m1.example", true),
            ("localAPIEndpoint.bindPort", "6443", false),
            ("localAPIEndpoint.bindPort", "70000", true),
            ("networking.podSubnet", "10.244.0.0/16,fd00:1::/56", false),
            ("networking.podSubnet", "10.244.0.0", true),
            ("networking.serviceSubnet", "10.96.0.0/12", false),
            ("networking.serviceSubnet", "10.96.0.0/29", true),
            ("controlPlaneEndpoint", "lb.example:6443", false),
            ("controlPlaneEndpoint", "lb.example", false),
            ("controlPlaneEndpoint", "10.0.0.10:6443", false),
            ("controlPlaneEndpoint", "[fd00::1]:6443", false),
            ("controlPlaneEndpoint", "fd00::1", false),
            ("controlPlaneEndpoint", "https://lb.example:6443", true),
            ("controlPlaneEndpoint", "LB.example:6443", true),
            ("controlPlaneEndpoint", "lb.example:x", true),
            ("controlPlaneEndpoint", "", false),
            ("kubernetesVersion", "v1.34.4", false),
            ("kubernetesVersion", "1.36.0-rc.0", false),
            ("kubernetesVersion", "stable-1", false),
            ("kubernetesVersion", "v1.34", true),
            ("discovery.bootstrapToken.token", "<secret>", false),
            ("discovery.bootstrapToken.token", MALFORMED_SECRET, true),
            ("discovery.bootstrapToken.caCertHashes.0", &hash, false),
            ("discovery.bootstrapToken.caCertHashes.0", &hash[..60], true),
            ("clusterName", "any thing", false),
        ] {
            assert_eq!(refusal(path, value).is_some(), refused, "{path}: {value}");
        }
    }
}
