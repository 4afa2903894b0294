//! host-port-in-use: a component of this host does not run, and another program holds its port.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::network::Listener;
use crate::facts::topology::secure_port;
use crate::origin::Unknown;
use crate::rules::support::{Url, starting_layers, unit_behind};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector = Detector { id: "host-port-in-use", judge: Judge::Host(judge), refine: None };

/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 3;

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    use ComponentName::{Etcd, KubeApiserver, KubeControllerManager, KubeScheduler, Kubelet};
    for name in [Etcd, KubeApiserver, KubeControllerManager, KubeScheduler, Kubelet] {
        let Some(component) = host.component(name).filter(|component| would_start(host, component)) else { continue };
        if component.pid.is_some() {
            verdict.pass();
            continue;
        }
        let Some(processes) = verdict.known(&host.system.processes) else { continue };
        if processes.len() < FEWEST {
            verdict.unknown(Unknown::new("processes", "only some of the host's processes are part of this source"));
            continue;
        }
        let Some(network) = verdict.known(&host.network) else { continue };
        let Some(listeners) = verdict.known(&network.listeners) else { continue };
        let owners_are_known = listeners.iter().any(|listener| listener.process.is_some());
        let mut taken = false;
        for (address, port) in wanted(host, component) {
            let Some(listener) = listeners.iter().find(|listener| collides(listener, address, port)) else { continue };
            taken = true;
            // A component that is started again and again may have come between the list of processes and that of sockets.
            if listener.process.is_none() && owners_are_known && !component.is_planned() {
                let what = format!("the process that listens on port {port}");
                verdict.unknown(
                    Unknown::new(what, "it is in no list of processes: it may be the component itself, just started")
                        .with_remedy("run the check again, as root"),
                );
                continue;
            }
            verdict.fail(draft(host, name, port, listener));
        }
        if !taken {
            verdict.pass();
        }
    }
}

/// A manifest, a unit that is enabled, or kubeadm's plan.
fn would_start(host: &Host, component: &Component) -> bool {
    component.layers.iter().any(|layer| match layer.kind {
        LayerKind::Manifest | LayerKind::Planned => true,
        LayerKind::Unit => unit_behind(host, layer).is_some_and(|unit| unit.enabled == Some(true)),
        _ => false,
    })
}

/// The addresses and ports that the component would bind; no address for all of them.
fn wanted(host: &Host, component: &Component) -> Vec<(Option<IpAddr>, u16)> {
    let number =
        |flag: &str, default: u16| component.flag(flag).map_or(Some(default), |value| value.value.parse().ok());
    let address = |flag: &str| {
        component.flag(flag).and_then(|value| value.value.parse::<IpAddr>().ok()).filter(|one| !one.is_unspecified())
    };
    match component.name {
        ComponentName::KubeApiserver => vec![(address("bind-address"), secure_port(component))],
        ComponentName::Kubelet => number("port", 10_250).map(|port| (address("address"), port)).into_iter().collect(),
        // The insecure ports of old are not looked at: whether they are opened depends on the release.
        ComponentName::KubeControllerManager | ComponentName::KubeScheduler => {
            let given =
                component.flag("secure-port").and_then(|port| port.value.parse::<u16>().ok()).filter(|port| *port > 0);
            given.map(|port| (address("bind-address"), port)).into_iter().collect()
        }
        // kubeadm asks for them on every address.
        ComponentName::Etcd if component.is_planned() => vec![(None, 2379), (None, 2380)],
        ComponentName::Etcd => starting_layers(host, component)
            .iter()
            .flat_map(|layer| {
                ["listen-client-urls", "listen-peer-urls"].into_iter().filter_map(|flag| layer.flags.get(flag)?.last())
            })
            .flat_map(|urls| urls.value.split(','))
            .filter_map(|url| Url::parse(url.trim()))
            .filter_map(|url| Some((url.address().filter(|address| !address.is_unspecified()), url.port?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether the kernel would refuse the bind.
fn collides(listener: &Listener, address: Option<IpAddr>, port: u16) -> bool {
    listener.port == port
        && match address {
            None => true,
            Some(address) => listener.address == address || listener.address.is_unspecified(),
        }
}

fn draft(host: &Host, name: ComponentName, port: u16, listener: &Listener) -> Draft {
    let holder = listener.process.as_ref();
    Draft::new()
        .subject(port.to_string())
        .message(if holder.is_some() { "held" } else { "held_by_unknown" })
        .value("port", port)
        .value("program", name.name())
        .maybe_value("holder", holder.map(|process| &process.name))
        .maybe_value("pid", holder.map(|process| process.pid))
        .at(
            &host.name,
            &listener.origin,
            match holder {
                Some(process) => {
                    format!("{} (process {}) listens on {}:{port}", process.name, process.pid, listener.address)
                }
                None => format!("{}:{port} is taken, and {} does not run", listener.address, name.name()),
            },
        )
}
