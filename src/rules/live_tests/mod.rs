//! What rules make of answers: hosts of a few files, with answers as a live host would have given them.

mod apiserver;
mod complaints;
mod etcd;
mod hosts;
mod kernel;
mod members;
mod objects;
mod pki;
mod preflight;

use std::sync::Arc;

use crate::collect::host::{HostOptions, collect};
use crate::engine::judge::{Judgement, judge};
use crate::engine::{CardSet, Language};
use crate::facts::certificates::Certificate;
use crate::facts::probe::{ConnectAnswer, ConnectOutcome, TlsAnswer};
use crate::facts::{Cluster, Host};
use crate::logs::{ScanOptions, Scanner};
use crate::origin::{Fact, Unknown};
use crate::report::Finding;
use crate::rules::Context;
use crate::source::MemorySource;

/// The time that the tests judge as of.
const AT: &str = "2026-01-01T00:00:00Z";

/// A host of these files, which was asked and whose answers the test adds.
fn host(files: &[(&str, &str)]) -> Host {
    let source = files
        .iter()
        .fold(MemorySource::new("m1").file("/etc/hostname", "m1\n"), |source, (path, text)| source.file(*path, *text));
    let scanner = Scanner::new(Vec::new()).unwrap();
    let options = HostOptions { scan: ScanOptions::default(), probe_deadline: None, at: AT.parse().unwrap() };
    let mut host = collect(Arc::new(source), &scanner, &options);
    host.probes.taken = true;
    host.probes.patience_ms = 3000;
    host
}

/// What one rule says of a host.
fn judged(rule: &str, host: Host) -> Judgement {
    let mut cards = CardSet::builtin(Language::English).unwrap();
    cards.retain(|card| card.id == rule);
    assert_eq!(cards.len(), 1, "{rule}");
    let cluster = Cluster { hosts: vec![host], at: AT.parse().unwrap() };
    judge(&cards, &Context { cluster: &cluster, kubernetes_version: None, phase: None })
}

/// The one finding of a rule, which has evidence and a fix.
#[track_caller]
fn only(judgement: &Judgement) -> &Finding {
    assert_eq!(judgement.findings.len(), 1, "{judgement:#?}");
    let finding = &judgement.findings[0];
    assert!(!finding.evidence.is_empty() && finding.fix.is_some(), "{finding:#?}");
    finding
}

/// `fails`, `passes`, `unknown` or `na`, for tables.
fn outcome(rule: &str, host: Host) -> &'static str {
    let judgement = judged(rule, host);
    let counts = judgement.counts;
    match () {
        () if !judgement.findings.is_empty() => "fails",
        () if counts.unknown > 0 => "unknown",
        () if counts.passed > 0 => "passes",
        () => "na",
    }
}

fn unknown(why: &str) -> Unknown {
    Unknown::new("asked", why)
}

fn connect(target: &str, outcome: ConnectOutcome) -> ConnectAnswer {
    ConnectAnswer { target: target.to_owned(), dialled_by: "this test".to_owned(), outcome, elapsed_ms: 1 }
}

fn handshake(target: &str, verified: bool, chain: Fact<Vec<Certificate>>) -> TlsAnswer {
    let failure = chain.as_ref().err().map(|unknown| unknown.why.clone());
    let server_name = target.rsplit_once(':').map_or(target, |(host, _)| host).to_owned();
    TlsAnswer { target: target.to_owned(), server_name, dialled_by: "this test".to_owned(), verified, chain, failure }
}
