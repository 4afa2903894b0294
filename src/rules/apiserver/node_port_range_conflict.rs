//! node-port-range-conflict: ports that services may get are those of components, or of the connections that hosts open.

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::ComponentName;
use crate::facts::topology::secure_port;
use crate::origin::{Fact, Sourced, Unknown};
use crate::rules::support::{configured_layers, file_of, in_words, unit_to_restart};
use crate::rules::{Context, Detector, Judge, edit};

pub(super) const DETECTOR: Detector =
    Detector { id: "node-port-range-conflict", judge: Judge::Host(judge), refine: None };

/// What Kubernetes takes when it is not told, and what the kernel does.
const USUAL: (u16, u16) = (30000, 32767);

fn judge(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(apiserver) = host.component(ComponentName::KubeApiserver) else { return };
    let Some(value) = apiserver.flag_in_file("service-node-port-range") else {
        return match apiserver.unread.first() {
            Some(unread) => verdict.unknown(unread.clone()),
            None => verdict.pass(),
        };
    };
    let Some((from, to)) = range(&value.value) else {
        let what = format!("--service-node-port-range={}", value.value);
        return verdict.unknown(Unknown::new(what, "is no range of ports"));
    };
    if (from, to) == USUAL {
        return verdict.pass();
    }
    let taken: Vec<String> = ports(host)
        .into_iter()
        .filter(|(_, port)| (from..=to).contains(port))
        .map(|(name, port)| format!("{port} of {name}"))
        .collect();
    let draft = |taken: String| {
        let layer = configured_layers(apiserver).first().copied();
        let usual = format!("{}-{}", USUAL.0, USUAL.1);
        let edited = edit::edit(host, &value.origin, (&value.value, &usual), (&value.value, &usual));
        Draft::new()
            .subject(value.value.clone())
            .value("range", &value.value)
            .value("from", from)
            .value("to", to)
            .value("taken", taken)
            .maybe_value("file", file_of(value))
            .maybe_value("edit", edited.and_then(|edited| edit::command(&[edited])))
            .maybe_value("unit", layer.and_then(|layer| unit_to_restart(host, apiserver, layer)))
    };
    if !taken.is_empty() {
        let taken = in_words(&taken);
        return verdict.fail(draft(taken.clone()).at(&host.name, &value.origin, format!("holds {taken}")));
    }
    let Some((first, last)) = verdict.known(&ephemeral(host)).copied() else { return };
    let (from_shared, to_shared) = (from.max(first), to.min(last));
    if from_shared > to_shared || is_reserved(host, from_shared, to_shared) {
        return verdict.pass();
    }
    let shared = format!("{from_shared}-{to_shared}");
    verdict.fail(draft(shared.clone()).message("ephemeral").value("ephemeral", format!("{first}-{last}")).at(
        &host.name,
        &value.origin,
        format!("the kernel gives {shared} to outgoing connections"),
    ));
}

/// `30000-32767`, or `30000+2767`.
fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| text.trim().parse::<u16>().ok();
    let (from, to) = match (text.split_once('-'), text.split_once('+')) {
        (Some((from, to)), _) => (number(from)?, number(to)?),
        (None, Some((from, size))) => (number(from)?, number(from)?.checked_add(number(size)?)?),
        (None, None) => (number(text)?, number(text)?),
    };
    (from > 0 && from <= to).then_some((from, to))
}

/// The ports of the host's components. Those of a component that the host does not have are other nodes' matter.
fn ports(host: &Host) -> Vec<(&'static str, u16)> {
    use ComponentName::{Etcd, KubeApiserver, KubeProxy, Kubelet};
    let mut ports = Vec::new();
    if let Some(apiserver) = host.component(KubeApiserver) {
        ports.push(("kube-apiserver", secure_port(apiserver)));
        let plain = apiserver.flag_or_default("insecure-port").or_else(|| apiserver.flag("port").cloned());
        ports.extend(number(plain).filter(|port| *port > 0).map(|port| ("kube-apiserver", port)));
        // Every node has a kubelet, also those that are not looked at here.
        ports.push(("kubelet", 10250));
    }
    if let Some(kubelet) = host.component(Kubelet) {
        for flag in ["port", "healthz-port"] {
            ports.extend(number(kubelet.flag_or_default(flag)).filter(|port| *port > 0).map(|port| ("kubelet", port)));
        }
    }
    if host.component(KubeProxy).is_some() {
        ports.extend([("kube-proxy", 10249), ("kube-proxy", 10256)]);
    }
    if host.component(Etcd).is_some() {
        ports.extend([("etcd", 2379), ("etcd", 2380)]);
    }
    ports.sort_by_key(|(_, port)| *port);
    ports.dedup();
    ports
}

fn number(value: Option<Sourced<String>>) -> Option<u16> {
    value?.value.parse().ok()
}

/// net.ipv4.ip_local_port_range.
fn ephemeral(host: &Host) -> Fact<(u16, u16)> {
    const KEY: &str = "net.ipv4.ip_local_port_range";
    let value = match host.sysctls.get(KEY) {
        Some(value) => value.clone()?,
        None => return Err(Unknown::new(KEY, "the kernel does not have it")),
    };
    let mut numbers = value.split_ascii_whitespace().map(|number| number.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(first), Some(last)) => Ok((first, last)),
        _ => Err(Unknown::new(KEY, "is not two numbers")),
    }
}

/// Whether the kernel keeps all of these ports for programs that ask for them (`30000-32767,40000`).
fn is_reserved(host: &Host, from: u16, to: u16) -> bool {
    let Some(Ok(value)) = host.sysctls.get("net.ipv4.ip_local_reserved_ports") else { return false };
    value.split(',').filter_map(|item| range(item.trim())).any(|(first, last)| first <= from && to <= last)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn reads_ranges() {
        for (text, expected) in [
            ("30000-32767", Some((30000, 32767))),
            ("30000+2767", Some((30000, 32767))),
            ("8000", Some((8000, 8000))),
            ("40000-8000", None),
            ("1-99999", None),
            ("a-b", None),
            ("", None),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }
}
