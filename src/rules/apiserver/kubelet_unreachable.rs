//! apiserver-kubelet-unreachable: the kubelet of a node that reports itself as ready does not take connections from a master.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::probe::{ConnectOutcome, NodeAnswer};
use crate::origin::{Origin, Unknown};
use crate::report::{Evidence, EvidenceKind};
use crate::rules::support::at_least;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "apiserver-kubelet-unreachable", judge: Judge::Host(judge), refine: None };

/// Milliseconds; to wait less is this program's hurry, not the other side's silence.
const LEAST_PATIENCE: u64 = 1000;

/// Seconds; a kubelet renews its lease every ten.
const HEARD_OF: i64 = 15;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver).filter(|_| host.probes.taken) else { return };
    // With an egress selector kubelets are reached through a proxy.
    if apiserver.flag("egress-selector-config-file").is_some() {
        return;
    }
    let clusters = host.probes.apiservers.iter().filter_map(|answer| answer.cluster.as_ref());
    let told = clusters.filter_map(|cluster| Some((cluster.at, cluster.nodes.as_ref().ok()?)));
    let Some((at, nodes)) = told.max_by_key(|(_, nodes)| nodes.len()) else { return };
    // A node is called ready for 40 seconds after its kubelet was last heard of: until then one that was stopped is, too.
    let is_heard_of = |node: &NodeAnswer| match (at, node.heard) {
        (Some(at), Some(heard)) => at.duration_since(heard).as_secs() <= HEARD_OF,
        _ => true,
    };
    // Before 1.14 nodes had none.
    let has_leases = apiserver.version.as_ref().is_none_or(|version| at_least(&version.value, 1, 14));
    for node in nodes.iter().filter(|node| node.is_ready() && is_heard_of(node)) {
        let address = node.addresses.iter().find(|(kind, _)| kind == "InternalIP").map(|(_, address)| address);
        let (Some(address), Some(port)) = (address, node.kubelet_port) else { continue };
        let target = if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
        let Some(answer) = host.probes.followed.iter().find(|answer| answer.target == target) else { continue };
        let why = match &answer.outcome {
            ConnectOutcome::Connected => {
                verdict.pass();
                continue;
            }
            ConnectOutcome::Refused => "connection refused".to_owned(),
            ConnectOutcome::Unreachable(why) => why.clone(),
            ConnectOutcome::TimedOut if answer.elapsed_ms >= LEAST_PATIENCE => {
                format!("did not answer in {:.1} s", answer.elapsed_ms as f64 / 1000.0)
            }
            ConnectOutcome::TimedOut => {
                verdict.unknown(
                    Unknown::new(&target, "there was no time to wait for its answer")
                        .with_remedy("allow more time: --timeout 10s"),
                );
                continue;
            }
            ConnectOutcome::NotResolved(why) | ConnectOutcome::Other(why) => {
                verdict.unknown(Unknown::new(&target, why.clone()));
                continue;
            }
        };
        if node.heard.is_none() && has_leases {
            let what = format!("whether the kubelet of node {} still reports", node.name);
            verdict.unknown(Unknown::new(what, "its lease was not told").with_remedy("allow more time: --timeout 10s"));
            continue;
        }
        let origin = Origin::answer(format!("dialling {target}"));
        verdict.fail(
            Draft::new()
                .subject(address)
                .message("live")
                .value("node", address)
                .value("name", &node.name)
                .value("port", port)
                .value("reason", &why)
                .evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, why))
                .note(format!("node {} reports itself as ready: its way to the apiserver is open", node.name)),
        );
    }
}
