//! systemd units as systemd would see them, and start scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::origin::{Origin, Sourced};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unit {
    /// `etcd.service`.
    pub name: String,
    /// The fragment's path, the one that wins of /etc, /run, /usr/local/lib, /usr/lib, /lib.
    pub path: String,
    pub drop_ins: Vec<String>,
    pub masked: bool,
    /// Linked from a .wants or .requires directory of /etc or /run; none when those could not be listed.
    pub enabled: Option<bool>,
    /// Merged settings as `Section.Key`, every assignment that is in force (a list setting after an empty assignment
    /// starts anew).
    pub settings: BTreeMap<String, Vec<Sourced<String>>>,
    pub environment_files: Vec<EnvironmentFile>,
    /// Variables that are defined for ExecStart, by name.
    pub environment: BTreeMap<String, Sourced<String>>,
    /// ExecStart commands, split and expanded. A command that is a shell's (`sh -c "..."`) is followed by the components
    /// that the shell would start.
    pub exec_start: Vec<CommandLine>,
    pub problems: Vec<UnitProblem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentFile {
    pub path: String,
    /// Written with a leading `-`: its absence is no error.
    pub optional: bool,
    /// None when it is not known.
    pub present: Option<bool>,
    pub origin: Origin,
}

/// A command with its words after expansion, each with where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CommandLine {
    pub words: Vec<Sourced<String>>,
    /// For each word of the form `--flag=value`, where the value alone came from; may be shorter than `words`.
    #[serde(skip)]
    pub values: Vec<Option<Origin>>,
    /// Where standard output goes when a shell redirects it: `./log/etcd.log`.
    pub output: Option<Sourced<String>>,
    /// Variables that were used but that nothing defines, or that are defined empty.
    pub undefined: Vec<UndefinedVariable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndefinedVariable {
    pub name: String,
    /// The use.
    pub origin: Origin,
    /// The use is a word of its own that vanishes when there is nothing in it (`$KUBELET_EXTRA_ARGS`): installers leave
    /// such variables for people to set. Else the command gets a word with a hole (`https://:2379`) or an empty one.
    pub alone: bool,
    /// Where it is defined as empty, when it is.
    pub defined_empty: Option<Origin>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitProblem {
    pub kind: UnitProblemKind,
    pub message: String,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitProblemKind {
    /// A typographic dash or quote where an ASCII one belongs.
    TypographicCharacter,
    MissingContinuation,
    UnclosedQuote,
    NotAnAssignment,
    OutsideSection,
    NotUtf8,
}

/// A start script with simple assignments and commands (`start-etcd.sh`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Script {
    pub path: String,
    /// rc.local or an `@reboot` line of root's crontab runs it.
    pub at_boot: bool,
    pub variables: BTreeMap<String, Sourced<String>>,
    /// Commands that run a known component, with variables filled in where the script defines them.
    pub commands: Vec<CommandLine>,
    pub problems: Vec<UnitProblem>,
}
