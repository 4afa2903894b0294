//! etcd-peer-network-unstable: what etcd measured of the way to its peers, and how often its leader changed.

use std::collections::BTreeSet;

use super::{own_answers, told_by_peers};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::objects::on_host;
use crate::rules::{Context, Detector, Judge, Refined};
use crate::source::SourceKind;

pub(super) const DETECTOR: Detector = Detector { id: RULE, judge: Judge::Host(judge), refine: Some(refine) };

/// Seconds: connections that break within so many of each other break together.
const TOGETHER: i64 = 30;
/// Seconds that it takes for members to be restarted, one or all of a small cluster.
const RESTART: i64 = 60;
/// A member's own restart and its peer's break their connections once each.
const RESTARTS: usize = 3;

/// Connections to a peer that broke at a few moments only broke because one of the two was started again.
fn refine(context: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let names_a_peer = ["member", "member_id", "peer", "peer_id"].iter().any(|name| hit.captures.contains_key(*name));
    if host.kind != SourceKind::File && names_a_peer && are_restarts(&hit.seconds) {
        return Refined::Drop;
    }
    told_by_peers::refine(RULE, context, host, hit)
}

fn are_restarts(seconds: &BTreeSet<i64>) -> bool {
    let mut moments: Vec<(i64, i64)> = Vec::new();
    for &second in seconds {
        match moments.last_mut() {
            Some((_, last)) if second - *last <= TOGETHER => *last = second,
            _ => moments.push((second, second)),
        }
    }
    (1..=RESTARTS).contains(&moments.len()) && moments.iter().all(|(first, last)| last - first < RESTART)
}

const RULE: &str = "etcd-peer-network-unstable";

/// Seconds: etcd's own alert on round trips is at this for the 99th of 100.
const SLOW: f64 = 0.15;
const SHARE: f64 = 0.01;
/// Fewer round trips say little.
const FEWEST: u64 = 100;
/// A leader that changes more often than this in an hour, and at least this often.
const CHANGES_AN_HOUR: f64 = 4.0;
const CHANGES: u64 = 10;
const HOUR: f64 = 3600.0;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (answer, owner) in own_answers::of(context.cluster, host) {
        let metrics = match &answer.metrics {
            Some(Ok(metrics)) => metrics,
            Some(Err(unknown)) => {
                if answer.healthy.is_ok() {
                    verdict.unknown(unknown.clone());
                }
                continue;
            }
            None => continue,
        };
        let evidence = |metric: &str, said: String| {
            let origin = Origin::answer(format!("{}/metrics, {metric}", answer.endpoint));
            Evidence::new(EvidenceKind::Probe, &host.name, origin, said)
        };
        let mut failed = false;
        for (member, trips) in metrics.round_trip.iter().filter(|(_, trips)| trips.count >= FEWEST) {
            let Some(share) = trips.share_above(SLOW).filter(|share| *share > SHARE) else { continue };
            failed = true;
            let members = answer.members.iter().flatten();
            let peer = members.filter(|one| one.id == *member).flat_map(|one| &one.peer_urls).next();
            let address = peer.and_then(|url| crate::facts::address::Url::parse(url)).map(|url| url.host);
            let percent = format!("{:.0}", (share * 100.0).ceil());
            let said = format!("{percent} of 100 round trips to {member} took longer than {SLOW} s");
            let draft = Draft::new()
                .message("slow")
                .value("member", member)
                .value("percent", percent)
                .maybe_value("address", address)
                .evidence(evidence("etcd_network_peer_round_trip_time_seconds", said));
            verdict.fail(on_host(draft, owner));
        }
        let hours = metrics.uptime_seconds.map(|seconds| seconds.max(HOUR) / HOUR);
        if let (Some(changes), Some(hours)) = (metrics.leader_changes, hours)
            && changes >= CHANGES
            && changes as f64 / hours > CHANGES_AN_HOUR
        {
            failed = true;
            let said = format!("{changes} changes of the leader in {hours:.1} hours");
            let draft = Draft::new()
                .message("changes")
                .value("changes", changes)
                .value("hours", format!("{hours:.1}"))
                .evidence(evidence("etcd_server_leader_changes_seen_total", said));
            verdict.fail(on_host(draft, owner));
        }
        if !failed {
            verdict.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_moments_are_restarts() {
        let every = |pause: usize, until: i64| (0..=until).step_by(pause).collect::<Vec<i64>>();
        for (what, seconds, expected) in [
            ("nothing is known of when", vec![], false),
            ("a peer was restarted", vec![0, 1, 1, 2], true),
            ("both, and the peer again", vec![0, 2, 130, 131, 260], true),
            ("again and again", vec![0, 60, 130, 131, 260], false),
            ("for two minutes", every(10, 120), false),
        ] {
            assert_eq!(are_restarts(&seconds.into_iter().collect()), expected, "{what}");
        }
    }
}
