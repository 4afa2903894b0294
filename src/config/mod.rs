//! k8sdoctor.toml: what a team has decided about rules, thresholds, hosts and waivers. docs/schema/config.json describes the
//! file; reading it is pure, finding it is the command line's.

mod waiver;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use toml::Spanned;

pub use waiver::{Glob, Waiver};

use crate::cli::exit::FailOn;
use crate::cli::nearest::nearest;
use crate::engine::options::RuleSetting;
use crate::origin::Span;
use crate::report::Severity;

/// What the file is called where it is looked for.
pub const NAME: &str = "k8sdoctor.toml";

/// A value with the place where it stands in the file, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    pub value: T,
    pub line: u32,
    pub column: u32,
}

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}")]
pub struct ConfigError {
    pub path: String,
    pub line: u32,
    pub column: u32,
    pub message: String,
}

/// A configuration as written; what is not there is left to defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// As it is shown to people.
    pub path: String,
    pub fail_on: Option<Placed<FailOn>>,
    pub fail_on_unknown: Option<Placed<bool>>,
    pub severity: Option<Placed<Severity>>,
    pub kubernetes_version: Option<Placed<String>>,
    pub virtual_ip: Option<Placed<IpAddr>>,
    /// Folders with cards, relative to the file's own.
    pub cards: Vec<Placed<String>>,
    /// `FORMAT=FILE`, the file relative to the configuration's folder and within it.
    pub outputs: Vec<Placed<String>>,
    /// By rule or component.
    pub rules: BTreeMap<String, Placed<RuleSetting>>,
    pub thresholds: Thresholds,
    /// Roles by host name.
    pub roles: BTreeMap<String, Placed<Vec<String>>>,
    pub waivers: Vec<Waiver>,
}

/// From where on something is too little.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thresholds {
    pub certificate_expiry_days: Option<Placed<u32>>,
    pub open_files: Option<Placed<u64>>,
    pub control_plane_cpus: Option<Placed<u32>>,
    pub control_plane_memory_mib: Option<Placed<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    fail_on: Option<Spanned<FailOn>>,
    fail_on_unknown: Option<Spanned<bool>>,
    severity: Option<Spanned<Severity>>,
    kubernetes_version: Option<Spanned<String>>,
    virtual_ip: Option<Spanned<IpAddr>>,
    #[serde(default)]
    cards: Vec<Spanned<String>>,
    #[serde(default)]
    outputs: Vec<Spanned<String>>,
    #[serde(default)]
    rules: BTreeMap<Spanned<String>, WrittenSetting>,
    #[serde(default)]
    thresholds: WrittenThresholds,
    #[serde(default)]
    hosts: BTreeMap<String, WrittenHost>,
    #[serde(default)]
    waivers: Vec<Spanned<waiver::Written>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum WrittenSetting {
    On,
    Off,
    Info,
    Warning,
    Error,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenThresholds {
    certificate_expiry_days: Option<Spanned<u32>>,
    open_files: Option<Spanned<u64>>,
    control_plane_cpus: Option<Spanned<u32>>,
    control_plane_memory_mib: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenHost {
    roles: Spanned<Vec<Role>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Role {
    ControlPlane,
    Etcd,
    Worker,
    LoadBalancer,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::ControlPlane => "control-plane",
            Role::Etcd => "etcd",
            Role::Worker => "worker",
            Role::LoadBalancer => "load-balancer",
        }
    }
}

/// Reads a configuration. `path` is only for messages.
///
/// # Errors
///
/// Names the file, line and column, and for an unknown key or word the nearest that is known.
pub fn parse(path: &str, text: &str) -> Result<Config, ConfigError> {
    let places = Places { path, text };
    // A key of very many parts becomes as many nested tables, which the parser builds and drops recursively.
    if let Some(line) = text.lines().position(|line| line.matches('.').count() > 512) {
        let start = text.split_inclusive('\n').take(line).map(str::len).sum();
        return Err(places.error(start, "a line with more than 512 dots is not read"));
    }
    let written: Written = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        places.error(start, with_nearest(error.message()))
    })?;
    let mut rules = BTreeMap::new();
    for (name, setting) in written.rules {
        let setting = match setting {
            WrittenSetting::On => RuleSetting::On,
            WrittenSetting::Off => RuleSetting::Off,
            WrittenSetting::Info => RuleSetting::Severity(Severity::Info),
            WrittenSetting::Warning => RuleSetting::Severity(Severity::Warning),
            WrittenSetting::Error => RuleSetting::Severity(Severity::Error),
        };
        let name = places.placed(name);
        rules.insert(name.value, Placed { value: setting, line: name.line, column: name.column });
    }
    let thresholds = written.thresholds;
    let roles = written.hosts.into_iter().map(|(name, host)| {
        let roles = places.placed(host.roles);
        let names = roles.value.iter().map(|role| role.name().to_owned()).collect();
        (name, Placed { value: names, line: roles.line, column: roles.column })
    });
    let roles = roles.collect();
    let waivers = written.waivers.into_iter().map(|waiver| waiver::read(&places, waiver)).collect::<Result<_, _>>()?;
    Ok(Config {
        path: path.to_owned(),
        fail_on: written.fail_on.map(|value| places.placed(value)),
        fail_on_unknown: written.fail_on_unknown.map(|value| places.placed(value)),
        severity: written.severity.map(|value| places.placed(value)),
        kubernetes_version: written.kubernetes_version.map(|value| places.placed(value)),
        virtual_ip: written.virtual_ip.map(|value| places.placed(value)),
        cards: written.cards.into_iter().map(|value| places.placed(value)).collect(),
        outputs: written.outputs.into_iter().map(|value| places.placed(value)).collect(),
        rules,
        thresholds: Thresholds {
            certificate_expiry_days: thresholds.certificate_expiry_days.map(|value| places.placed(value)),
            open_files: thresholds.open_files.map(|value| places.placed(value)),
            control_plane_cpus: thresholds.control_plane_cpus.map(|value| places.placed(value)),
            control_plane_memory_mib: thresholds.control_plane_memory_mib.map(|value| places.placed(value)),
        },
        roles,
        waivers,
    })
}

impl Config {
    /// An error at a value of this configuration.
    pub fn error<T>(&self, at: &Placed<T>, message: impl Into<String>) -> ConfigError {
        ConfigError { path: self.path.clone(), line: at.line, column: at.column, message: message.into() }
    }

    /// Checks names of rules and components against those that there are.
    ///
    /// # Errors
    ///
    /// For the first name that is none, or a waiver's pattern that fits none.
    pub fn check_names<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> Result<(), ConfigError> {
        let hint = |wanted: &str| match nearest(wanted, names.clone()) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => "; `k8sdoctor rules` lists them".to_owned(),
        };
        for (name, setting) in &self.rules {
            if !names.clone().any(|known| known == name) {
                return Err(self.error(setting, format!("there is no rule or component `{name}`{}", hint(name))));
            }
        }
        for waiver in &self.waivers {
            if !names.clone().any(|known| waiver.rule.fits(known)) {
                let pattern = waiver.rule.text();
                return Err(ConfigError {
                    path: self.path.clone(),
                    line: waiver.line,
                    column: waiver.column,
                    message: format!("no rule fits the waiver's `{pattern}`{}", hint(pattern)),
                });
            }
        }
        Ok(())
    }
}

/// Turns the parser's offsets into places for people.
struct Places<'a> {
    path: &'a str,
    text: &'a str,
}

impl Places<'_> {
    fn placed<T>(&self, value: Spanned<T>) -> Placed<T> {
        let span = Span::of(self.text, value.span().start, value.span().start);
        Placed { value: value.into_inner(), line: span.line, column: span.column }
    }

    fn error(&self, start: usize, message: impl Into<String>) -> ConfigError {
        let span = Span::of(self.text, start, start);
        ConfigError { path: self.path.to_owned(), line: span.line, column: span.column, message: message.into() }
    }
}

/// serde's words for an unknown key or word, with the nearest known one instead of the whole list.
fn with_nearest(message: &str) -> String {
    let Some((start, known)) = message.split_once(", expected ") else { return message.to_owned() };
    let mut quoted = start.split('`');
    let (Some(what), Some(wanted)) = (quoted.next(), quoted.next()) else { return message.to_owned() };
    let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    if names.is_empty() {
        return message.to_owned();
    }
    let what = match what.trim() {
        "unknown field" => "there is no key",
        "unknown variant" => "there is no value",
        _ => return message.to_owned(),
    };
    match nearest(wanted, names.iter().copied()) {
        Some(name) => format!("{what} `{wanted}`; did you mean `{name}`?"),
        None => format!("{what} `{wanted}` here; known are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests;
