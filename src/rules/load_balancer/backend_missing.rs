//! lb-backend-missing: a load balancer that omits a master, sends to a host that is none, or to a port that none serves.

use std::net::IpAddr;

use super::frontends::{Balanced, Master, addresses_of, all, before_apiservers, dialled_names, masters, unit_of};
use crate::engine::verdict::{Draft, Verdict};
use crate::facts::component::{Component, ComponentName, LayerKind};
use crate::facts::load_balancer::Backend;
use crate::facts::network::Listener;
use crate::facts::probe::ConnectOutcome;
use crate::facts::{Cluster, Host};
use crate::origin::{Origin, Unknown};
use crate::report::{Confidence, Evidence, EvidenceKind, Severity};
use crate::rules::support::{Url, in_words, main_address, owners};
use crate::rules::{Context, Detector, Judge, reach};

pub(super) const DETECTOR: Detector = Detector { id: "lb-backend-missing", judge: Judge::Host(judge), refine: None };

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    let masters = masters(context.cluster);
    judge_empty(context.cluster, host, verdict);
    for balanced in before_apiservers(context.cluster, host) {
        let targets: Vec<Target<'_>> =
            balanced.backends.iter().filter_map(|backend| Target::of(context.cluster, host, backend)).collect();
        if targets.is_empty() {
            continue;
        }
        if masters.is_empty() {
            for target in &targets {
                judge_answer(host, &balanced, target, verdict);
            }
            verdict.unknown(Unknown::new("the masters", "no host with an apiserver was given"));
            continue;
        }
        let mut found = Verdict::default();
        for target in &targets {
            judge_answer(host, &balanced, target, &mut found);
            judge_target(host, &masters, &balanced, target, &mut found);
        }
        judge_omitted(context.cluster, host, &masters, &balanced, &targets, &mut found);
        // With no server that is a master, nothing that dials this one reaches an apiserver.
        let reaches = |target: &Target<'_>| {
            masters.iter().any(|master| {
                target.owner.is_some_and(|owner| owner.name == master.host.name)
                    && target.port.is_some_and(|port| master.serves(port))
            }) || target.owner.zip(target.port).is_some_and(|(owner, port)| is_proxied(owner, port))
        };
        let dead = (!targets.iter().any(reaches)).then(|| dialled_names(context.cluster, host, &balanced.ports()));
        for draft in found.drafts {
            verdict.fail(match dead.iter().flatten().next() {
                Some(name) => draft.value("dialled", name).severity(Severity::Error),
                None => draft,
            });
        }
        verdict.passes += found.passes;
        verdict.unknowns.extend(found.unknowns);
    }
}

/// A proxy that nodes dial for an apiserver and that has no server at all.
fn judge_empty(cluster: &Cluster, host: &Host, verdict: &mut Verdict) {
    for balanced in all(host).iter().filter(|balanced| balanced.backends.is_empty()) {
        let Some(listen) = balanced.listen.first() else { continue };
        let Some(name) = dialled_names(cluster, host, &balanced.ports()).into_iter().next() else { continue };
        verdict.fail(
            common(host, balanced)
                .subject(balanced.name)
                .message("empty")
                .severity(Severity::Error)
                .value("listen", &listen.value)
                .value("dialled", name)
                .at(&host.name, &listen.origin, "no server stands behind it"),
        );
    }
}

/// A backend and where it leads.
struct Target<'a> {
    backend: &'a Backend,
    port: Option<u16>,
    /// Empty when its name could not be resolved.
    addresses: Vec<IpAddr>,
    /// The given host that it is.
    owner: Option<&'a Host>,
}

impl<'a> Target<'a> {
    fn of(cluster: &'a Cluster, at: &'a Host, backend: &'a Backend) -> Option<Target<'a>> {
        let url = Url::parse(&backend.address.value)?;
        let addresses = addresses_of(cluster, at, &url.host);
        let owner = if url.is_loopback() || addresses.iter().any(IpAddr::is_loopback) {
            Some(at)
        } else {
            let by_address = addresses.iter().find_map(|address| owners(cluster, *address).next());
            by_address.or_else(|| cluster.hosts.iter().find(|host| host.name == url.host))
        };
        Some(Target { backend, port: url.port, addresses, owner })
    }
}

/// A backend on a given host: does an apiserver answer on that port there?
fn judge_target(
    host: &Host,
    masters: &[Master<'_>],
    balanced: &Balanced<'_>,
    target: &Target<'_>,
    verdict: &mut Verdict,
) {
    let (Some(owner), Some(port)) = (target.owner, target.port) else { return };
    if target.backend.disabled || is_proxied(owner, port) {
        return verdict.pass();
    }
    let master = masters.iter().find(|master| master.host.name == owner.name);
    if master.is_some_and(|master| master.serves(port)) {
        return verdict.pass();
    }
    let listeners = owner.network.as_ref().map_err(Unknown::clone);
    let listeners = listeners.and_then(|network| network.listeners.as_ref().map_err(Unknown::clone));
    match &listeners {
        Ok(listeners) if listeners.iter().any(|listener| listener.port == port && !is_of_another(listener)) => {
            return verdict.pass();
        }
        // Without its sockets a host counts as no master only when its manifests are known and it is a node.
        Err(_) if master.is_some() => {}
        Err(unknown) => {
            if owner.kubernetes.static_pods.is_err() || owner.component(ComponentName::Kubelet).is_none() {
                return verdict.unknown(unknown.clone());
            }
        }
        Ok(_) => {}
    }
    // A master that has lost its apiserver is one still.
    let by_manifest = |name| {
        owner.component(name).is_some_and(|one| one.layers.iter().any(|layer| layer.kind == LayerKind::Manifest))
    };
    if master.is_none() && by_manifest(ComponentName::KubeControllerManager) {
        return verdict.pass();
    }
    let address = &target.backend.address;
    let mut draft = common(host, balanced)
        .subject(format!("{} {}", balanced.name, address.value))
        .value("address", &address.value)
        .value("owner", &owner.name)
        .value("port", port)
        .value("masters", names(masters))
        .maybe_value("line", address.origin.span().map(|span| span.line));
    let label = match master {
        Some(master) => {
            let serves = master.secure_port();
            let right = format!("{}:{serves}", address.value.rsplit_once(':').map_or("", |(address, _)| address));
            draft = draft.message("wrong_port").value("secure_port", serves).value("right_address", right);
            format!("{}'s apiserver serves port {serves}", owner.name)
        }
        None => {
            draft = draft.message("not_a_master");
            format!("{} has no apiserver", owner.name)
        }
    };
    draft = draft.at(&host.name, &address.origin, label);
    verdict.fail(draft);
}

/// A backend on a host that was not given: whether anything listens there is only known from its answer.
fn judge_answer(host: &Host, balanced: &Balanced<'_>, target: &Target<'_>, verdict: &mut Verdict) {
    if target.owner.is_some() || target.backend.disabled {
        return;
    }
    let Some(url) = Url::parse(&target.backend.address.value) else { return };
    let asked = reach::target(&url);
    let Some(answer) = host.probes.connects.iter().find(|answer| answer.target == asked) else { return };
    match answer.outcome {
        ConnectOutcome::Connected => verdict.pass(),
        ConnectOutcome::Refused => {
            let address = &target.backend.address;
            let origin = Origin::answer(format!("dialling {asked}"));
            verdict.fail(
                common(host, balanced)
                    .subject(format!("{} {}", balanced.name, address.value))
                    .message("refused")
                    .value("address", &address.value)
                    .maybe_value("line", address.origin.span().map(|span| span.line))
                    .at(&host.name, &address.origin, "nothing listens there")
                    .evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, "connection refused")),
            );
        }
        // A host that is down is none that is missing.
        _ => {}
    }
}

/// Whether a part of Kubernetes that is no apiserver holds the port.
fn is_of_another(listener: &Listener) -> bool {
    const OTHERS: [&str; 5] = ["etcd", "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
    listener.process.as_ref().is_some_and(|process| OTHERS.contains(&process.name.as_str()))
}

/// Whether another proxy of that host takes connections on the port.
fn is_proxied(host: &Host, port: u16) -> bool {
    all(host).iter().any(|balanced| balanced.balancer != "keepalived" && balanced.ports().contains(&port))
}

fn judge_omitted(
    cluster: &Cluster,
    host: &Host,
    masters: &[Master<'_>],
    balanced: &Balanced<'_>,
    targets: &[Target<'_>],
    verdict: &mut Verdict,
) {
    if targets.iter().any(|target| target.addresses.is_empty() && target.owner.is_none()) {
        let what = format!("the servers of {} in {}", balanced.name, balanced.path);
        return verdict.unknown(Unknown::new(what, "a name among them could not be resolved"));
    }
    if targets.iter().all(|target| target.owner.is_some_and(|owner| owner.name == host.name)) {
        // A proxy of a master before its own apiserver alone balances nothing.
        return verdict.pass();
    }
    if targets.iter().any(|target| target.owner.zip(target.port).is_some_and(|(owner, port)| is_proxied(owner, port))) {
        // Another proxy stands behind this one; what it leaves out is said of it.
        return verdict.pass();
    }
    // A backend of another network may be a given master by an address that it does not know of (NAT).
    let networks: Vec<ipnet::IpNet> = cluster
        .hosts
        .iter()
        .filter_map(|host| host.network.as_ref().ok())
        .flat_map(|network| network.addresses().map(|(_, net)| net))
        .filter(|net| !net.addr().is_loopback() && net.prefix_len() < 32)
        .collect();
    let foreign = targets.iter().find(|target| {
        target.owner.is_none()
            && target.addresses.iter().any(|address| !networks.iter().any(|net| net.contains(address)))
    });
    let mut omitted = Vec::new();
    for master in masters {
        if targets.iter().any(|target| target.owner.is_some_and(|owner| owner.name == master.host.name)) {
            verdict.pass();
            continue;
        }
        let Ok(network) = &master.host.network else {
            verdict.unknown(Unknown::new(format!("addresses of {}", master.host.name), "could not be read"));
            continue;
        };
        if let Some(foreign) = foreign {
            let what = format!("the host at {}", foreign.backend.address.value);
            verdict.unknown(Unknown::new(what, "was not given, and may be a master by another address"));
            continue;
        }
        omitted.push(Omitted {
            name: master.host.name.clone(),
            address: main_address(network),
            port: master.secure_port(),
            named_at: None,
        });
    }
    if foreign.is_none() {
        omitted.extend(named_by_etcd(cluster, masters, targets));
    }
    for Omitted { name, address, port, named_at } in omitted {
        let last = targets.last().map(|target| &target.backend.address.origin);
        let mut draft = common(host, balanced)
            .subject(format!("{} {name}", balanced.name))
            .message("omitted")
            .value("master", &name)
            .value("port", port)
            .value("servers", in_words(&addresses(targets)))
            .maybe_value("line", last.and_then(Origin::span).map(|span| span.line));
        if let Some(address) = address {
            let target = std::net::SocketAddr::new(address, port);
            draft = draft.value("address", target);
            draft = match balanced.balancer {
                "haproxy" => draft.value("server_line", format!("server {name} {target} check")),
                "nginx" => draft.value("server_line", format!("server {target};")),
                _ => draft,
            };
        }
        if let Some(last) = last {
            draft = draft.at(&host.name, last, format!("the last server; {name} is not among them"));
        }
        if let Some((named_on, named_at)) = named_at {
            draft = draft.at(&named_on, &named_at, format!("{name} is a master")).confidence(Confidence::Medium);
        }
        verdict.fail(draft);
    }
}

/// A master that no server stands for.
struct Omitted {
    name: String,
    address: Option<IpAddr>,
    port: u16,
    /// Host and place, when that is all that is known of it.
    named_at: Option<(String, Origin)>,
}

/// Masters that were not given: kubeadm puts a member of etcd on each, and its manifest names those of that time.
fn named_by_etcd(cluster: &Cluster, masters: &[Master<'_>], targets: &[Target<'_>]) -> Vec<Omitted> {
    let mut found: Vec<Omitted> = Vec::new();
    for master in masters {
        let Some(etcd) = master.host.component(ComponentName::Etcd) else { continue };
        if !etcd.layers.iter().any(|layer| layer.kind == LayerKind::Manifest) {
            continue;
        }
        for (name, address, origin) in members(master.host, etcd) {
            let known = owners(cluster, address).next().is_some()
                || cluster.hosts.iter().any(|host| host.name == name)
                || targets.iter().any(|target| target.addresses.contains(&address))
                || found.iter().any(|known| known.name == name);
            if !known {
                found.push(Omitted {
                    name,
                    address: Some(address),
                    port: master.secure_port(),
                    named_at: Some((master.host.name.clone(), origin)),
                });
            }
        }
    }
    found
}

/// The members of a host's etcd: those that it tells now, else those that its manifest names.
fn members(host: &Host, etcd: &Component) -> Vec<(String, IpAddr, Origin)> {
    let own = reach::own_targets(etcd, "listen-client-urls");
    let answer = host.probes.etcd.iter().find(|answer| {
        answer.members.is_ok() && Url::parse(&answer.endpoint).is_some_and(|url| own.contains(&reach::target(&url)))
    });
    if let Some((endpoint, Ok(members))) = answer.map(|answer| (&answer.endpoint, &answer.members)) {
        // One that has not started has no name, and a learner is about to be a master.
        let started = members.iter().filter(|member| !member.name.is_empty() && !member.is_learner);
        return started
            .filter_map(|member| {
                let address = member.peer_urls.iter().find_map(|url| Url::parse(url)?.address())?;
                Some((member.name.clone(), address, Origin::answer(format!("the members of {endpoint}"))))
            })
            .collect();
    }
    etcd.flag_items("initial-cluster")
        .into_iter()
        .filter_map(|item| {
            let (name, url) = item.value.split_once('=')?;
            Some((name.to_owned(), Url::parse(url)?.address()?, item.origin.clone()))
        })
        .collect()
}

fn addresses(targets: &[Target<'_>]) -> Vec<String> {
    targets.iter().map(|target| target.backend.address.value.clone()).collect()
}

fn names(masters: &[Master<'_>]) -> String {
    in_words(&masters.iter().map(|master| master.host.name.clone()).collect::<Vec<_>>())
}

fn common(host: &Host, balanced: &Balanced<'_>) -> Draft {
    let file = balanced.backends.first().and_then(|backend| backend.address.origin.path()).unwrap_or(balanced.path);
    Draft::new()
        .value("balancer", balanced.balancer)
        .value("frontend", balanced.name)
        .value("file", file)
        .value("unit", unit_of(host, balanced.component()))
}
