//! host-firewall-blocks-ports, seen from outside: peers' packets to a port are lost or rejected though a process listens
//! there and runs. What the host's own firewall logs is the card's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::{LogHit, QUIET};
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{in_words, owners};
use crate::rules::{Context, Refined, not_running};

/// The condition that is judged here, as its card is called.
const RULE: &str = "host-firewall-blocks-ports";
const FLAPPING: &str = "etcd-peer-network-unstable";

/// What a packet filter makes of connect(): silence, an ICMP rejection, or a reset in the name of the one that listens.
const FILTERED: [&str; 3] = ["i/o timeout", "connect: no route to host", REFUSED];
const REFUSED: &str = "connect: connection refused";

/// Seconds that the listener has to have run for before the first refusal: the clocks of two hosts, and of their logs, differ.
const RAN_BEFORE: i64 = 30;
/// Kernel ticks in a second, as every Linux counts them in /proc/PID/stat.
const TICKS: u64 = 100;

pub(super) fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    // Who was dialled in vain: the address and how, with the hosts and lines that say so.
    let mut dialled: BTreeMap<(SocketAddr, &'static str), Vec<(&Host, &LogHit)>> = BTreeMap::new();
    for client in &context.cluster.hosts {
        for hit in client.logs.hits.iter().filter(|hit| is_dial(hit)) {
            let Some(line) = hit.lines.last().filter(|_| hit.ongoing != Some(false)) else { continue };
            // A filter that drops packets lets no connection come about: these come and go.
            if client.logs.hits.iter().any(|hit| hit.rule == FLAPPING && hit.ongoing != Some(false)) {
                continue;
            }
            // What a host says to itself passes no other host's filter.
            if let Some(failed) = failed_dial(&line.text).filter(|(target, _)| !target.ip().is_loopback()) {
                dialled.entry(failed).or_default().push((client, hit));
            }
        }
    }
    for ((target, how), told) in dialled {
        let Some(host) = owners(context.cluster, target.ip()).next() else { continue };
        let told: Vec<_> = told.into_iter().filter(|(client, _)| client.name != host.name).collect();
        if told.is_empty() || !is_served(host, target) {
            continue;
        }
        // Who listens refuses nobody, unless it began to listen after that.
        let is_refused = REFUSED.ends_with(how);
        if is_refused && !told.iter().all(|(_, hit)| listened_before(context, host, target.port(), hit)) {
            continue;
        }
        let clients: BTreeSet<&str> = told.iter().map(|(client, _)| client.name.as_str()).collect();
        let clients: Vec<String> = clients.into_iter().map(str::to_owned).collect();
        let mut draft = Draft::new()
            .subject(target.port().to_string())
            .message("seen_outside")
            .severity(Severity::Error)
            .value("address", target)
            .value("port", target.port())
            .value("clients", in_words(&clients))
            .value("how", how)
            .value("host", &host.name)
            .hosts([host.name.clone()]);
        for (client, hit) in told.into_iter().take(3) {
            draft = draft.evidence(log_evidence(client, hit));
        }
        verdict.fail(draft);
    }
}

/// Whether the process that listens had run for long when this message first came.
fn listened_before(context: &Context<'_>, host: &Host, port: u16, hit: &LogHit) -> bool {
    let time = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok();
    let started = || {
        let listeners = host.network.as_ref().ok()?.listeners.as_ref().ok()?;
        let of_port = listeners.iter().filter(|listener| listener.port == port);
        // Another program that has taken the port is another rule's matter.
        let is_component = |pid: &u32| host.components.iter().any(|component| component.pid == Some(*pid));
        let pid = of_port.filter_map(|listener| Some(listener.process.as_ref()?.pid)).find(is_component)?;
        let processes = host.system.processes.as_ref().ok()?;
        let ticks = processes.iter().find(|process| process.pid == pid)?.started_ticks?;
        let age = host.system.uptime_seconds.as_ref().ok()?.checked_sub(ticks / TICKS)?;
        // The hosts were looked at after the last line of their logs, at most a little later.
        let logs = context.cluster.hosts.iter().map(|host| &host.logs);
        let ends =
            logs.flat_map(|logs| logs.scanned.iter().filter_map(|log| time(&log.last)).max().max(logs.looked_at));
        ends.max()?.checked_sub(SignedDuration::from_secs(i64::try_from(age).ok()?)).ok()
    };
    let (Some(started), Some(first)) = (started(), series_began(hit)) else { return false };
    first - started.as_second() > RAN_BEFORE
}

/// When the refusals that go on began, in seconds since the epoch: members refuse each other while a cluster is set up, too.
fn series_began(hit: &LogHit) -> Option<i64> {
    let mut seconds = hit.seconds.iter().rev();
    let mut began = *seconds.next()?;
    for second in seconds {
        if began - second > QUIET {
            break;
        }
        began = *second;
    }
    Some(began)
}

fn is_dial(hit: &LogHit) -> bool {
    hit.rule == RULE && hit.captures.contains_key("target")
}

/// That a dial failed is no filter's doing by itself: what the hosts' sockets say of it is judged above.
pub(super) fn refine(_: &Context<'_>, _: &Host, hit: &LogHit) -> Refined {
    if is_dial(hit) { Refined::Drop } else { Refined::Keep(Vec::new()) }
}

fn log_evidence(client: &Host, hit: &LogHit) -> Evidence {
    let line = hit.lines.last();
    let origin = line.map_or_else(|| Origin::answer("the logs"), |line| Origin::file(line.path.as_str(), None));
    let text = line.map(|line| line.text.clone()).unwrap_or_default();
    let mut evidence = Evidence::new(EvidenceKind::Log, &client.name, origin, text);
    evidence.occurrences = Some(hit.occurrences());
    evidence
}

/// `dial tcp ADDRESS:PORT: REASON` where the reason is what a filter causes.
fn failed_dial(text: &str) -> Option<(SocketAddr, &'static str)> {
    let (_, rest) = text.split_once("dial tcp ")?;
    let (target, reason) = rest.split_once(": ")?;
    let how = FILTERED.into_iter().find(|filtered| reason.starts_with(filtered))?;
    Some((target.parse().ok()?, how.trim_start_matches("connect: ")))
}

/// Whether a process that is not stopped listens there, on an interface that is up.
fn is_served(host: &Host, target: SocketAddr) -> bool {
    let Ok(network) = &host.network else { return false };
    let interface = network.interface_of(target.ip());
    // An address that no connected route leads to belongs to an interface that is down.
    if interface.is_some_and(|interface| interface.up == Some(false) || interface.name.is_empty()) {
        return false;
    }
    network.listeners.iter().flatten().any(|listener| {
        listener.port == target.port()
            && (listener.address.is_unspecified() || listener.address == target.ip())
            && listener.process.as_ref().is_some_and(|process| not_running::stopped(host, process.pid).is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_filter_causes() {
        let table = [
            ("dial tcp 10.0.0.2:2380: i/o timeout\"}", Some(("10.0.0.2:2380", "i/o timeout"))),
            ("dial tcp 10.0.0.2:2380: connect: no route to host", Some(("10.0.0.2:2380", "no route to host"))),
            ("dial tcp [2001:db8::1]:6443: i/o timeout", Some(("[2001:db8::1]:6443", "i/o timeout"))),
            ("dial tcp 10.0.0.2:2380: connect: connection refused", Some(("10.0.0.2:2380", "connection refused"))),
            ("dial tcp 10.0.0.2:2380: connect: network is unreachable", None),
            ("dial tcp: lookup m2 on 10.0.0.1:53: no such host", None),
            ("read tcp 10.0.0.1:41000->10.0.0.2:2380: i/o timeout", None),
            ("dial tcp 10.0.0.2", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(target, how)| (target.parse().expect("a socket address"), how));
            assert_eq!(failed_dial(text), expected, "{text}");
        }
    }
}
