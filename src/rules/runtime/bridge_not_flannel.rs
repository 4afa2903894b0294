//! docker-bridge-not-flannel: docker's bridge is not in the network that flannel has given to this host.

use ipnet::IpNet;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::origin::{Origin, Sourced};
use crate::rules::support::{starting_layers, unit_of};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "docker-bridge-not-flannel", judge: Judge::Host(judge), refine: None };

const BRIDGE: &str = "docker0";

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(docker) = host.component(ComponentName::Dockerd) else { return };
    let daemon = host.runtimes.docker_daemon.as_ref().ok().and_then(Option::as_ref);
    let of_file = |key: &str| daemon.and_then(|values| values.get(key));
    let layers = starting_layers(host, docker);
    let configured = |key: &str| {
        let of_layers = layers.iter().find_map(|layer| Some((layer.flags.get(key)?.last()?, unit_of(layer))));
        of_layers.or_else(|| Some((of_file(key)?, Some("docker.service"))))
    };
    if !gives_docker_its_network(host) {
        return;
    }
    let Some(subnet) = verdict.known(&host.runtimes.flannel_subnet) else { return };
    let Some(values) = subnet else { return };
    let Some(leased) = values.get("FLANNEL_SUBNET") else { return };
    let Ok(net) = leased.value.parse::<IpNet>() else { return };
    let draft = |message: &str| {
        Draft::new().subject(message).message(message).value("subnet", &leased.value).value("unit", unit_name(docker))
    };
    match configured("bip") {
        Some((bip, _)) if bip.value.contains('$') => verdict.pass(),
        Some((bip, unit)) if bip.value.parse::<IpNet>().ok() != Some(net) => verdict.fail(
            draft("configured")
                .value("bip", &bip.value)
                .maybe_value("unit", unit)
                .maybe_value("file", bip.origin.path())
                .at(&host.name, &bip.origin, "docker's bridge")
                .at(&host.name, &leased.origin, "flannel's network of this host"),
        ),
        _ => judge_bridge(host, net, leased, &draft, verdict),
    }
    let mtu = |value: Option<&Sourced<String>>| value.and_then(|value| value.value.parse::<u32>().ok());
    if let (Some((given, unit)), Some(most)) = (configured("mtu"), values.get("FLANNEL_MTU"))
        && let (Some(given_mtu), Some(most_mtu)) = (mtu(Some(given)), mtu(Some(most)))
    {
        if given_mtu > most_mtu {
            verdict.fail(
                draft("mtu")
                    .value("mtu", given_mtu)
                    .value("most", most_mtu)
                    .maybe_value("unit", unit)
                    .maybe_value("file", given.origin.path())
                    .at(&host.name, &given.origin, "larger packets than flannel can carry")
                    .at(&host.name, &most.origin, "flannel's"),
            );
        } else {
            verdict.pass();
        }
    } else if docker.pid.is_some()
        && configured("mtu").is_none()
        && docker.flag("mtu").is_none()
        && let Some(most) = values.get("FLANNEL_MTU")
        && let Some(most_mtu) = mtu(Some(most))
    {
        judge_default_mtu(host, net, (most_mtu, most), &draft, verdict);
    }
}

/// A daemon that was told no MTU gives its containers its own default, as docker0 shows.
fn judge_default_mtu(
    host: &Host,
    net: IpNet,
    (most_mtu, most): (u32, &Sourced<String>),
    draft: &dyn Fn(&str) -> Draft,
    verdict: &mut Verdict,
) {
    let Some(network) = verdict.known(&host.network) else { return };
    let bridge = network.interfaces.iter().find(|interface| interface.name == BRIDGE);
    // A bridge with another address is told as that, and mended with its MTU.
    let bridge = bridge.filter(|bridge| bridge.addresses.iter().any(|address| net.contains(&address.addr())));
    let Some(mtu) = bridge.and_then(|bridge| bridge.mtu) else { return };
    if mtu <= most_mtu {
        return verdict.pass();
    }
    let place = Origin::file(format!("/sys/class/net/{BRIDGE}/mtu"), None);
    verdict.fail(
        draft("mtu")
            .value("mtu", mtu)
            .value("most", most_mtu)
            .at(&host.name, &place, format!("dockerd runs without --mtu, and {BRIDGE} has {mtu}"))
            .at(&host.name, &most.origin, "flannel's"),
    );
}

/// What docker0 has now: docker that started before flannel keeps the bridge that it made for itself.
fn judge_bridge(
    host: &Host,
    net: IpNet,
    leased: &Sourced<String>,
    draft: &dyn Fn(&str) -> Draft,
    verdict: &mut Verdict,
) {
    let Some(network) = verdict.known(&host.network) else { return };
    let Some(bridge) = network.interfaces.iter().find(|interface| interface.name == BRIDGE) else { return };
    let Some(address) = bridge.addresses.iter().find(|address| address.addr().is_ipv4()) else { return };
    if net.contains(&address.addr()) {
        return verdict.pass();
    }
    verdict.fail(
        draft("running")
            .value("bip", address)
            .at(&host.name, &Origin::file(format!("/sys/class/net/{BRIDGE}"), None), format!("docker0 has {address}"))
            .at(&host.name, &leased.origin, "flannel's network of this host"),
    );
}

fn unit_name(docker: &Component) -> &str {
    docker.layers.iter().find_map(unit_of).unwrap_or("docker.service")
}

/// Whether pods get docker's own bridge: flanneld is a program of the host, and the kubelet has docker and no CNI. With CNI
/// the pods are on cni0, and docker0 is nobody's concern.
fn gives_docker_its_network(host: &Host) -> bool {
    let Some(flanneld) = host.component(ComponentName::Flanneld) else { return false };
    let on_host = flanneld.layers.iter().any(|layer| matches!(layer.kind, LayerKind::Unit | LayerKind::Script));
    let uses_cni = host.component(ComponentName::Kubelet).is_some_and(|kubelet| {
        kubelet.flag("network-plugin").is_some_and(|plugin| plugin.value == "cni" || plugin.value == "kubenet")
            || kubelet.flag("container-runtime-endpoint").is_some_and(|endpoint| !endpoint.value.contains("dockershim"))
            || kubelet.is_at_least(1, 24) == Some(true)
    });
    // cri-dockerd leaves pods on docker's bridge where it is told to.
    let cri_dockerd = host.component(ComponentName::CriDockerd).and_then(|shim| shim.flag("network-plugin"));
    let is_plain = cri_dockerd.is_some_and(|plugin| plugin.value.is_empty() || plugin.value == "noop");
    let uses_cni = uses_cni && !is_plain;
    let has_cni = host.runtimes.cni.as_ref().is_ok_and(|configs| !configs.is_empty());
    on_host && !uses_cni && !has_cni
}
