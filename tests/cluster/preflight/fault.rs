//! Faults of bare hosts: `preflight/*.toml`, one `[[fault]]` each.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

pub use crate::fault::Mend;

/// What is broken, what kubeadm says of it, what k8sdoctor has to say, and how it is mended.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    pub name: String,
    /// For the table: `swap is on`.
    pub summary: String,
    /// Which of [`super::lab::CONFIGURATIONS`] is given: the file's name.
    #[serde(default)]
    pub configuration: String,
    /// The rule that has to come first; none where k8sdoctor has nothing to say, with `why-not`.
    pub rule: Option<String>,
    pub why_not: Option<String>,
    /// Texts that title or commands have to hold: this host's own values.
    #[serde(default)]
    pub values: Vec<String>,
    /// Other findings that nothing explains and that are right, with why.
    #[serde(default)]
    pub also: BTreeMap<String, String>,
    /// kubeadm's own words, `ERROR Swap`, as many as it has.
    #[serde(default)]
    pub kubeadm: Vec<String>,
    /// What it goes on saying after the fix, right or wrong.
    #[serde(default)]
    pub kubeadm_after: Vec<String>,
    /// A script of bash that breaks it, as root on the bare host.
    #[serde(rename = "break")]
    pub broken_by: String,
    pub mend: Option<Mend>,
    /// What is left to do after the printed commands, with why.
    pub then: Option<Mend>,
    /// Puts back what neither the fix nor the copy of the files does.
    pub undo: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    fault: Vec<Fault>,
}

/// The faults in the order of their files, which are called after the configuration that is given.
pub fn all() -> Result<Vec<Fault>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/preflight");
    let mut all = Vec::new();
    for configuration in super::lab::CONFIGURATIONS {
        let path = folder.join(format!("{configuration}.toml"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
        all.extend(file.fault.into_iter().map(|fault| Fault { configuration: (*configuration).to_owned(), ..fault }));
    }
    Ok(all)
}
