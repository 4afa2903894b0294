//! k8sdoctor's reports of a host and of all hosts' bundles together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::{Said, said, say};
use crate::host::Host;
use crate::shape::Cluster;

/// The parts of the JSON report that are looked at.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// When it was judged.
    pub at: String,
    pub findings: Vec<Finding>,
    pub seconds: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Finding {
    pub id: String,
    pub rule: String,
    pub severity: String,
    pub title: String,
    pub hosts: Vec<String>,
    pub fix: Option<Fix>,
    pub consequence_of: Option<String>,
    #[serde(default)]
    pub evidence: Vec<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Fix {
    pub summary: String,
    pub commands: Vec<String>,
    pub restarts: Vec<String>,
}

impl Finding {
    /// `pki-expired on m2: the certificate ...`
    pub fn line(&self) -> String {
        format!("{}[{}] on {}: {}", self.severity, self.rule, self.hosts.join(" "), self.title)
    }

    /// Says it with its evidence, for who has to find out why it was said.
    pub fn explain(&self, place: &str, at: &str) {
        say(&format!("  {place} at {at}: {}", self.line()));
        self.evidence_lines().iter().for_each(|line| say(&format!("    {line}")));
    }

    fn evidence_lines(&self) -> Vec<String> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut told = Vec::new();
        for evidence in &self.evidence {
            told.push(format!(
                "{} {}{}: {}",
                text(&evidence["host"]),
                text(&evidence["path"]),
                text(&evidence["source"]),
                text(&evidence["label"])
            ));
            let log = &evidence["log"];
            if log.is_object() {
                told.push(format!(
                    "{} times, {} to {}, ongoing {}",
                    log["count"], log["first"], log["last"], log["ongoing"]
                ));
                told.extend(log["lines"].as_array().into_iter().flatten().map(|line| text(&line["text"])));
            }
        }
        told
    }
}

impl Report {
    /// Findings that nothing explains and that are no mere information, without those that are right for the cluster.
    pub fn roots<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Finding> {
        let right = cluster.shape.true_of_it();
        self.findings.iter().filter(move |finding| {
            finding.consequence_of.is_none()
                && finding.severity != "info"
                && !right.iter().any(|right| right.rule == finding.rule)
        })
    }

    /// The rules of the findings that a root explains, directly or not.
    pub fn consequences(&self, root: &Finding) -> BTreeSet<String> {
        let mut explained: BTreeSet<&str> = BTreeSet::from([root.id.as_str()]);
        let mut rules = BTreeSet::new();
        for _ in 0..self.findings.len() {
            for finding in &self.findings {
                if finding.consequence_of.as_deref().is_some_and(|cause| explained.contains(cause)) {
                    explained.insert(&finding.id);
                    rules.insert(finding.rule.clone());
                }
            }
        }
        rules
    }
}

/// A debug build on a busy machine takes its time.
const LIMIT: Duration = Duration::from_secs(90);

fn report(said: &Said) -> Result<Report> {
    if !matches!(said.code, Some(0 | 1 | 3)) {
        bail!("k8sdoctor: exit code {:?}: {}", said.code, said.tail());
    }
    serde_json::from_str(&said.out).with_context(|| format!("k8sdoctor's report: {}", said.tail()))
}

/// How far back logs are read: the messages of the faults before belong to those.
#[derive(Debug, Clone, Copy)]
pub struct Since(Option<Instant>);

impl Since {
    pub const EVER: Since = Since(None);

    pub fn now() -> Since {
        Since(Some(Instant::now()))
    }

    fn argument(self) -> Option<String> {
        Some(format!("--since={}s", self.0?.elapsed().as_secs() + 5))
    }
}

/// `k8sdoctor check` on the live host.
pub fn live(host: &Host, since: Since) -> Result<Report> {
    let since = since.argument();
    live_with(host, &since.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `k8sdoctor check` on the live host with more words.
pub fn live_with(host: &Host, words: &[&str]) -> Result<Report> {
    let all = [&["k8sdoctor", "check", "--no-config", "--format", "json"], words].concat();
    report(&host.run(&all, LIMIT)?).with_context(|| format!("check on {}", host.name))
}

/// `k8sdoctor check` on each of the hosts, in their order.
pub fn live_on_all(hosts: &[Host], since: Since) -> Vec<(String, Result<Report>)> {
    std::thread::scope(|scope| {
        let running: Vec<_> = hosts.iter().map(|host| (host, scope.spawn(move || live(host, since)))).collect();
        let joined = running.into_iter().map(|(host, thread)| {
            let report = thread.join().unwrap_or_else(|_| bail!("the check panicked"));
            (host.name.clone(), report)
        });
        joined.collect()
    })
}

/// `k8sdoctor collect` on every host, then one check of all bundles.
pub fn by_bundles(cluster: &Cluster, since: Since) -> Result<Report> {
    let folder = tempfile::tempdir_in(cluster.place.run())?;
    let to = folder.path();
    let bundles: Result<Vec<PathBuf>> = std::thread::scope(|scope| {
        let running: Vec<_> = cluster.hosts.iter().map(|host| scope.spawn(move || bundle(host, to, since))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("the collection panicked"))).collect()
    });
    let mut command = Command::new(cluster.place.run().join("tools/k8sdoctor"));
    command.args(["check", "--no-config", "--format", "json"]).args(bundles?);
    report(&said(&mut command, Duration::from_secs(240))?).context("check of all bundles")
}

/// `k8sdoctor collect` on a host, its bundle in a folder of ours.
fn bundle(host: &Host, folder: &Path, since: Since) -> Result<PathBuf> {
    let inside = "/run/k8sdoctor-bundle.tar.zst";
    let since = since.argument();
    let mut words = vec!["k8sdoctor", "collect", "--output", inside];
    words.extend(since.as_deref());
    let done = host.run(&words, Duration::from_secs(240))?;
    if !matches!(done.code, Some(0 | 3)) {
        bail!("collect on {}: {}", host.name, done.tail());
    }
    let outside = host.path(inside)?;
    let bundle = folder.join(format!("{}.tar.zst", host.name));
    std::fs::copy(&outside, &bundle).with_context(|| format!("the bundle of {}", host.name))?;
    std::fs::remove_file(outside)?;
    Ok(bundle)
}
