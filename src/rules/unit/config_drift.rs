//! config-drift: a process runs with other values than the file that started it has now.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::origin::{Sourced, Unknown};
use crate::rules::support::{in_words, starting_layers, unit_behind, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "config-drift", judge: Judge::Host(judge), refine: None };

/// Differences that are shown.
const SHOWN: usize = 3;

/// Seconds in which a kubelet has seen a new manifest, and the process of the old one has ended.
const SETTLES: i64 = 120;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for component in &host.components {
        // It shows a title in place of its arguments, in which nothing says where one ends.
        if component.name == ComponentName::Nginx {
            continue;
        }
        let Some(process) = component.layers.iter().find(|layer| layer.kind == LayerKind::Process) else { continue };
        let mut starters = starting_layers(host, component);
        starters.retain(|layer| match layer.kind {
            LayerKind::Manifest => true,
            // A package's unit that nothing enables lies beside what really starts the component.
            LayerKind::Unit => unit_behind(host, layer).is_some_and(|unit| unit.enabled == Some(true)),
            _ => false,
        });
        // With several that could have started it, nothing says which did.
        let [starter] = starters[..] else { continue };
        if let Some(unread) = component.unread.first() {
            verdict.unknown(unread.clone());
            continue;
        }
        let differing = differences(process, starter);
        if differing.is_empty() {
            verdict.pass();
        } else if let Some(seconds) = written_ago(host, starter).filter(|seconds| (0..SETTLES).contains(seconds)) {
            let what = format!("whether {} takes up its manifest", component.name.name());
            let why = format!("it was written {seconds} s before, and the process that runs may still be ending");
            verdict.unknown(Unknown::new(what, why).with_remedy("run the check again in two minutes"));
        } else {
            verdict.fail(draft(host, component, starter, &differing));
        }
    }
}

/// Seconds from when the manifest was written to when the host was looked at.
fn written_ago(host: &Host, starter: &Layer) -> Option<i64> {
    let pods = host.kubernetes.static_pods.as_ref().ok()?;
    let pod = pods.iter().find(|pod| starter.origin.path() == Some(pod.path.as_str()))?;
    Some(host.logs.looked_at?.as_second() - pod.modified?)
}

type Difference<'a> = (&'a str, &'a Sourced<String>, &'a Sourced<String>);

/// Flags that both have with different values. One that only one of them has may come from a variable or a wrapper.
fn differences<'a>(process: &'a Layer, starter: &'a Layer) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    for (flag, values) in &starter.flags {
        let (Some(running), Some(written)) = (process.flags.get(flag), values.last()) else { continue };
        // Lists and repeated flags are compared as a whole, without regard to their order.
        let known = |values: &[Sourced<String>]| {
            let mut all: Vec<String> = values.iter().flat_map(|value| value.value.split(',')).map(settled).collect();
            all.sort();
            all.dedup();
            all
        };
        let unfinished =
            values.iter().any(|value| value.value.contains(['$', '%', '*']) || value.value.contains("not kept"));
        let hidden = running.iter().any(|value| value.value.contains("not kept") || value.value.contains('*'));
        if !unfinished
            && !hidden
            && known(running) != known(values)
            && let Some(running) = running.last()
        {
            found.push((flag.as_str(), running, written));
        }
    }
    found
}

/// A value without quotes, and the ways of saying yes as one.
fn settled(value: &str) -> String {
    match value.trim().trim_matches(['"', '\'']) {
        "" | "true" | "True" | "TRUE" | "t" | "1" => "true".to_owned(),
        value => value.to_owned(),
    }
}

fn draft(host: &Host, component: &Component, starter: &Layer, differing: &[Difference<'_>]) -> Draft {
    let name = component.name.name();
    let flags: Vec<String> = differing.iter().take(SHOWN).map(|(flag, _, _)| format!("--{flag}")).collect();
    let mut draft = Draft::new()
        .subject(name)
        .message(if starter.kind == LayerKind::Manifest { "manifest" } else { "unit" })
        .value("program", name)
        .value("flags", in_words(&flags))
        .maybe_value("file", starter.origin.path())
        .maybe_value("unit", unit_of(starter));
    for (flag, running, written) in differing.iter().take(SHOWN) {
        draft = draft.at(&host.name, &written.origin, format!("--{flag} is {} here", written.value)).at(
            &host.name,
            &running.origin,
            format!("and {} in the process", running.value),
        );
    }
    if differing.len() > SHOWN {
        draft = draft.note(format!("{} more flags differ", differing.len() - SHOWN));
    }
    draft
}
