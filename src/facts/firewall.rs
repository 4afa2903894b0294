//! Packet filter rules, of iptables and of nftables alike, as far as rules judge them.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// All tables that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    pub chains: Vec<Chain>,
    /// Read of the files that a service sets up at boot: what programs add at run time is not among it.
    #[serde(default)]
    pub at_boot: bool,
}

/// What firewalld sets up by its files: what was changed in the running one alone is not among it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewalld {
    /// Its zones as a table `firewalld`.
    pub rules: Firewall,
    pub default_zone: String,
    /// Zones by the interfaces that they name, which may end in `+`.
    pub zones: BTreeMap<String, String>,
}

impl Firewalld {
    /// The zone of what comes in by an interface, where no zone names its source.
    pub fn zone_of(&self, interface: &str) -> &str {
        let is_it = |pattern: &str| match pattern.strip_suffix('+') {
            Some(prefix) => interface.starts_with(prefix),
            None => interface == pattern,
        };
        self.zones.iter().find(|(pattern, _)| is_it(pattern)).map_or(self.default_zone.as_str(), |(_, zone)| zone)
    }
}

impl Firewall {
    /// Whether tables of a running firewalld are among it, by nftables or by iptables.
    pub fn is_firewalld(&self) -> bool {
        self.chains.iter().any(|chain| chain.table == "firewalld" || chain.name == "INPUT_ZONES")
    }
}

/// Which part of the kernel holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// ip_tables, written by iptables-legacy.
    Legacy,
    /// nf_tables, written by iptables-nft or nft.
    Nft,
    /// What was printed does not say.
    Unsaid,
}

/// Where a base chain sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Input,
    Forward,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    pub backend: Backend,
    /// `ip`, `ip6`, `inet`.
    pub family: String,
    /// `filter`, `nat`, `firewalld`.
    pub table: String,
    pub name: String,
    /// None for a chain that others jump to.
    pub hook: Option<Hook>,
    /// Whether packets that no rule decides are dropped.
    pub drops: bool,
    /// Of tables that filter; those that rewrite are only counted.
    pub rules: Vec<Rule>,
    pub rule_count: usize,
    pub origin: Origin,
}

impl Chain {
    /// One without rules, to which others jump.
    pub fn new(backend: Backend, family: &str, table: &str, name: &str, origin: Origin) -> Chain {
        Chain {
            backend,
            family: family.to_owned(),
            table: table.to_owned(),
            name: name.to_owned(),
            hook: None,
            drops: false,
            rules: Vec::new(),
            rule_count: 0,
            origin,
        }
    }

    /// Whether its table decides what comes through, and does not rewrite.
    pub fn filters(table: &str) -> bool {
        !matches!(table, "mangle" | "raw" | "nat" | "security")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Everything that it says, at most 300 characters.
    pub text: String,
    pub matches: Vec<Match>,
    pub target: Target,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    Accept,
    Drop,
    Reject,
    Return,
    Jump(String),
    /// Does not come back to where it was called.
    Goto(String),
    /// Counts, logs, marks: the packet goes on.
    Other,
}

/// What a rule asks of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// Interface, perhaps with `+` or `*` at its end; `inverted` for any other.
    In {
        name: String,
        inverted: bool,
    },
    Out {
        name: String,
        inverted: bool,
    },
    Source {
        nets: Vec<IpNet>,
        inverted: bool,
    },
    Destination {
        nets: Vec<IpNet>,
        inverted: bool,
    },
    /// `tcp`, or several as `tcp,udp`.
    Protocol {
        name: String,
        inverted: bool,
    },
    /// Destination ports, inclusive.
    Ports {
        ranges: Vec<(u16, u16)>,
        inverted: bool,
    },
    /// Only packets of connections that are known already.
    Established,
    /// Only packets that kube-proxy marked, or whose connection was redirected by a rule.
    Marked,
    /// Whatever else: it may hold or not.
    Perhaps,
}

/// A packet that begins a connection, as far as it is known; what is None may be anything.
#[derive(Debug, Clone, Default)]
pub struct Packet<'a> {
    /// One of these interfaces; empty for any.
    pub comes_in: &'a [String],
    pub goes_out: &'a [String],
    pub source: Option<IpNet>,
    pub destination: Option<IpNet>,
    pub protocol: &'a str,
    pub port: Option<u16>,
}

/// What may become of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    pub accepted: bool,
    pub dropped: bool,
    /// Came to the end of the chain.
    pub passed: bool,
}

/// Chains deeper than this are taken for anything.
const DEPTH: usize = 24;
/// Rules that are looked at for one packet.
const STEPS: usize = 200_000;

/// Whether a match holds: yes, no, or perhaps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Perhaps,
}

impl Holds {
    fn not(self) -> Holds {
        match self {
            Holds::Yes => Holds::No,
            Holds::No => Holds::Yes,
            Holds::Perhaps => Holds::Perhaps,
        }
    }
}

impl Firewall {
    /// Base chains at a hook that filter.
    pub fn at(&self, hook: Hook) -> impl Iterator<Item = &Chain> {
        self.chains.iter().filter(move |chain| chain.hook == Some(hook) && Chain::filters(&chain.table))
    }

    /// What may become of the packet in a base chain; the rule that certainly ends it, when one does.
    pub fn fate<'a>(&'a self, chain: &'a Chain, packet: &Packet<'_>) -> (Fate, Option<&'a Rule>) {
        let mut steps = STEPS;
        let mut last = None;
        let mut fate = self.walk(chain, packet, DEPTH, &mut steps, &mut last);
        if fate.passed {
            fate.passed = false;
            if chain.drops {
                fate.dropped = true;
            } else {
                fate.accepted = true;
            }
        }
        (fate, last)
    }

    fn walk<'a>(
        &'a self,
        chain: &'a Chain,
        packet: &Packet<'_>,
        depth: usize,
        steps: &mut usize,
        last: &mut Option<&'a Rule>,
    ) -> Fate {
        let mut fate = Fate::default();
        if depth == 0 {
            return Fate { accepted: true, dropped: true, passed: true };
        }
        for rule in &chain.rules {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                return Fate { accepted: true, dropped: true, passed: true };
            }
            let holds = rule.holds(packet);
            if holds == Holds::No {
                continue;
            }
            let mut found = match &rule.target {
                Target::Accept => Fate { accepted: true, ..Fate::default() },
                Target::Drop | Target::Reject => {
                    *last = Some(rule);
                    Fate { dropped: true, ..Fate::default() }
                }
                Target::Return => {
                    fate.passed = true;
                    if holds == Holds::Yes {
                        return fate;
                    }
                    continue;
                }
                Target::Other => continue,
                Target::Jump(name) | Target::Goto(name) => match self.chain(chain, name) {
                    Some(other) => self.walk(other, packet, depth - 1, steps, last),
                    // A target that is no chain of the table (an extension) may do anything.
                    None => Fate { accepted: true, dropped: true, passed: true },
                },
            };
            let goes_on = found.passed && !matches!(rule.target, Target::Goto(_));
            if goes_on {
                found.passed = false;
            }
            fate.accepted |= found.accepted;
            fate.dropped |= found.dropped;
            fate.passed |= found.passed;
            if holds == Holds::Yes && !goes_on {
                return fate;
            }
        }
        fate.passed = true;
        fate
    }

    fn chain(&self, from: &Chain, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| {
            chain.name == name
                && chain.table == from.table
                && chain.family == from.family
                && chain.backend == from.backend
        })
    }
}

impl Rule {
    fn holds(&self, packet: &Packet<'_>) -> Holds {
        let mut all = Holds::Yes;
        for one in &self.matches {
            match one.holds(packet) {
                Holds::No => return Holds::No,
                Holds::Perhaps => all = Holds::Perhaps,
                Holds::Yes => {}
            }
        }
        all
    }
}

impl Match {
    fn holds(&self, packet: &Packet<'_>) -> Holds {
        let (holds, inverted) = match self {
            Match::In { name, inverted } => (interface(name, packet.comes_in), *inverted),
            Match::Out { name, inverted } => (interface(name, packet.goes_out), *inverted),
            Match::Source { nets, inverted } => (within(nets, packet.source), *inverted),
            Match::Destination { nets, inverted } => (within(nets, packet.destination), *inverted),
            Match::Protocol { name, inverted } => (protocol(name, packet.protocol), *inverted),
            Match::Ports { ranges, inverted } => (
                match packet.port {
                    Some(port) if ranges.iter().any(|(from, to)| (*from..=*to).contains(&port)) => Holds::Yes,
                    Some(_) => Holds::No,
                    None => Holds::Perhaps,
                },
                *inverted,
            ),
            Match::Established | Match::Marked => (Holds::No, false),
            Match::Perhaps => (Holds::Perhaps, false),
        };
        if inverted { holds.not() } else { holds }
    }
}

fn interface(pattern: &str, names: &[String]) -> Holds {
    let is_it = |name: &String| match pattern.strip_suffix(['+', '*']) {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    };
    match names.iter().filter(|name| is_it(name)).count() {
        _ if names.is_empty() => Holds::Perhaps,
        0 => Holds::No,
        found if found == names.len() => Holds::Yes,
        _ => Holds::Perhaps,
    }
}

fn within(nets: &[IpNet], packet: Option<IpNet>) -> Holds {
    let Some(packet) = packet else {
        return if nets.iter().any(|net| net.prefix_len() == 0) { Holds::Yes } else { Holds::Perhaps };
    };
    if nets.iter().any(|net| net.contains(&packet)) {
        Holds::Yes
    } else if nets.iter().any(|net| packet.contains(net)) {
        Holds::Perhaps
    } else {
        Holds::No
    }
}

fn protocol(rule: &str, packet: &str) -> Holds {
    match rule {
        "all" => Holds::Yes,
        _ if packet.is_empty() => Holds::Perhaps,
        _ if rule.split(',').any(|name| name == packet) => Holds::Yes,
        _ => Holds::No,
    }
}
