//! etcd-quorum-lost: fewer than a majority of the members run.

use super::membership::{MemberState, Membership, membership};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::log::LogHit;
use crate::facts::probe::EtcdAnswer;
use crate::origin::Unknown;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge, Refined, not_running};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-quorum-lost", judge: Judge::Cluster(judge), refine: Some(refine) };

/// The leader that a member names while there is none. A leader without a majority steps down within an election's time.
const NO_LEADER: &str = "0";

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let Some(membership) = membership(context.cluster) else { return };
    let (total, quorum, at_most) = (membership.total(), membership.quorum(), membership.at_most_up());
    let up = membership.names(MemberState::Up);
    if at_most >= quorum {
        // A single member that is down is that member's own condition, not a matter of quorum.
        if up.len() >= quorum {
            return verdict.pass();
        }
        match membership.unseen() {
            Some(unknown) => verdict.unknown(unknown),
            None => verdict.pass(),
        }
        return;
    }
    if total == 1 {
        return;
    }
    if let Some(unknown) = context.cluster.hosts.iter().find_map(not_running::just_booted) {
        return verdict.unknown(unknown);
    }
    // Members that nobody named may run; then only what etcd itself says or does proves the loss.
    if !membership.complete && !says_so(context) {
        let down = in_words(&membership.names(MemberState::Down));
        let why = format!("down: {down}; and the cluster may have more members than these files name");
        return verdict.unknown(
            Unknown::new("etcd quorum", why)
                .with_remedy("give the evidence of all masters, or run the check live on one"),
        );
    }
    verdict.fail(draft(&membership, context));
}

/// A member that says that it is healthy has just read through a majority, and one that knows a leader hears from it: what it
/// complained of before is over, or it is slow. After a boot the members wait for each other.
fn refine(_: &Context<'_>, host: &Host, _: &LogHit) -> Refined {
    if not_running::just_booted(host).is_some() {
        return Refined::Drop;
    }
    let has_leader = |answer: &EtcdAnswer| {
        matches!(answer.healthy, Ok(true)) || answer.status.as_ref().is_ok_and(|status| status.leader != NO_LEADER)
    };
    match host.probes.etcd.iter().any(has_leader) {
        true => Refined::Drop,
        false => Refined::Keep(Vec::new()),
    }
}

/// Whether some member's log or answer says that it has no leader.
pub(super) fn says_so(context: &Context<'_>) -> bool {
    context.cluster.hosts.iter().any(|host| {
        host.logs.hits.iter().any(|hit| hit.rule == DETECTOR.id && hit.ongoing != Some(false))
            || host.probes.etcd.iter().any(|answer| matches!(answer.healthy, Ok(false)))
    })
}

fn draft(membership: &Membership, context: &Context<'_>) -> Draft {
    let down = membership.names(MemberState::Down);
    let up = membership.at_most_up();
    let needed = membership.quorum() - up;
    // Those that run are the ones that serve nothing; what is to be done elsewhere, the commands say.
    let mut hosts = membership.hosts(MemberState::Up);
    hosts.extend(membership.hosts(MemberState::Down));
    let mut draft = Draft::new()
        .value("total", membership.total())
        .value("up", up)
        .value("quorum", membership.quorum())
        .value("needed", needed)
        .value("missing", in_words(&down))
        .hosts(hosts);
    if let Some(first) = down.first() {
        draft = draft.value("first_missing", first);
    }
    if membership.complete {
        draft = draft.note(format!("{} members need {} to agree", membership.total(), membership.quorum()));
    }
    draft = membership.with_evidence(draft, MemberState::Down);
    // On a static-pod master the member is gone because its manifest is.
    let stacked = context.cluster.hosts.iter().any(|host| {
        down.contains(&host.name)
            && host.component(crate::facts::component::ComponentName::KubeApiserver).is_some_and(|apiserver| {
                apiserver.layers.iter().any(|layer| layer.kind == crate::facts::component::LayerKind::Manifest)
            })
    });
    if stacked { draft.value("stacked", "true") } else { draft }
}
