//! unit-restart-policy: a component's unit that is not started at boot, not restarted when it ends, or given up after a
//! few failures.

use std::collections::BTreeSet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::unit::Unit;
use crate::origin::{Origin, Sourced};
use crate::report::Severity;
use crate::rules::support::{unit_behind, unread_units};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "unit-restart-policy", judge: Judge::Host(judge), refine: None };

/// systemd's own: five starts within ten seconds.
const DEFAULT_BURST: f64 = 5.0;
const DEFAULT_INTERVAL: f64 = 10.0;
const DEFAULT_WAIT: f64 = 0.1;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    unread_units(host).for_each(|unknown| verdict.unknown(unknown.clone()));
    let mut seen = BTreeSet::new();
    for component in host.components.iter().filter(|component| is_judged(component.name)) {
        for layer in component.layers.iter().filter(|layer| layer.kind == LayerKind::Unit) {
            let Some(unit) = unit_behind(host, layer).filter(|unit| seen.insert(unit.name.as_str())) else { continue };
            // What is left behind unused, and a template's instance, are nobody's loss.
            let by_manifest = component.layers.iter().any(|layer| layer.kind == LayerKind::Manifest);
            let planned = component.name == ComponentName::Kubelet && host.kubernetes.kubeadm_plan().is_some();
            let unused = unit.enabled == Some(false) && component.pid.is_none() && !planned;
            if unused || unit.enabled != Some(true) && by_manifest || unit.name.contains('@') {
                continue;
            }
            judge_unit(host, component, unit, verdict);
        }
    }
}

fn is_judged(name: ComponentName) -> bool {
    use ComponentName::{Containerd, Crio, Dockerd, Etcd, Flanneld, KubeApiserver, KubeControllerManager, KubeProxy};
    use ComponentName::{KubeScheduler, Kubelet};
    [Etcd, KubeApiserver, KubeControllerManager, KubeScheduler, Kubelet, KubeProxy, Dockerd, Containerd, Crio, Flanneld]
        .contains(&name)
}

fn judge_unit(host: &Host, component: &Component, unit: &Unit, verdict: &mut Verdict) {
    let mut clean = true;
    let mut fail = |message: &str, origin: &Origin, label: String, severity: Severity| {
        clean = false;
        verdict.fail(
            Draft::new()
                .subject(format!("{} {message}", unit.name))
                .message(message)
                .severity(severity)
                .value("unit", &unit.name)
                .value("program", component.name.name())
                .at(&host.name, origin, label),
        );
    };
    let whole = Origin::file(unit.path.as_str(), None);
    if unit.enabled == Some(false) && component.pid.is_some() && !is_started_otherwise(host, component, unit) {
        fail("not_at_boot", &whole, "runs, and nothing starts it at boot".to_owned(), Severity::Info);
    }
    // kubeadm starts it once; after the next boot it would be gone.
    let planned = component.name == ComponentName::Kubelet && host.kubernetes.kubeadm_plan().is_some();
    if unit.enabled == Some(false) && component.pid.is_none() && planned {
        fail("never_at_boot", &whole, "nothing starts it at boot".to_owned(), Severity::Warning);
    }
    let is_oneshot = last(unit, "Service.Type").is_some_and(|kind| kind.value == "oneshot");
    let restart = last(unit, "Service.Restart");
    match restart.map(|restart| restart.value.as_str()) {
        _ if is_oneshot => {}
        None | Some("no") => {
            let origin = restart.map_or(&whole, |restart| &restart.origin);
            fail("no_restart", origin, "nobody starts it again when it ends".to_owned(), Severity::Info);
        }
        Some(_) if is_kubernetes(component.name) => {
            if let Some((starts, seconds)) = gives_up_after(unit) {
                let origin = restart.map_or(&whole, |restart| &restart.origin);
                let label = format!("systemd gives up after {starts} starts within {seconds} s");
                fail("gives_up", origin, label, Severity::Info);
            }
        }
        Some(_) => {}
    }
    if clean {
        verdict.pass();
    }
}

/// docker's and containerd's own units have a limit on purpose.
fn is_kubernetes(name: ComponentName) -> bool {
    !matches!(name, ComponentName::Dockerd | ComponentName::Containerd | ComponentName::Crio)
}

/// Started by another enabled unit or a socket, by a manifest, or under another name.
fn is_started_otherwise(host: &Host, component: &Component, unit: &Unit) -> bool {
    let stem = unit.name.trim_end_matches(".service");
    let wanted = |other: &Unit| {
        other.name != unit.name
            && ["Unit.Wants", "Unit.Requires", "Unit.BindsTo", "Unit.Upholds"].iter().any(|key| {
                other
                    .settings
                    .get(*key)
                    .into_iter()
                    .flatten()
                    .any(|value| value.value.split_whitespace().any(|name| name == unit.name))
            })
    };
    let by_other =
        host.units.iter().any(|other| other.enabled == Some(true) && (wanted(other) || other.name.starts_with(stem)));
    let with_socket =
        unit.settings.get("Unit.Requires").into_iter().flatten().any(|value| value.value.contains(".socket"));
    let by_other_layer = component.layers.iter().any(|layer| match layer.kind {
        LayerKind::Manifest => true,
        LayerKind::Unit => unit_behind(host, layer).is_some_and(|other| other.enabled != Some(false)),
        _ => false,
    });
    by_other || with_socket || by_other_layer
}

/// The starts and seconds after which systemd gives up on a program that ends at once; none when its limit is never reached.
fn gives_up_after(unit: &Unit) -> Option<(f64, f64)> {
    let number = |keys: &[&str]| keys.iter().find_map(|key| seconds(&last(unit, key)?.value));
    let interval = number(&["Unit.StartLimitIntervalSec", "Service.StartLimitInterval", "Unit.StartLimitInterval"]);
    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    let burst = number(&["Unit.StartLimitBurst", "Service.StartLimitBurst"]).unwrap_or(DEFAULT_BURST);
    let wait = number(&["Service.RestartSec"]).unwrap_or(DEFAULT_WAIT);
    (interval > 0.0 && burst > 0.0 && wait * burst < interval).then_some((burst, interval))
}

/// `5`, `5s`, `100ms`, `1min 30s`; infinity for none.
fn seconds(text: &str) -> Option<f64> {
    if text.trim() == "infinity" {
        return Some(f64::INFINITY);
    }
    text.split_whitespace().try_fold(0.0, |sum, part| {
        let unit = part.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(part.len());
        let number: f64 = part.get(..unit)?.parse().ok()?;
        let factor = match part.get(unit..)? {
            "" | "s" | "sec" => 1.0,
            "ms" => 0.001,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        Some(sum + number * factor)
    })
}

fn last<'a>(unit: &'a Unit, key: &str) -> Option<&'a Sourced<String>> {
    unit.settings.get(key)?.last()
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn time_spans() {
        for (text, expected) in
            [("5", Some(5.0)), ("100ms", Some(0.1)), ("1min 30s", Some(90.0)), ("0", Some(0.0)), ("soon", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
