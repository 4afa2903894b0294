//! Kubernetes' own files on a host: manifests, kubeconfigs, the kubelet's and kubeadm's configuration.

mod kubeadm;
mod kubeconfigs;
mod manifests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::collect::{Files, Problems};
use crate::facts::kubernetes::{ConfigDocument, Kubernetes};
use crate::origin::{Fact, Origin, Unknown};
use crate::parse::{self, config_document};
use crate::source::ReadError;

pub use kubeconfigs::add as add_kubeconfigs;

/// Where the kubelet's configuration lies when no flag says so, by how hosts are set up.
const KUBELET_CONFIGURATIONS: &[&str] = &[
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/config.yml",
    "/etc/kubernetes/kubelet-config.yaml",
    "/etc/kubernetes/kubelet.yaml",
    "/etc/kubernetes/kubelet/kubelet-config.json",
    "/etc/kubernetes/kubelet/config.json",
    "/home/kubernetes/kubelet-config.yaml",
];

/// Everything but certificates, from the usual places and the directories that the kubelet's configuration names.
/// `kubelet_config_path` is the kubelet's `--config`, or a usual path, or empty.
pub fn collect(files: &Files, problems: &Problems, kubelet_config_path: &str) -> Kubernetes {
    collect_from(files, problems, &[], kubelet_config_path)
}

/// The same with the directories that the kubelet's flags name (`--pod-manifest-path`, `--config` of old).
pub fn collect_from(
    files: &Files,
    problems: &Problems,
    manifest_directories: &[String],
    kubelet_config_path: &str,
) -> Kubernetes {
    let mut invalid_files = Vec::new();
    let kubelet_configuration = kubelet_configuration(files, problems, kubelet_config_path, &mut invalid_files);
    let mut directories = manifest_directories.to_vec();
    if let Ok(Some(configuration)) = &kubelet_configuration
        && let Some(path) = configuration.get("staticPodPath").filter(|path| path.value.starts_with('/'))
    {
        directories.push(path.value.clone());
    }
    let mut invalid_manifests = Vec::new();
    let manifests::Found { pods, unread } = manifests::collect(files, problems, &directories, &mut invalid_manifests);
    let (static_pods, some_static_pods) = match unread.first() {
        Some(unknown) => (Err(unknown.clone()), pods),
        None => (Ok(pods), Vec::new()),
    };
    let (kubeadm_configuration, kubeadm_doubts) = kubeadm::collect(files, problems, &mut invalid_files);
    let mut kubernetes = Kubernetes {
        static_pods,
        some_static_pods,
        unread_manifests: unread,
        invalid_manifests,
        kubeconfigs: Vec::new(),
        unread_kubeconfigs: Vec::new(),
        cni_kubeconfigs: Vec::new(),
        unread_cni_kubeconfigs: Vec::new(),
        kubelet_configuration,
        kubeadm_configuration,
        kubeadm_doubts,
        kubeadm_given: files.source().given_configuration().map(str::to_owned),
        invalid_files,
        certificates: BTreeMap::new(),
        absent_files: Vec::new(),
    };
    kubeconfigs::usual(&mut kubernetes, files, problems);
    kubeconfigs::of_plugins(&mut kubernetes, files);
    kubernetes
}

fn kubelet_configuration(
    files: &Files,
    problems: &Problems,
    path: &str,
    invalid_files: &mut Vec<(Origin, String)>,
) -> Fact<Option<ConfigDocument>> {
    // A path that a flag gives is not replaced by a usual one: the kubelet would not look there either.
    let is_named = !path.is_empty();
    let candidates: Vec<&str> = if path.is_empty() { KUBELET_CONFIGURATIONS.to_vec() } else { vec![path] };
    for (index, path) in candidates.into_iter().enumerate() {
        match files.text(path) {
            Ok(file) => return read_kubelet_configuration(problems, &file.path, &file.text, invalid_files).map(Some),
            Err(error) if error.is_absent() && is_named && !files.folder_is_there(path) => {
                return Err(Unknown::new(path, "its folder is not part of this source"));
            }
            Err(error) if error.is_absent() => {}
            // A source need not hold every path that some distribution uses, but the first has to be known.
            Err(ReadError::NotCovered { .. }) if index > 0 => {}
            Err(error) => return Err(error.unknown()),
        }
    }
    Ok(None)
}

/// The KubeletConfiguration of a text. One that the kubelet refuses is unknown: what stands before a fault says nothing
/// about what the kubelet would run with.
fn read_kubelet_configuration(
    problems: &Problems,
    path: &str,
    text: &str,
    invalid_files: &mut Vec<(Origin, String)>,
) -> Fact<ConfigDocument> {
    let mut found = config_document::parse(path, text);
    problems.add_parsed(path, found.problems);
    if found.invalid.is_empty() {
        // The kubelet reads the first document.
        match found.documents.first() {
            Some(first) if first.kind.value == "KubeletConfiguration" => return Ok(found.documents.swap_remove(0)),
            Some(first) => {
                let message = format!("a {}, where the kubelet expects a KubeletConfiguration", first.kind.value);
                found.invalid.push(parse::Problem::new(first.kind.origin.span(), message));
            }
            None => found.invalid.push(parse::Problem::new(None, "the file is empty")),
        }
    }
    let why = found.invalid.first().map(|problem| problem.message.clone()).unwrap_or_default();
    note_invalid(problems, path, found.invalid, invalid_files);
    Err(Unknown::new(path, format!("not valid: {why}")).with_remedy("mend the file"))
}

/// Keeps why a file is refused, for rules and for the list of what could not be read.
fn note_invalid(
    problems: &Problems,
    path: &str,
    invalid: Vec<parse::Problem>,
    invalid_files: &mut Vec<(Origin, String)>,
) {
    for problem in &invalid {
        invalid_files.push((Origin::file(path, problem.span), problem.message.clone()));
    }
    problems.add_parsed(path, invalid);
}
