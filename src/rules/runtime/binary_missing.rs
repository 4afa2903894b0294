//! runtime-binary-missing: a program that docker or containerd starts is in no directory of the PATH, or the program that
//! a runtime's unit starts is not there.

use crate::collect::paths::program;
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::origin::{Fact, Origin, Unknown};
use crate::rules::support::{unit_behind, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "runtime-binary-missing", judge: Judge::Host(judge), refine: None };

/// What dockerd starts, any one of each row: since 18.09 by containerd's own names, from 1.11 to 18.06 by docker's.
const DOCKER: [&[&str]; 3] = [
    &["containerd", "docker-containerd"],
    &["containerd-shim-runc-v2", "containerd-shim", "docker-containerd-shim"],
    &["runc", "docker-runc", "crun"],
];
const CONTAINERD: [&[&str]; 2] = [&["containerd-shim-runc-v2", "containerd-shim"], &["runc", "crun"]];

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for name in [ComponentName::Dockerd, ComponentName::Containerd, ComponentName::Crio, ComponentName::CriDockerd] {
        let Some(runtime) = host.component(name) else { continue };
        judge_started(host, runtime, verdict);
        match name {
            ComponentName::Dockerd => judge_docker(host, runtime, verdict),
            ComponentName::Containerd if !names_runtimes(host) => {
                judge_rows(host, runtime, "containerd", &CONTAINERD, verdict);
            }
            _ => {}
        }
    }
}

/// Whether containerd is told other programs than runc, or where it is.
fn names_runtimes(host: &Host) -> bool {
    let Ok(Some(config)) = &host.runtimes.containerd else { return false };
    config.values.iter().any(|(key, value)| {
        key.ends_with(".BinaryName") && !value.value.is_empty()
            || key.ends_with(".default_runtime_name") && value.value != "runc"
            || key.ends_with(".runtime_type") && value.value != "io.containerd.runc.v2" && key.contains(".runc.")
    })
}

/// The program of the unit that would start the runtime.
fn judge_started(host: &Host, runtime: &Component, verdict: &mut Verdict) {
    for layer in runtime.layers.iter().filter(|layer| layer.kind == LayerKind::Unit) {
        let Some(unit) = unit_behind(host, layer).filter(|unit| unit.enabled != Some(false)) else { continue };
        let Some(command) = unit.exec_start.first() else { continue };
        let (Some(path), Some(word)) = (program(command), command.words.first()) else { continue };
        match host.paths.get(path) {
            Some(Ok(Some(_))) => verdict.pass(),
            Some(Ok(None)) if runtime.pid.is_none() => verdict.fail(
                Draft::new()
                    .subject(path)
                    .message("unit")
                    .value("binary", path)
                    .value("unit", &unit.name)
                    .value("program", runtime.name.name())
                    .at(&host.name, &word.origin, "there is no such program"),
            ),
            _ => {}
        }
    }
}

fn judge_docker(host: &Host, docker: &Component, verdict: &mut Verdict) {
    // Named by a full path elsewhere, or of a time when dockerd started everything itself.
    if is_found(host, "dockerd") {
        return judge_rows(host, docker, "dockerd", &DOCKER, verdict);
    }
    let of_its_time = ["docker-containerd", "docker-containerd-shim", "docker-runc"];
    if !is_found(host, "docker") || host.executables.get("dockerd").is_none_or(Result::is_err) {
        return;
    }
    let missing: Vec<&str> =
        of_its_time.into_iter().filter(|name| matches!(host.executables.get(*name), Some(Ok(None)))).collect();
    if missing.is_empty() {
        verdict.pass();
    } else if missing.len() < of_its_time.len() {
        for name in missing {
            verdict.fail(draft(host, docker, "docker", name));
        }
    } else {
        verdict.unknown(Unknown::new(
            "docker's programs",
            "docker needs docker-containerd and docker-runc since 1.11, and its release is not known",
        ));
    }
}

fn judge_rows(host: &Host, runtime: &Component, own: &str, rows: &[&[&str]], verdict: &mut Verdict) {
    // Where the runtime itself is not in the PATH (k3s, snap, static installations), neither need its programs be.
    if !is_found(host, own) {
        return;
    }
    for row in rows {
        let found: Vec<&Fact<Option<String>>> = row.iter().filter_map(|name| host.executables.get(*name)).collect();
        if found.iter().any(|path| matches!(path, Ok(Some(_)))) {
            verdict.pass();
        } else if let Some(unknown) = found.iter().find_map(|path| path.as_ref().err()) {
            verdict.unknown(unknown.clone());
        } else if let Some(first) = row.first() {
            verdict.fail(draft(host, runtime, own, first));
        }
    }
}

fn is_found(host: &Host, program: &str) -> bool {
    matches!(host.executables.get(program), Some(Ok(Some(_))))
}

fn draft(host: &Host, runtime: &Component, own: &str, binary: &str) -> Draft {
    let layer = runtime.layers.first();
    let origin = layer.map_or_else(|| Origin::file("/usr/bin", None), |layer| layer.origin.clone());
    Draft::new()
        .subject(binary)
        .message("path")
        .value("binary", binary)
        .value("program", own)
        .maybe_value("unit", layer.and_then(unit_of))
        .at(&host.name, &origin, format!("{own} starts {binary}, which is in no directory of its PATH"))
}
