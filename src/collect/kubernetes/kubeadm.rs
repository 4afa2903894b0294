//! kubeadm's configuration: what an operator gave to `kubeadm init --config`, where people leave it.

use super::super::{Files, Problems};
use super::note_invalid;
use crate::facts::kubernetes::ConfigDocument;
use crate::origin::Origin;
use crate::parse::config_document;
use crate::source::FileKind;

/// Directories, and how the names in them begin.
const PLACES: &[(&str, &str)] =
    &[("/etc/kubernetes", "kubeadm"), ("/etc/kubeadm", ""), ("/root", ""), ("/root/kubeadm", "")];
const ENDINGS: &[&str] = &[".yaml", ".yml", ".json", ".conf"];

/// Bytes of a file and files of a directory that are looked at: a home directory may hold anything.
const SIZE_LIMIT: u64 = 1 << 20;
const FILE_LIMIT: usize = 100;

/// Every document of the file that the user gave, with what is doubtful in it, else of the files that hold one of kubeadm's.
pub(super) fn collect(
    files: &Files,
    problems: &Problems,
    invalid_files: &mut Vec<(Origin, String)>,
) -> (Vec<ConfigDocument>, Vec<(Origin, String)>) {
    let mut found = Vec::new();
    if let Some(path) = files.source().given_configuration() {
        let doubts = read(files, problems, path, invalid_files, &mut found);
        return (found, doubts);
    }
    for (directory, prefix) in PLACES {
        // A directory that may not be listed is told with everything that was refused.
        let Ok(entries) = files.list(directory) else { continue };
        let wanted = entries.iter().filter(|entry| {
            matches!(entry.kind, FileKind::File | FileKind::Link)
                && entry.name.starts_with(prefix)
                && !entry.name.starts_with('.')
                && ENDINGS.iter().any(|ending| entry.name.ends_with(ending))
        });
        for entry in wanted.take(FILE_LIMIT) {
            read(files, problems, &format!("{directory}/{}", entry.name), invalid_files, &mut found);
        }
    }
    (found, Vec::new())
}

/// Adds a file's documents and gives what kubeadm would only warn of.
fn read(
    files: &Files,
    problems: &Problems,
    path: &str,
    invalid_files: &mut Vec<(Origin, String)>,
    found: &mut Vec<ConfigDocument>,
) -> Vec<(Origin, String)> {
    let small =
        files.metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::File && metadata.size <= SIZE_LIMIT);
    if !small {
        return Vec::new();
    }
    let Ok(file) = files.text(path) else { return Vec::new() };
    let path = &*file.path;
    if !file.text.contains("kubeadm.k8s.io/") {
        return Vec::new();
    }
    let parsed = config_document::parse(path, &file.text);
    let kubeadms = |document: &ConfigDocument| document.api_version.value.starts_with("kubeadm.k8s.io/");
    // One that does not parse up to its kind is kubeadm's all the same.
    let is_broken =
        !parsed.invalid.is_empty() && file.text.lines().any(|line| line.starts_with("apiVersion: kubeadm.k8s.io/"));
    let doubts = parsed.problems.iter().map(|doubt| (Origin::file(path, doubt.span), doubt.message.clone())).collect();
    if is_broken || parsed.documents.iter().any(kubeadms) {
        problems.add_parsed(path, parsed.problems);
        note_invalid(problems, path, parsed.invalid, invalid_files);
        found.extend(parsed.documents);
    }
    doubts
}
