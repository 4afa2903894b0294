//! Components' effective configuration: what runs and what the files would start, layer by layer. [`build`] is pure; only
//! [`etcd_configuration`] reads a file.

mod config_files;
mod processes;

use std::collections::BTreeMap;

use crate::collect::{Files, Problems};
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::kubernetes::{ConfigDocument, Container, StaticPod};
use crate::facts::system::Process;
use crate::facts::unit::{CommandLine, Script, Unit};
use crate::origin::{Fact, Origin, Sourced, Unknown};
use crate::parse::command_line::{self, Flags};
use crate::parse::shell_script;
use crate::source::FileKind;

/// Everything that components are made of.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub processes: &'a Fact<Vec<Process>>,
    pub static_pods: &'a [StaticPod],
    pub units: &'a [Unit],
    pub scripts: &'a [Script],
    pub kubelet_configuration: &'a Fact<Option<ConfigDocument>>,
    pub kubeadm_configuration: &'a [ConfigDocument],
    /// From [`etcd_configuration`].
    pub etcd_configuration: &'a Fact<Option<Layer>>,
}

/// The components that run on the host or that its files would start, each once.
pub fn build(evidence: &Evidence<'_>) -> Vec<Component> {
    ComponentName::ALL.iter().filter_map(|name| component(*name, evidence)).collect()
}

fn component(name: ComponentName, evidence: &Evidence<'_>) -> Option<Component> {
    let mut component = Component::new(name);
    if let Ok(all) = evidence.processes {
        let mut running = processes::of(name, all);
        if !running.is_empty() {
            let (process, from) = running.remove(0);
            component.pid = Some(process.pid);
            component.layers.push(processes::layer(name, process, from));
        }
    }
    component.layers.extend(evidence.static_pods.iter().flat_map(|pod| manifest_layers(name, pod)));
    let running = component.pid.is_some();
    component.layers.extend(unit_layers(name, evidence.units, running));
    for script in evidence.scripts {
        let layers = script.commands.iter().filter_map(|command| {
            let mut layer = command_layer(name, LayerKind::Script, Origin::file(script.path.as_str(), None), command)?;
            add_environment(name, &mut layer, &script.variables);
            Some(layer)
        });
        component.layers.extend(layers);
    }
    add_config_file(name, &mut component, evidence);
    if component.layers.is_empty() {
        return None;
    }
    add_unread(name, &mut component, evidence);
    component.version = version(name, &component, evidence.kubeadm_configuration);
    Some(component)
}

fn new_layer(kind: LayerKind, origin: Origin, flags: Flags) -> Layer {
    let Flags { flags, spelt, arguments } = flags;
    Layer { kind, origin, flags, spelt, arguments, image: None }
}

fn identify(command: &CommandLine) -> Option<(ComponentName, usize)> {
    let words: Vec<&str> = command.words.iter().map(|word| word.value.as_str()).collect();
    command_line::identify(&words)
}

fn command_layer(name: ComponentName, kind: LayerKind, origin: Origin, command: &CommandLine) -> Option<Layer> {
    let (_, from) = identify(command).filter(|(found, _)| *found == name)?;
    Some(new_layer(kind, origin, command_line::flags(name, command, from)))
}

/// Variables that stand for flags: `ETCD_LISTEN_PEER_URLS`. A flag on the command line wins over its variable.
fn add_environment(name: ComponentName, layer: &mut Layer, environment: &BTreeMap<String, Sourced<String>>) {
    let prefix = match name {
        ComponentName::Etcd => "ETCD_",
        ComponentName::Flanneld => "FLANNELD_",
        _ => return,
    };
    for (variable, value) in environment {
        if let Some(flag) = variable.strip_prefix(prefix)
            && !flag.is_empty()
            && !value.value.is_empty()
        {
            let flag = flag.to_ascii_lowercase().replace('_', "-");
            layer.flags.entry(flag).or_insert_with(|| vec![value.clone()]);
        }
    }
}

/// Whether it is a package's unit that nobody uses: distributions ship these disabled or people leave them behind, and
/// their flags say nothing about the host.
fn is_idle_package(name: ComponentName, unit: &Unit, layer: &Layer) -> bool {
    let packaged = match name {
        ComponentName::Etcd => {
            !["initial-cluster", "listen-peer-urls", "listen-client-urls", "discovery", "config-file"]
                .iter()
                .any(|flag| layer.flags.contains_key(*flag))
        }
        ComponentName::Dockerd
        | ComponentName::Containerd
        | ComponentName::Crio
        | ComponentName::CriDockerd
        | ComponentName::Haproxy
        | ComponentName::Nginx
        | ComponentName::Keepalived => true,
        _ => false,
    };
    let by_vendor = |path: &str| path.starts_with("/usr/lib/") || path.starts_with("/lib/");
    packaged && unit.enabled != Some(true) && by_vendor(&unit.path) && unit.drop_ins.iter().all(|path| by_vendor(path))
}

fn unit_layers(name: ComponentName, units: &[Unit], running: bool) -> Vec<Layer> {
    let mut units: Vec<&Unit> = units.iter().filter(|unit| !unit.masked).collect();
    // Of several units that would start it, what is enabled counts first, then what bears its name.
    let own_name = format!("{}.service", name.name());
    units.sort_by_key(|unit| (unit.enabled != Some(true), unit.name != own_name));
    let mut layers = Vec::new();
    for unit in units {
        for command in &unit.exec_start {
            let origin = Origin::file(unit.path.as_str(), None);
            if let Some(mut layer) = command_layer(name, LayerKind::Unit, origin, command) {
                add_environment(name, &mut layer, &unit.environment);
                if running || !is_idle_package(name, unit, &layer) {
                    layers.push(layer);
                }
            }
        }
    }
    layers
}

fn manifest_layers(name: ComponentName, pod: &StaticPod) -> Vec<Layer> {
    let layer = |container: &Container| {
        let (command, from) = container_command(name, container)?;
        let origin = Origin::file(pod.path.as_str(), None);
        let mut layer = new_layer(LayerKind::Manifest, origin, command_line::flags(name, &command, from));
        add_environment(name, &mut layer, &container.environment);
        layer.image = container.image.clone();
        Some(layer)
    };
    pod.containers.iter().filter_map(layer).collect()
}

/// The command of a container when it runs the component, and where its flags begin.
fn container_command(name: ComponentName, container: &Container) -> Option<(CommandLine, usize)> {
    if let [shell, option, script, ..] = container.command.as_slice()
        && shell_script::is_shell(&shell.value)
        && option.value.starts_with('-')
        && option.value.ends_with('c')
    {
        return shell_script::components_in(script).into_iter().find_map(|command| {
            identify(&command).filter(|(found, _)| *found == name).map(|(_, from)| (command, from))
        });
    }
    let mut command = CommandLine { words: container.command.clone(), ..CommandLine::default() };
    command_line::hide_secrets(&mut command.words);
    match identify(&command) {
        Some((found, from)) => (found == name).then_some((command, from)),
        // Arguments alone: the image's own program takes them.
        None => {
            let only_flags = command.words.first().is_none_or(|word| word.value.starts_with('-'));
            let (repository, _) = split_image(&container.image.as_ref()?.value);
            let program = command_line::base_name(repository);
            let program = ["-amd64", "-arm64", "-arm", "-ppc64le", "-s390x"]
                .iter()
                .find_map(|end| program.strip_suffix(end))
                .unwrap_or(program);
            let (found, _) = command_line::identify(&[program])?;
            (only_flags && found == name).then_some((command, 0))
        }
    }
}

fn add_config_file(name: ComponentName, component: &mut Component, evidence: &Evidence<'_>) {
    match name {
        ComponentName::Kubelet => {
            if let Ok(Some(document)) = evidence.kubelet_configuration {
                component.layers.push(config_files::kubelet(document));
            }
        }
        ComponentName::Etcd => {
            if let Ok(Some(layer)) = evidence.etcd_configuration {
                // etcd that is given a configuration file reads neither its other flags nor its variables.
                component.layers.insert(0, layer.clone());
            }
        }
        _ => {}
    }
}

fn add_unread(name: ComponentName, component: &mut Component, evidence: &Evidence<'_>) {
    let config = match name {
        ComponentName::Kubelet => evidence.kubelet_configuration.as_ref().err(),
        ComponentName::Etcd => evidence.etcd_configuration.as_ref().err(),
        _ => None,
    };
    component.unread.extend(config.cloned());
    // A process' own words are complete; only files leave something to be unknown.
    if component.pid.is_some() {
        return;
    }
    for unit in evidence.units.iter().filter(|unit| unit.exec_start.iter().filter_map(identify).any(|(n, _)| n == name))
    {
        for file in unit.environment_files.iter().filter(|file| file.present.is_none()) {
            component.unread.push(Unknown::new(file.path.as_str(), "could not be read"));
        }
    }
}

/// Repository and tag of an image: `registry:5000/etcd` and `3.5.9-0`.
fn split_image(image: &str) -> (&str, Option<&str>) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (image, None),
    }
}

/// `1.34.4` of `v1.34.4`, `3.6.5` of `3.6.5-0`; None when it is no version.
pub(super) fn version_of(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('v');
    let length = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let version = text[..length].trim_end_matches('.');
    let numbers = version.split('.').count();
    let valid = (2..=4).contains(&numbers) && version.split('.').all(|part| !part.is_empty());
    valid.then(|| version.to_owned())
}

fn version(name: ComponentName, component: &Component, kubeadm: &[ConfigDocument]) -> Option<Sourced<String>> {
    for layer in &component.layers {
        if let Some(image) = &layer.image
            && let Some(version) = split_image(&image.value).1.and_then(version_of)
        {
            return Some(Sourced::new(version, image.origin.clone()));
        }
    }
    let of_kubernetes = matches!(
        name,
        ComponentName::KubeApiserver
            | ComponentName::KubeControllerManager
            | ComponentName::KubeScheduler
            | ComponentName::Kubelet
            | ComponentName::KubeProxy
    );
    if !of_kubernetes {
        return None;
    }
    kubeadm.iter().find_map(|document| {
        let given = document.get("kubernetesVersion")?;
        Some(Sourced::new(version_of(&given.value)?, given.origin.clone()))
    })
}

/// The value of a flag that names a file, of the running process before the units.
fn file_flag(
    name: ComponentName,
    flag: &str,
    units: &[Unit],
    processes: &Fact<Vec<Process>>,
) -> Option<Sourced<String>> {
    let running = processes.as_ref().ok().and_then(|all| processes::of(name, all).into_iter().next());
    let of = |layer: &Layer| layer.flags.get(flag)?.last().filter(|value| value.value.starts_with('/')).cloned();
    match running {
        // What runs is what counts, also when it was not given the flag.
        Some((process, from)) => of(&processes::layer(name, process, from)),
        None => unit_layers(name, units, false).iter().find_map(of),
    }
}

/// Where a kubelet reads what it does not take from its flags.
pub struct KubeletPaths {
    /// `--config`; empty where it is not given, or is of a release that reads no such file: then the usual paths are looked at.
    pub configuration: String,
    /// Directories of static pods that flags name: `--pod-manifest-path`, and `--config` before 1.8.
    pub manifests: Vec<String>,
}

pub fn kubelet_paths(files: &Files, units: &[Unit], processes: &Fact<Vec<Process>>) -> KubeletPaths {
    let flag = |flag: &str| file_flag(ComponentName::Kubelet, flag, units, processes).map(|path| path.value);
    let mut manifests: Vec<String> = flag("pod-manifest-path").into_iter().collect();
    let configuration = match flag("config") {
        Some(path) if files.metadata(&path).is_ok_and(|found| found.kind == FileKind::Directory) => {
            manifests.push(path);
            String::new()
        }
        path => path.unwrap_or_default(),
    };
    KubeletPaths { configuration, manifests }
}

/// The file that etcd is given with `--config-file` or `ETCD_CONFIG_FILE`, as a layer; none when it is given none.
pub fn etcd_configuration(
    files: &Files,
    units: &[Unit],
    processes: &Fact<Vec<Process>>,
    problems: &Problems,
) -> Fact<Option<Layer>> {
    let Some(path) = file_flag(ComponentName::Etcd, "config-file", units, processes) else { return Ok(None) };
    let file = files.text(&path.value).map_err(|error| error.unknown())?;
    let (layer, problem) = config_files::etcd(&file.path, &file.text);
    problems.add_parsed(&file.path, problem);
    Ok(Some(layer))
}

#[cfg(test)]
mod tests;
