//! Kubeconfigs: those that flags name, and those of the usual places.

use super::super::{Files, Problems};
use super::note_invalid;
use crate::facts::kubernetes::Kubernetes;
use crate::origin::{Sourced, Unknown};
use crate::parse::kubeconfig;
use crate::source::{FileKind, ReadError, SourceKind};

/// Directories, and how the names of kubeconfigs in them end.
const PLACES: &[(&str, &[&str])] = &[
    ("/etc/kubernetes", &[".conf", "kubeconfig"]),
    ("/etc/kubernetes/kubeconfig", &[""]),
    ("/srv/kubernetes", &["kubeconfig"]),
    ("/var/lib/kubelet", &["kubeconfig"]),
    ("/var/lib/kube-proxy", &["kubeconfig", "kubeconfig.conf"]),
    ("/var/lib/kube-scheduler", &["kubeconfig"]),
    ("/var/lib/kube-controller-manager", &["kubeconfig"]),
    ("/var/lib/rancher/k3s/agent", &[".kubeconfig"]),
    ("/var/lib/rancher/k3s/server/cred", &[".kubeconfig"]),
    ("/var/lib/rancher/rke2/agent", &[".kubeconfig"]),
    ("/var/lib/rancher/rke2/server/cred", &[".kubeconfig"]),
    ("/var/snap/microk8s/current/credentials", &[".config"]),
];
const PATHS: &[&str] = &["/root/.kube/config", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml"];

/// Where the configuration of CNI plug-ins is.
const CNI: &str = "/etc/cni/net.d";

/// Files of one directory that are looked at.
const FILE_LIMIT: usize = 100;

/// Adds the kubeconfigs of the usual places.
pub(super) fn usual(kubernetes: &mut Kubernetes, files: &Files, problems: &Problems) {
    for (directory, endings) in PLACES {
        let entries = match files.list(directory) {
            Ok(entries) => entries,
            Err(ReadError::NotFound { .. } | ReadError::NotCovered { .. } | ReadError::WrongKind { .. }) => continue,
            Err(error) => {
                kubernetes.unread_kubeconfigs.push(error.unknown());
                continue;
            }
        };
        // A container's mount of a file that is not there makes a directory of that name.
        for entry in entries.iter().filter(|entry| !matches!(entry.kind, FileKind::File | FileKind::Link)) {
            let path = format!("{directory}/{}", entry.name);
            let is_named = endings.iter().any(|ending| !ending.is_empty() && entry.name.ends_with(ending));
            if is_named && PLACES.iter().all(|(place, _)| *place != path) {
                let message = format!("is a {}, not a kubeconfig", entry.kind.name());
                problems.add(&path, None, message, Some("look at what stands there".to_owned()));
            }
        }
        let wanted = entries.iter().filter(|entry| {
            let any_name = files.kind() == SourceKind::File && *directory == "/etc/kubernetes";
            matches!(entry.kind, FileKind::File | FileKind::Link)
                && (any_name || endings.iter().any(|ending| entry.name.ends_with(ending)))
        });
        for entry in wanted.take(FILE_LIMIT) {
            let _ = read(kubernetes, files, problems, &format!("{directory}/{}", entry.name), false);
        }
    }
    for path in PATHS {
        let _ = read(kubernetes, files, problems, path, false);
    }
}

/// Adds those that CNI plug-ins have beside their configuration. A file that is none is the plug-in's own matter.
pub(super) fn of_plugins(kubernetes: &mut Kubernetes, files: &Files) {
    let Ok(entries) = files.list(CNI) else { return };
    let wanted = entries
        .iter()
        .filter(|entry| matches!(entry.kind, FileKind::File | FileKind::Link) && entry.name.contains("kubeconfig"));
    for entry in wanted.take(FILE_LIMIT) {
        let path = format!("{CNI}/{}", entry.name);
        match files.text(&path) {
            Ok(file) => {
                let mode = files.metadata(&path).ok().map(|metadata| metadata.mode);
                kubernetes.cni_kubeconfigs.extend(kubeconfig::parse(&path, &file.text, mode).kubeconfig);
            }
            Err(error) => kubernetes.unread_cni_kubeconfigs.push(error.unknown()),
        }
    }
}

/// Adds the kubeconfigs that flags name and that are not there yet; those that do not exist become absent files.
pub fn add(kubernetes: &mut Kubernetes, files: &Files, problems: &Problems, named: &[Sourced<String>]) {
    for name in named {
        let path = name.value.as_str();
        let known = kubernetes.kubeconfigs.iter().any(|config| config.path == path)
            || kubernetes.unread_kubeconfigs.iter().any(|unknown| unknown.what == path)
            || kubernetes.invalid_files.iter().any(|(origin, _)| origin.path() == Some(path));
        if known || !path.starts_with('/') {
            continue;
        }
        if read(kubernetes, files, problems, path, true).is_ok() || kubernetes.absent_files.contains(name) {
            continue;
        }
        match files.folder_is_there(path) {
            true => kubernetes.absent_files.push(name.clone()),
            false => kubernetes.unread_kubeconfigs.push(Unknown::new(path, "its folder is not part of this source")),
        }
    }
}

/// There is no such file.
struct Absent;

/// Adds one file. One that nothing names is passed over when it is something else: `.conf` says little.
fn read(
    kubernetes: &mut Kubernetes,
    files: &Files,
    problems: &Problems,
    path: &str,
    named: bool,
) -> Result<(), Absent> {
    let file = match files.text(path) {
        Ok(file) => file,
        Err(ReadError::NotFound { .. }) => return Err(Absent),
        Err(ReadError::NotCovered { .. } | ReadError::WrongKind { .. }) if !named => return Ok(()),
        Err(error) => {
            kubernetes.unread_kubeconfigs.push(error.unknown());
            return Ok(());
        }
    };
    let mode = files.metadata(path).ok().map(|metadata| metadata.mode);
    let parsed = kubeconfig::parse(path, &file.text, mode);
    let resembles = || {
        let empty = file.text.trim().is_empty();
        empty || file.text.contains("kind: Config\n") || file.text.contains("clusters:")
    };
    if named || parsed.kubeconfig.is_some() || resembles() {
        problems.add_parsed(path, parsed.problems);
        note_invalid(problems, path, parsed.invalid, &mut kubernetes.invalid_files);
    }
    if let Some(config) = parsed.kubeconfig {
        let clusters = config.clusters.iter().filter_map(|cluster| cluster.certificate_authority_data.as_ref());
        let users = config.users.iter().flat_map(|user| [&user.client_certificate_data, &user.client_key_data]);
        for data in clusters.chain(users.flatten()) {
            for problem in &data.problems {
                problems.add(path, data.origin.span(), problem.clone(), None);
            }
        }
        kubernetes.kubeconfigs.push(config);
    }
    Ok(())
}
