//! What packet filters' tools print: `iptables-save` ([`saved`]), `iptables -nvL` ([`listed`]) and `nft list ruleset`
//! ([`nft`]).

mod listed;
mod nft;
mod saved;
#[cfg(test)]
mod tests;

pub use listed::parse as listed;
pub use nft::parse as nft;
pub use saved::parse as saved;

use ipnet::IpNet;

use crate::facts::firewall::{Chain, Firewall, Hook, Match, Rule, Target};
use crate::origin::{Origin, Span};

/// Rules beyond this are too many to be judged.
pub const RULES: usize = 50_000;
/// Characters of a rule that are kept.
const TEXT: usize = 300;

/// The origin of a line, from its place in the text.
pub type At<'a> = &'a dyn Fn(Span) -> Origin;

/// Lines with their places; counted on the way, since a text may hold tens of thousands of rules.
fn lines(text: &str) -> impl Iterator<Item = (&str, Span)> {
    let (mut offset, mut number) = (0, 0);
    text.split_inclusive('\n').map(move |line| {
        let start = offset;
        offset += line.len();
        number += 1;
        (line.trim(), Span { start, end: start + line.trim_end().len(), line: number, column: 1 })
    })
}

/// Why a text is not taken for what a packet filter's tool printed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FirewallError {
    #[error("holds no table of a packet filter")]
    NoTable,
    #[error("has more than {RULES} rules")]
    TooMany,
}

/// Whichever of the three it is.
pub fn any(text: &str, at: At<'_>) -> Result<Firewall, FirewallError> {
    for line in text.lines().map(str::trim_start) {
        if line.starts_with('*') && !line.contains(' ') {
            return saved(text, at);
        }
        if line.starts_with("Chain ") {
            return listed(text, "filter", "ip", at);
        }
        if line.starts_with("table ") && line.contains('{') {
            return nft(text, at);
        }
    }
    Err(FirewallError::NoTable)
}

/// Adds a rule to the last chain of this name, as far as the table's rules are kept.
fn add(chain: &mut Chain, text: &str, matches: Vec<Match>, target: Target, origin: Origin) {
    chain.rule_count += 1;
    if Chain::filters(&chain.table) {
        let text = text.trim().chars().take(TEXT).collect();
        chain.rules.push(Rule { text, matches, target, origin });
    }
}

fn hook_of(table: &str, chain: &str) -> Option<Hook> {
    match (table, chain) {
        (_, "INPUT") => Some(Hook::Input),
        (_, "FORWARD") => Some(Hook::Forward),
        (_, "OUTPUT" | "PREROUTING" | "POSTROUTING") => Some(Hook::Other),
        _ => None,
    }
}

fn target_of(word: &str) -> Target {
    match word {
        "ACCEPT" => Target::Accept,
        "DROP" => Target::Drop,
        "REJECT" => Target::Reject,
        "RETURN" => Target::Return,
        // Targets that end or change nothing that is judged here.
        "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "TCPMSS" | "NOTRACK" | "CT" | "CHECKSUM" | "TRACE" | "SET"
        | "AUDIT" | "SECMARK" | "CONNSECMARK" | "DSCP" | "CLASSIFY" => Target::Other,
        // NFQUEUE and whatever an extension does: no chain of that name, so anything.
        other => Target::Jump(other.to_owned()),
    }
}

/// Nets of `10.0.0.0/8`, `10.0.0.1` or several with commas; none when one of them is no net.
fn nets(text: &str) -> Option<Vec<IpNet>> {
    text.split(',')
        .map(str::trim)
        .map(|net| net.parse::<IpNet>().ok().or_else(|| net.parse::<std::net::IpAddr>().ok().map(IpNet::from)))
        .map(|net| net.map(|net| net.trunc()))
        .collect()
}

/// `22`, `80:90`, `30000-32767`, or several with commas.
fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    let one = |text: &str| {
        let (from, to) = text.split_once([':', '-']).unwrap_or((text, text));
        let number = |text: &str, empty: u16| if text.is_empty() { Some(empty) } else { text.trim().parse().ok() };
        Some((number(from, 0)?, number(to, u16::MAX)?))
    };
    text.split(',').map(|item| one(item.trim())).collect()
}

/// Whether it is the mark of packets to services that kube-proxy rewrites, by its default bit: no packet between pods has
/// it. Other programs set and ask marks of their own in one walk through the chains.
fn is_masquerade(mark: &str) -> bool {
    let value = mark.split('/').next().unwrap_or_default();
    u32::from_str_radix(value.trim_start_matches("0x"), 16) == Ok(0x4000)
}

/// Of a list of connection states: what holds for a packet that begins a connection.
fn states(text: &str) -> Option<Match> {
    let begins = text.split(',').any(|state| matches!(state.trim().to_ascii_lowercase().as_str(), "new" | "untracked"));
    let redirected = text.split(',').any(|state| matches!(state.trim(), "DNAT" | "SNAT"));
    match (begins, redirected) {
        (true, _) => None,
        (false, true) => Some(Match::Marked),
        (false, false) => Some(Match::Established),
    }
}
