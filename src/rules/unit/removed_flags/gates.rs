//! Feature gates that a release took out, or that it does not let anybody turn off any more: the flag `--feature-gates`, and
//! `featureGates` of the kubelet's configuration file.

use super::Subject;
use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::{ComponentName, Layer, LayerKind, split_items};
use crate::facts::versions::{locked_gate, removed_gate};
use crate::origin::{Origin, Sourced, Unknown};

/// Whether no gate is named that some release took out, or locked to another value.
pub(super) fn judge(host: &Host, subject: &Subject<'_>, layers: &[&Layer], verdict: &mut Verdict) -> bool {
    if !subject.name.is_kubernetes() {
        return true;
    }
    let mut is_clean = true;
    let mut seen: Vec<String> = Vec::new();
    let running = subject.process.map(of_layer).unwrap_or_default();
    let mut given: Vec<Given> = layers.iter().flat_map(|layer| of_layer(layer)).collect();
    if subject.name == ComponentName::Kubelet {
        given.extend(of_configuration(host, layers));
    }
    for Given { gate, off, origin } in given {
        let gone = removed_gate(subject.name.name(), &gate);
        let locked = locked_gate(&gate).filter(|_| off);
        // One that is gone is refused for that, whatever it is set to.
        let is_gone = gone.is_some_and(|since| locked.is_none() || subject.lacks(since) == Some(true));
        let (Some(since), false) = (if is_gone { gone } else { locked }, seen.contains(&gate)) else { continue };
        is_clean = false;
        let runs_with_it = running.iter().any(|known| known.gate == gate && known.off == off);
        match subject.lacks(since) {
            _ if runs_with_it && subject.is_installed => verdict.pass(),
            Some(false) => verdict.pass(),
            None => {
                let done = if is_gone { "gone" } else { "always on" };
                let why = format!("the feature gate {gate} is {done} since {since}");
                verdict.unknown(Unknown::new(format!("the version of {}", subject.name.name()), why));
            }
            Some(true) => verdict.fail(
                subject
                    .draft(
                        since,
                        if is_gone { "gate" } else { "locked" },
                        if is_gone { "gate_upgrade" } else { "locked_upgrade" },
                    )
                    .subject(format!("{} {gate}", subject.name.name()))
                    .value("gate", &gate)
                    .maybe_value("file", origin.path())
                    .at(&host.name, &origin, format!("{} since {since}", if is_gone { "gone" } else { "always on" })),
            ),
        }
        seen.push(gate);
    }
    is_clean
}

/// A gate as it is set somewhere.
struct Given {
    gate: String,
    /// Set to false.
    off: bool,
    origin: Origin,
}

/// The gates that `--feature-gates` names, with their places.
fn of_layer(layer: &Layer) -> Vec<Given> {
    let values: &[Sourced<String>] = layer.flags.get("feature-gates").map_or(&[], Vec::as_slice);
    values
        .iter()
        .flat_map(split_items)
        .filter_map(|item| {
            let (gate, value) = item.value.split_once('=').unwrap_or((&item.value, ""));
            let gate = gate.trim();
            is_gate(gate).then(|| Given { gate: gate.to_owned(), off: is_off(value), origin: item.origin.clone() })
        })
        .collect()
}

fn of_configuration(host: &Host, layers: &[&Layer]) -> Vec<Given> {
    let Ok(Some(document)) = &host.kubernetes.kubelet_configuration else { return Vec::new() };
    // Arguments of kubeadm come without the file that kubeadm would write.
    let is_read = layers.iter().any(|layer| layer.kind == LayerKind::ConfigFile);
    let gates = document.values.iter().filter_map(|(path, value)| {
        let gate = path.strip_prefix("featureGates.")?;
        let off = is_off(&value.value);
        is_gate(gate).then(|| Given { gate: gate.to_owned(), off, origin: value.origin.clone() })
    });
    if is_read { gates.collect() } else { Vec::new() }
}

/// As strconv.ParseBool reads it.
fn is_off(value: &str) -> bool {
    matches!(value.trim(), "0" | "f" | "F" | "false" | "FALSE" | "False")
}

fn is_gate(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
