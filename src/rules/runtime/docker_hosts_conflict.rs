//! docker-hosts-conflict: `-H` on dockerd's command line beside `hosts` in daemon.json.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::rules::support::{configured_layers, in_words, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "docker-hosts-conflict", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(docker) = host.component(ComponentName::Dockerd) else { return };
    let Some(daemon) = verdict.known(&host.runtimes.docker_daemon) else { return };
    let listed: Vec<_> =
        daemon.iter().flatten().filter(|(key, _)| *key == "hosts" || key.starts_with("hosts.")).collect();
    for layer in configured_layers(docker) {
        let given = layer.flags.get("host").map(Vec::as_slice).unwrap_or_default();
        let (Some(flag), Some((_, listing))) = (given.last(), listed.first()) else {
            verdict.pass();
            continue;
        };
        let words = |values: Vec<&str>| in_words(&values.into_iter().map(str::to_owned).collect::<Vec<_>>());
        verdict.fail(
            Draft::new()
                .subject(layer.origin.to_string())
                .message("files")
                .value("flags", words(given.iter().map(|value| value.value.as_str()).collect()))
                .value("listed", words(listed.iter().map(|(_, value)| value.value.as_str()).collect()))
                .maybe_value("unit", unit_of(layer))
                .at(&host.name, &flag.origin, "given here")
                .at(&host.name, &listing.origin, "and here"),
        );
    }
}
