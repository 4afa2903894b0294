//! From an archive to the hosts in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::archive::{self, Archive, FileNode, Limits, Node};
use super::foreign;
use super::manifest::{Answers, FORMAT, Head, Manifest, OWN, Recorded};
use crate::collect::probes::RecordedProbes;
use crate::source::{ArchiveSource, BundleSource, Recording, SourceError, SourceKind, SourceRef};

/// Bytes of one of a bundle's own entries.
const OWN_LIMIT: u64 = 256 << 20;

/// The hosts of an archive, at least one.
pub fn hosts(label: &str, file: File) -> Result<Vec<SourceRef>, SourceError> {
    let archive = archive::open_file(file, Limits::default()).map_err(|error| SourceError::Unrecognized {
        path: label.to_owned(),
        looks: format!("it is an archive that cannot be read ({error})"),
        remedy: "check that it was copied whole".to_owned(),
    })?;
    let archive = Arc::new(archive);
    let mut hosts: Vec<SourceRef> = Vec::new();
    let own: Vec<String> = own_directories(&archive).take(1000).map(str::to_owned).collect();
    for root in &own {
        let label = if own.len() == 1 { label.to_owned() } else { format!("{label}/{root}") };
        match bundle(label.clone(), &archive, root) {
            Ok(host) => hosts.push(host),
            // Of several hosts the others are judged, and of this one it is told why it is not.
            Err(error) if own.len() > 1 => hosts.push(unread(label, &archive, &error)),
            Err(error) => return Err(error),
        }
    }
    if hosts.is_empty() {
        hosts = foreign::hosts(label, &archive);
    }
    if !hosts.is_empty() {
        return Ok(hosts);
    }
    let damage =
        archive.damage.as_ref().map(|why| format!(", and cannot be read to its end ({why})")).unwrap_or_default();
    let refused = match archive.refused_count {
        0 => String::new(),
        count => format!("; {count} entries were refused"),
    };
    Err(SourceError::Unrecognized {
        path: label.to_owned(),
        looks: format!("it is an archive, but not of a host's files{damage}{refused}"),
        remedy:
            "give a bundle of `k8sdoctor collect`, a sosreport, a support bundle, or an archive of etc/, proc/ and var/"
                .to_owned(),
    })
}

/// The hosts of a folder that another tool wrote; none when it is no such folder.
pub fn hosts_of_folder(label: &str, folder: SourceRef) -> Vec<SourceRef> {
    foreign::hosts_of_tools(label, &Arc::new(archive::open_folder(folder, Limits::default())))
}

/// Directories that hold a bundle of ours.
pub(super) fn own_directories(archive: &Archive) -> impl Iterator<Item = &str> {
    let ending = format!("{OWN}/head.json");
    archive.nodes.keys().filter_map(move |name| Some(name.strip_suffix(&ending)?.trim_end_matches('/')))
}

/// One of the bundle's own entries; the error says what is wrong with it.
pub fn own<T: DeserializeOwned>(archive: &Archive, root: &str, name: &str) -> Result<T, String> {
    let entry = join(root, &format!("{OWN}/{name}"));
    let file = archive.file(&entry).ok_or_else(|| format!("it has no {name}"))?;
    if file.size() > OWN_LIMIT {
        return Err(format!("its {name} is larger than {OWN_LIMIT} bytes"));
    }
    serde_json::from_reader(std::io::BufReader::new(archive.open(file))).map_err(|error| {
        // The message of serde quotes values.
        format!("its {name} cannot be understood at line {}, column {}", error.line(), error.column())
    })
}

fn join(root: &str, name: &str) -> String {
    if root.is_empty() { name.to_owned() } else { format!("{root}/{name}") }
}

fn bundle(label: String, archive: &Arc<Archive>, root: &str) -> Result<SourceRef, SourceError> {
    let refuse = |looks: String, remedy: &str| SourceError::Unrecognized {
        path: label.clone(),
        looks,
        remedy: remedy.to_owned(),
    };
    let head: Head = own(archive, root, "head.json").map_err(|why| refuse(why, "collect it again"))?;
    if head.format > FORMAT {
        let looks = format!("it is a bundle of k8sdoctor {}, in a later format", head.tool_version);
        return Err(refuse(looks, "use that release or a later one"));
    }
    let mut recording = Recording {
        host: Some(head.host.clone()),
        of: match head.of {
            Recorded::Live => SourceKind::Live,
            Recorded::Tree => SourceKind::Tree,
        },
        at: Some(head.started),
        since: head.since_seconds.map(Duration::from_secs),
        ..Recording::unknown()
    };
    recording.left_out = refusals(archive);
    let manifest = own::<Manifest>(archive, root, "manifest.json");
    let answers = own::<Answers>(archive, root, "answers.json");
    let (manifest, answers) = match (manifest, answers) {
        (Ok(manifest), Ok(answers)) => (manifest, answers),
        // Cut off: what is there is there, and of the rest nothing is known.
        (Err(why), _) | (Ok(_), Err(why)) => {
            recording.of = SourceKind::Tree;
            let damage = archive.damage.clone().unwrap_or(why);
            recording.incomplete = Some(format!("the bundle is not whole: {damage}"));
            let source = ArchiveSource::new(label, Arc::clone(archive), root).picked().with_recording(recording);
            return Ok(Arc::new(source));
        }
    };
    recording.incomplete = match (&manifest.incomplete, &archive.damage) {
        (Some(why), _) => Some(format!("the bundle is not whole: {why}")),
        (None, Some(damage)) => Some(format!("the bundle is damaged: {damage}")),
        (None, None) => None,
    };
    let mut files = BTreeMap::new();
    for record in manifest.files {
        let names = if record.entries.is_empty() {
            vec![record.path.trim_start_matches('/').to_owned()]
        } else {
            record.entries
        };
        let mut whole: Option<FileNode> = None;
        let mut missing = false;
        for name in names {
            match (archive.file(&join(root, &name)), &mut whole) {
                (Some(piece), Some(whole)) => whole.pieces.extend(&piece.pieces),
                (Some(piece), none) => *none = Some(piece.clone()),
                (None, _) => missing = true,
            }
        }
        let whole = whole.filter(|_| !missing);
        if whole.as_ref().is_none_or(|whole| whole.size() != record.size) {
            recording
                .incomplete
                .get_or_insert_with(|| "the bundle is not whole: files of its list are missing".to_owned());
            recording.left_out.push((record.path, "it is not in the bundle as its list says".to_owned()));
            continue;
        }
        if let Some(why) = record.truncated {
            recording.left_out.push((record.path.clone(), why));
        }
        files.extend(whole.map(|whole| (record.path, whole)));
    }
    recording.left_out.extend(manifest.left_out.into_iter().map(|left_out| (left_out.path, left_out.why)));
    recording.streams = manifest.streams;
    recording.streams_left_out =
        manifest.streams_left_out.into_iter().map(|left_out| (left_out.path, left_out.why)).collect();
    recording.addresses = manifest.addresses;
    match own::<RecordedProbes>(archive, root, "probes.json") {
        Ok(probes) => recording.probes = Some(probes.into_probes()),
        Err(_) if archive.file(&join(root, &format!("{OWN}/probes.json"))).is_none() => {}
        Err(why) => recording.left_out.push(("probes".to_owned(), why)),
    }
    Ok(Arc::new(BundleSource::new(label, Arc::clone(archive), files, answers, recording)))
}

/// A host of an archive of which nothing is known but why.
fn unread(label: String, archive: &Arc<Archive>, error: &SourceError) -> SourceRef {
    let recording = Recording { incomplete: Some(error.to_string()), ..Recording::unknown() };
    Arc::new(ArchiveSource::new(label, Arc::clone(archive), foreign::NOWHERE).picked().with_recording(recording))
}

/// What of the archive was not taken, for the report.
pub fn refusals(archive: &Archive) -> Vec<(String, String)> {
    let mut refused: Vec<(String, String)> = archive
        .refused
        .iter()
        .map(|refusal| (refusal.name.clone(), format!("an entry of the archive was refused: {}", refusal.why)))
        .collect();
    if archive.refused_count > refused.len() {
        let more = archive.refused_count - refused.len();
        refused.push(("archive".to_owned(), format!("{more} more entries were refused")));
    }
    refused
}

/// The first bytes of a file as text.
pub(super) fn text(archive: &Archive, name: &str, limit: u64) -> Option<String> {
    let mut content = Vec::new();
    archive.open(archive.file(name)?).take(limit).read_to_end(&mut content).ok()?;
    Some(String::from_utf8_lossy(&content).into_owned())
}

/// Whether a directory of this name is there.
pub(super) fn is_directory(archive: &Archive, name: &str) -> bool {
    matches!(archive.nodes.get(name), Some(Node::Directory(_)))
}
