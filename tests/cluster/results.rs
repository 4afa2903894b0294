//! The results: `docs/cluster.json`, which the next run is compared with, and `docs/cluster.md`, its table.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::shape::Shape;

/// One fault's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub shape: String,
    pub fault: String,
    pub summary: String,
    pub rule: String,
    pub host: String,
    /// Seconds from breaking it to the first check that has it first.
    pub found_after: Option<u64>,
    /// First on its host once the symptoms were there too.
    pub first_live: bool,
    /// First, on the right host, in the check of all hosts' bundles.
    pub first_in_bundles: bool,
    /// Findings that nobody expects.
    pub unexpected: Vec<String>,
    pub problems: Vec<String>,
    /// The commands that were run as printed.
    pub fix: Vec<String>,
    /// Why the mending was not the printed commands.
    pub by_hand: Option<String>,
    pub mended: bool,
    /// Seconds from the fix to a healthy cluster, and to a silent check.
    pub healthy_after: Option<u64>,
    pub silent_after: Option<u64>,
    pub seconds: u64,
    pub seconds_of_check: Option<f64>,
}

impl Row {
    pub fn new(shape: Shape, fault: &Fault) -> Row {
        Row {
            shape: shape.name().to_owned(),
            fault: fault.name.clone(),
            summary: fault.summary.clone(),
            rule: fault.rule.clone(),
            host: fault.host.clone(),
            found_after: None,
            first_live: false,
            first_in_bundles: false,
            unexpected: Vec::new(),
            problems: Vec::new(),
            fix: Vec::new(),
            by_hand: None,
            mended: false,
            healthy_after: None,
            silent_after: None,
            seconds: 0,
            seconds_of_check: None,
        }
    }

    pub fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    pub fn unexpected(&mut self, text: String) {
        self.unexpected.push(text);
    }

    /// Found first everywhere, nothing else said, mended.
    pub fn is_good(&self) -> bool {
        self.first_live
            && self.first_in_bundles
            && self.mended
            && self.unexpected.is_empty()
            && self.problems.is_empty()
    }

    pub fn line(&self) -> String {
        let yes = |value: bool| if value { "yes" } else { "NO" };
        let mut line = format!(
            "{} {}: found after {} s, first live {}, first in bundles {}, mended {} ({} s in all)",
            if self.is_good() { "ok  " } else { "BAD " },
            self.fault,
            self.found_after.map_or("-".to_owned(), |seconds| seconds.to_string()),
            yes(self.first_live),
            yes(self.first_in_bundles),
            yes(self.mended),
            self.seconds
        );
        for text in self.problems.iter().chain(&self.unexpected) {
            line.push_str(&format!("\n      {}", text.replace('\n', "\n      ")));
        }
        line
    }
}

/// What was heard of a healthy cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub shape: String,
    pub stage: String,
    /// How many checks were made.
    pub checks: usize,
    /// Findings of warning and above, which are all false.
    pub heard: Vec<String>,
    /// Those that are so at that moment, as [`crate::silence`] says why.
    #[serde(default)]
    pub right: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub faults: Vec<Row>,
    #[serde(default)]
    pub silence: Vec<Stage>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

impl Results {
    pub fn load() -> Results {
        let text = std::fs::read(folder().join("cluster.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Puts new rows in the place of old ones; tells which were good and are not any more.
    pub fn merge(&mut self, rows: &[Row]) -> Vec<String> {
        let mut worse = Vec::new();
        for row in rows {
            let same = |old: &Row| old.shape == row.shape && old.fault == row.fault;
            match self.faults.iter_mut().find(|old| same(old)) {
                Some(old) => {
                    if old.is_good() && !row.is_good() {
                        worse.push(format!("{}/{} was good", row.shape, row.fault));
                    }
                    *old = row.clone();
                }
                None => self.faults.push(row.clone()),
            }
        }
        self.faults.sort_by(|one, other| (&one.shape, &one.fault).cmp(&(&other.shape, &other.fault)));
        worse
    }

    /// Puts the stages of a shape in the place of its old ones.
    pub fn merge_silence(&mut self, shape: Shape, stages: Vec<Stage>) {
        self.silence.retain(|old| old.shape != shape.name());
        self.silence.extend(stages);
        self.silence.sort_by(|one, other| one.shape.cmp(&other.shape));
    }

    pub fn write(&self) -> Result<()> {
        let folder = folder();
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("cluster.json"), serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::write(folder.join("cluster.md"), self.table()).context("docs/cluster.md")
    }

    fn table(&self) -> String {
        let good = self.faults.iter().filter(|row| row.is_good()).count();
        let mut text = format!(
            "# Broken for real, diagnosed live, mended as printed\n\n\
             Written by `cargo test --test cluster -- run`, which boots real clusters, breaks them one fault at a time and \
             mends each by the commands of its finding, exactly as they are printed. {good} of {} faults went through all \
             of it: found first on the host and in the bundles of all hosts together, nothing else said anywhere, and \
             after the mending a healthy cluster and a silent check.\n\n\
             Seconds: from the fault to the first check that names it first, and from the fix to the silent check.\n\n\
             | shape | fault | rule | host | found live | in bundles | mended | seconds |\n\
             |---|---|---|---|---|---|---|---|\n",
            self.faults.len()
        );
        for row in &self.faults {
            let mended = match (&row.by_hand, row.mended) {
                (_, false) => "no".to_owned(),
                (Some(why), true) => format!("by hand: {why}"),
                (None, true) => "as printed".to_owned(),
            };
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} / {} |\n",
                row.shape,
                cell(&row.summary),
                row.rule,
                row.host,
                if row.first_live { "first" } else { "**no**" },
                if row.first_in_bundles { "first" } else { "**no**" },
                cell(&mended),
                row.found_after.map_or("-".to_owned(), |seconds| seconds.to_string()),
                row.silent_after.map_or("-".to_owned(), |seconds| seconds.to_string()),
            ));
        }
        if !self.silence.is_empty() {
            text.push_str(
                "\n## Silence\n\nChecks of the healthy cluster, and how many different findings of them are false. Right are those \
                 that say what is so at the moment: a master has not joined yet, or is just being started again.\n\n\
                 | shape | stage | checks | false | right |\n|---|---|---|---|---|\n",
            );
            for stage in &self.silence {
                text.push_str(&format!(
                    "| {} | {} | {} | {} | {} |\n",
                    stage.shape,
                    cell(&stage.stage),
                    stage.checks,
                    stage.heard.len(),
                    stage.right.len()
                ));
            }
            for stage in self.silence.iter().filter(|stage| !stage.heard.is_empty()) {
                stage.heard.iter().for_each(|line| text.push_str(&format!("\n- {}: {}", stage.stage, cell(line))));
            }
            text.push('\n');
        }
        text.push_str("\n## Findings that are right here\n\nAbout the machine that these clusters run on, and therefore not counted.\n\n");
        for shape in Shape::ALL {
            for right in shape.true_of_it() {
                text.push_str(&format!("- {}: {}, {}\n", shape.name(), right.rule, right.why));
            }
        }
        let bad: Vec<&Row> = self.faults.iter().filter(|row| !row.is_good()).collect();
        if !bad.is_empty() {
            text.push_str("\n## What went otherwise\n\n");
            for row in bad {
                for what in row.problems.iter().chain(&row.unexpected) {
                    text.push_str(&format!("- {}/{}: {}\n", row.shape, row.fault, cell(what)));
                }
            }
        }
        text
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}
