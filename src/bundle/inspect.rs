//! A bundle's own account of itself, for people and for checks.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::archive::{self, Archive, Limits};
use super::manifest::{FileRecord, Head, LeftOut, Manifest, RedactionRecord};
use super::reader::{own, own_directories};
use super::writer::hex;
use crate::source::SourceError;

/// One host of a bundle.
pub struct Content {
    pub head: Head,
    pub files: Vec<FileRecord>,
    pub left_out: Vec<LeftOut>,
    pub redactions: Vec<RedactionRecord>,
    /// Why it is not the whole of what was to be taken, or not as it was written.
    pub incomplete: Option<String>,
    archive: Arc<Archive>,
    root: String,
}

/// Reads bundles of `collect`; other archives are refused.
pub fn read(path: &Path) -> Result<Vec<Content>, SourceError> {
    let label = path.display().to_string();
    let refuse = |looks: String| SourceError::Unrecognized {
        path: label.clone(),
        looks,
        remedy: "give a bundle of `k8sdoctor collect`".to_owned(),
    };
    let file = crate::source::archive_of(path)?.ok_or_else(|| refuse("it is no archive".to_owned()))?;
    let archive = archive::open_file(file, Limits::default())
        .map_err(|error| refuse(format!("it is an archive that cannot be read ({error})")))?;
    let archive = Arc::new(archive);
    let roots: Vec<String> = own_directories(&archive).map(str::to_owned).collect();
    if roots.is_empty() {
        return Err(refuse("it is an archive of another tool".to_owned()));
    }
    roots.into_iter().map(|root| content(&archive, root).map_err(&refuse)).collect()
}

fn content(archive: &Arc<Archive>, root: String) -> Result<Content, String> {
    let head: Head = own(archive, &root, "head.json")?;
    let redactions = own(archive, &root, "redactions.json").unwrap_or_default();
    let archive = Arc::clone(archive);
    Ok(match own::<Manifest>(&archive, &root, "manifest.json") {
        Ok(manifest) => Content {
            head,
            files: manifest.files,
            left_out: manifest.left_out,
            redactions,
            incomplete: manifest.incomplete.or_else(|| archive.damage.clone()).or_else(|| archive.late_damage()),
            archive,
            root,
        },
        Err(why) => Content {
            head,
            files: Vec::new(),
            left_out: Vec::new(),
            redactions,
            incomplete: Some(archive.damage.clone().unwrap_or(why)),
            archive,
            root,
        },
    })
}

impl Content {
    /// Files that are not as they were written, with what is wrong.
    pub fn verify(&self) -> Vec<(String, String)> {
        let mut wrong = BTreeMap::new();
        for record in &self.files {
            let own_name = [record.path.trim_start_matches('/').to_owned()];
            let names = if record.entries.is_empty() { &own_name[..] } else { &record.entries };
            let mut hash = Sha256::new();
            let mut buffer = vec![0; 128 << 10];
            let mut why = None;
            for name in names {
                let name = if self.root.is_empty() { name.clone() } else { format!("{}/{name}", self.root) };
                let Some(file) = self.archive.file(&name) else {
                    why = Some("it is not there".to_owned());
                    break;
                };
                let mut content = self.archive.open(file);
                loop {
                    match content.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(count) => hash.update(buffer.get(..count).unwrap_or_default()),
                        Err(error) => {
                            why = Some(error.to_string());
                            break;
                        }
                    }
                }
            }
            let is_same = hex(&hash.finalize()) == record.sha256;
            if let Some(why) = why.or_else(|| (!is_same).then(|| "its content is not what was taken".to_owned())) {
                wrong.insert(record.path.clone(), why);
            }
        }
        wrong.into_iter().collect()
    }
}
