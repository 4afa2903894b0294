//! etcd-force-new-cluster: `--force-new-cluster` is left in what starts etcd.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::support::{configured_layers, file_of, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "etcd-force-new-cluster", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    for layer in configured_layers(etcd) {
        let given = layer.flags.get("force-new-cluster").and_then(|values| values.last());
        let Some(value) =
            given.filter(|value| matches!(value.value.as_str(), "" | "1" | "t" | "T" | "true" | "TRUE" | "True"))
        else {
            verdict.pass();
            continue;
        };
        verdict.fail(
            Draft::new()
                .subject(layer.origin.to_string())
                .maybe_value("file", file_of(value))
                .maybe_value("unit", unit_of(layer))
                .at(&host.name, &value.origin, "drops every other member at each start"),
        );
    }
    if verdict.drafts.is_empty()
        && let Some(unread) = etcd.unread.first()
    {
        verdict.unknown(unread.clone());
    }
}
