//! kubelet-flag-removed, apiserver-flag-removed and docker-flag-removed: a flag or feature gate that the component's
//! release does not know any more, on its command line or in the configuration that kubeadm makes one of; and a value that
//! no release takes.

mod gates;
mod kubeadm_arguments;
mod values;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind};
use crate::facts::log::LogHit;
use crate::facts::versions::{RemovedFlag, line, removed_flags};
use crate::origin::{Place, Sourced, Unknown};
use crate::rules::support::{at_least, configured_layers, unit_of};
use crate::rules::{Context, Detector, Judge, Refined};

pub(super) const KUBELET: Detector = Detector {
    id: "kubelet-flag-removed",
    judge: Judge::Host(|context, host, verdict| judge(context, host, &[ComponentName::Kubelet], verdict)),
    refine: Some(refine),
};

pub(super) const APISERVER: Detector = Detector {
    id: "apiserver-flag-removed",
    judge: Judge::Host(|context, host, verdict| {
        use ComponentName::{Etcd, Flanneld, KubeApiserver, KubeControllerManager, KubeProxy, KubeScheduler};
        let names = [KubeApiserver, KubeControllerManager, KubeScheduler, KubeProxy, Etcd, Flanneld];
        judge(context, host, &names, verdict);
    }),
    refine: Some(refine),
};

pub(super) const DOCKER: Detector = Detector {
    id: "docker-flag-removed",
    judge: Judge::Host(|context, host, verdict| judge(context, host, &[ComponentName::Dockerd], verdict)),
    refine: None,
};

/// What is judged: a component, or what kubeadm would make one with.
struct Subject<'a> {
    name: ComponentName,
    /// The release to judge by.
    version: Option<String>,
    /// Whether that is the one that is installed, and not one that the user asks about.
    is_installed: bool,
    /// The running process' command line.
    process: Option<&'a Layer>,
}

impl Subject<'_> {
    /// Whether a release lacks something: `since` is the first without it. None when the release is not known.
    fn lacks(&self, since: &str) -> Option<bool> {
        let (major, minor) = line(since)?;
        self.version.as_ref().map(|version| at_least(version, major, minor))
    }

    fn draft(&self, since: &str, installed: &str, asked: &str) -> Draft {
        Draft::new()
            .message(if self.is_installed { installed } else { asked })
            .value("program", self.name.name())
            .value("since", since)
            .maybe_value("version", self.version.as_ref())
    }
}

fn judge(context: &Context<'_>, host: &Host, names: &[ComponentName], verdict: &mut Verdict) {
    for name in names {
        let component = host.component(*name);
        if let Some(component) = component {
            let subject = subject_of(context, host, component);
            let layers = configured_layers(component);
            judge_layers(host, &subject, &layers, verdict);
        }
        // What kubeadm was given says what an upgrade or an installation will start; what runs says more of today.
        if context.kubernetes_version.is_some() || component.is_none() {
            let arguments = kubeadm_arguments::layers(host, *name);
            let layers: Vec<&Layer> = arguments.iter().collect();
            if !layers.is_empty() {
                let asked = context.kubernetes_version.map(str::to_owned);
                let is_installed = asked.is_none();
                let version = asked.or_else(|| kubeadm_arguments::version(host));
                judge_layers(host, &Subject { name: *name, version, is_installed, process: None }, &layers, verdict);
            }
        }
    }
}

fn subject_of<'a>(context: &Context<'_>, host: &Host, component: &'a Component) -> Subject<'a> {
    let own = component.version.as_ref().map(|version| version.value.clone());
    let version = match &host.probes.docker {
        Some(Ok(answer)) if component.name == ComponentName::Dockerd => Some(answer.version.clone()),
        _ => own,
    };
    Subject {
        name: component.name,
        version,
        is_installed: context.kubernetes_version.is_none() || !component.name.is_kubernetes(),
        process: component.layers.iter().find(|layer| layer.kind == LayerKind::Process),
    }
}

fn judge_layers(host: &Host, subject: &Subject<'_>, layers: &[&Layer], verdict: &mut Verdict) {
    let mut is_clean = true;
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for layer in layers.iter().filter(|layer| layer.kind != LayerKind::ConfigFile) {
        for removed in removed_flags(subject.name.name()) {
            // Each once, in the strongest layer.
            if !is_given(subject.name, layer, &removed) || seen.contains(&(removed.flag, removed.value)) {
                continue;
            }
            seen.push((removed.flag, removed.value));
            is_clean = false;
            judge_flag(host, subject, layer, &removed, verdict);
        }
    }
    is_clean &= gates::judge(host, subject, layers, verdict);
    is_clean &= values::judge(host, subject, layers, verdict);
    if is_clean {
        verdict.pass();
    }
}

fn is_given(name: ComponentName, layer: &Layer, removed: &RemovedFlag) -> bool {
    let value = layer.flags.get(removed.flag).and_then(|values| values.last());
    // etcd and flanneld ignore environment variables that they do not know.
    let by_variable = matches!(name, ComponentName::Etcd | ComponentName::Flanneld)
        && !layer.spelt.iter().any(|spelt| plain(&spelt.value) == removed.flag);
    !by_variable && value.is_some_and(|value| removed.value.is_empty() || value.value == removed.value)
}

/// A flag as it was spelt by its own name.
fn plain(spelt: &str) -> String {
    spelt.trim_start_matches('-').replace('_', "-")
}

fn judge_flag(host: &Host, subject: &Subject<'_>, layer: &Layer, removed: &RemovedFlag, verdict: &mut Verdict) {
    let name = subject.name.name();
    // What runs with the flag knows it.
    let runs_with_it = subject.process.is_some_and(|process| is_given(subject.name, process, removed));
    if runs_with_it && subject.is_installed {
        return verdict.pass();
    }
    match subject.lacks(removed.since) {
        Some(true) => {}
        Some(false) => return verdict.pass(),
        None => {
            let why = format!("--{} is gone since {}", removed.flag, removed.since);
            return verdict.unknown(Unknown::new(format!("the version of {name}"), why));
        }
    }
    let Some(value) = layer.flags.get(removed.flag).and_then(|values| values.last()) else { return };
    let spelt = layer.spelt.iter().find(|spelt| {
        let plain = plain(&spelt.value);
        plain == removed.flag || (removed.flag == "graph" && plain == "g")
    });
    let origin = spelt.map_or(&value.origin, |spelt| &spelt.origin);
    let flag = if removed.value.is_empty() {
        spelt.map_or_else(|| format!("--{}", removed.flag), |spelt| spelt.value.clone())
    } else {
        format!("--{}={}", removed.flag, removed.value)
    };
    let mut draft = subject
        .draft(removed.since, "default", "upgrade")
        .subject(format!("{name} {flag}"))
        .value("flag", &flag)
        .value("option", &flag)
        .maybe_value("instead", (!removed.instead.is_empty()).then_some(removed.instead))
        .maybe_value("file", origin.path())
        .maybe_value("unit", unit_of(layer))
        .at(&host.name, origin, format!("gone since {}", removed.since));
    for (name, value) in spelt.map(|spelt| place(subject.name, layer, spelt, value)).unwrap_or_default() {
        draft = draft.value(name, value);
    }
    verdict.fail(draft);
}

/// Where a flag is given, for the commands that take it out: its line, and the manifest or what to look for in the line.
pub(in crate::rules) fn place(
    name: ComponentName,
    layer: &Layer,
    spelt: &Sourced<String>,
    value: &Sourced<String>,
) -> Vec<(&'static str, String)> {
    let Place::File { span: Some(span), .. } = &spelt.origin.place else { return Vec::new() };
    let mut values = vec![("line", span.line.to_string())];
    if layer.kind == LayerKind::Manifest {
        values.push(("manifest", name.name().to_owned()));
    } else if value.value.chars().all(|c| c.is_ascii_alphanumeric() || "/._:,-".contains(c)) {
        let pattern = match value.value.as_str() {
            "" => format!("[[:space:]]*{}", spelt.value),
            value => format!("[[:space:]]*{}[=[:space:]]{value}", spelt.value),
        };
        values.push(("pattern", pattern));
    }
    values
}

/// Where the flag stands that a program says it does not know, also when its release is not known.
pub(in crate::rules) fn refine(_: &Context<'_>, host: &Host, hit: &LogHit) -> Refined {
    let Some(flag) = hit.captures.get("flag") else { return Refined::Keep(Vec::new()) };
    let program = if hit.rule == KUBELET.id { Some(ComponentName::Kubelet.name()) } else { hit.component.as_deref() };
    let components = host.components.iter().filter(|component| Some(component.name.name()) == program);
    let mut given =
        components.flat_map(|component| configured_layers(component).into_iter().map(move |layer| (component, layer)));
    let found = given.find_map(|(component, layer)| {
        let spelt =
            layer.spelt.iter().find(|spelt| spelt.value.trim_start_matches('-') == flag.trim_start_matches('-'))?;
        let value = layer.flags.get(&plain(&spelt.value))?.last()?;
        let mut values = place(component.name, layer, spelt, value);
        values.extend(spelt.origin.path().map(|path| ("file", path.to_owned())));
        values.extend(unit_of(layer).map(|unit| ("unit", unit.to_owned())));
        Some(values)
    });
    Refined::Keep(found.unwrap_or_default())
}
