//! A whole run: sources in, report out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::card::{Card, Detect, Phase};
use super::card_set::{CardError, CardSet};
use super::judge::judge;
pub use super::options::{RuleSetting, Run, RunOptions};
use super::timeline;
use crate::collect::{host, logs, own_cards};
use crate::facts::expected::Expected;
use crate::facts::topology::map::{self, roles};
use crate::facts::{Cluster, Host};
use crate::logs::{LogPattern, Moment, PatternError, ScanOptions, Scanner, TimelineFold};
use crate::report::{CertificateSummary, HostSummary, Report, Unopened};
use crate::rules::Context;
use crate::source::{PatientSource, SingleSource, SourceError, SourceKind, SourceRef, WithConfiguration};

/// Why there is no report at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Cards of the user's own that cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Cards(Vec<CardError>),
    /// Sources of which none could be opened.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Sources(Vec<SourceError>),
    /// A component or rule of `--only` that does not exist.
    #[error("`{0}` is neither a rule nor a component: `k8sdoctor rules` lists both")]
    UnknownRule(String),
    #[error("--host-name {name} is for one host, and {hosts} are given")]
    HostName { name: String, hosts: usize },
    /// A second kubeadm configuration.
    #[error("{0} is a kubeadm configuration, and there is one already: kubeadm takes one")]
    Configurations(String),
    #[error("{0}")]
    Patterns(String),
}

impl From<SourceError> for RunError {
    fn from(error: SourceError) -> RunError {
        RunError::Sources(vec![error])
    }
}

/// Cards and their patterns made ready, for any number of checks with the same cards.
pub struct Checker {
    cards: Arc<CardSet>,
    scanner: Scanner,
}

impl Checker {
    /// The cards that the options ask for.
    pub fn new(options: &RunOptions) -> Result<Checker, RunError> {
        let cards = Arc::new(cards(options)?);
        let scanner = scanner(&cards)?;
        Ok(Checker { cards, scanner })
    }

    /// Runs a check of the options' sources; which cards there are was said to [`Checker::new`].
    pub fn run(&self, options: &RunOptions) -> Result<Run, RunError> {
        check(options, &self.cards, &self.scanner, crate::collect::now())
    }
}

/// Runs a check.
pub fn run(options: &RunOptions) -> Result<Run, RunError> {
    let began = crate::collect::now();
    let Checker { cards, scanner } = Checker::new(options)?;
    check(options, &cards, &scanner, began)
}

fn check(options: &RunOptions, cards: &Arc<CardSet>, scanner: &Scanner, began: Timestamp) -> Result<Run, RunError> {
    let Gathered { cluster, unopened, moments } = gather_with(scanner, options, began)?;
    let at = cluster.at;
    let moments = cluster.hosts.iter().zip(moments);
    let events = timeline::events_of(cards, moments.map(|(host, moments)| (host.name.as_str(), &host.logs, moments)));
    let context =
        Context { cluster: &cluster, kubernetes_version: options.kubernetes_version.as_deref(), phase: options.phase };
    let judged = judge(cards, &context);
    let report = Report {
        at: at.to_string(),
        hosts: cluster.hosts.iter().map(summary).collect(),
        unopened,
        certificates: cluster.hosts.iter().flat_map(certificates).collect(),
        findings: judged.findings,
        unjudged: judged.unjudged,
        problems: cluster.hosts.iter().flat_map(|host| host.problems.iter().cloned()).collect(),
        rules: cards.len(),
        notices: Vec::new(),
        configuration: None,
        counts: judged.counts,
        passed: judged.passed,
        seconds: (crate::collect::now().as_microsecond() - began.as_microsecond()) as f64 / 1e6,
    };
    let topology = options.map.then(|| map::of(&cluster));
    // Detectors look into the texts for what a command has to change there.
    let texts = cluster.hosts.into_iter().map(|host| (host.name, host.texts)).collect();
    Ok(Run { report, texts, cards: Arc::clone(cards), topology, events })
}

/// The facts of the hosts, without their logs, and nothing judged; and the sources that could not be opened.
pub fn gather(options: &RunOptions) -> Result<(Cluster, Vec<Unopened>), RunError> {
    let none = Scanner::new(Vec::new()).map_err(patterns_error)?;
    let gathered = gather_with(&none, options, crate::collect::now())?;
    Ok((gathered.cluster, gathered.unopened))
}

/// What judging needs.
struct Gathered {
    cluster: Cluster,
    unopened: Vec<Unopened>,
    /// What the logs tell, of each host; empty when the options do not ask for it.
    moments: Vec<Vec<Moment>>,
}

/// `began` is what dates are judged against when neither the user nor the evidence says when.
fn gather_with(scanner: &Scanner, options: &RunOptions, began: Timestamp) -> Result<Gathered, RunError> {
    let (sources, unopened) = open(options)?;
    let at = options.at.or_else(|| taken_at(&sources)).unwrap_or(began);
    let names: Vec<String> = sources.iter().map(|source| source.label().to_owned()).collect();
    let (mut hosts, moments): (Vec<Host>, _) = collect(sources, scanner, options, at).into_iter().unzip();
    make_names_distinct(&mut hosts, &names);
    if let Some(version) = &options.kubernetes_version {
        let components = hosts.iter_mut().flat_map(|host| &mut host.components);
        components.filter(|component| component.name.is_kubernetes()).for_each(|one| one.assume_version(version));
    }
    if let Some(name) = &options.host_name {
        match hosts.as_mut_slice() {
            [host] => rename(host, name),
            hosts => return Err(RunError::HostName { name: name.clone(), hosts: hosts.len() }),
        }
    }
    for host in &mut hosts {
        let roles = options.roles.get(&host.name).cloned().unwrap_or_default();
        host.expected = Expected { roles, ..options.expected.clone() };
    }
    Ok(Gathered { cluster: Cluster { hosts, at }, unopened, moments })
}

/// The cards of this run: the program's own, a user's, less those that `--only` leaves out.
pub fn cards(options: &RunOptions) -> Result<CardSet, RunError> {
    let mut cards = CardSet::builtin(options.language).map_err(RunError::Cards)?;
    for directory in &options.rule_dirs {
        let texts = own_cards::read(directory).map_err(|error| RunError::Cards(vec![error]))?;
        let own = CardSet::of(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())), options.language)
            .map_err(RunError::Cards)?;
        let known: BTreeSet<String> = cards.iter().map(|card| card.id.clone()).collect();
        let errors = super::check::check(&own, &known);
        if !errors.is_empty() {
            return Err(RunError::Cards(errors));
        }
        cards.extend(own);
    }
    let setting = |card: &Card| options.rules.get(&card.id).or_else(|| options.rules.get(&card.component)).copied();
    for card in cards.iter_mut() {
        if let Some(RuleSetting::Severity(severity)) = setting(card) {
            card.set_severity(severity);
        }
    }
    cards.retain(|card| setting(card) != Some(RuleSetting::Off));
    if !options.only.is_empty() {
        for wanted in &options.only {
            if !cards.iter().any(|card| card.id == *wanted || card.component == *wanted) {
                return Err(RunError::UnknownRule(wanted.clone()));
            }
        }
        cards.retain(|card| options.only.iter().any(|wanted| card.id == *wanted || card.component == *wanted));
    }
    Ok(cards)
}

/// The scanner of the cards' patterns.
pub fn scanner(cards: &CardSet) -> Result<Scanner, RunError> {
    let patterns: Vec<LogPattern> = cards
        .iter()
        .filter(|card| card.detect.contains(&Detect::Log))
        .flat_map(super::log_rules::patterns_of)
        .collect();
    Scanner::new(patterns).map_err(patterns_error)
}

fn patterns_error(errors: Vec<PatternError>) -> RunError {
    RunError::Patterns(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The sources that open, and why the others do not: one bad path does not keep the rest of a cluster from being judged.
/// An error when none opens. Before a host is a node a kubeadm configuration is no host of its own, but what the others, or
/// this host, are judged with.
pub(super) fn open(options: &RunOptions) -> Result<(Vec<SourceRef>, Vec<Unopened>), RunError> {
    let mut given: Option<(&str, Arc<SingleSource>)> = None;
    let mut names = Vec::new();
    for name in &options.sources {
        let may_be_given = options.phase == Some(Phase::Preflight) && crate::source::answers(name, options.timeout);
        match may_be_given.then(|| crate::source::kubeadm_configuration(name)).flatten() {
            Some(_) if given.is_some() => return Err(RunError::Configurations(name.clone())),
            Some(file) => given = Some((name, Arc::new(file))),
            None => names.push(name),
        }
    }
    let with_given = |source: SourceRef| match &given {
        Some((path, file)) if source.kind() != SourceKind::File => {
            Arc::new(WithConfiguration::new(source, Arc::clone(file), path)) as SourceRef
        }
        _ => source,
    };
    if names.is_empty() {
        return Ok((vec![with_given(crate::source::open(None)?)], Vec::new()));
    }
    let mut sources = Vec::new();
    let mut errors = Vec::new();
    for name in names {
        match crate::source::open_all_within(name, options.timeout) {
            Ok(opened) => sources.extend(opened.into_iter().map(with_given)),
            Err(error) => errors.push((name, error)),
        }
    }
    if sources.is_empty() {
        return Err(RunError::Sources(errors.into_iter().map(|(_, error)| error).collect()));
    }
    let unopened =
        errors.into_iter().map(|(name, error)| Unopened { source: name.clone(), message: error.to_string() });
    Ok((sources, unopened.collect()))
}

/// When the evidence was taken, when all of it says so: a bundle is judged as of that time. The latest, so that nothing of
/// it lies in the future.
fn taken_at(sources: &[SourceRef]) -> Option<Timestamp> {
    let times: Option<Vec<Timestamp>> = sources.iter().map(|source| source.recording()?.at).collect();
    times?.into_iter().max()
}

/// Hosts side by side, as many as there are CPUs at a time.
fn collect(
    sources: Vec<SourceRef>,
    scanner: &Scanner,
    options: &RunOptions,
    at: Timestamp,
) -> Vec<(Host, Vec<Moment>)> {
    // On the live host the collector itself looks back a day and no more, unless the user says otherwise.
    let scan = ScanOptions { since: options.since, at, time_limit: options.log_timeout, ..ScanOptions::default() };
    let host_options = host::HostOptions { scan, probe_deadline: options.probe.then_some(options.timeout), at };
    let width = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let mut hosts = Vec::with_capacity(sources.len());
    for chunk in sources.chunks(width) {
        hosts.extend(std::thread::scope(|scope| {
            let running: Vec<_> = chunk
                .iter()
                .map(|source| {
                    let source = PatientSource::around(Arc::clone(source), options.timeout);
                    let host_options = &host_options;
                    scope.spawn(move || match options.map {
                        true => with_moments(source, scanner, host_options),
                        false => (host::collect(source, scanner, host_options), Vec::new()),
                    })
                })
                .collect();
            running.into_iter().map(|host| host.join()).collect::<Vec<_>>()
        }));
    }
    hosts
        .into_iter()
        .map(|host| match host {
            Ok(host) => host,
            // A bug of ours: better no verdict than one that leaves a host out.
            Err(panic) => std::panic::resume_unwind(panic),
        })
        .collect()
}

/// A host, with all that its logs tell.
fn with_moments(source: SourceRef, scanner: &Scanner, options: &host::HostOptions) -> (Host, Vec<Moment>) {
    let fold = TimelineFold::default();
    let host = host::collect_with(source, options, |files, scan| {
        logs::collect_events(files, scanner, scan, Some(&|event| fold.add(event)))
    });
    (host, fold.finish().0)
}

/// Two hosts of one name (cloned machines, or single files) are told apart by their sources.
fn make_names_distinct(hosts: &mut [Host], labels: &[String]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for host in hosts.iter() {
        *seen.entry(host.name.clone()).or_default() += 1;
    }
    // Folders and archives called like hosts tell them apart best.
    let folders: BTreeSet<&str> = labels.iter().map(|label| called(label)).collect();
    let are_names = folders.len() == hosts.len()
        && folders.iter().all(|folder| host::is_host_name(folder) && !folder.contains('.'))
        && hosts
            .iter()
            .zip(labels)
            .all(|(host, label)| seen.get(&host.name).is_some_and(|count| *count > 1) || host.name == called(label));
    for (host, label) in hosts.iter_mut().zip(labels) {
        if seen.get(&host.name).is_some_and(|count| *count > 1) {
            let name = match are_names {
                true => called(label).to_owned(),
                false => format!("{} ({label})", host.name),
            };
            rename(host, &name);
        }
    }
}

/// What a folder or an archive is called, without what an archive's name ends with.
fn called(label: &str) -> &str {
    let last = host::last_part(label);
    last.find(".tar.").or_else(|| last.find(".zip")).or_else(|| last.find(".tgz")).map_or(last, |end| &last[..end])
}

fn rename(host: &mut Host, name: &str) {
    for problem in &mut host.problems {
        name.clone_into(&mut problem.host);
    }
    name.clone_into(&mut host.name);
}

fn certificates(host: &Host) -> Vec<CertificateSummary> {
    let files = host.kubernetes.certificates.iter().filter_map(|(path, file)| Some((path, file.as_ref().ok()?)));
    files
        .flat_map(|(path, file)| {
            file.certificates.iter().map(|certificate| CertificateSummary {
                host: host.name.clone(),
                path: path.clone(),
                subject: certificate.subject.clone(),
                serial: certificate.serial.clone(),
                not_before: certificate.not_before,
                not_after: certificate.not_after,
            })
        })
        .collect()
}

fn summary(host: &Host) -> HostSummary {
    HostSummary {
        name: host.name.clone(),
        source: host.source.clone(),
        kind: host.kind,
        incomplete: host.incomplete,
        roles: roles(host),
    }
}
