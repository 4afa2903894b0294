//! host-hostname-unresolvable: a name that a component dials, or the node's own, is in no /etc/hosts, and the host asks
//! no DNS server. What a DNS server would answer only a probe can tell.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::verdict::{Draft, Verdict};
use crate::facts::Host;
use crate::facts::component::{Component, ComponentName, split_items};
use crate::origin::{Origin, Sourced, Unknown};
use crate::report::{Evidence, EvidenceKind, Severity};
use crate::rules::support::{Url, main_address, starting_layers};
use crate::rules::{Context, Detector, Judge};

pub(super) const DETECTOR: Detector =
    Detector { id: "host-hostname-unresolvable", judge: Judge::Host(judge), refine: None };

/// Flags whose value is made of URLs that the component dials, by component.
const DIALLED: [(ComponentName, &[&str]); 4] = [
    (ComponentName::Etcd, &["initial-cluster", "advertise-client-urls", "initial-advertise-peer-urls"]),
    (ComponentName::KubeApiserver, &["etcd-servers"]),
    (ComponentName::Flanneld, &["etcd-endpoints", "remote"]),
    (ComponentName::Kubelet, &["api-servers"]),
];

fn judge(context: &Context<'_>, host: &Host, verdict: &mut Verdict) {
    for (name, used) in names(host) {
        match resolution(host, &name) {
            Ok(true) => verdict.pass(),
            Ok(false) => verdict.fail(draft(context, host, &name, &used)),
            Err(unknown) => verdict.unknown(unknown),
        }
    }
}

/// Who uses a name: the place, and the component that dials it; none for the node's own name.
struct Use {
    origin: Origin,
    dialled_by: Option<ComponentName>,
}

/// Every name once, in the order of the alphabet; a use that dials it counts before the node's own.
fn names(host: &Host) -> BTreeMap<String, Use> {
    let mut names = BTreeMap::new();
    for (component, flags) in DIALLED {
        let Some(component) = host.component(component) else { continue };
        for value in starting_layers(host, component)
            .iter()
            .flat_map(|layer| flags.iter().filter_map(|flag| layer.flags.get(*flag)?.last()))
        {
            for item in split_items(value) {
                add_url(&mut names, component, &item);
            }
        }
    }
    for kubeconfig in &host.kubernetes.kubeconfigs {
        let user = [
            ("kubelet", ComponentName::Kubelet),
            ("controller", ComponentName::KubeControllerManager),
            ("scheduler", ComponentName::KubeScheduler),
            ("proxy", ComponentName::KubeProxy),
        ];
        let Some((_, component)) = user.iter().find(|(part, _)| kubeconfig.path.contains(part)) else { continue };
        let server = kubeconfig.current_cluster().and_then(|cluster| cluster.server.as_ref());
        if let (Some(component), Some(server)) = (host.component(*component), server) {
            add_url(&mut names, component, server);
        }
    }
    if let Some(plan) = host.kubernetes.kubeadm_plan() {
        for endpoint in [plan.endpoint(), plan.discovery_endpoint()].into_iter().flatten() {
            // Every node's kubelet is going to dial it; of one without a port the whole is the name.
            let name = endpoint.value.rsplit_once(':').map_or(endpoint.value.as_str(), |(name, _)| name);
            if is_name(name) {
                let used = Use { origin: endpoint.origin.clone(), dialled_by: Some(ComponentName::Kubelet) };
                names.entry(name.to_ascii_lowercase()).or_insert(used);
            }
        }
    }
    if let Some(kubelet) = host.component(ComponentName::Kubelet)
        && host.name != host.source
    {
        let name = kubelet.flag("hostname-override");
        let origin = name.map_or_else(|| Origin::file("/etc/hostname", None), |name| name.origin.clone());
        let name = name.map_or(host.name.as_str(), |name| &name.value).to_ascii_lowercase();
        if is_name(&name) {
            names.entry(name).or_insert(Use { origin, dialled_by: None });
        }
    }
    names
}

fn add_url(names: &mut BTreeMap<String, Use>, component: &Component, item: &Sourced<String>) {
    // `m1=https://m1:2380` of etcd's initial cluster.
    let url = item.value.split_once('=').map_or(item.value.as_str(), |(_, url)| url);
    let Some(url) = Url::parse(url) else { return };
    if is_name(&url.host) {
        let used = Use { origin: item.origin.clone(), dialled_by: Some(component.name) };
        names.entry(url.host.to_ascii_lowercase()).or_insert(used);
    }
}

/// A name that needs resolving; what a shell would fill in is none.
fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
        && !host.eq_ignore_ascii_case("localhost")
        && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
        && host.bytes().any(|c| c.is_ascii_alphabetic())
}

/// Whether the host can resolve a name, as far as its files say it.
fn resolution(host: &Host, name: &str) -> Result<bool, Unknown> {
    match host.probes.names.get(name) {
        Some(Ok(addresses)) => return Ok(!addresses.is_empty()),
        Some(Err(unknown)) if is_no_name(&unknown.why) => return Ok(false),
        // The resolver itself had nobody to ask, or no time: what the files say is known all the same.
        Some(Err(unknown)) => return by_files(host, name).map_err(|_| unknown.clone()),
        None => {}
    }
    by_files(host, name)
}

/// Whether the resolver said for certain that there is no such name, in the C library's words for EAI_NONAME and
/// EAI_NODATA.
fn is_no_name(why: &str) -> bool {
    ["name or service not known", "no address associated with hostname"].iter().any(|words| why.contains(words))
}

fn by_files(host: &Host, name: &str) -> Result<bool, Unknown> {
    let sources = host.names.nsswitch_hosts.as_ref().map_err(Clone::clone)?;
    let asks = |source: &str| match sources {
        Some(sources) => sources.iter().any(|known| known == source),
        // What the C library does without the line.
        None => matches!(source, "files" | "dns"),
    };
    let entries = host.names.hosts.as_ref().map_err(Clone::clone)?;
    let is_listed = entries.iter().flat_map(|entry| &entry.names).any(|known| known.eq_ignore_ascii_case(name));
    if is_listed && asks("files") || asks("myhostname") && name.eq_ignore_ascii_case(&host.name) {
        return Ok(true);
    }
    let others = sources
        .iter()
        .flatten()
        .any(|source| !matches!(source.as_str(), "files" | "dns" | "myhostname") && !source.starts_with('['));
    if !others && !asks("dns") {
        return Ok(false);
    }
    let resolver = host.names.resolv_conf.as_ref().map_err(Clone::clone)?;
    // Without a server the one of the host itself is asked.
    let own_server = host.network.as_ref().ok().and_then(|network| network.listeners.as_ref().ok());
    let has_own_server = own_server.is_none_or(|listeners| listeners.iter().any(|listener| listener.port == 53));
    let live_or_whole = own_server.is_some();
    if !others && resolver.nameservers.is_empty() && live_or_whole && !has_own_server {
        return Ok(false);
    }
    Err(Unknown::new(format!("whether {name} resolves"), "it is not in /etc/hosts, and DNS was not asked")
        .with_remedy("run k8sdoctor check on the host itself, without --no-probe"))
}

fn draft(context: &Context<'_>, host: &Host, name: &str, used: &Use) -> Draft {
    let is_own = name.eq_ignore_ascii_case(&host.name);
    let owner = context.cluster.hosts.iter().find(|other| other.name.eq_ignore_ascii_case(name));
    let address = owner.and_then(|owner| main_address(owner.network.as_ref().ok()?));
    let label = if is_own && used.dialled_by.is_none() { "the node's own name" } else { "does not resolve here" };
    let mut draft = Draft::new()
        .subject(name)
        .message(match used.dialled_by {
            Some(_) => "dialled",
            None => "own",
        })
        .value("name", name)
        .maybe_value("program", used.dialled_by.map(ComponentName::name))
        .maybe_value("address", address)
        .at(&host.name, &used.origin, label);
    if used.dialled_by.is_some() {
        draft = draft.severity(Severity::Error);
    }
    let sources = host.names.nsswitch_hosts.as_ref().ok().and_then(Option::as_ref);
    let listed = host
        .names
        .hosts
        .iter()
        .flatten()
        .find(|entry| entry.names.iter().any(|known| known.eq_ignore_ascii_case(name)));
    if let (Some(sources), Some(listed)) = (sources, listed) {
        draft = draft
            .message("files_not_asked")
            .value("sources", sources.join(" "))
            .value("nsswitch", "/etc/nsswitch.conf")
            .at(&host.name, &listed.origin, "known here, but nobody looks");
    } else {
        draft = draft.at(&host.name, &Origin::file("/etc/hosts", None), format!("no line has {name}"));
    }
    if let Some(Err(unknown)) = host.probes.names.get(name) {
        let origin = Origin::answer(format!("the resolver, asked for {name}"));
        return draft.evidence(Evidence::new(EvidenceKind::Probe, &host.name, origin, unknown.why.clone()));
    }
    match (sources, &host.names.resolv_conf) {
        (Some(sources), _) if !sources.iter().any(|source| source == "dns") => {
            draft.note(format!("/etc/nsswitch.conf asks only: {}", sources.join(" ")))
        }
        (_, Ok(resolver)) => draft.at(&host.name, &resolver.origin, "names no DNS server"),
        _ => draft,
    }
}
