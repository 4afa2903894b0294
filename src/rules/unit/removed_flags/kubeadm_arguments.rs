//! The flags that kubeadm's configuration gives to components: `apiServer.extraArgs` and its like, a map up to v1beta3 and
//! a list of names and values from v1beta4 on.

use std::collections::BTreeMap;

use crate::facts::Host;
use crate::facts::component::{ComponentName, Layer, LayerKind};
use crate::facts::kubernetes::ConfigDocument;
use crate::origin::{Origin, Sourced};

/// A layer for each document that gives flags to the component.
pub(super) fn layers(host: &Host, name: ComponentName) -> Vec<Layer> {
    host.kubernetes.kubeadm_configuration.iter().filter_map(|document| layer(document, name)).collect()
}

/// `kubernetesVersion` of the configuration.
pub(super) fn version(host: &Host) -> Option<String> {
    let given = |document: &ConfigDocument| document.get("kubernetesVersion").map(|version| version.value.clone());
    host.kubernetes
        .kubeadm_configuration
        .iter()
        .find_map(given)
        .filter(|version| version.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()))
}

fn layer(document: &ConfigDocument, name: ComponentName) -> Option<Layer> {
    let prefixes: &[&str] = match name {
        ComponentName::KubeApiserver => &["apiServer.extraArgs.", "apiServerExtraArgs."],
        ComponentName::KubeControllerManager => &["controllerManager.extraArgs.", "controllerManagerExtraArgs."],
        ComponentName::KubeScheduler => &["scheduler.extraArgs.", "schedulerExtraArgs."],
        ComponentName::Kubelet => &["nodeRegistration.kubeletExtraArgs."],
        ComponentName::Etcd => &["etcd.local.extraArgs.", "etcd.extraArgs."],
        _ => return None,
    };
    let mut flags: BTreeMap<String, Vec<Sourced<String>>> = BTreeMap::new();
    let mut spelt = Vec::new();
    for (path, value) in &document.values {
        let Some(rest) = prefixes.iter().find_map(|prefix| path.strip_prefix(prefix)) else { continue };
        let (flag, value) = match rest.split_once('.') {
            // `0.name` and, beside it, `0.value`.
            Some((index, "name")) => {
                let beside = format!("{}{index}.value", path.strip_suffix(rest).unwrap_or_default());
                (value.value.clone(), document.get(&beside).unwrap_or(value).clone())
            }
            Some(_) => continue,
            None => (rest.to_owned(), value.clone()),
        };
        spelt.push(Sourced::new(format!("--{flag}"), value.origin.clone()));
        flags.entry(flag.replace('_', "-")).or_default().push(value);
    }
    (!flags.is_empty()).then(|| Layer {
        kind: LayerKind::Script,
        origin: Origin::file(document.path.as_str(), None),
        flags,
        spelt,
        arguments: Vec::new(),
        image: None,
    })
}
