//! cgroup-controller-missing: the kernel does not offer a controller, because it was switched off at boot or left out.

use super::required::{Standing, disabling_argument, is_v2, required, standing};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::system::Cgroups;
use crate::origin::{Origin, Unknown};
use crate::rules::support::{in_words, runs_containers};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "cgroup-controller-missing", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    if !runs_containers(host) && !context.is_preflight() {
        return;
    }
    let Some(cgroups) = verdict.known(&host.system.cgroups) else { return };
    // Without a single row the kernel has no v1 at all, which says nothing of what v2 offers.
    if cgroups.controllers.is_empty() && !is_v2(cgroups) {
        return;
    }
    let (mut disabled, mut absent) = (Vec::new(), Vec::new());
    for controller in required(context, host, cgroups) {
        match standing(host, cgroups, controller) {
            Standing::Disabled => disabled.push(controller.to_owned()),
            Standing::NotCompiled => absent.push(controller.to_owned()),
            Standing::Usable | Standing::NotMounted => verdict.pass(),
            Standing::Unknown => {
                verdict.unknown(
                    Unknown::new(controller, "cgroup.controllers could not be read").with_remedy("run as root"),
                );
            }
        }
    }
    if !disabled.is_empty() {
        let mut draft = drafted(host, cgroups, &disabled, "switched off in the kernel").message("disabled");
        draft = draft.value("kernel_argument", boot_arguments(&disabled));
        let names: Vec<&str> = disabled.iter().map(String::as_str).collect();
        if let Some(cause) = disabling_argument(host, &names) {
            draft = draft
                .at(&host.name, &Origin::file("/proc/cmdline", None), format!("the kernel was started with {cause}"))
                .value("disabling_argument", cause);
        }
        verdict.fail(draft);
    }
    if !absent.is_empty() {
        verdict.fail(drafted(host, cgroups, &absent, "no row for it: not in this kernel").message("not_compiled"));
    }
}

/// The kernel switches memory on with a pair of arguments on distributions that ship it off (Raspberry Pi OS).
fn boot_arguments(disabled: &[String]) -> String {
    let mut arguments: Vec<String> = disabled.iter().map(|controller| format!("cgroup_enable={controller}")).collect();
    if disabled.iter().any(|controller| controller == "memory") {
        arguments.push("cgroup_memory=1".to_owned());
    }
    arguments.join(" ")
}

fn drafted(host: &Host, cgroups: &Cgroups, controllers: &[String], label: &str) -> Draft {
    let mut draft = Draft::new()
        .subject(controllers.join(","))
        .value("controllers", in_words(controllers))
        .value("controller", &controllers[0]);
    for controller in controllers {
        let row = cgroups.controllers.iter().find(|row| &row.name == controller);
        let origin = row.map_or(&cgroups.origin, |row| &row.origin);
        draft = draft.at(&host.name, origin, label);
    }
    draft
}
