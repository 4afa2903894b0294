//! firewalld's own files: zones and services (XML), and firewalld.conf.

mod xml;

use ipnet::IpNet;

use self::xml::Element;
use crate::facts::firewall::{Match, Target};
use crate::origin::Span;

/// Entries of one file beyond this are too many to be judged.
const ENTRIES: usize = 10_000;

/// Why a file is not taken for one of firewalld's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FirewalldError {
    #[error("is no XML: {0}")]
    Syntax(String),
    #[error("holds <{found}> where <{wanted}> is expected")]
    Other { found: String, wanted: &'static str },
    #[error("holds more than {ENTRIES} entries")]
    TooMany,
}

/// What a zone does with packets that none of its entries decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneTarget {
    /// Rejected, but for ICMP.
    Default,
    Accept,
    Reject,
    Drop,
}

/// Whom a zone is for, beside its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneSource {
    Net(IpNet),
    /// An ipset or a hardware address: whether a packet is of it is not known.
    Other,
}

/// `zones/NAME.xml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub target: ZoneTarget,
    /// `eth0`, or `veth+`.
    pub interfaces: Vec<String>,
    pub sources: Vec<ZoneSource>,
    /// In the order in which packets meet them.
    pub entries: Vec<Entry>,
    /// Of the tag that opens the zone, where it is one of a file.
    pub span: Option<Span>,
}

/// One line of a zone, or one of its rich rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub matches: Vec<Match>,
    /// The service whose ports are meant, by its name.
    pub service: Option<String>,
    pub target: Target,
    /// `port 6443/tcp`, `rich rule`.
    pub text: String,
    pub span: Span,
}

/// `services/NAME.xml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// What each of its lines asks of a packet.
    pub ports: Vec<Vec<Match>>,
    /// Services that it stands for too.
    pub includes: Vec<String>,
}

/// `DefaultZone` and what else of firewalld.conf decides packets; the last assignment counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub default_zone: Option<(String, Span)>,
    /// A packet that the zone of its source does not decide goes on to the zone of its interface; in releases before 1.0.
    pub drifts: bool,
}

pub fn settings(text: &str) -> Settings {
    let mut settings = Settings::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(['#', ';'])) else { continue };
        match key.trim() {
            "DefaultZone" if !value.trim().is_empty() => {
                let span = Span::of(text, start, start + line.trim_end().len());
                settings.default_zone = Some((value.trim().to_owned(), span));
            }
            "AllowZoneDrifting" => settings.drifts = value.trim().eq_ignore_ascii_case("yes"),
            _ => {}
        }
    }
    settings
}

pub fn zone(text: &str) -> Result<Zone, FirewalldError> {
    let root = root(text, "zone")?;
    let target = match root.attribute("target") {
        Some("ACCEPT") => ZoneTarget::Accept,
        Some("DROP") => ZoneTarget::Drop,
        Some("%%REJECT%%" | "REJECT") => ZoneTarget::Reject,
        _ => ZoneTarget::Default,
    };
    let mut zone =
        Zone { target, interfaces: Vec::new(), sources: Vec::new(), entries: Vec::new(), span: Some(root.span) };
    let mut entries: Vec<((i64, u8), Entry)> = Vec::new();
    for child in &root.children {
        match child.name.as_str() {
            "interface" => zone.interfaces.extend(child.attribute("name").map(str::to_owned)),
            "source" => zone.sources.push(match child.attribute("address").and_then(net) {
                Some(net) => ZoneSource::Net(net),
                None => ZoneSource::Other,
            }),
            "rule" => entries.push(rich(child)),
            _ => {
                if let Some((matches, service, text)) = subject(child) {
                    let entry = Entry { matches, service, target: Target::Accept, text, span: child.span };
                    entries.push(((0, ALLOW), entry));
                }
            }
        }
    }
    // Stable: entries of one kind stay as they stand.
    entries.sort_by_key(|(order, _)| *order);
    zone.entries = entries.into_iter().map(|(_, entry)| entry).collect();
    Ok(zone)
}

pub fn service(text: &str) -> Result<Service, FirewalldError> {
    let root = root(text, "service")?;
    let mut service = Service::default();
    // A service for one destination alone is no matter of ports only.
    let narrowed = root.children.iter().any(|child| child.name == "destination");
    for child in &root.children {
        match child.name.as_str() {
            "include" => service.includes.extend(child.attribute("service").map(str::to_owned)),
            "port" | "protocol" | "source-port" => {
                // A service that names no port of its own stands for its protocol.
                let Some((mut matches, _, _)) = subject(child) else { continue };
                matches.extend(narrowed.then_some(Match::Perhaps));
                service.ports.push(matches);
            }
            _ => {}
        }
    }
    Ok(service)
}

/// Whether a policy (`policies/NAME.xml`) may let packets in to the host itself: what it lets in is not looked at.
pub fn policy_may_accept(text: &str) -> Result<bool, FirewalldError> {
    let root = root(text, "policy")?;
    let to_host = root.children.iter().any(|child| {
        child.name == "egress-zone" && child.attribute("name").is_some_and(|name| matches!(name, "HOST" | "ANY"))
    });
    let accepts = root.children.iter().any(|child| match child.name.as_str() {
        "port" | "service" | "protocol" | "source-port" => true,
        "rule" => {
            let has = |name: &str| child.children.iter().any(|part| part.name == name);
            has("accept") && !has("icmp-type")
        }
        _ => false,
    });
    Ok(to_host && (accepts || root.attribute("target") == Some("ACCEPT")))
}

fn root(text: &str, wanted: &'static str) -> Result<Element, FirewalldError> {
    let root = xml::parse(text)?;
    if root.name != wanted {
        return Err(FirewalldError::Other { found: root.name.chars().take(40).collect(), wanted });
    }
    Ok(root)
}

/// Among rules of priority 0 those that refuse come before those that let in.
const DENY: u8 = 1;
const ALLOW: u8 = 2;

/// A rich rule, with its place among the others: rules of negative priority come first, of positive last.
fn rich(rule: &Element) -> ((i64, u8), Entry) {
    let priority = rule.attribute("priority").and_then(|number| number.parse().ok()).unwrap_or(0);
    let mut entry = Entry {
        matches: Vec::new(),
        service: None,
        target: Target::Other,
        text: "rich rule".to_owned(),
        span: rule.span,
    };
    let any = match rule.attribute("family") {
        Some("ipv4") => net("0.0.0.0/0"),
        Some("ipv6") => net("::/0"),
        _ => None,
    };
    entry.matches.extend(any.map(|net| Match::Destination { nets: vec![net], inverted: false }));
    for part in &rule.children {
        let inverted = part.attribute("invert").is_some_and(|word| matches!(word, "yes" | "true" | "True" | "1"));
        let nets = || part.attribute("address").and_then(net).map(|net| vec![net]);
        match part.name.as_str() {
            "source" => entry.matches.push(match nets() {
                Some(nets) => Match::Source { nets, inverted },
                None => Match::Perhaps,
            }),
            "destination" => entry.matches.push(match nets() {
                Some(nets) => Match::Destination { nets, inverted },
                None => Match::Perhaps,
            }),
            "accept" => entry.target = Target::Accept,
            "reject" => entry.target = Target::Reject,
            "drop" => entry.target = Target::Drop,
            // A limit lets a part of the packets through.
            "limit" => entry.matches.push(Match::Perhaps),
            "log" | "nflog" | "audit" | "mark" | "forward-port" | "masquerade" => {}
            "icmp-block" | "icmp-type" => entry.matches.push(of_protocol("icmp")),
            _ => {
                if let Some((matches, service, text)) = subject(part) {
                    entry.matches.extend(matches);
                    entry.service = service;
                    entry.text = format!("rich rule, {text}");
                }
            }
        }
        if part.children.iter().any(|inner| inner.name == "limit") && part.name != "log" {
            entry.matches.push(Match::Perhaps);
        }
    }
    let kind = if matches!(entry.target, Target::Accept) { ALLOW } else { DENY };
    ((priority, if priority == 0 { kind } else { 0 }), entry)
}

/// What a `<port>`, `<service>`, `<protocol>` or `<source-port>` is about: matches, a service, and it in words.
fn subject(element: &Element) -> Option<(Vec<Match>, Option<String>, String)> {
    let attribute = |name: &str| element.attribute(name).map(str::trim).filter(|value| !value.is_empty());
    match element.name.as_str() {
        "port" => {
            let protocol = attribute("protocol")?;
            let Some(port) = attribute("port") else {
                return Some((vec![of_protocol(protocol)], None, format!("protocol {protocol}")));
            };
            let ranges =
                range(port).map_or(Match::Perhaps, |range| Match::Ports { ranges: vec![range], inverted: false });
            Some((vec![of_protocol(protocol), ranges], None, format!("port {port}/{protocol}")))
        }
        "source-port" => {
            let protocol = attribute("protocol").map(of_protocol);
            Some((protocol.into_iter().chain([Match::Perhaps]).collect(), None, "source port".to_owned()))
        }
        "protocol" => {
            let name = attribute("value")?;
            Some((vec![of_protocol(name)], None, format!("protocol {name}")))
        }
        "service" => {
            let name = attribute("name")?;
            Some((Vec::new(), Some(name.to_owned()), format!("service {name}")))
        }
        _ => None,
    }
}

fn of_protocol(name: &str) -> Match {
    Match::Protocol { name: name.to_owned(), inverted: false }
}

/// `22` or `30000-32767`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or a single address.
fn net(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let with_mask = || {
        let (address, mask) = text.split_once('/')?;
        IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()
    };
    let alone = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(alone).or_else(with_mask).map(|net| net.trunc())
}

#[cfg(test)]
mod tests;
