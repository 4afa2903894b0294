//! Waivers: findings that a team has decided to live with, and why.

use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Places};
use crate::report::Finding;

/// A shell pattern: `*` and `?` within a path's part, `**` over parts, `[a-c]`, `{a,b}`.
#[derive(Debug, Clone)]
pub struct Glob(GlobMatcher);

impl Glob {
    /// # Errors
    ///
    /// What is wrong with the pattern.
    pub fn new(text: &str) -> Result<Glob, String> {
        let glob = GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        Ok(Glob(glob.compile_matcher()))
    }

    pub fn fits(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub fn text(&self) -> &str {
        self.0.glob().glob()
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Glob {}

/// A finding that fits is waived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    pub rule: Glob,
    /// None fits every host; a finding on several hosts is waived when all of them fit.
    pub host: Option<Glob>,
    /// None fits every finding; else the path of a piece of its evidence has to fit.
    pub path: Option<Glob>,
    pub reason: String,
    pub owner: Option<String>,
    /// The last day on which it holds, in UTC.
    pub until: Option<Date>,
    /// Where it stands in the configuration, from 1.
    pub line: u32,
    pub column: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Written {
    rule: Spanned<String>,
    host: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    reason: Spanned<String>,
    owner: Option<String>,
    until: Option<Spanned<Day>>,
}

/// A day as TOML's own date, or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Day {
    Toml(toml::value::Datetime),
    Text(String),
}

pub(super) fn read(places: &Places<'_>, written: Spanned<Written>) -> Result<Waiver, ConfigError> {
    let at = written.span().start;
    let written = written.into_inner();
    let glob = |text: Spanned<String>| {
        let at = text.span().start;
        Glob::new(text.get_ref()).map_err(|why| places.error(at, format!("`{}` is no pattern: {why}", text.get_ref())))
    };
    if written.reason.get_ref().trim().is_empty() {
        return Err(places.error(written.reason.span().start, "a waiver needs a reason"));
    }
    let until = written.until.map(|day| {
        let at = day.span().start;
        let text = match day.into_inner() {
            Day::Toml(day) => day.to_string(),
            Day::Text(text) => text,
        };
        text.parse::<Date>().map_err(|_| places.error(at, format!("`{text}` is no day such as 2026-12-31")))
    });
    let span = crate::origin::Span::of(places.text, at, at);
    Ok(Waiver {
        rule: glob(written.rule)?,
        host: written.host.map(glob).transpose()?,
        path: written.path.map(glob).transpose()?,
        reason: written.reason.into_inner(),
        owner: written.owner,
        until: until.transpose()?,
        line: span.line,
        column: span.column,
    })
}

impl Waiver {
    /// Whether it speaks of the finding, whatever the day.
    pub fn fits(&self, finding: &Finding) -> bool {
        let of_host = |glob: &Glob| !finding.hosts.is_empty() && finding.hosts.iter().all(|host| glob.fits(host));
        let of_path = |glob: &Glob| {
            finding.evidence.iter().any(|evidence| {
                let via = evidence.origin.via.as_ref().and_then(|via| via.path());
                evidence.origin.path().into_iter().chain(via).any(|path| glob.fits(path))
            })
        };
        (self.rule.fits(&finding.rule) || self.rule.fits(&finding.component))
            && self.host.as_ref().is_none_or(of_host)
            && self.path.as_ref().is_none_or(of_path)
    }
}
