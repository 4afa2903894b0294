//! bind-address-in-use and etcd-address-in-use: two programs of a host are set up to listen on the same port of the same
//! address, or one of them does not run while another process holds its port.

use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, Layer, LayerKind, split_items};
use crate::facts::load_balancer::Proxy;
use crate::facts::network::Listener;
use crate::facts::topology::secure_port;
use crate::origin::{Origin, Unknown};
use crate::rules::support::{Url, starting_layers, unit_behind, unit_to_restart};
use crate::rules::{Context, Detector, Judge};

pub(super) const BIND: Detector = Detector { id: "bind-address-in-use", judge: Judge::Host(judge_all), refine: None };
pub(in crate::rules) const ETCD: Detector =
    Detector { id: "etcd-address-in-use", judge: Judge::Host(judge_etcd), refine: None };

/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 3;

/// Where a program is set up to listen.
struct Wanted {
    program: String,
    /// None for every address.
    address: Option<IpAddr>,
    port: u16,
    origin: Origin,
}

impl Wanted {
    fn collides(&self, other: &Wanted) -> bool {
        self.port == other.port
            && match (self.address, other.address) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            }
    }

    fn shown(&self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            Some(address) => format!("{address}:{}", self.port),
            None => format!("*:{}", self.port),
        }
    }
}

/// The apiserver against the load balancers beside it, which both like 6443.
fn judge_all(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    judge_proxies(host, verdict);
    let Some(apiserver) = host.component(ComponentName::KubeApiserver).filter(|one| starts(host, one)) else { return };
    let address = apiserver.flag("bind-address").and_then(|value| value.value.trim().parse::<IpAddr>().ok());
    let flag = ["secure-port", "bind-address"].into_iter().find_map(|flag| apiserver.flag_in_file(flag));
    let layer = apiserver.layers.iter().find(|layer| layer.kind != LayerKind::Process).or(apiserver.layers.first());
    let Some(origin) = flag.map(|flag| &flag.origin).or(layer.map(|layer| &layer.origin)) else { return };
    let own = Wanted {
        program: apiserver.name.name().to_owned(),
        address: address.filter(|address| !address.is_unspecified()),
        port: secure_port(apiserver),
        origin: origin.clone(),
    };
    let mut judged = false;
    for (name, proxy) in
        [(ComponentName::Haproxy, &host.load_balancers.haproxy), (ComponentName::Nginx, &host.load_balancers.nginx)]
    {
        // The file of a proxy that is merely installed does nothing.
        let is_there = host.component(name).is_some_and(|proxy| proxy.pid.is_some() || starts(host, proxy));
        let Some(proxy) = is_there.then(|| verdict.known(proxy)).flatten().and_then(Option::as_ref) else { continue };
        judged = true;
        for other in frontends(name, proxy).iter().filter(|other| own.collides(other)) {
            verdict.fail(two(host, &own, other));
        }
    }
    match held(host, apiserver, &own) {
        Some(Ok(listener)) => verdict.fail(by_process(host, &own, listener)),
        Some(Err(unknown)) => verdict.unknown(unknown),
        None if judged && verdict.drafts.is_empty() => verdict.pass(),
        None => {}
    }
}

/// A load balancer that does not run, and whose port another process than the apiserver holds.
fn judge_proxies(host: &Host, verdict: &mut Verdict) {
    for (name, proxy) in
        [(ComponentName::Haproxy, &host.load_balancers.haproxy), (ComponentName::Nginx, &host.load_balancers.nginx)]
    {
        let (Some(component), Ok(Some(proxy))) = (host.component(name), proxy) else { continue };
        for wanted in frontends(name, proxy) {
            let other = held(host, component, &wanted).and_then(Result::ok).filter(|listener| {
                let holder = listener.process.as_ref().map(|process| process.name.as_str());
                // Beside an apiserver on the same host it is that one's own matter, below.
                holder.is_some_and(|holder| !holder.starts_with("kube-apiserver") && !holder.starts_with(name.name()))
            });
            if let Some(listener) = other {
                verdict.fail(by_process(host, &wanted, listener));
            }
        }
    }
}

/// Where a proxy listens; at a name it may be any address, which is not judged.
fn frontends(name: ComponentName, proxy: &Proxy) -> Vec<Wanted> {
    let listens = proxy.frontends.iter().flat_map(|frontend| &frontend.listen);
    let wanted = listens.filter_map(|listen| {
        let (address, port) = listen.value.rsplit_once(':').unwrap_or(("", &listen.value));
        let address = match address.trim_matches(['[', ']']) {
            "" | "*" => None,
            address => Some(address.parse::<IpAddr>().ok()?).filter(|address| !address.is_unspecified()),
        };
        let port = port.trim().parse().ok()?;
        Some(Wanted { program: name.name().to_owned(), address, port, origin: listen.origin.clone() })
    });
    wanted.collect()
}

fn starts(host: &Host, component: &Component) -> bool {
    component.layers.iter().any(|layer| match layer.kind {
        LayerKind::Manifest => true,
        LayerKind::Unit => unit_behind(host, layer).is_some_and(|unit| unit.enabled == Some(true)),
        _ => false,
    })
}

/// Two things that start an etcd with the same address, or an address that another process holds while etcd does not run.
fn judge_etcd(_: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let Some(etcd) = host.component(ComponentName::Etcd) else { return };
    let mut layers = starting_layers(host, etcd);
    layers.retain(|layer| match layer.kind {
        LayerKind::Manifest => true,
        LayerKind::Unit => unit_behind(host, layer).is_some_and(|unit| unit.enabled == Some(true)),
        _ => false,
    });
    let wanted: Vec<(&Layer, Vec<Wanted>)> =
        layers.iter().map(|layer| (*layer, addresses(host, etcd, layer))).collect();
    for (index, (layer, own)) in wanted.iter().enumerate() {
        for (at, one) in own.iter().enumerate() {
            // One process: its servers for clients and for peers.
            let beside = own.iter().skip(at + 1).filter(|other| other.origin != one.origin);
            let others = wanted.iter().skip(index + 1).filter(|(other, _)| other.origin.path() != layer.origin.path());
            let clash = beside.chain(others.flat_map(|(_, others)| others)).find(|other| one.collides(other));
            match (clash, held(host, etcd, one)) {
                (Some(other), _) => verdict.fail(two(host, one, other)),
                (None, Some(Ok(listener))) => verdict.fail(by_process(host, one, listener)),
                (None, Some(Err(unknown))) => verdict.unknown(unknown),
                (None, None) => verdict.pass(),
            }
        }
    }
}

/// A layer's addresses, each once.
fn addresses(host: &Host, etcd: &Component, layer: &Layer) -> Vec<Wanted> {
    let program = match layer.kind {
        LayerKind::Manifest => "the static pod of etcd",
        _ => unit_to_restart(host, etcd, layer).unwrap_or("etcd"),
    };
    let mut found: Vec<Wanted> = Vec::new();
    for flag in ["listen-client-urls", "listen-peer-urls"] {
        let mut of_flag: Vec<Wanted> = Vec::new();
        let Some(urls) = layer.flags.get(flag).and_then(|values| values.last()) else { continue };
        for item in split_items(urls) {
            let Some(url) = Url::parse(&item.value) else { continue };
            // A name may be any address.
            let (Some(port), Some(address)) = (url.port, url.address()) else { continue };
            let address = Some(address).filter(|address| !address.is_unspecified());
            if !of_flag.iter().any(|known| known.address == address && known.port == port) {
                of_flag.push(Wanted { program: program.to_owned(), address, port, origin: item.origin });
            }
        }
        found.extend(of_flag);
    }
    found
}

/// The listener of another process on what a component that would start, and does not run, needs; or why that is not known.
fn held<'a>(host: &'a Host, component: &Component, wanted: &Wanted) -> Option<Result<&'a Listener, Unknown>> {
    let processes = host.system.processes.as_ref().ok()?;
    if component.pid.is_some() || processes.len() < FEWEST || !starts(host, component) {
        return None;
    }
    let listeners = match host.network.as_ref().and_then(|network| network.listeners.as_ref()) {
        Ok(listeners) => listeners,
        Err(unknown) => return Some(Err(unknown.clone())),
    };
    let found = listeners.iter().find(|listener| {
        listener.port == wanted.port
            && listener.process.is_some()
            && wanted.address.is_none_or(|address| listener.address == address || listener.address.is_unspecified())
    });
    found.map(Ok)
}

fn two(host: &Host, own: &Wanted, other: &Wanted) -> Draft {
    Draft::new()
        .subject(own.port.to_string())
        .message("two")
        .value("component", &own.program)
        .value("port", own.port)
        .value("holder", &other.program)
        .value("address", own.shown())
        .at(&host.name, &other.origin, format!("{} listens on {}", other.program, other.shown()))
        .at(&host.name, &own.origin, format!("{} listens on {}", own.program, own.shown()))
}

fn by_process(host: &Host, own: &Wanted, listener: &Listener) -> Draft {
    let holder = listener.process.as_ref().map_or("another process", |process| process.name.as_str());
    Draft::new()
        .subject(own.port.to_string())
        .message("held")
        .value("component", &own.program)
        .value("port", own.port)
        .value("holder", holder)
        .maybe_value("pid", listener.process.as_ref().map(|process| process.pid))
        .at(&host.name, &own.origin, format!("{} listens on {}", own.program, own.shown()))
        .at(&host.name, &listener.origin, format!("{holder} has it"))
}
