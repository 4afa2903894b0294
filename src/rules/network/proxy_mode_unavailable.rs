//! kube-proxy-mode-unavailable: the mode that kube-proxy is told is one that its release or the host's kernel does not
//! have.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName};
use crate::origin::{Origin, Unknown};
use crate::rules::host::kernel_module_missing::proxy_mode;
use crate::rules::support::version_numbers;
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "kube-proxy-mode-unavailable", judge: Judge::Host(judge), refine: None };

/// The kernel that kube-proxy asks for before it writes nftables rules.
const NFTABLES_KERNEL: (u32, u32) = (5, 13);

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(mode) = proxy_mode(host) else { return };
    let draft = |message: &str| {
        Draft::new()
            .subject(&mode.value)
            .message(message)
            .value("mode", &mode.value)
            .maybe_value("file", mode.origin.path())
    };
    let release = [ComponentName::KubeProxy, ComponentName::KubeApiserver, ComponentName::Kubelet]
        .iter()
        .find_map(|name| host.component(*name).and_then(Component::version_numbers));
    match mode.value.as_str() {
        // Whether the modules of ipvs are there is host-kernel-module-missing's.
        "" | "iptables" | "ipvs" | "kernelspace" => verdict.pass(),
        "userspace" => match release {
            Some((1, minor, _)) if minor >= 26 => verdict.fail(
                draft("removed").value("release", format!("1.{minor}")).at(&host.name, &mode.origin, "gone since 1.26"),
            ),
            Some(_) => verdict.pass(),
            None => verdict.unknown(Unknown::new("kube-proxy's release", "nothing says it")),
        },
        "nftables" => {
            let Some(kernel) = verdict.known(&host.system.kernel_release) else { return };
            let numbers = version_numbers(&kernel.value);
            match (numbers.first(), numbers.get(1)) {
                (Some(major), Some(minor)) if (*major, *minor) < NFTABLES_KERNEL => verdict.fail(
                    draft("kernel")
                        .value("kernel", "5.13")
                        .value("running", &kernel.value)
                        .at(&host.name, &mode.origin, "needs Linux 5.13 or later")
                        .at(&host.name, &Origin::clone(&kernel.origin), "the running kernel"),
                ),
                (Some(_), Some(_)) => verdict.pass(),
                _ => verdict.unknown(Unknown::new("kernel release", "is no version")),
            }
        }
        _ => verdict.fail(draft("no_mode").at(&host.name, &mode.origin, "neither iptables, ipvs nor nftables")),
    }
}
