//! pki-file-missing: a certificate, key or kubeconfig that is named where it will be read, and is not there.

use super::inventory::{is_in_use, kubelet_kubeconfig};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::log::LogHit;
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{in_words, unit_of};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const DETECTOR: Detector =
    Detector { id: "pki-file-missing", judge: Judge::Host(judge), refine: Some(refine) };

fn judge(_context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let named = named(host);
    for name in &named {
        if host.kubernetes.certificates.contains_key(&name.path.value)
            || host.kubernetes.kubeconfigs.iter().any(|config| config.path == name.path.value)
        {
            verdict.pass();
        }
    }
    let mut told: Vec<&str> = Vec::new();
    let mut missing: Vec<Missing<'_>> = Vec::new();
    for absent in &host.kubernetes.absent_files {
        let path = absent.value.as_str();
        if is_being_fetched(host, path) {
            continue;
        }
        let users: Vec<&Named<'_>> = named.iter().filter(|name| name.path.value == path).collect();
        let Some(first) = users.first() else { continue };
        if told.contains(&path) {
            continue;
        }
        told.push(path);
        if !is_covered(host, path) {
            verdict.unknown(
                Unknown::new(path, "nothing else of its kind is in this source, which may have left it out")
                    .with_remedy("run k8sdoctor check on the host itself, or give a source that holds it"),
            );
            continue;
        }
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        // What one program misses in one directory is one fault: it was emptied, or never filled.
        match missing.iter_mut().find(|group| group.user == first.user && group.directory == directory) {
            Some(group) => group.files.push((path, users)),
            None => missing.push(Missing { user: first.user, directory, files: vec![(path, users)] }),
        }
    }
    for group in &missing {
        verdict.fail(draft(host, group));
    }
    judge_mounts(host, verdict);
}

/// A kubelet writes its kubeconfig before it has the certificate that this names: it signs in with the bootstrap kubeconfig
/// and asks for one. kubeadm deletes that file once the certificate is there; when it never comes, bootstrap-failed says so.
fn is_being_fetched(host: &Host, path: &str) -> bool {
    let bootstrap = host.component(ComponentName::Kubelet).and_then(|kubelet| kubelet.flag("bootstrap-kubeconfig"));
    path.ends_with("/kubelet-client-current.pem")
        && bootstrap.is_some_and(|file| host.kubernetes.kubeconfigs.iter().any(|config| config.path == file.value))
}

/// Flags that name a file which a component of the control plane reads when it starts.
const READ_AT_START: [&str; 18] = [
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "client-ca-file",
    "tls-cert-file",
    "tls-private-key-file",
    "service-account-key-file",
    "service-account-private-key-file",
    "root-ca-file",
    "kubeconfig",
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "config",
    "cert-file",
    "key-file",
    "trusted-ca-file",
    "audit-policy-file",
    "encryption-provider-config",
];
/// Where a host keeps such files; what an image brings itself lies elsewhere.
const OF_HOSTS: [&str; 3] = ["/etc/kubernetes/", "/etc/etcd/", "/srv/kubernetes/"];

/// A static pod whose flag names a file of the host that none of its volumes brings into it: it is not there for the
/// process, whatever the host has.
fn judge_mounts(host: &Host, verdict: &mut Verdict) {
    let Ok(pods) = &host.kubernetes.static_pods else { return };
    for component in &host.components {
        let Some(layer) = component.layers.iter().find(|layer| layer.kind == LayerKind::Manifest) else { continue };
        let Some(pod) = pods.iter().find(|pod| layer.origin.path() == Some(pod.path.as_str())) else { continue };
        // A process that runs with this very value has the file from somewhere.
        let runs_with = |flag: &str, value: &str| {
            let process = component.layers.iter().find(|layer| layer.kind == LayerKind::Process);
            let given = process.and_then(|process| process.flags.get(flag)?.last());
            component.pid.is_some() && given.is_some_and(|given| given.value == value)
        };
        for (flag, values) in &layer.flags {
            let Some(path) = values.last().filter(|_| READ_AT_START.contains(&flag.as_str())) else { continue };
            let is_of_host = OF_HOSTS.iter().any(|start| path.value.starts_with(start));
            if !is_of_host || runs_with(flag, &path.value) {
                continue;
            }
            let mut mounts = pod.containers.iter().flat_map(|container| container.mounts.keys());
            if mounts.any(|at| is_below(&path.value, at)) {
                verdict.pass();
                continue;
            }
            verdict.fail(
                Draft::new()
                    .subject(&path.value)
                    .message("not_mounted")
                    .value("file", &path.value)
                    .value("user", component.name.name())
                    .value("flag", flag)
                    .value("manifest", &pod.path)
                    .at(&host.name, &path.origin, "no volume of the pod brings it in"),
            );
        }
    }
}

/// Files of one directory that one user reads and that are not there.
struct Missing<'a> {
    user: &'a str,
    directory: &'a str,
    files: Vec<(&'a str, Vec<&'a Named<'a>>)>,
}

fn draft(host: &Host, group: &Missing<'_>) -> Draft {
    // A program stops at the first file that it does not find: the one that its log names is the one to lead with.
    let is_logged = |path: &str| {
        let mut hits = host.logs.hits.iter().filter(|hit| hit.rule == DETECTOR.id);
        hits.any(|hit| hit.captures.get("file").is_some_and(|file| file == path))
    };
    let leading = group.files.iter().position(|(path, _)| is_logged(path)).unwrap_or_default();
    let Some((path, users)) = group.files.get(leading) else { return Draft::new() };
    let certificates: Vec<Option<String>> = group.files.iter().map(|(path, _)| kubeadm_certificate(path)).collect();
    let is_one = certificates.windows(2).all(|pair| pair[0] == pair[1]);
    let all: Vec<String> = group.files.iter().map(|(path, _)| (*path).to_owned()).collect();
    let mut draft = Draft::new()
        .subject(*path)
        .value("file", path)
        .value("files", in_words(&all))
        .value("count", all.len())
        .value("user", group.user)
        .value("flag", users.first().map_or("", |user| user.flag))
        .maybe_value("kubeadm_certificate", certificates.into_iter().next().flatten().filter(|_| is_one));
    if all.len() > 1 {
        draft = draft.message("several");
    }
    let (before, after) = group.files.split_at(leading);
    for user in after.iter().chain(before).flat_map(|(_, users)| users) {
        draft = draft.at(&host.name, &user.path.origin, format!("{} reads it; there is no such file", user.user));
    }
    draft
}

/// A file that is there now was put there since: the message is of before.
fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let is_there =
        hit.captures.get("file").is_some_and(|path| host.kubernetes.certificates.get(path).is_some_and(Result::is_ok));
    if is_there { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

/// A path that something in force names.
struct Named<'a> {
    path: &'a Sourced<String>,
    user: &'a str,
    flag: &'a str,
}

fn named(host: &Host) -> Vec<Named<'_>> {
    let mut named = Vec::new();
    let joined = kubelet_kubeconfig(host).is_some();
    for component in &host.components {
        // Before it has joined, a kubelet's unit names what joining will write.
        if component.name == ComponentName::Kubelet && !joined {
            continue;
        }
        let Some(layer) = starting_layer(host, component) else { continue };
        for (flag, values) in &layer.flags {
            let Some(value) = values.last() else { continue };
            if flag == "bootstrap-kubeconfig"
                || (component.name == ComponentName::Kubelet && flag == "kubeconfig")
                || !value.value.starts_with('/')
                || !is_on_the_host(host, layer, &value.value)
            {
                continue;
            }
            named.push(Named { path: value, user: component.name.name(), flag });
        }
    }
    for config in host.kubernetes.kubeconfigs.iter().filter(|config| is_in_use(config)) {
        if !config.path.starts_with("/etc/kubernetes/") {
            continue;
        }
        let cluster = config.current_cluster().and_then(|cluster| cluster.certificate_authority.as_ref());
        let user = config.current_user();
        let user = user.into_iter().flat_map(|user| [&user.client_certificate, &user.client_key]).flatten();
        named.extend(cluster.into_iter().chain(user).map(|path| Named { path, user: &config.path, flag: "" }));
    }
    if joined && let Ok(Some(kubelet)) = &host.kubernetes.kubelet_configuration {
        for field in ["authentication.x509.clientCAFile", "tlsCertFile", "tlsPrivateKeyFile"] {
            if let Some(path) = kubelet.get(field) {
                named.push(Named { path, user: "kubelet", flag: field });
            }
        }
    }
    named
}

/// The layer that a component starts from the next time: the strongest that stands in a file. A unit that is switched off
/// starts nothing, and of a process alone it is not known whether its paths are the host's.
fn starting_layer<'a>(host: &Host, component: &'a Component) -> Option<&'a Layer> {
    component.layers.iter().filter(|layer| layer.kind != LayerKind::Process).find(|layer| match unit_of(layer) {
        Some(unit) => {
            host.unit(unit).is_none_or(|unit| component.pid.is_some() || (unit.enabled != Some(false) && !unit.masked))
        }
        None => true,
    })
}

/// Whether a path that a layer names is the host's own: a pod sees only what is mounted, and there under the mount's name.
fn is_on_the_host(host: &Host, layer: &Layer, path: &str) -> bool {
    if layer.kind != LayerKind::Manifest {
        return true;
    }
    let Ok(pods) = &host.kubernetes.static_pods else { return false };
    let Some(pod) = pods.iter().find(|pod| layer.origin.path() == Some(pod.path.as_str())) else { return false };
    pod.containers.iter().any(|container| {
        let mount = container.mounts.iter().filter(|(at, _)| is_below(path, at)).max_by_key(|(at, _)| at.len());
        mount.is_some_and(|(at, volume)| {
            pod.host_paths.iter().any(|host_path| {
                host_path.volume == *volume && host_path.path.value.trim_end_matches('/') == at.trim_end_matches('/')
            })
        })
    })
}

fn is_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the source would hold the file if it were there. The live host does; a copy may have left out private keys or
/// whole directories, so another file of the kind has to be in the same directory or the one above.
fn is_covered(host: &Host, path: &str) -> bool {
    if host.of_live_host {
        return true;
    }
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default();
    let directory = parent(path);
    let above = parent(&directory);
    let near = |other: &str| {
        let other = parent(other);
        other == directory || (other == above && above.matches('/').count() > 2)
    };
    let is_kubeconfig = [".conf", "kubeconfig"].iter().any(|ending| path.ends_with(ending));
    if is_kubeconfig {
        return host.kubernetes.kubeconfigs.iter().any(|config| parent(&config.path) == directory);
    }
    let is_key = path.ends_with(".key") || path.ends_with("-key.pem");
    host.kubernetes.certificates.iter().any(|(other, file)| {
        near(other)
            && file
                .as_ref()
                .is_ok_and(|file| if is_key { !file.keys.is_empty() } else { !file.certificates.is_empty() })
    })
}

/// kubeadm's name for what it would make anew.
fn kubeadm_certificate(path: &str) -> Option<String> {
    let base = path.strip_prefix("/etc/kubernetes/pki/")?;
    let base = base.strip_suffix(".crt").or_else(|| base.strip_suffix(".key"))?;
    let made = [
        "apiserver",
        "apiserver-kubelet-client",
        "apiserver-etcd-client",
        "front-proxy-client",
        "etcd/server",
        "etcd/peer",
        "etcd/healthcheck-client",
    ];
    made.contains(&base).then(|| base.replace('/', "-"))
}
