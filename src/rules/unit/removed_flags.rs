//! kubelet-flag-removed, apiserver-flag-removed and docker-flag-removed: a flag that the component's release does not know
//! any more. The table `removed_flags.tsv` says since when.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::origin::{Place, Unknown};
use crate::rules::support::{at_least, configured_layers, unit_of, version_numbers};
use crate::rules::{Context, Detector, Judge};

pub(super) const KUBELET: Detector = Detector {
    id: "kubelet-flag-removed",
    judge: Judge::Host(|context, host, verdict| judge(context, host, &[ComponentName::Kubelet], verdict)),
    refine: None,
};

pub(super) const APISERVER: Detector = Detector {
    id: "apiserver-flag-removed",
    judge: Judge::Host(|context, host, verdict| {
        use ComponentName::{KubeApiserver, KubeControllerManager, KubeProxy, KubeScheduler};
        judge(context, host, &[KubeApiserver, KubeControllerManager, KubeScheduler, KubeProxy], verdict);
    }),
    refine: None,
};

pub(super) const DOCKER: Detector = Detector {
    id: "docker-flag-removed",
    judge: Judge::Host(|context, host, verdict| judge(context, host, &[ComponentName::Dockerd], verdict)),
    refine: None,
};

const TABLE: &str = include_str!("removed_flags.tsv");

/// A flag, or one value of it, that a release took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Removed {
    component: &'static str,
    flag: &'static str,
    /// Empty: whatever its value.
    value: &'static str,
    /// `1.24`
    since: &'static str,
    /// The flag that took its place; often there is none.
    instead: &'static str,
}

fn table() -> impl Iterator<Item = Removed> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut cells = line.split('\t');
        Some(Removed {
            component: cells.next()?,
            flag: cells.next()?,
            value: cells.next()?,
            since: cells.next()?,
            instead: cells.next()?,
        })
    })
}

fn judge(context: &Context<'_>, host: &Host, names: &[ComponentName], verdict: &mut Verdict) {
    for component in names.iter().filter_map(|name| host.component(*name)) {
        let mut is_clean = true;
        let mut seen: Vec<(&str, &str)> = Vec::new();
        let layers = configured_layers(component);
        for layer in layers.into_iter().filter(|layer| layer.kind != LayerKind::ConfigFile) {
            for removed in table().filter(|row| row.component == component.name.name()) {
                // Each once, in the strongest layer.
                if !is_given(layer, &removed) || seen.contains(&(removed.flag, removed.value)) {
                    continue;
                }
                seen.push((removed.flag, removed.value));
                is_clean = false;
                judge_flag(context, host, component, layer, &removed, verdict);
            }
        }
        if is_clean {
            verdict.pass();
        }
    }
}

fn is_given(layer: &Layer, removed: &Removed) -> bool {
    layer
        .flags
        .get(removed.flag)
        .and_then(|values| values.last())
        .is_some_and(|value| removed.value.is_empty() || value.value == removed.value)
}

/// The version to judge by and whether it is the one that is installed.
fn version(context: &Context<'_>, host: &Host, component: &Component) -> Option<(String, bool)> {
    if component.name == ComponentName::Dockerd {
        return match &host.probes.docker {
            Some(Ok(answer)) => Some((answer.version.clone(), true)),
            _ => component.version.as_ref().map(|version| (version.value.clone(), true)),
        };
    }
    let asked = context.kubernetes_version.map(|version| (version.to_owned(), false));
    asked.or_else(|| component.version.as_ref().map(|version| (version.value.clone(), true)))
}

fn judge_flag(
    context: &Context<'_>,
    host: &Host,
    component: &Component,
    layer: &Layer,
    removed: &Removed,
    verdict: &mut Verdict,
) {
    let name = component.name.name();
    let version = version(context, host, component);
    // What runs with the flag knows it.
    let runs_with_it =
        component.layers.iter().any(|layer| layer.kind == LayerKind::Process && is_given(layer, removed));
    if runs_with_it && version.as_ref().is_none_or(|(_, installed)| *installed) {
        return verdict.pass();
    }
    let Some((version, installed)) = version else {
        let why = format!("--{} is gone since {}", removed.flag, removed.since);
        return verdict.unknown(Unknown::new(format!("the version of {name}"), why));
    };
    let since = version_numbers(removed.since);
    let (major, minor) = (since.first().copied().unwrap_or(0), since.get(1).copied().unwrap_or(0));
    if !at_least(&version, major, minor) {
        return verdict.pass();
    }
    let Some(value) = layer.flags.get(removed.flag).and_then(|values| values.last()) else { return };
    let spelt = layer.spelt.iter().find(|spelt| {
        let plain = spelt.value.trim_start_matches('-').replace('_', "-");
        plain == removed.flag || (removed.flag == "graph" && plain == "g")
    });
    let origin = spelt.map_or(&value.origin, |spelt| &spelt.origin);
    let flag = if removed.value.is_empty() {
        spelt.map_or_else(|| format!("--{}", removed.flag), |spelt| spelt.value.clone())
    } else {
        format!("--{}={}", removed.flag, removed.value)
    };
    let mut draft = Draft::new()
        .subject(format!("{name} {flag}"))
        .message(if installed { "default" } else { "upgrade" })
        .value("program", name)
        .value("flag", &flag)
        .value("option", &flag)
        .value("since", removed.since)
        .value("version", &version)
        .maybe_value("instead", (!removed.instead.is_empty()).then_some(removed.instead))
        .maybe_value("file", origin.path())
        .maybe_value("unit", unit_of(layer))
        .at(&host.name, origin, format!("gone since {}", removed.since));
    if let (Place::File { span: Some(span), .. }, Some(spelt)) = (&origin.place, spelt) {
        draft = draft.value("line", span.line);
        if layer.kind == LayerKind::Manifest {
            draft = draft.value("manifest", name);
        } else if value.value.chars().all(|c| c.is_ascii_alphanumeric() || "/._:,-".contains(c)) {
            let pattern = match value.value.as_str() {
                "" => format!("[[:space:]]*{}", spelt.value),
                value => format!("[[:space:]]*{}[=[:space:]]{value}", spelt.value),
            };
            draft = draft.value("pattern", pattern);
        }
    }
    verdict.fail(draft);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let rows: Vec<Removed> = table().collect();
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows.len(), lines, "a line lacks a cell");
        assert!(rows.len() > 150);
        for row in &rows {
            assert!(ComponentName::ALL.iter().any(|name| name.name() == row.component), "{row:?}");
            assert!(version_numbers(row.since).len() >= 2, "{row:?}");
            assert!(!row.flag.is_empty() && !row.flag.starts_with('-'), "{row:?}");
            assert!(row.instead.is_empty() || row.instead.starts_with("--"), "{row:?}");
        }
    }
}
