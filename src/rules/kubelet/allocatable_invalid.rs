//! node-allocatable-invalid: the kubelet reserves more than the node has, or is to enforce a reservation without a cgroup.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::kubernetes::ConfigDocument;
use crate::origin::Sourced;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "node-allocatable-invalid", judge: Judge::Host(judge), refine: None };

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if host.component(ComponentName::Kubelet).is_none() {
        return;
    }
    let Some(document) = verdict.known(&host.kubernetes.kubelet_configuration) else { return };
    let Some(document) = document else { return };
    judge_resource(
        host,
        document,
        "cpu",
        host.system.cpus.as_ref().map(|cpus| f64::from(*cpus)).map_err(Clone::clone),
        verdict,
    );
    let memory = host.system.memory.as_ref().map(|memory| memory.total_kib as f64 * 1024.0).map_err(Clone::clone);
    judge_resource(host, document, "memory", memory, verdict);
    for (kind, setting) in [("system-reserved", "systemReservedCgroup"), ("kube-reserved", "kubeReservedCgroup")] {
        let Some(enforced) = document.list("enforceNodeAllocatable").into_iter().find(|item| item.value == kind) else {
            continue;
        };
        if document.get(setting).is_some_and(|cgroup| !cgroup.value.is_empty()) {
            verdict.pass();
        } else {
            verdict.fail(
                Draft::new()
                    .subject(setting)
                    .message("no_cgroup")
                    .value("reason", "cgroup")
                    .value("setting", setting)
                    .value("kind", kind)
                    .value("file", &document.path)
                    .at(&host.name, &enforced.origin, format!("needs {setting}, which is not set")),
            );
        }
    }
}

fn judge_resource(
    host: &Host,
    document: &ConfigDocument,
    resource: &'static str,
    capacity: Result<f64, crate::origin::Unknown>,
    verdict: &mut Verdict,
) {
    let mut reserved: Vec<(&Sourced<String>, f64)> = Vec::new();
    for path in ["systemReserved", "kubeReserved"] {
        let value = document.get(&format!("{path}.{resource}"));
        reserved.extend(value.and_then(|value| Some((value, quantity(&value.value)?))));
    }
    if reserved.is_empty() {
        return;
    }
    let Some(capacity) = verdict.known(&capacity).copied() else { return };
    if resource == "memory" {
        let threshold = document
            .get("evictionHard.memory.available")
            .and_then(|value| Some((value, share(&value.value, capacity)?)));
        reserved.extend(threshold);
    }
    let sum: f64 = reserved.iter().map(|(_, amount)| amount).sum();
    if sum < capacity {
        return verdict.pass();
    }
    let mut draft = Draft::new()
        .subject(resource)
        .message("too_much")
        .value("resource", resource)
        .value("reserved", in_units(resource, sum))
        .value("capacity", in_units(resource, capacity))
        .value("file", &document.path);
    for (value, _) in reserved {
        draft = draft.at(&host.name, &value.origin, "taken from what pods may use");
    }
    verdict.fail(draft);
}

fn in_units(resource: &str, amount: f64) -> String {
    match resource {
        "memory" => format!("{:.0} MiB", amount / 1_048_576.0),
        _ => format!("{amount} CPUs"),
    }
}

/// A quantity, or a percentage of the capacity.
fn share(text: &str, capacity: f64) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => Some(percent.trim().parse::<f64>().ok()? / 100.0 * capacity),
        None => quantity(text),
    }
}

/// `500m`, `2`, `1Gi`, `1500M` as a number.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text.get(..unit)?.parse().ok()?;
    let factor = match text.get(unit..)? {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn quantities() {
        for (text, expected) in [
            ("500m", Some(0.5)),
            ("2", Some(2.0)),
            ("1Gi", Some(1_073_741_824.0)),
            ("1500M", Some(1.5e9)),
            ("much", None),
            ("", None),
        ] {
            assert_eq!(quantity(text), expected, "{text}");
        }
    }
}
