//! node-not-ready: what the apiserver says of each node.

use jiff::SignedDuration;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::origin::Unknown;
use crate::rules::objects::{host_of, in_words, on_host, told};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "node-not-ready", judge: Judge::Host(judge), refine: None };

/// A node that joins is not ready at first, and one that restarts for a moment.
const GRACE: SignedDuration = SignedDuration::from_secs(90);

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some((told, nodes)) = told(context, host, verdict, |cluster| &cluster.nodes) else { return };
    for node in nodes {
        let Some(ready) = node.condition("Ready").filter(|ready| ready.status != "True") else {
            verdict.pass();
            continue;
        };
        let since = ready.since.or(node.created);
        if since.is_none_or(|since| told.age(since) < GRACE) {
            let why = "it has been so for less than two minutes";
            verdict.unknown(
                Unknown::new(format!("whether node {} becomes ready", node.name), why).with_remedy("check again"),
            );
            continue;
        }
        let message = if ready.message.is_empty() { &ready.reason } else { &ready.message };
        let age = since.map(|since| in_words(told.age(since)));
        let said =
            format!("Ready is {} since {}: {message}", ready.status, age.as_deref().unwrap_or("an unknown time"));
        let draft = Draft::new()
            .subject(&node.name)
            .value("node", &node.name)
            .value("message", message)
            .value("reason", &ready.reason)
            .evidence(told.evidence(host, &format!("/api/v1/nodes/{}", node.name), said));
        verdict.fail(on_host(draft, host_of(context.cluster, node)));
    }
}
