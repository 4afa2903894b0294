//! An archive of a host's files as somebody packed them: `tar c etc var proc`, or the directory that holds them, or several.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bundle::archive::{Archive, Node};
use crate::bundle::reader::refusals;
use crate::source::{ArchiveSource, Recording, SourceRef};

/// Directories of which a host's root has some.
pub const OF_A_HOST: [&str; 8] = ["etc", "proc", "var", "usr", "sys", "run", "lib", "opt"];
/// How deep a host's root may stand in an archive.
const DEPTH: usize = 4;
const HOST_LIMIT: usize = 256;

pub fn hosts(label: &str, archive: &Arc<Archive>) -> Vec<SourceRef> {
    let roots = roots(archive);
    let alone = roots.len() == 1;
    roots
        .into_iter()
        .map(|root| {
            // The last part is what a host without a name is called.
            let label = if alone { label.to_owned() } else { format!("{label}/{root}") };
            let source = ArchiveSource::new(label, Arc::clone(archive), root);
            Arc::new(source.with_recording(recording(archive))) as SourceRef
        })
        .collect()
}

/// What can be said of an archive that says nothing of itself.
pub fn recording(archive: &Archive) -> Recording {
    let incomplete = archive.damage.as_ref().map(|why| format!("the archive cannot be read to its end: {why}"));
    Recording { left_out: refusals(archive), incomplete, ..Recording::unknown() }
}

/// The directories that are a host's root; none of them is in another.
pub fn roots(archive: &Archive) -> Vec<String> {
    let mut roots: BTreeSet<String> = BTreeSet::new();
    for (name, node) in &archive.nodes {
        let is_of_host = |name: &str| OF_A_HOST.contains(&name);
        let (root, last) = name.rsplit_once('/').unwrap_or(("", name));
        let fits = matches!(node, Node::Directory(_) | Node::Link(_)) && is_of_host(last);
        if !fits || root.split('/').count() > DEPTH || root.split('/').any(is_of_host) {
            continue;
        }
        roots.insert(root.to_owned());
        if roots.len() >= HOST_LIMIT {
            break;
        }
    }
    if roots.contains("") { vec![String::new()] } else { roots.into_iter().collect() }
}
