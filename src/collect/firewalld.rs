//! What firewalld lets in by its own files, as a table of the packet filter: for hosts of which the packet filter's rules
//! were not taken, and for live ones whose tools do not show firewalld's.

use std::collections::{BTreeMap, BTreeSet};

use super::{Files, TextFile};
use crate::facts::firewall::{Backend, Chain, Firewall, Firewalld, Hook, Match, Rule, Target};
use crate::facts::system::Process;
use crate::origin::{Fact, Origin, Unknown};
use crate::parse::firewalld::{self, Service, Zone, ZoneSource, ZoneTarget};
use crate::source::ReadError;

/// The administrator's files win over those that the package brings.
const FOLDERS: [&str; 2] = ["/etc/firewalld", "/usr/lib/firewalld"];
/// systemd's link that starts it at boot.
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/firewalld.service";
/// Zones or services beyond this are too many to be judged.
const FILES: usize = 500;
/// Services that include others do so once, hardly ever twice.
const INCLUDES: usize = 64;
/// Fewer processes than this are a part of /proc, not the host's.
const FEWEST: usize = 3;

/// Zones that firewalld brings, where its own folder was not taken: none of them lets in what a cluster needs but one.
const SHIPPED_ZONES: [&str; 9] = ["block", "dmz", "drop", "external", "home", "internal", "public", "trusted", "work"];

/// Services that it brings, where its own folder was not taken: their TCP ports.
const SHIPPED_SERVICES: [(&str, &[(u16, u16)]); 21] = [
    ("cockpit", &[(9090, 9090)]),
    ("dhcpv6-client", &[]),
    ("etcd-client", &[(2379, 2379)]),
    ("etcd-server", &[(2380, 2380)]),
    ("http", &[(80, 80)]),
    ("https", &[(443, 443)]),
    ("ipp-client", &[]),
    ("kube-api", &[(6443, 6443)]),
    ("kube-apiserver", &[(6443, 6443)]),
    ("kube-control-plane", &[(2379, 2380), (6443, 6443), (10_251, 10_252)]),
    ("kube-control-plane-secure", &[(2379, 2380), (6443, 6443), (10_257, 10_257), (10_259, 10_259)]),
    ("kube-controller-manager", &[(10_252, 10_252)]),
    ("kube-nodeport-services", &[(30_000, 32_767)]),
    ("kube-scheduler", &[(10_251, 10_251)]),
    ("kube-worker", &[(10_250, 10_250), (30_000, 32_767)]),
    ("kubelet", &[(10_250, 10_250)]),
    ("kubelet-worker", &[(10_250, 10_250), (30_000, 32_767)]),
    ("mdns", &[]),
    ("ntp", &[]),
    ("samba-client", &[]),
    ("ssh", &[(22, 22)]),
];

pub fn collect(files: &Files, processes: &Fact<Vec<Process>>) -> Fact<Option<Firewalld>> {
    if is_active(files, processes)? { read(files).map(Some) } else { Ok(None) }
}

/// Its process, else that it is started at boot.
fn is_active(files: &Files, processes: &Fact<Vec<Process>>) -> Fact<bool> {
    match processes {
        Ok(processes) if processes.len() >= FEWEST => Ok(processes.iter().any(is_firewalld)),
        Err(unknown) if files.is_of_live_host() => Err(unknown.clone()),
        _ => Ok(files.read_link(ENABLED).is_ok() || files.exists(ENABLED) == Ok(true)),
    }
}

/// `python3 -s /usr/sbin/firewalld --nofork`
fn is_firewalld(process: &Process) -> bool {
    let is_script = |word: &String| word.ends_with("/sbin/firewalld");
    process.comm == "firewalld" || process.argv.iter().take(4).any(is_script) && process.comm.starts_with("python")
}

fn read(files: &Files) -> Fact<Firewalld> {
    let (settings, default_origin) = match files.text("/etc/firewalld/firewalld.conf") {
        Ok(file) => {
            let settings = firewalld::settings(&file.text);
            let span = settings.default_zone.as_ref().map(|(_, span)| *span);
            (settings, Origin::file(file.path.clone(), span))
        }
        Err(error) if error.is_absent() => (firewalld::Settings::default(), Origin::default_of("firewalld")),
        Err(error) => return Err(error.unknown()),
    };
    let default_zone = settings.default_zone.map_or_else(|| "public".to_owned(), |(name, _)| name);
    let mut zones = zones(files)?;
    if !zones.contains_key(&default_zone) {
        zones.insert(default_zone.clone(), shipped_zone(&default_zone, &default_origin)?);
    }
    let services = Services { files };
    let mut base = chain("filter_INPUT", default_origin.clone());
    base.hook = Some(Hook::Input);
    let accept = |matches: Vec<Match>, text: &str, origin: &Origin| Rule {
        text: text.to_owned(),
        matches,
        target: Target::Accept,
        origin: origin.clone(),
    };
    base.rules.push(accept(vec![Match::In { name: "lo".to_owned(), inverted: false }], "lo", &default_origin));
    for origin in unjudged(files)? {
        base.rules.push(accept(vec![Match::Perhaps], "a policy or a direct rule", &origin));
    }
    let goto = |matches: Vec<Match>, zone: &str, drifts: bool, origin: &Origin| Rule {
        text: format!("zone {zone}"),
        matches,
        target: if drifts { Target::Jump(zone.to_owned()) } else { Target::Goto(zone.to_owned()) },
        origin: origin.clone(),
    };
    let (mut by_interface, mut chains) = (Vec::new(), Vec::new());
    let mut named = BTreeMap::new();
    for (name, (zone, origin)) in &zones {
        for source in &zone.sources {
            let matches = match source {
                ZoneSource::Net(net) => vec![Match::Source { nets: vec![*net], inverted: false }],
                ZoneSource::Other => vec![Match::Perhaps],
            };
            let drifts = settings.drifts && zone.target == ZoneTarget::Default;
            let to = if drifts { format!("{name} (by source)") } else { name.clone() };
            base.rules.push(goto(matches, &to, drifts, origin));
        }
        for interface in &zone.interfaces {
            named.insert(interface.clone(), name.clone());
            let matches = vec![Match::In { name: interface.clone(), inverted: false }];
            by_interface.push(goto(matches, name, false, origin));
        }
        if !zone.sources.is_empty() || !zone.interfaces.is_empty() || *name == default_zone {
            let whole = zone_chain(name, zone, origin, &services)?;
            if settings.drifts && zone.target == ZoneTarget::Default && !zone.sources.is_empty() {
                let mut open = whole.clone();
                open.rules.pop();
                open.name = format!("{name} (by source)");
                chains.push(open);
            }
            chains.push(whole);
        }
    }
    base.rules.extend(by_interface);
    base.rules.push(goto(Vec::new(), &default_zone, false, &default_origin));
    chains.insert(0, base);
    for chain in &mut chains {
        chain.rule_count = chain.rules.len();
    }
    Ok(Firewalld { rules: Firewall { chains, at_boot: true }, default_zone, zones: named })
}

fn chain(name: &str, origin: Origin) -> Chain {
    Chain::new(Backend::Nft, "inet", "firewalld", name, origin)
}

/// A zone's entries, and what becomes of the rest.
fn zone_chain(name: &str, zone: &Zone, origin: &Origin, services: &Services<'_>) -> Fact<Chain> {
    let mut chain = chain(name, origin.clone());
    for entry in &zone.entries {
        let at = match origin.path() {
            Some(path) => Origin::file(path, Some(entry.span)),
            None => origin.clone(),
        };
        let mut rule = |more: Vec<Match>| {
            let matches = entry.matches.iter().cloned().chain(more).collect();
            let text = format!("zone {name}: {}", entry.text);
            chain.rules.push(Rule { text, matches, target: entry.target.clone(), origin: at.clone() });
        };
        match &entry.service {
            Some(service) => services.ports(service)?.into_iter().for_each(&mut rule),
            None => rule(Vec::new()),
        }
    }
    let (target, what) = match zone.target {
        ZoneTarget::Accept => (Target::Accept, "accepts"),
        ZoneTarget::Drop => (Target::Drop, "drops"),
        ZoneTarget::Default | ZoneTarget::Reject => (Target::Reject, "rejects"),
    };
    let text = format!("zone {name} {what} all else");
    chain.rules.push(Rule { text, matches: Vec::new(), target, origin: origin.clone() });
    Ok(chain)
}

/// Every zone by its name, with where it stands.
fn zones(files: &Files) -> Fact<BTreeMap<String, (Zone, Origin)>> {
    let mut zones = BTreeMap::new();
    for folder in FOLDERS {
        for (name, path) in xml_files(files, &format!("{folder}/zones"))? {
            if zones.contains_key(&name) {
                continue;
            }
            let file = files.text(&path).map_err(|error| error.unknown())?;
            let zone = firewalld::zone(&file.text).map_err(|error| Unknown::new(path, error.to_string()))?;
            let origin = Origin::file(file.path.clone(), zone.span);
            zones.insert(name, (zone, origin));
        }
    }
    Ok(zones)
}

/// Names and paths of a folder's files; none of a folder that is not there.
fn xml_files(files: &Files, folder: &str) -> Fact<Vec<(String, String)>> {
    let entries = match files.list(folder) {
        Ok(entries) => entries,
        Err(error) if is_nothing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error.unknown()),
    };
    let names = entries.iter().filter_map(|entry| entry.name.strip_suffix(".xml"));
    let found: Vec<_> = names.map(|name| (name.to_owned(), format!("{folder}/{name}.xml"))).collect();
    if found.len() > FILES {
        return Err(Unknown::new(folder, format!("holds more than {FILES} files")));
    }
    Ok(found)
}

fn shipped_zone(name: &str, origin: &Origin) -> Fact<(Zone, Origin)> {
    let target = match name {
        "trusted" => ZoneTarget::Accept,
        "drop" => ZoneTarget::Drop,
        "block" => ZoneTarget::Reject,
        name if SHIPPED_ZONES.contains(&name) => ZoneTarget::Default,
        name => {
            let path = format!("{}/zones/{name}.xml", FOLDERS[1]);
            return Err(Unknown::new(path, "firewalld's default zone is not part of this source"));
        }
    };
    let zone = Zone { target, interfaces: Vec::new(), sources: Vec::new(), entries: Vec::new(), span: None };
    Ok((zone, origin.clone()))
}

/// Where packets may be let in by what is not judged: policies between zones, and iptables' rules written down directly.
fn unjudged(files: &Files) -> Fact<Vec<Origin>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for folder in FOLDERS {
        for (name, path) in xml_files(files, &format!("{folder}/policies"))? {
            if !seen.insert(name) {
                continue;
            }
            let file = files.text(&path).map_err(|error| error.unknown())?;
            let may = firewalld::policy_may_accept(&file.text);
            if may.map_err(|error| Unknown::new(path, error.to_string()))? {
                found.push(Origin::file(file.path.clone(), None));
            }
        }
    }
    if let Some(file) = optional(files.text("/etc/firewalld/direct.xml"))?
        && file.text.contains("INPUT")
    {
        found.push(Origin::file(file.path.clone(), None));
    }
    Ok(found)
}

fn optional(read: Result<std::sync::Arc<TextFile>, ReadError>) -> Fact<Option<std::sync::Arc<TextFile>>> {
    match read {
        Ok(file) => Ok(Some(file)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(error.unknown()),
    }
}

/// Whether there is no such file or folder; of the package's own, which are known, also where they were not taken.
fn is_nothing(error: &ReadError) -> bool {
    match error {
        ReadError::NotCovered { path } => path.starts_with(FOLDERS[1]),
        error => error.is_absent(),
    }
}

/// What the services of zones let in.
struct Services<'a> {
    files: &'a Files,
}

impl Services<'_> {
    /// What each line of the service and of those that it includes asks of a packet. Of one that is not known: perhaps.
    fn ports(&self, name: &str) -> Fact<Vec<Vec<Match>>> {
        let mut ports = Vec::new();
        let mut seen = BTreeSet::new();
        let mut names = vec![name.to_owned()];
        while let Some(name) = names.pop() {
            if seen.len() > INCLUDES || !seen.insert(name.clone()) {
                continue;
            }
            match self.file(&name)? {
                Some(service) => {
                    ports.extend(service.ports);
                    names.extend(service.includes);
                }
                None => match SHIPPED_SERVICES.iter().find(|(shipped, _)| *shipped == name) {
                    Some((_, [])) => {}
                    Some((_, ranges)) => {
                        let tcp = Match::Protocol { name: "tcp".to_owned(), inverted: false };
                        ports.push(vec![tcp, Match::Ports { ranges: ranges.to_vec(), inverted: false }]);
                    }
                    None => ports.push(vec![Match::Perhaps]),
                },
            }
        }
        Ok(ports)
    }

    fn file(&self, name: &str) -> Fact<Option<Service>> {
        // A name is part of a path here.
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Ok(None);
        }
        for folder in FOLDERS {
            let path = format!("{folder}/services/{name}.xml");
            if let Some(file) = optional(self.files.text(&path))? {
                let service = firewalld::service(&file.text);
                return service.map(Some).map_err(|error| Unknown::new(path, error.to_string()));
            }
        }
        Ok(None)
    }
}
