//! pki-usage-missing: a certificate does not allow the use that its place has: serving, signing in, or both.

use super::inventory::{flag_file, held, is_in_use, readable, served_evidence, served_only};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::certificates::{Certificate, ExtendedKeyUsage};
use crate::facts::component::ComponentName;
use crate::origin::Origin;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "pki-usage-missing", judge: Judge::Host(judge), refine: None };

/// A flag's certificate, and whether it has to serve and to sign in with it.
const PLACES: &[(ComponentName, &str, bool, bool)] = &[
    (ComponentName::KubeApiserver, "tls-cert-file", true, false),
    (ComponentName::KubeApiserver, "etcd-certfile", false, true),
    (ComponentName::KubeApiserver, "kubelet-client-certificate", false, true),
    (ComponentName::KubeApiserver, "proxy-client-cert-file", false, true),
    // etcd's gRPC gateway signs in at its own server with the server's certificate, and peers are both.
    (ComponentName::Etcd, "cert-file", true, true),
    (ComponentName::Etcd, "peer-cert-file", true, true),
    (ComponentName::Kubelet, "tls-cert-file", true, false),
    (ComponentName::KubeControllerManager, "tls-cert-file", true, false),
    (ComponentName::KubeScheduler, "tls-cert-file", true, false),
    (ComponentName::Flanneld, "etcd-certfile", false, true),
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (component, flag, serves, signs_in) in PLACES {
        let Some((path, file)) = flag_file(host, *component, flag) else { continue };
        let file = match readable(&path.value, file) {
            Ok(file) => file,
            Err(unknown) => {
                verdict.unknown(unknown);
                continue;
            }
        };
        let Some(leaf) = file.certificates.first() else { continue };
        let only_verified_clients = *component == ComponentName::Etcd
            && *flag == "cert-file"
            && host.component(*component).and_then(|etcd| etcd.flag_bool("client-cert-auth")) != Some(true);
        let signs_in = *signs_in && !only_verified_clients;
        look(host, component.name(), &path.value, leaf, &path.origin, (*serves, signs_in), verdict);
    }
    for config in host.kubernetes.kubeconfigs.iter().filter(|config| is_in_use(config)) {
        for user in &config.users {
            let Some(file) = &user.client_certificate_data else { continue };
            let Some(leaf) = file.certificates.first() else { continue };
            look(host, &user.name, &config.path, leaf, &file.origin, (false, true), verdict);
        }
    }
    // What cannot be read is noted above.
    let all = held(host, context.cluster.at, &mut Verdict::default());
    for (answer, leaf) in served_only(host, &all) {
        match leaf.extended_key_usage {
            Some(usage) if !usage.any && !usage.server_auth => {
                let present = if usage.client_auth { "clientAuth" } else { "neither of the two" };
                let said = format!("served a certificate of {} that allows {present}", leaf.subject);
                let draft = Draft::new().message("served").subject(leaf.sha256.clone());
                let draft = draft.value("target", &answer.target).value("missing", "serverAuth");
                verdict.fail(draft.value("present", present).evidence(served_evidence(host, answer, &said)));
            }
            _ => verdict.pass(),
        }
    }
}

fn look(
    host: &Host,
    user: &str,
    path: &str,
    leaf: &Certificate,
    origin: &Origin,
    (serves, signs_in): (bool, bool),
    verdict: &mut Verdict,
) {
    // Without the extension every use is allowed.
    let Some(usage) = leaf.extended_key_usage else { return verdict.pass() };
    let ExtendedKeyUsage { any, server_auth, client_auth } = usage;
    let missing: Vec<&str> = [(serves && !server_auth, "serverAuth"), (signs_in && !client_auth, "clientAuth")]
        .into_iter()
        .filter_map(|(lacks, name)| lacks.then_some(name))
        .collect();
    if any || missing.is_empty() {
        return verdict.pass();
    }
    let has: Vec<&str> = [(server_auth, "serverAuth"), (client_auth, "clientAuth")]
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    let has = if has.is_empty() { "neither of the two".to_owned() } else { has.join(" and ") };
    verdict.fail(
        Draft::new()
            .subject(path)
            .value("certificate", path)
            .value("user", user)
            .value("missing", missing.join(" and "))
            .value("present", &has)
            .at(&host.name, origin, format!("{} allows {has}", leaf.subject)),
    );
}
