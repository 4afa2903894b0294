//! host-firewall-blocks-ports, seen from outside: peers' packets to a port are lost or rejected though a process listens
//! there and runs. What the host's own firewall logs is the card's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{in_words, owners};
use crate::rules::{Context, Refined, not_running};

/// The condition that is judged here, as its card is called.
const RULE: &str = "host-firewall-blocks-ports";
const FLAPPING: &str = "etcd-peer-network-unstable";

/// What a packet filter makes of connect(): silence, or an ICMP rejection.
const FILTERED: [&str; 2] = ["i/o timeout", "connect: no route to host"];

pub(super) fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    // Who was dialled in vain: the address and how, with the hosts and lines that say so.
    let mut dialled: BTreeMap<(SocketAddr, &'static str), Vec<(&Host, &LogHit)>> = BTreeMap::new();
    let is_flapping = |host: &Host| host.logs.hits.iter().any(|hit| hit.rule == FLAPPING && hit.ongoing != Some(false));
    // A filter that drops packets lets no connection come about: flapping ones come and go.
    for client in context.cluster.hosts.iter().filter(|host| !is_flapping(host)) {
        for hit in client.logs.hits.iter().filter(|hit| is_dial(hit)) {
            let Some(line) = hit.lines.last().filter(|_| hit.ongoing != Some(false)) else { continue };
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
            ("dial tcp 10.0.0.2:2380: connect: connection refused", None),
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
