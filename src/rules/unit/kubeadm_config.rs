//! kubeadm-config-outdated and kubeadm-endpoint-missing: the configuration that an operator gives to kubeadm.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::kubernetes::ConfigDocument;
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{Url, owners, version_numbers};
use crate::rules::{Context, Detector, Judge};

pub(super) const OUTDATED: Detector =
    Detector { id: "kubeadm-config-outdated", judge: Judge::Host(judge_version), refine: None };
pub(super) const ENDPOINT: Detector =
    Detector { id: "kubeadm-endpoint-missing", judge: Judge::Host(judge_endpoint), refine: None };

/// Versions of kubeadm's API with the first and the last minor release of kubeadm that reads it.
const SERVED: [(&str, u32, Option<u32>); 6] = [
    ("v1alpha1", 4, Some(11)),
    ("v1alpha2", 11, Some(12)),
    ("v1alpha3", 12, Some(14)),
    ("v1beta1", 13, Some(21)),
    ("v1beta2", 15, Some(26)),
    ("v1beta3", 22, None),
];
/// The first release that reads v1beta4.
const V1BETA4: u32 = 31;
/// Fields that later versions call otherwise, with their new place.
const MOVED: [(&str, &str); 8] = [
    ("apiServerCertSANs", "apiServer.certSANs"),
    ("apiServerExtraArgs", "apiServer.extraArgs"),
    ("controllerManagerExtraArgs", "controllerManager.extraArgs"),
    ("schedulerExtraArgs", "scheduler.extraArgs"),
    ("api.controlPlaneEndpoint", "controlPlaneEndpoint"),
    ("api.advertiseAddress", "localAPIEndpoint.advertiseAddress of InitConfiguration"),
    ("etcd.endpoints", "etcd.external.endpoints"),
    ("nodeName", "nodeRegistration.name"),
];

fn documents(host: &Host) -> impl Iterator<Item = &ConfigDocument> {
    host.kubernetes.kubeadm_configuration.iter().filter(|doc| doc.api_version.value.starts_with("kubeadm.k8s.io/"))
}

fn judge_version(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for document in documents(host) {
        let version = document.api_version.value.trim_start_matches("kubeadm.k8s.io/");
        let in_file = documents(host)
            .filter(|other| other.path == document.path)
            .find_map(|other| Some((other.get("kubernetesVersion")?, minor(&other.get("kubernetesVersion")?.value)?)));
        // kubeadm is of the release that it sets up, or one later; with a release that the user names, of that.
        let asked = context.kubernetes_version.and_then(minor);
        let Some(release) = asked.or(in_file.map(|(_, minor)| minor)) else {
            if let Some((field, place)) = moved(document, version) {
                verdict.fail(field_draft(host, document, version, field, place));
            } else {
                verdict.unknown(
                    Unknown::new(
                        format!("whether kubeadm reads {}", document.path),
                        "nothing says which release it is",
                    )
                    .with_remedy("give --kubernetes-version"),
                );
            }
            continue;
        };
        let served = SERVED.iter().find(|(name, _, _)| *name == version).map(|(_, first, last)| (*first, *last));
        let served = served.or((version == "v1beta4").then_some((V1BETA4, None)));
        let draft = |message: &str| {
            let mut draft = Draft::new()
                .subject(&document.path)
                .message(message)
                .value("version", version)
                .value("file", &document.path)
                .value("release", format!("1.{release}"));
            draft = draft.at(&host.name, &document.api_version.origin, format!("kubeadm 1.{release} does not read it"));
            match in_file {
                Some((value, _)) if asked.is_none() => {
                    draft.at(&host.name, &value.origin, "the release that is set up")
                }
                _ => draft,
            }
        };
        match served {
            Some((_, Some(last))) if release > last => verdict.fail(draft("old").value("last", format!("1.{last}"))),
            Some((first, _)) if release + 1 < first => verdict.fail(draft("new").value("first", format!("1.{first}"))),
            Some(_) => match moved(document, version) {
                Some((field, place)) => verdict.fail(field_draft(host, document, version, field, place)),
                None => verdict.pass(),
            },
            None => verdict.unknown(Unknown::new(
                document.api_version.value.as_str(),
                "no version of kubeadm's that is known here",
            )),
        }
    }
}

/// A field that this version does not have, or whose shape is another's.
fn moved<'a>(document: &'a ConfigDocument, version: &str) -> Option<(&'a Sourced<String>, String)> {
    if matches!(version, "v1alpha1" | "v1alpha2") {
        return None;
    }
    let below = |prefix: &str| {
        let start = format!("{prefix}.");
        document.values.range(start.clone()..).next().filter(|(key, _)| key.starts_with(&start)).map(|(_, value)| value)
    };
    let at_top = MOVED
        .iter()
        .filter(|(field, _)| version != "v1alpha3" || !field.contains("CertSANs") && !field.contains("ExtraArgs"));
    for (field, place) in at_top {
        if let Some(value) = document.get(field).or_else(|| below(field)) {
            return Some((value, format!("{field} is called {place}")));
        }
    }
    for part in ["apiServer", "controllerManager", "scheduler", "etcd.local"] {
        let Some(first) = below(&format!("{part}.extraArgs")) else { continue };
        let is_list = document.get(&format!("{part}.extraArgs.0.name")).is_some();
        match version {
            "v1beta4" if !is_list => {
                return Some((first, format!("{part}.extraArgs is a list of name and value in v1beta4")));
            }
            "v1beta1" | "v1beta2" | "v1beta3" if is_list => {
                return Some((first, format!("{part}.extraArgs is a map before v1beta4")));
            }
            _ => {}
        }
    }
    None
}

fn field_draft(host: &Host, document: &ConfigDocument, version: &str, field: &Sourced<String>, place: String) -> Draft {
    Draft::new()
        .subject(&document.path)
        .message("field")
        .value("version", version)
        .value("file", &document.path)
        .value("why", &place)
        .at(&host.name, &field.origin, place)
        .at(&host.name, &document.api_version.origin, "in this version")
}

/// The minor of `v1.28.3`, `1.28`, `stable-1.28`.
fn minor(version: &str) -> Option<u32> {
    let numbers = version_numbers(version.trim_start_matches("stable-").trim_start_matches("latest-"));
    match numbers[..] {
        [1, minor, ..] => Some(minor),
        _ => None,
    }
}

fn judge_endpoint(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (origin, why) in &host.kubernetes.invalid_files {
        let Some(path) = origin.path().filter(|path| path.contains("kubeadm")) else { continue };
        if documents(host).all(|document| document.path != path) {
            verdict.unknown(Unknown::new(path, format!("not valid: {why}")).with_remedy("mend the file"));
        }
    }
    for document in documents(host) {
        let is_cluster = matches!(document.kind.value.as_str(), "ClusterConfiguration" | "MasterConfiguration");
        // Since v1beta1 the endpoint is the cluster's; v1alpha2 and v1alpha3 have it too.
        if !is_cluster {
            continue;
        }
        let endpoint = ["controlPlaneEndpoint", "api.controlPlaneEndpoint"].iter().find_map(|path| document.get(path));
        if endpoint.is_some_and(|endpoint| !endpoint.value.is_empty()) {
            verdict.pass();
            continue;
        }
        let Some(why) = several_masters(context, document) else { continue };
        // Given to kubeadm in another way, or set later.
        if has_shared_server(context, host) {
            verdict.pass();
            continue;
        }
        let names = [document.list("apiServerCertSANs"), document.list("apiServer.certSANs")].concat();
        if document.api_version.value.ends_with("/v1alpha1") {
            // kubeadm before 1.10 knows no endpoint: there the load balancer's name in the certificates is all there is.
            if names.is_empty() && lacks_others_names(context, host) {
                // The certificate that was made from it is what does not work (pki-san-missing).
            } else if names.is_empty() {
                verdict.fail(draft(host, document, "names", &why).value("old", "true"));
            } else {
                verdict.pass();
            }
            continue;
        }
        let mut draft = draft(host, document, "endpoint", &why);
        let balancer = names.iter().find(|name| is_no_host(context, &name.value));
        if let Some(name) = balancer {
            draft =
                draft.value("balancer", &name.value).at(&host.name, &name.origin, "the load balancer's name, perhaps");
        }
        verdict.fail(draft);
    }
}

fn draft(host: &Host, document: &ConfigDocument, message: &str, why: &str) -> Draft {
    Draft::new()
        .subject(&document.path)
        .message(message)
        .value("file", &document.path)
        .value("why", why)
        .at(&host.name, &document.kind.origin, "without controlPlaneEndpoint")
        .note(why)
}

/// What says that the cluster has, or is to have, several masters.
fn several_masters(context: &Context<'_>, document: &ConfigDocument) -> Option<String> {
    let hosts = &context.cluster.hosts;
    let masters = hosts.iter().filter(|host| host.component(ComponentName::KubeApiserver).is_some()).count();
    if masters > 1 {
        return Some(format!("{masters} of the hosts are masters"));
    }
    let external = document.list("etcd.external.endpoints").len() + document.list("etcd.endpoints").len();
    (external > 1).then(|| format!("{external} etcd members of their own are set up for it"))
}

/// Whether an administrator's or kubelet's kubeconfig dials an address that is no host's own.
fn has_shared_server(context: &Context<'_>, host: &Host) -> bool {
    let usual = ["/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf"];
    let kubeconfigs = host.kubernetes.kubeconfigs.iter().filter(|kubeconfig| usual.contains(&kubeconfig.path.as_str()));
    let mut servers = kubeconfigs.filter_map(|kubeconfig| kubeconfig.current_cluster()?.server.as_ref());
    servers.any(|server| Url::parse(&server.value).is_some_and(|url| is_no_host(context, &url.host)))
}

/// Whether the apiserver's certificate lacks a name that another master's kubeadm configuration gives its own.
fn lacks_others_names(context: &Context<'_>, host: &Host) -> bool {
    let flag = host.component(ComponentName::KubeApiserver).and_then(|it| it.flag("tls-cert-file"));
    let path = flag.map_or("/etc/kubernetes/pki/apiserver.crt", |flag| flag.value.as_str());
    let Some(Ok(file)) = host.kubernetes.certificates.get(path) else { return false };
    let Some(leaf) = file.certificates.first() else { return false };
    let has = |name: &str| match name.parse::<IpAddr>() {
        Ok(address) => leaf.addresses.contains(&address),
        Err(_) => leaf.dns_names.iter().any(|known| known.eq_ignore_ascii_case(name)),
    };
    let others = context.cluster.hosts.iter().filter(|other| other.name != host.name);
    others
        .flat_map(documents)
        .flat_map(|document| [document.list("apiServerCertSANs"), document.list("apiServer.certSANs")].concat())
        .any(|name| !has(&name.value))
}

fn is_no_host(context: &Context<'_>, name: &str) -> bool {
    match name.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback() && owners(context.cluster, address).next().is_none(),
        Err(_) => !context.cluster.hosts.iter().any(|host| host.name.eq_ignore_ascii_case(name)),
    }
}
