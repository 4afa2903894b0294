//! etcd-quorum-fragile: one failure from losing quorum, or a member count that gains nothing.

use super::membership::{MemberState, Membership, membership};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::ComponentName;
use crate::rules::support::in_words;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-quorum-fragile", judge: Judge::Cluster(judge), refine: None };

fn judge(context: &Context<'_>, verdict: &mut Verdict) {
    let Some(membership) = membership(context.cluster) else { return };
    let (total, quorum, at_most) = (membership.total(), membership.quorum(), membership.at_most_up());
    let down = membership.names(MemberState::Down);
    if at_most < quorum && (membership.complete || super::quorum_lost::says_so(context)) {
        // Lost, which is the graver condition, or a single member that is down.
        return;
    }
    let apiservers =
        context.cluster.hosts.iter().filter(|host| host.component(ComponentName::KubeApiserver).is_some()).count();
    let hosts = || {
        let mut hosts = membership.hosts(MemberState::Down);
        hosts.extend(membership.hosts(MemberState::Up));
        hosts
    };
    let draft = |message: &str| {
        let draft = Draft::new()
            .message(message)
            .value("total", total)
            .value("up", at_most)
            .value("quorum", quorum)
            .maybe_value("missing", (!down.is_empty()).then(|| in_words(&down)))
            .hosts(hosts());
        membership.with_evidence(draft, MemberState::Down)
    };
    if !membership.complete && !down.is_empty() && total > 1 {
        // How many there are is not known; that one is down is.
        return verdict.fail(draft("member_down"));
    }
    if !down.is_empty() && at_most == quorum {
        let unseen = membership.names(MemberState::Unknown);
        return verdict.fail(if unseen.is_empty() {
            draft("one_failure_left")
        } else {
            draft("at_best_one_failure_left").note(format!("whether {} run is not known", in_words(&unseen)))
        });
    }
    if !membership.complete {
        return;
    }
    if total == 1 && apiservers > 1 {
        verdict.fail(evidence_of_members(draft("single"), &membership));
    } else if total > 1 && total.is_multiple_of(2) {
        verdict.fail(evidence_of_members(draft("even"), &membership));
    } else if let Some(unknown) = membership.unseen() {
        verdict.unknown(unknown);
    } else {
        verdict.pass();
    }
}

/// Where the members are named, for a count that is itself the fault.
fn evidence_of_members(draft: Draft, membership: &Membership) -> Draft {
    match membership.members.iter().find_map(|member| member.named_at.as_ref()) {
        Some((host, item)) => {
            let members = if membership.total() == 1 { "member" } else { "members" };
            draft.at(host, &item.origin, format!("{} {members}", membership.total()))
        }
        None => membership.with_evidence(draft, MemberState::Up),
    }
}
