//! etcd-endpoint-unreachable: an endpoint of etcd that a component of this host dials does not answer.

use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::topology::{Service, edges};
use crate::rules::reach::{self, Reach};
use crate::rules::{Context, Detector, Judge, not_running};

pub(super) const DETECTOR: Detector = Detector {
    id: "etcd-endpoint-unreachable",
    judge: Judge::Host(judge),
    refine: Some(super::told_by_peers::refine_by_address),
};

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !host.probes.taken {
        return;
    }
    for edge in edges(context.cluster).iter().filter(|edge| edge.client_host == host.name) {
        let Some(url) = edge.parsed().filter(|_| edge.service != Service::Apiserver) else { continue };
        match reach::reach(host, &url) {
            Some(Reach::Fails(reason)) => match not_running::just_booted(host) {
                Some(unknown) => verdict.unknown(unknown),
                None => verdict.fail(reach::draft(host, edge, &url, &reason)),
            },
            Some(Reach::Answers) => verdict.pass(),
            Some(Reach::Unknown(unknown)) => verdict.unknown(unknown),
            None => {}
        }
    }
}
