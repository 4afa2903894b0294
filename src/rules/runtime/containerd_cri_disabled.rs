//! containerd-cri-disabled: containerd's configuration switches off what the kubelet talks to.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::origin::Origin;
use crate::report::{Evidence, EvidenceKind};
use crate::rules::kubelet::runtime::chosen;
use crate::rules::support::file_of;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "containerd-cri-disabled", judge: Judge::Host(judge), refine: None };

/// The plug-in by its name of version 1, by its URI of version 2, and the two that it was split into since.
const CRI: [&str; 4] =
    ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"];

/// That containerd's own socket says that it has no such service.
fn refusal(host: &Host) -> Option<Evidence> {
    let unknown = host.probes.cri.as_ref()?.as_ref().err()?;
    let is_told = unknown.what.contains("containerd") && unknown.why.contains("unknown service");
    is_told.then(|| {
        Evidence::new(EvidenceKind::Probe, &host.name, Origin::answer(unknown.what.as_str()), unknown.why.clone())
    })
}

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(kubelet) = host.component(ComponentName::Kubelet) else { return };
    // docker's packages ship the plug-in disabled, which is right where docker alone uses containerd.
    let uses_containerd = chosen(host, kubelet).is_some_and(|chosen| chosen.runtime == ComponentName::Containerd);
    if !uses_containerd {
        return;
    }
    let refusal = refusal(host);
    let Some(Some(config)) = verdict.known(&host.runtimes.containerd) else { return };
    let mut disabled = config.disabled_plugins.iter().filter(|plugin| CRI.contains(&plugin.value.as_str())).peekable();
    if disabled.peek().is_none() {
        return match refusal {
            // The file allows it: the plug-in failed to start, or containerd was not restarted since.
            Some(evidence) => verdict.fail(
                Draft::new()
                    .subject("containerd")
                    .message("no_service")
                    .at(&host.name, &Origin::file(config.path.as_str(), None), "does not disable it")
                    .evidence(evidence),
            ),
            None => verdict.pass(),
        };
    }
    for plugin in disabled {
        verdict.fail(
            Draft::new()
                .subject(&plugin.value)
                .message("disabled")
                .value("plugin", &plugin.value)
                .maybe_value("file", file_of(plugin))
                .at(&host.name, &plugin.origin, "the kubelet needs this plug-in"),
        );
    }
}
