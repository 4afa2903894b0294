//! host-kernel-module-missing: the kernel neither has a module that the cluster needs nor can it load it.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::system::Modules;
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::Confidence;
use crate::rules::support::runs_containers;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "host-kernel-module-missing", judge: Judge::Host(judge), refine: None };

/// A module, the kernel's option for it, and what needs it.
struct Needed<'a> {
    module: String,
    option: String,
    needed_by: &'static str,
    origin: Option<&'a Origin>,
}

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for needed in needed(host) {
        match state(host, &needed) {
            State::There => verdict.pass(),
            State::Unknown(unknown) => verdict.unknown(unknown),
            State::Missing { message, why } => verdict.fail(draft(host, &needed, message, &why)),
        }
    }
}

fn needed(host: &Host) -> Vec<Needed<'_>> {
    let mut needed = Vec::new();
    let mut add = |module: &str, option: &str, needed_by, origin| {
        needed.push(Needed { module: module.to_owned(), option: option.to_owned(), needed_by, origin });
    };
    if runs_containers(host) && !other_snapshots(host) && !is_before_overlay(host) {
        add("overlay", "OVERLAY_FS", "the container runtime", None);
    }
    if host.component(ComponentName::Kubelet).is_some() {
        add("br_netfilter", "BRIDGE_NETFILTER", "kube-proxy and bridged pods", None);
        add("nf_conntrack", "NF_CONNTRACK", "kube-proxy", None);
    }
    if let Some(mode) = proxy_mode(host).filter(|mode| mode.value == "ipvs") {
        add("ip_vs", "IP_VS", "kube-proxy's ipvs mode", Some(&mode.origin));
        let scheduler = scheduler(host).unwrap_or("rr");
        let option = format!("IP_VS_{}", scheduler.to_ascii_uppercase());
        add(&format!("ip_vs_{scheduler}"), &option, "kube-proxy's ipvs mode", Some(&mode.origin));
    }
    needed
}

/// Runtimes of the time of Linux 3 keep their layers with devicemapper or aufs when they are not told how.
fn is_before_overlay(host: &Host) -> bool {
    host.system.kernel_release.as_ref().is_ok_and(|release| release.value.starts_with(['2', '3']))
}

/// Whether the runtime keeps its layers in another way than overlay: btrfs, zfs, devicemapper, native.
fn other_snapshots(host: &Host) -> bool {
    let docker = host.component(ComponentName::Dockerd).and_then(|docker| docker.flag("storage-driver"));
    let daemon = host.runtimes.docker_daemon.as_ref().ok().and_then(|daemon| daemon.as_ref()?.get("storage-driver"));
    let containerd = host.runtimes.containerd.as_ref().ok().and_then(Option::as_ref);
    let snapshotter = containerd
        .and_then(|config| config.values.iter().find(|(key, _)| key.ends_with(".snapshotter")).map(|(_, value)| value));
    [docker, daemon, snapshotter].into_iter().flatten().any(|driver| !driver.value.starts_with("overlay"))
}

/// The mode that kube-proxy is told, by flag or by the configuration that kubeadm is given.
pub(in crate::rules) fn proxy_mode(host: &Host) -> Option<&Sourced<String>> {
    let flag = host.component(ComponentName::KubeProxy).and_then(|proxy| proxy.flag("proxy-mode"));
    flag.or_else(|| proxy_configuration(host, "mode"))
}

fn scheduler(host: &Host) -> Option<&str> {
    let flag = host.component(ComponentName::KubeProxy).and_then(|proxy| proxy.flag("ipvs-scheduler"));
    let value = flag.or_else(|| proxy_configuration(host, "ipvs.scheduler"))?;
    let is_plain = !value.value.is_empty() && value.value.bytes().all(|c| c.is_ascii_lowercase());
    is_plain.then_some(value.value.as_str())
}

fn proxy_configuration<'a>(host: &'a Host, path: &str) -> Option<&'a Sourced<String>> {
    let documents = host.kubernetes.kubeadm_configuration.iter();
    documents.filter(|document| document.kind.value == "KubeProxyConfiguration").find_map(|document| document.get(path))
}

enum State {
    There,
    Missing { message: &'static str, why: String },
    Unknown(Unknown),
}

fn state(host: &Host, needed: &Needed<'_>) -> State {
    let module = needed.module.as_str();
    let option = host.system.kernel_config.as_ref().ok().map(|config| config.options.get(&needed.option));
    if is_used(host, module) || option == Some(Some(&"y".to_owned())) {
        return State::There;
    }
    let modules = match &host.system.modules {
        Ok(modules) => modules,
        Err(unknown) => return State::Unknown(unknown.clone()),
    };
    if holds(modules, module) {
        return State::There;
    }
    let config = host.system.kernel_config.as_ref().map_or("", |config| &config.path);
    match (&modules.loadable, &modules.builtin, option) {
        (Some(loadable), _, _) if loadable.iter().any(|known| known == module) => State::There,
        // modules.builtin is needed too: what is built in is not in modules.dep.
        (Some(_), Some(_), _) => {
            State::Missing { message: "not_there", why: "neither loaded nor in the modules of this kernel".to_owned() }
        }
        // Options depend on others, and a configuration has only those that can be chosen.
        (_, _, Some(None)) => {
            State::Missing { message: "not_built", why: format!("CONFIG_{} is not set in {config}", needed.option) }
        }
        (_, _, Some(Some(value))) if value == "n" => {
            State::Missing { message: "not_built", why: format!("CONFIG_{} is not set in {config}", needed.option) }
        }
        _ if !modules.other_kernels.is_empty() => State::Missing {
            message: "kernel_updated",
            why: format!("/lib/modules has {} only", modules.other_kernels.join(", ")),
        },
        _ => State::Unknown(Unknown::new(
            format!("the kernel module {module}"),
            "it is not loaded, and the kernel's modules and configuration are not part of this source",
        )),
    }
}

/// Loaded, built in with parameters, or built in as the kernel's own list says.
fn holds(modules: &Modules, module: &str) -> bool {
    modules.loaded.iter().chain(&modules.present).chain(modules.builtin.iter().flatten()).any(|known| known == module)
}

/// What works proves its module, also where the lists cannot be read.
fn is_used(host: &Host, module: &str) -> bool {
    let has = |key: &str| matches!(host.sysctls.get(key), Some(Ok(_)));
    match module {
        "overlay" => host.system.mounts.iter().flatten().any(|mount| mount.fs_type == "overlay"),
        "br_netfilter" => has("net.bridge.bridge-nf-call-iptables"),
        "nf_conntrack" => has("net.netfilter.nf_conntrack_max"),
        "ip_vs" => has("net.ipv4.vs.conntrack"),
        _ => false,
    }
}

fn draft(host: &Host, needed: &Needed<'_>, message: &str, why: &str) -> Draft {
    let release = host.system.kernel_release.as_ref().ok();
    let mut draft = Draft::new()
        .subject(&needed.module)
        .message(message)
        .value("module", &needed.module)
        .value("needed_by", needed.needed_by)
        .maybe_value("kernel", release.map(|release| &release.value));
    if message == "kernel_updated" {
        // A container may show its own /lib/modules and not the host's.
        draft = draft.confidence(Confidence::Medium);
        if let Some(release) = release {
            draft = draft.value("directory", format!("/lib/modules/{}", release.value));
        }
    }
    if let Some(origin) = needed.origin {
        draft = draft.at(&host.name, origin, format!("needs {}", needed.module));
    }
    let place = match (message, &host.system.kernel_config, release) {
        ("not_built", Ok(config), _) => Origin::file(config.path.as_str(), None),
        (_, _, Some(release)) => release.origin.clone(),
        _ => Origin::file("/proc/modules", None),
    };
    draft.at(&host.name, &place, why)
}
