//! etcd-peer-network-unstable: what etcd measured of the way to its peers, and how often its leader changed.

use super::{own_answers, told_by_peers};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::objects::on_host;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector {
    id: RULE,
    judge: Judge::Host(judge),
    refine: Some(|context, host, hit| told_by_peers::refine(RULE, context, host, hit)),
};

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
