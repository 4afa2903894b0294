//! etcd-quorum-fragile: one failure from losing quorum, or a member count that gains nothing.

use super::membership::{MemberState, membership};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::ComponentName;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
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
        let mut draft = Draft::new()
            .message(message)
            .value("total", total)
            .value("up", at_most)
            .value("quorum", quorum)
            .value("missing", in_words(&down))
            .hosts(hosts());
        for member in membership.members.iter().filter(|member| member.state == MemberState::Down) {
            let host = member.host.clone().unwrap_or_else(|| member.name.clone());
            draft = draft.evidence(match &member.named_at {
                Some((named_on, item)) => Evidence::new(
                    EvidenceKind::Cluster,
                    named_on,
                    item.origin.clone(),
                    format!("{}: {}", member.name, member.reason),
                ),
                None => Evidence::new(
                    EvidenceKind::Cluster,
                    &host,
                    Origin::answer(format!("the processes of {host}")),
                    format!("{}: {}", member.name, member.reason),
                ),
            });
        }
        draft
    };
    if !membership.complete && !down.is_empty() && total > 1 {
        // How many there are is not known; that one is down is.
        return verdict.fail(draft("member_down"));
    }
    if !down.is_empty() && at_most == quorum {
        return verdict.fail(draft("one_failure_left"));
    }
    if !membership.complete {
        return;
    }
    if total == 1 && apiservers > 1 {
        verdict.fail(draft("single"));
    } else if total > 1 && total.is_multiple_of(2) {
        verdict.fail(draft("even").evidence_of_members(&membership));
    } else {
        verdict.pass();
    }
}

impl Draft {
    /// Where the members are named, for a count that is itself the fault.
    fn evidence_of_members(mut self, membership: &super::membership::Membership) -> Draft {
        if let Some((host, item)) = membership.members.iter().find_map(|member| member.named_at.as_ref()) {
            self = self.at(host, &item.origin, format!("{} members", membership.total()));
        }
        self
    }
}
