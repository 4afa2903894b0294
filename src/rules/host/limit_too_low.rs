//! host-limit-too-low: kernel settings below the kernel's own defaults, a file table that is nearly full, and units that
//! give a component too few open files.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{ComponentName, LayerKind};
use crate::origin::{Origin, Unknown};
use crate::report::Severity;
use crate::rules::support::{runs_containers, unit_behind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "host-limit-too-low", judge: Judge::Host(judge), refine: None };

/// Settings, the least that is not alarming (what the kernel has by default on a small machine), and what to set.
const SETTINGS: [(&str, u64, u64); 4] = [
    ("fs.inotify.max_user_instances", 128, 8_192),
    ("fs.inotify.max_user_watches", 8_192, 524_288),
    ("fs.file-max", 65_536, 2_097_152),
    ("kernel.pid_max", 32_768, 4_194_304),
];
/// What the fix gives a unit: installers set 40000 and more, and the default of old systems is 4096.
const OPEN_FILES: u64 = 65_536;
/// Percent of the file table that may be in use.
const FILE_TABLE_PERCENT: u64 = 90;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if runs_containers(host) {
        for (key, least, wanted) in SETTINGS {
            judge_setting(host, key, least, wanted, verdict);
        }
        judge_file_table(host, verdict);
    }
    for component in &host.components {
        let serves = matches!(
            component.name,
            ComponentName::Etcd
                | ComponentName::KubeApiserver
                | ComponentName::Kubelet
                | ComponentName::Dockerd
                | ComponentName::Containerd
                | ComponentName::Crio
        );
        if !serves {
            continue;
        }
        for layer in component.layers.iter().filter(|layer| layer.kind == LayerKind::Unit) {
            let Some(unit) = unit_behind(host, layer) else { continue };
            let Some(limit) = unit.settings.get("Service.LimitNOFILE").and_then(|limits| limits.last()) else {
                continue;
            };
            // `soft:hard`: Go programs raise the soft limit to the hard one themselves.
            let hard = limit.value.rsplit(':').next().unwrap_or_default().trim();
            match hard.parse::<u64>() {
                Ok(files) if files < host.expected.open_files => verdict.fail(
                    Draft::new()
                        .subject(&unit.name)
                        .message("open_files")
                        .value("unit", &unit.name)
                        .value("program", component.name.name())
                        .value("limit", files)
                        .value("wanted_files", OPEN_FILES.max(host.expected.open_files))
                        .maybe_value("file", limit.origin.path())
                        .at(&host.name, &limit.origin, "each connection, watch and file takes one"),
                ),
                Ok(_) => verdict.pass(),
                Err(_) if hard.eq_ignore_ascii_case("infinity") => verdict.pass(),
                Err(_) => {}
            }
        }
    }
}

fn judge_setting(host: &Host, key: &'static str, least: u64, wanted: u64, verdict: &mut Verdict) {
    let Some(value) = host.sysctls.get(key) else { return };
    let Some(value) = verdict.known(value) else { return };
    let Ok(number) = value.parse::<u64>() else {
        verdict.unknown(Unknown::new(key, "is no number"));
        return;
    };
    if number >= least {
        return verdict.pass();
    }
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    verdict.fail(
        Draft::new()
            .subject(key)
            .message("setting")
            .value("sysctl", key)
            .value("current", number)
            .value("value", wanted)
            .at(
                &host.name,
                &Origin::file(path, None),
                format!("{key} = {number}, the kernel's default is {least} or more"),
            ),
    );
}

/// fs.file-nr: allocated, unused, most.
fn judge_file_table(host: &Host, verdict: &mut Verdict) {
    let Some(Ok(value)) = host.sysctls.get("fs.file-nr") else { return };
    let numbers: Vec<u64> = value.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [allocated, _, most] = numbers[..] else { return };
    if most == 0 || allocated <= most / 100 * FILE_TABLE_PERCENT {
        return verdict.pass();
    }
    verdict.fail(
        Draft::new()
            .subject("fs.file-max")
            .message("file_table")
            .severity(Severity::Error)
            .value("sysctl", "fs.file-max")
            .value("used", allocated)
            .value("current", most)
            .value("value", most.saturating_mul(4).max(2_097_152))
            .at(
                &host.name,
                &Origin::file("/proc/sys/fs/file-nr", None),
                format!("{allocated} of {most} file handles are in use"),
            ),
    );
}
