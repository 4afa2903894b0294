//! Feature gates: the flag `--feature-gates`, and `featureGates` of the kubelet's configuration file.

use super::Subject;
use crate::engine::verdict::Verdict;
use crate::facts::Host;
use crate::facts::component::{ComponentName, Layer, LayerKind, split_items};
use crate::facts::versions::removed_gate;
use crate::origin::{Origin, Sourced, Unknown};

/// Whether no gate is named that some release took out.
pub(super) fn judge(host: &Host, subject: &Subject<'_>, layers: &[&Layer], verdict: &mut Verdict) -> bool {
    if !subject.name.is_kubernetes() {
        return true;
    }
    let mut is_clean = true;
    let mut seen: Vec<String> = Vec::new();
    let running = subject.process.map(of_layer).unwrap_or_default();
    let mut given: Vec<(String, Origin)> = layers.iter().flat_map(|layer| of_layer(layer)).collect();
    if subject.name == ComponentName::Kubelet {
        given.extend(of_configuration(host, layers));
    }
    for (gate, origin) in given {
        let Some(since) = removed_gate(subject.name.name(), &gate) else { continue };
        if seen.contains(&gate) {
            continue;
        }
        is_clean = false;
        let runs_with_it = running.iter().any(|(known, _)| *known == gate);
        match subject.lacks(since) {
            _ if runs_with_it && subject.is_installed => verdict.pass(),
            Some(false) => verdict.pass(),
            None => {
                let why = format!("the feature gate {gate} is gone since {since}");
                verdict.unknown(Unknown::new(format!("the version of {}", subject.name.name()), why));
            }
            Some(true) => verdict.fail(
                subject
                    .draft(since, "gate", "gate_upgrade")
                    .subject(format!("{} {gate}", subject.name.name()))
                    .value("gate", &gate)
                    .maybe_value("file", origin.path())
                    .at(&host.name, &origin, format!("gone since {since}")),
            ),
        }
        seen.push(gate);
    }
    is_clean
}

/// The gates that `--feature-gates` names, with their places.
fn of_layer(layer: &Layer) -> Vec<(String, Origin)> {
    let values: &[Sourced<String>] = layer.flags.get("feature-gates").map_or(&[], Vec::as_slice);
    values
        .iter()
        .flat_map(split_items)
        .filter_map(|item| {
            let gate = item.value.split('=').next()?.trim();
            is_gate(gate).then(|| (gate.to_owned(), item.origin.clone()))
        })
        .collect()
}

fn of_configuration(host: &Host, layers: &[&Layer]) -> Vec<(String, Origin)> {
    let Ok(Some(document)) = &host.kubernetes.kubelet_configuration else { return Vec::new() };
    // Arguments of kubeadm come without the file that kubeadm would write.
    let is_read = layers.iter().any(|layer| layer.kind == LayerKind::ConfigFile);
    let gates = document.values.iter().filter_map(|(path, value)| {
        let gate = path.strip_prefix("featureGates.")?;
        is_gate(gate).then(|| (gate.to_owned(), value.origin.clone()))
    });
    if is_read { gates.collect() } else { Vec::new() }
}

fn is_gate(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
