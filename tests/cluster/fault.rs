//! Faults: `faults/<shape>/<name>.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::shape::Shape;

/// What is broken, what has to be said of it, and how it is mended.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    #[serde(skip)]
    pub name: String,
    /// What happened, for the table: `a floating address in etcd's listen URL`.
    pub summary: String,
    /// The rule that has to come first.
    pub rule: String,
    /// Where the fault is, and where it has to be found.
    pub host: String,
    /// Hosts that the finding may name instead of, or before, `host`: others, in the check of all together, and its new name.
    #[serde(default)]
    pub named: Vec<String>,
    /// A script of bash that breaks it, as root on `host`.
    #[serde(rename = "break")]
    pub broken_by: String,
    /// Seconds from breaking it until the symptoms have shown and the checks that count are made.
    #[serde(default = "settle")]
    pub settle: u64,
    /// Seconds within which the first check has to find it.
    #[serde(default = "limit")]
    pub limit: u64,
    /// Other findings on `host`, or of all hosts together, that nothing explains and that are right, with why.
    #[serde(default)]
    pub also: BTreeMap<String, String>,
    /// Findings that other hosts' own checks may have: they see what the fault does to them. With why.
    #[serde(default)]
    pub elsewhere: BTreeMap<String, String>,
    /// Rules that have to be beneath it in the check of all hosts together.
    #[serde(default)]
    pub consequences: Vec<String>,
    pub mend: Mend,
    /// Puts back what neither the fix nor the copy of the files does, after the fix or when it failed.
    #[serde(default)]
    pub undo: Option<String>,
    /// Part of the short form.
    #[serde(default)]
    pub short: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Mend {
    Printed(Printed),
    /// The commands can't be run as they are: why, and what the reader would do.
    Script {
        why: String,
        script: String,
    },
}

/// `mend = "printed"`: the fix's commands, exactly as printed.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Printed {
    Printed,
}

fn settle() -> u64 {
    15
}

fn limit() -> u64 {
    90
}

/// The faults of a shape, by name.
pub fn all(shape: Shape) -> Result<Vec<Fault>> {
    let folder = folder(shape);
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            faults.push(load(&path)?);
        }
    }
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(faults)
}

fn folder(shape: Shape) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/faults").join(shape.name())
}

fn load(path: &Path) -> Result<Fault> {
    let text = std::fs::read_to_string(path)?;
    let mut fault: Fault = toml::from_str(&text).with_context(|| path.display().to_string())?;
    fault.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(fault)
}
