//! Certificates and keys: the files that configurations name, and what lies in the usual places.

use std::collections::{BTreeMap, BTreeSet};

use crate::collect::{Files, Problems};
use crate::facts::certificates::CertificateFile;
use crate::facts::kubernetes::Kubernetes;
use crate::origin::{Fact, Origin, Sourced, Unknown};
use crate::parse::pem;
use crate::source::{Entry, FileKind, ReadError, SourceKind};

/// Directories that hold cluster certificates, with how many levels below them are looked at.
const USUAL_PLACES: &[(&str, usize)] = &[
    ("/etc/kubernetes/pki", 3),
    ("/etc/kubernetes/ssl", 3),
    ("/etc/kubernetes/certs", 3),
    ("/srv/kubernetes", 3),
    ("/etc/etcd/ssl", 2),
    ("/etc/etcd/pki", 2),
    ("/etc/ssl/etcd", 2),
    ("/var/lib/kubelet/pki", 1),
    ("/var/lib/rancher/k3s/server/tls", 3),
    ("/var/lib/rancher/rke2/server/tls", 3),
    // The agent's directory also holds its container runtime's state.
    ("/var/lib/rancher/k3s/agent", 0),
    ("/var/lib/rancher/rke2/agent", 0),
    ("/var/snap/microk8s/current/certs", 1),
];

const ENDINGS: &[&str] = &[".crt", ".pem", ".key", ".pub", ".cert"];

/// Files of all usual places together; a cluster's own are a few dozen.
const FILE_LIMIT: usize = 1000;

/// What was found of certificates and keys.
#[derive(Debug, Default)]
pub struct Certificates {
    /// By path. A file that is there but could not be read says why; so does a directory that could not be listed.
    pub files: BTreeMap<String, Fact<CertificateFile>>,
    /// What is named and is not there.
    pub absent: Vec<Sourced<String>>,
}

/// Adds the certificates and keys that flags name (`named`), those that kubeconfigs and the kubelet's and kubeadm's
/// configuration name, and those of the usual places.
pub fn add(kubernetes: &mut Kubernetes, files: &Files, problems: &Problems, named: &[Sourced<String>]) {
    let mut named = named.to_vec();
    named.extend(named_by(kubernetes));
    let found = collect(files, problems, &named);
    kubernetes.certificates.extend(found.files);
    kubernetes.absent_files.extend(found.absent);
}

/// Paths that Kubernetes' own files name.
fn named_by(kubernetes: &Kubernetes) -> Vec<Sourced<String>> {
    let mut named = Vec::new();
    for config in &kubernetes.kubeconfigs {
        let directory = config.path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let clusters = config.clusters.iter().filter_map(|cluster| cluster.certificate_authority.as_ref());
        let users = config.users.iter().flat_map(|user| [&user.client_certificate, &user.client_key]).flatten();
        // Clients take a relative path for one from the kubeconfig's own directory.
        named.extend(clusters.chain(users).cloned().map(|path| {
            path.map(|path| {
                if path.starts_with('/') { path } else { format!("{directory}/{}", path.trim_start_matches("./")) }
            })
        }));
    }
    if let Ok(Some(kubelet)) = &kubernetes.kubelet_configuration {
        let fields = ["authentication.x509.clientCAFile", "tlsCertFile", "tlsPrivateKeyFile"];
        named.extend(fields.iter().filter_map(|field| kubelet.get(field).cloned()));
    }
    for document in &kubernetes.kubeadm_configuration {
        let fields = ["etcd.external.caFile", "etcd.external.certFile", "etcd.external.keyFile"];
        named.extend(fields.iter().filter_map(|field| document.get(field).cloned()));
    }
    named
}

/// Reads what `named` configurations name and what the usual places hold.
pub fn collect(files: &Files, problems: &Problems, named: &[Sourced<String>]) -> Certificates {
    let mut found = Certificates::default();
    let mut absent = BTreeSet::new();
    for name in named {
        let path = &name.value;
        if path.is_empty() || found.files.contains_key(path) {
            continue;
        }
        if !path.starts_with('/') {
            let unknown =
                Unknown::new(path, "a relative path: where it leads depends on the process' working directory");
            found.files.insert(path.clone(), Err(unknown.with_remedy("name the file by its absolute path")));
            continue;
        }
        match read(files, problems, path) {
            Some(file) => {
                found.files.insert(path.clone(), file);
            }
            None => {
                // Several components name the same file; each place is worth telling, each once.
                if absent.insert((path, name.origin.to_string())) {
                    found.absent.push(name.clone());
                }
            }
        }
    }
    let mut left = FILE_LIMIT;
    for (directory, levels) in USUAL_PLACES {
        walk(files, problems, directory, *levels, &mut left, &mut found.files);
    }
    if left == 0 {
        let message = format!("more than {FILE_LIMIT} certificate files in the usual places; the others are not read");
        problems.add("/etc/kubernetes/pki", None, message, None);
    }
    found
}

/// A file's content; none when there is no such file.
fn read(files: &Files, problems: &Problems, path: &str) -> Option<Fact<CertificateFile>> {
    let bytes = match files.bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => return None,
        Err(error) => return Some(Err(error.unknown())),
    };
    let mode = files.metadata(path).ok().map(|metadata| metadata.mode);
    let file = pem::parse(&bytes, Origin::file(path, None), mode);
    for problem in &file.problems {
        problems.add(path, None, problem.clone(), None);
    }
    Some(Ok(file))
}

// Recursion is bounded by `levels`.
fn walk(
    files: &Files,
    problems: &Problems,
    directory: &str,
    levels: usize,
    left: &mut usize,
    found: &mut BTreeMap<String, Fact<CertificateFile>>,
) {
    let entries = match files.list(directory) {
        Ok(entries) => entries,
        Err(error) => {
            // Where the source does not reach, nothing says that there is anything.
            if !error.is_absent() && !matches!(error, ReadError::NotCovered { .. }) {
                found.entry(directory.to_owned()).or_insert_with(|| Err(error.unknown()));
            }
            return;
        }
    };
    for entry in entries.iter() {
        let path = format!("{directory}/{}", entry.name);
        match entry.kind {
            FileKind::Directory if levels > 0 => walk(files, problems, &path, levels - 1, left, found),
            FileKind::File | FileKind::Link => {
                // A file that was given alone lies here because it is one, whatever it is called.
                let wanted =
                    files.kind() == SourceKind::File || ENDINGS.iter().any(|ending| entry.name.ends_with(ending));
                if !wanted || found.contains_key(&path) || is_superseded(&entry.name, &entries) {
                    continue;
                }
                if *left == 0 {
                    return;
                }
                *left -= 1;
                // A link into nothing is no file here; whoever names it gets it told as absent.
                if let Some(file) = read(files, problems, &path) {
                    found.insert(path, file);
                }
            }
            _ => {}
        }
    }
}

/// Whether a file is one of the dated certificates that the kubelet leaves behind when it gets a new one
/// (`kubelet-client-2023-01-02-03-04-05.pem`): the one in use is what `kubelet-client-current.pem` points to.
fn is_superseded(name: &str, entries: &[Entry]) -> bool {
    ["kubelet-client-", "kubelet-server-"].iter().any(|prefix| {
        let dated =
            name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        dated && entries.iter().any(|entry| entry.name == format!("{prefix}current.pem"))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::MemorySource;

    const CRT: &str = include_str!("../../testdata/pem/ec.crt");
    const KEY: &str = include_str!("../../testdata/pem/ec-sec1.key");

    fn named(path: &str, by: &str) -> Sourced<String> {
        Sourced::new(path.to_owned(), Origin::file(by, None))
    }

    fn run(source: MemorySource, named: &[Sourced<String>]) -> (Certificates, Vec<crate::report::Problem>) {
        let problems = Problems::new("m1");
        let found = collect(&Files::new(Arc::new(source)), &problems, named);
        (found, problems.into_sorted())
    }

    #[test]
    fn named_files_and_usual_places() {
        let source = MemorySource::new("m1")
            .file("/etc/kubernetes/pki/ca.crt", CRT)
            .file_with_mode("/etc/kubernetes/pki/ca.key", KEY, 0o600)
            .file("/etc/kubernetes/pki/etcd/ca.crt", CRT)
            .file("/etc/kubernetes/pki/readme.txt", "no certificate")
            .file("/opt/own/server.crt", CRT)
            .file("/opt/own/other.crt", CRT)
            .file("/var/lib/rancher/k3s/agent/containerd/deep.pem", CRT)
            .file("/var/lib/rancher/k3s/agent/client-ca.crt", CRT)
            .file("/var/lib/kubelet/pki/kubelet-client-2025-01-01-00-00-00.pem", CRT)
            .file("/var/lib/kubelet/pki/kubelet-client-2026-01-01-00-00-00.pem", CRT)
            .link("/var/lib/kubelet/pki/kubelet-client-current.pem", "kubelet-client-2026-01-01-00-00-00.pem");
        let (found, problems) = run(source, &[named("/opt/own/server.crt", "/m/kube-apiserver.yaml")]);
        let paths: Vec<&str> = found.files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "/etc/kubernetes/pki/ca.crt",
                "/etc/kubernetes/pki/ca.key",
                "/etc/kubernetes/pki/etcd/ca.crt",
                "/opt/own/server.crt",
                "/var/lib/kubelet/pki/kubelet-client-current.pem",
                "/var/lib/rancher/k3s/agent/client-ca.crt",
            ]
        );
        let key = found.files["/etc/kubernetes/pki/ca.key"].as_ref().expect("a key");
        assert_eq!((key.mode, key.keys.len()), (Some(0o600), 1));
        assert_eq!((found.absent, problems), (vec![], vec![]));
    }

    #[test]
    fn absent_unreadable_and_broken_files_are_told_apart() {
        let source = MemorySource::new("m1")
            .file("/etc/kubernetes/pki/ca.crt", "-----BEGIN CERTIFICATE-----\nMII\n")
            .file("/etc/kubernetes/pki/ca.key", KEY)
            .file("/etc/ssl/etcd/ca.pem", CRT)
            .denied("/etc/kubernetes/pki/ca.key")
            .denied("/etc/ssl/etcd");
        let (found, problems) = run(
            source,
            &[
                named("/etc/kubernetes/pki/ca.key", "/m/a.yaml"),
                named("/gone.crt", "/m/a.yaml"),
                named("/gone.crt", "/m/a.yaml"),
                named("/gone.crt", "/m/b.yaml"),
                named("certs/own.crt", "/m/a.yaml"),
                named("", "/m/a.yaml"),
            ],
        );
        let absent: Vec<String> = found.absent.iter().map(|name| format!("{} {}", name.value, name.origin)).collect();
        assert_eq!(absent, ["/gone.crt /m/a.yaml", "/gone.crt /m/b.yaml"]);
        let unknown = |path: &str| found.files[path].as_ref().expect_err("unknown").clone();
        assert_eq!(unknown("/etc/kubernetes/pki/ca.key").remedy.as_deref(), Some("run as root"));
        assert_eq!(unknown("/etc/ssl/etcd").why, "permission denied");
        assert!(unknown("certs/own.crt").why.contains("relative path"));
        let broken = found.files["/etc/kubernetes/pki/ca.crt"].as_ref().expect("read");
        assert_eq!((broken.certificates.len(), broken.problems.len()), (0, 1));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].place, "/etc/kubernetes/pki/ca.crt");
        assert!(!found.files.contains_key("/gone.crt"));
    }
}
