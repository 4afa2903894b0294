//! What a check goes by: options of the command line first, then k8sdoctor.toml, then defaults, and where each came from.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::check::Arguments;
use super::error::CliError;
use super::exit::FailOn;
use super::format::{self, Output};
use super::value;
use crate::config::{self, Config, ConfigError, Placed, Waiver};
use crate::engine::options::RuleSetting;
use crate::facts::expected::Expected;
use crate::report::Severity;

/// A configuration larger than this is none.
const LIMIT: u64 = 1 << 20;

/// What is used of options and configuration.
#[derive(Debug)]
pub struct Settings {
    pub fail_on: FailOn,
    pub fail_on_unknown: bool,
    pub severity: Severity,
    pub kubernetes_version: Option<String>,
    pub cards: Vec<PathBuf>,
    pub outputs: Vec<Output>,
    pub rules: BTreeMap<String, RuleSetting>,
    pub expected: Expected,
    pub roles: BTreeMap<String, Vec<String>>,
    pub waivers: Vec<Waiver>,
    /// The file that was used, as it is shown.
    pub path: Option<String>,
    /// Each value as TOML, with where it came from.
    pub shown: Vec<Shown>,
}

/// A value as `config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The table that it stands in; empty for none.
    pub table: String,
    /// `key = value`.
    pub text: String,
    pub origin: String,
}

/// Reads the configuration that the arguments name or that is found, and puts the options above it.
pub fn of(arguments: &Arguments) -> Result<Settings, CliError> {
    let found = match (&arguments.config, arguments.no_config) {
        (_, true) => None,
        (Some(path), _) => Some(path.clone()),
        (None, false) => {
            // One on a disk that hangs has none; the check tells it.
            let first = arguments.sources.first().map(String::as_str);
            find(first.filter(|source| crate::source::answers(source, arguments.patience())))
        }
    };
    let config = match &found {
        Some(path) => read(path)?,
        None => Config::default(),
    };
    let folder = found.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    resolve(arguments, config, folder, found.is_some())
}

/// k8sdoctor.toml in the folder of the first source or above it, else in the working directory or above. A host's own tree
/// is evidence: what stands in it configures nothing.
#[expect(clippy::disallowed_methods, reason = "the user's configuration is no evidence and comes from no source")]
fn find(source: Option<&str>) -> Option<PathBuf> {
    // `..` is taken off as the kernel does it, links followed.
    let real = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
    let above = |start: &PathBuf| start.ancestors().map(|folder| folder.join(config::NAME)).find(|file| file.is_file());
    let here = std::env::current_dir().ok().map(real);
    let beside = source.filter(|source| *source != "-").and_then(|source| {
        let path = std::path::absolute(source).ok()?;
        let is_tree = ["etc", "proc", "var", "usr"].iter().any(|name| path.join(name).is_dir());
        if path.is_dir() && !is_tree { Some(path) } else { Some(path.parent()?.to_owned()) }
    });
    let file = beside.map(real).iter().chain(&here).find_map(above)?;
    Some(here.and_then(|here| Some(file.strip_prefix(here).ok()?.to_owned())).unwrap_or(file))
}

#[expect(clippy::disallowed_methods, reason = "the user's configuration is no evidence and comes from no source")]
fn read(path: &Path) -> Result<Config, CliError> {
    use std::io::Read;
    let shown = path.display().to_string();
    let failed = |why: String| CliError::usage(format!("{shown}: {why}; it is the configuration"));
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let length = file.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if length as u64 > LIMIT {
        return Err(failed("is larger than 1 MiB".to_owned()));
    }
    Ok(config::parse(&shown, &text)?)
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> CliError {
        CliError::usage(error.to_string())
    }
}

/// Takes values one after the other, noting where each came from.
struct Taker<'a> {
    config: &'a Config,
    shown: Vec<Shown>,
}

impl Taker<'_> {
    /// The option's value, else the file's, else the default; `word` writes it as TOML, without one it is not shown.
    fn take<T: Clone>(
        &mut self,
        (table, key): (&str, &str),
        flag: Option<T>,
        placed: Option<&Placed<T>>,
        default: T,
        word: impl Fn(&T) -> Option<String>,
    ) -> T {
        let option = format!("--{key}");
        let (value, origin) = match (flag, placed) {
            (Some(value), _) => (value, option),
            (None, Some(placed)) => (placed.value.clone(), self.place(placed.line)),
            (None, None) => (default, "default".to_owned()),
        };
        if let Some(word) = word(&value) {
            self.show(table, format!("{key} = {word}"), origin);
        }
        value
    }

    fn place(&self, line: u32) -> String {
        format!("{}:{line}", self.config.path)
    }

    fn show(&mut self, table: &str, text: String, origin: String) {
        self.shown.push(Shown { table: table.to_owned(), text, origin });
    }
}

/// Text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn fail_on_name(fail_on: FailOn) -> &'static str {
    match fail_on {
        FailOn::Error => "error",
        FailOn::Warning => "warning",
        FailOn::Info => "info",
        FailOn::Never => "never",
    }
}

fn resolve(arguments: &Arguments, config: Config, folder: &Path, is_found: bool) -> Result<Settings, CliError> {
    if let Some(version) = &config.kubernetes_version {
        value::kubernetes_version(&version.value).map_err(|why| config.error(version, why))?;
    }
    let mut taker = Taker { config: &config, shown: Vec::new() };
    let fail_on = taker.take(("", "fail-on"), arguments.fail_on, config.fail_on.as_ref(), FailOn::Warning, |value| {
        Some(quoted(fail_on_name(*value)))
    });
    let flag = arguments.fail_on_unknown.then_some(true);
    let fail_on_unknown = taker
        .take(("", "fail-on-unknown"), flag, config.fail_on_unknown.as_ref(), false, |value| Some(value.to_string()));
    let flag = arguments.severity.map(Severity::from);
    let severity = taker
        .take(("", "severity"), flag, config.severity.as_ref(), Severity::Info, |value| Some(quoted(value.name())));
    let optional = config.kubernetes_version.as_ref().map(|version| Placed {
        value: value::kubernetes_version(&version.value).ok(),
        line: version.line,
        column: version.column,
    });
    let flag = arguments.kubernetes_version.clone().map(Some);
    let kubernetes_version =
        taker.take(("", "kubernetes-version"), flag, optional.as_ref(), None, |value| value.as_deref().map(quoted));
    let place = config.virtual_ip.as_ref();
    let virtual_ip = place.map(|placed| Placed { value: Some(placed.value), line: placed.line, column: placed.column });
    let virtual_ip = taker.take(("", "virtual-ip"), None, virtual_ip.as_ref(), None, |value| {
        value.map(|address| quoted(&address.to_string()))
    });
    let mut cards: Vec<PathBuf> = Vec::new();
    for own in &arguments.rules {
        taker.show("", format!("cards = [{}]", quoted(&own.display().to_string())), "--rules".to_owned());
        cards.push(own.clone());
    }
    for own in &config.cards {
        let path = folder.join(&own.value);
        taker.show("", format!("cards = [{}]", quoted(&path.display().to_string())), taker.place(own.line));
        cards.push(path);
    }
    let mut outputs = arguments.outputs.clone();
    for output in &outputs {
        let text = format!("outputs = [{}]", quoted(&output.to_string()));
        taker.show("", text, "--output".to_owned());
    }
    for output in &config.outputs {
        let mut parsed = format::output(&output.value).map_err(|why| config.error(output, why))?;
        // A configuration that came with someone's repository writes nowhere else.
        if !parsed.file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            let why = format!("`{}` leaves the configuration's folder; give it with --output", parsed.file.display());
            return Err(config.error(output, why).into());
        }
        parsed.file = folder.join(&parsed.file);
        taker.show("", format!("outputs = [{}]", quoted(&parsed.to_string())), taker.place(output.line));
        outputs.push(parsed);
    }
    for (name, setting) in &config.rules {
        let word = match setting.value {
            RuleSetting::On => "on",
            RuleSetting::Off => "off",
            RuleSetting::Severity(severity) => severity.name(),
        };
        taker.show("rules", format!("{name} = \"{word}\""), taker.place(setting.line));
    }
    let expected = expected(&mut taker, virtual_ip);
    for (host, roles) in &config.roles {
        let names: Vec<String> = roles.value.iter().map(|role| quoted(role)).collect();
        taker.show(&format!("hosts.{}", key(host)), format!("roles = [{}]", names.join(", ")), taker.place(roles.line));
    }
    for waiver in &config.waivers {
        let mut text = format!("rule = {}, reason = {}", quoted(waiver.rule.text()), quoted(&waiver.reason));
        for (key, value) in [
            ("host", waiver.host.as_ref().map(|glob| glob.text().to_owned())),
            ("path", waiver.path.as_ref().map(|glob| glob.text().to_owned())),
            ("owner", waiver.owner.clone()),
            ("until", waiver.until.map(|day| day.to_string())),
        ] {
            text.extend(value.map(|value| format!(", {key} = {}", quoted(&value))));
        }
        taker.show("waivers", format!("{{ {text} }}"), taker.place(waiver.line));
    }
    let shown = taker.shown;
    Ok(Settings {
        fail_on,
        fail_on_unknown,
        severity,
        kubernetes_version,
        cards,
        outputs,
        rules: config.rules.iter().map(|(name, setting)| (name.clone(), setting.value)).collect(),
        expected,
        roles: config.roles.iter().map(|(host, roles)| (host.clone(), roles.value.clone())).collect(),
        path: is_found.then(|| config.path.clone()),
        waivers: config.waivers.clone(),
        shown,
    })
    .and_then(|settings| check_names(&config, settings))
}

fn expected(taker: &mut Taker<'_>, virtual_ip: Option<std::net::IpAddr>) -> Expected {
    let usual = Expected::default();
    let thresholds = &taker.config.thresholds;
    let days = thresholds.certificate_expiry_days.as_ref().map(|days| Placed {
        value: Some(days.value),
        line: days.line,
        column: days.column,
    });
    let at = |key| ("thresholds", key);
    let number = |value: &u64| Some(value.to_string());
    Expected {
        roles: Vec::new(),
        virtual_ip,
        certificate_expiry_days: taker.take(at("certificate-expiry-days"), None, days.as_ref(), None, |value| {
            Some(value.unwrap_or(30).to_string())
        }),
        open_files: taker.take(at("open-files"), None, thresholds.open_files.as_ref(), usual.open_files, number),
        control_plane_cpus: taker.take(
            at("control-plane-cpus"),
            None,
            thresholds.control_plane_cpus.as_ref(),
            usual.control_plane_cpus,
            |value| Some(value.to_string()),
        ),
        control_plane_memory_mib: taker.take(
            at("control-plane-memory-mib"),
            None,
            thresholds.control_plane_memory_mib.as_ref(),
            usual.control_plane_memory_mib,
            number,
        ),
    }
}

/// A part of a TOML key.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// Rules of a configuration have to exist, among the user's own too.
fn check_names(config: &Config, settings: Settings) -> Result<Settings, CliError> {
    if config.rules.is_empty() && config.waivers.is_empty() {
        return Ok(settings);
    }
    let options = crate::engine::run::RunOptions { rule_dirs: settings.cards.clone(), ..Default::default() };
    let cards = crate::engine::run::cards(&options)?;
    let names: Vec<&str> = cards.iter().flat_map(|card| [card.id.as_str(), card.component.as_str()]).collect();
    config.check_names(names.iter().copied())?;
    Ok(settings)
}
