//! etcd-clock-drift: the clocks of hosts with an etcd, by the time that each member gives its answers.

use super::told_by_peers;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::address::Url;
use crate::facts::component::ComponentName;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector {
    id: RULE,
    judge: Judge::Host(judge),
    refine: Some(|context, host, hit| told_by_peers::refine(RULE, context, host, hit)),
};

const RULE: &str = "etcd-clock-drift";

/// Milliseconds. etcd warns from one second on; an answer tells its time to about a second.
pub const APART: i64 = 2500;

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if host.component(ComponentName::Etcd).is_none() {
        return;
    }
    for (answer, offset, other) in offsets(host) {
        if offset.abs() < APART {
            verdict.pass();
            continue;
        }
        let owner = other
            .address()
            .and_then(|address| crate::facts::address::owners(context.cluster, address).next())
            .filter(|owner| owner.name != host.name);
        let name = owner.map_or(other.host.as_str(), |owner| owner.name.as_str());
        let drift = format!("{:.0} s", (offset as f64 / 1000.0).abs());
        let side = if offset > 0 { "ahead of" } else { "behind" };
        let status = answer.status.as_ref().ok().map(|status| status.member_id.clone());
        let origin = Origin::answer(format!("{}/health, Date", answer.endpoint));
        let said = format!("{drift} {side} the clock of {}", host.name);
        let kind = if owner.is_some() { EvidenceKind::Cluster } else { EvidenceKind::Probe };
        let mut hosts = vec![host.name.clone()];
        hosts.extend(owner.map(|owner| owner.name.clone()));
        let mut pair = [host.name.as_str(), name];
        pair.sort_unstable();
        verdict.fail(
            Draft::new()
                .subject(pair.join(" "))
                .message("apart")
                .value("other", name)
                .value("side", side)
                .value("drift", drift)
                .maybe_value("member", status)
                .hosts(hosts)
                .evidence(Evidence::new(kind, &host.name, origin, said)),
        );
    }
}

/// The members on other hosts that told their time, each host once: the answer, how far ahead it is in milliseconds, and
/// where it was asked.
pub fn offsets(host: &Host) -> Vec<(&crate::facts::probe::EtcdAnswer, i64, Url)> {
    let is_own = |url: &Url| {
        url.is_loopback()
            || url.address().is_none_or(|address| host.network.as_ref().is_ok_and(|network| network.owns(address)))
    };
    let mut found: Vec<(&crate::facts::probe::EtcdAnswer, i64, Url)> = Vec::new();
    for answer in &host.probes.etcd {
        let (Some(offset), Some(url)) = (answer.clock_offset_ms, Url::parse(&answer.endpoint)) else { continue };
        let same = |known: &Url| known.host == url.host;
        if !is_own(&url) && !found.iter().any(|(_, _, known)| same(known)) {
            found.push((answer, offset, url));
        }
    }
    found
}
